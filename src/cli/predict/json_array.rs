//! A JSON array that is written piece by piece, so that memory use does not grow.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use lat_data::WholeFile;

/// The array in a file that appears whole or not at all.
pub(super) struct JsonArray {
    file: BufWriter<WholeFile>,
    path: PathBuf,
    is_empty: bool,
}

impl JsonArray {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = BufWriter::new(WholeFile::create(path)?);
        Ok(Self { file, path: path.to_owned(), is_empty: true })
    }

    /// Appends elements, one per line, each followed by a comma and a line feed.
    pub(super) fn push(&mut self, elements: &[u8]) -> anyhow::Result<()> {
        let Some(elements) = elements.strip_suffix(b",\n") else { return Ok(()) };
        let before: &[u8] = if self.is_empty { b"[\n" } else { b",\n" };
        self.is_empty = false;
        let write = self.file.write_all(before).and_then(|()| self.file.write_all(elements));
        write.with_context(|| format!("could not write {}", self.path.display()))
    }

    /// Closes the array and moves the file to its final name.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let end: &[u8] = if self.is_empty { b"[]\n" } else { b"\n]\n" };
        let path = self.path;
        let whole = self
            .file
            .write_all(end)
            .and_then(|()| self.file.into_inner().map_err(std::io::IntoInnerError::into_error));
        Ok(whole.with_context(|| format!("could not write {}", path.display()))?.finish()?)
    }
}
