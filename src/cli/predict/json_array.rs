//! A JSON array that is written piece by piece, so that memory stays flat.

use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

/// A file that appears whole or not at all.
pub(super) struct JsonArray {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    is_empty: bool,
}

impl JsonArray {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let readable = std::fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(readable).tempfile_in(dir);
        let file = file.with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), is_empty: true })
    }

    /// Appends elements that stand one per line, a comma and a line feed after each.
    pub(super) fn push(&mut self, elements: &[u8]) -> anyhow::Result<()> {
        let Some(elements) = elements.strip_suffix(b",\n") else { return Ok(()) };
        let before: &[u8] = if self.is_empty { b"[\n" } else { b",\n" };
        self.is_empty = false;
        let write = self.file.write_all(before).and_then(|()| self.file.write_all(elements));
        write.with_context(|| format!("could not write {}", self.path.display()))
    }

    /// Closes the array and gives the file its name.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let end: &[u8] = if self.is_empty { b"[]\n" } else { b"\n]\n" };
        let path = self.path;
        let write = move || -> std::io::Result<()> {
            self.file.write_all(end)?;
            let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)?;
            Ok(())
        };
        write().context("could not complete the JSON file")
    }
}
