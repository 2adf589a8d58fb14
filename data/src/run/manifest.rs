//! `manifest.json`: lists the finished files of a run folder with their sizes and checksums, so that a damaged file is named in
//! an error and never read as data.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::{ROWS_FILE, TABLE_FILE};
use crate::{DataError, WholeFile, checksum};

/// Name of the manifest in a run folder.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
const VERSION: u32 = 1;

/// How much a run should contain when it is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Number of rows, without anchors and repeated attempts. (There may be more anchors than planned.)
    pub rows: u64,
    /// Number of samples of the whole draw, including those of other shards.
    pub samples: u64,
}

/// The finished files of a run folder. It is always replaced as a whole. A listed file does not change any more, or is taken off
/// the list before it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// How much the run should contain, if it was recorded.
    pub(crate) wanted: Option<Wanted>,
    files: Vec<FileRecord>,
}

/// A finished file as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FileRecord {
    name: String,
    bytes: u64,
    /// Number of rows in it, if it contains rows.
    rows: Option<u64>,
    /// CRC-32 as eight hex digits.
    crc32: String,
}

/// The file's form: the manifest together with the CRC-32 of its compact JSON, so that the manifest itself cannot change
/// unnoticed.
#[derive(Serialize, Deserialize)]
struct Checked {
    crc32: String,
    manifest: Manifest,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, wanted: None, files: Vec::new() }
    }
}

impl Manifest {
    /// The folder's manifest; None if it has none.
    ///
    /// # Errors
    /// [`DataError::Content`] if it is damaged or of a newer version.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, DataError> {
        let path = dir.join(MANIFEST_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let damaged = |found: String| {
            let expected = "the list of a run's finished files with its own checksum";
            let found = format!(
                "a damaged one ({found}); restore it from a copy, or remove it and run the same command again"
            );
            DataError::content(&path, expected, found)
        };
        let checked: Checked =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let actual = checksum(compact(&checked.manifest, &path)?.as_bytes());
        if checked.crc32 != actual {
            return Err(damaged(format!("checksum {} for {actual}", checked.crc32)));
        }
        if checked.manifest.version > VERSION {
            let expected = format!("manifest version {VERSION} at most");
            let found = format!("version {}, which a newer lat wrote", checked.manifest.version);
            return Err(DataError::content(&path, expected, found));
        }
        Ok(Some(checked.manifest))
    }

    /// Replaces the folder's manifest with this one.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), DataError> {
        let path = dir.join(MANIFEST_FILE);
        let crc32 = checksum(compact(self, &path)?.as_bytes());
        let checked = Checked { crc32, manifest: self.clone() };
        let json = serde_json::to_vec_pretty(&checked)
            .map_err(|error| DataError::io("write", &path)(error.into()))?;
        WholeFile::write(&path, &json)
    }

    /// Whether the file is listed as finished.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Lists a file with its current content.
    pub(crate) fn list(
        &mut self,
        dir: &Path,
        name: &str,
        rows: Option<u64>,
    ) -> Result<(), DataError> {
        let path = dir.join(name);
        let bytes = fs::read(&path).map_err(DataError::io("read", &path))?;
        self.list_bytes(name, &bytes, rows);
        Ok(())
    }

    /// Lists a file with the content that it will have.
    pub(crate) fn list_bytes(&mut self, name: &str, bytes: &[u8], rows: Option<u64>) {
        self.drop_file(name);
        let crc32 = checksum(bytes);
        let record = FileRecord { name: name.to_owned(), bytes: bytes.len() as u64, rows, crc32 };
        self.files.push(record);
    }

    /// Takes a file off the list: it may change from now on.
    pub(crate) fn drop_file(&mut self, name: &str) {
        self.files.retain(|file| file.name != name);
    }

    /// Checks that the file is still as it was when it was listed; a file that is not listed passes.
    ///
    /// # Errors
    /// [`DataError::Altered`] if it has changed, [`DataError::Io`] if it cannot be read.
    pub(crate) fn verify(&self, dir: &Path, name: &str) -> Result<(), DataError> {
        if !self.lists(name) {
            return Ok(());
        }
        let path = dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => self.verify_bytes(&path, name, &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let expected =
                    format!("the file that {MANIFEST_FILE} lists; restore it from a copy");
                Err(DataError::missing(&path, expected))
            }
            Err(error) => Err(DataError::io("read", &path)(error)),
        }
    }

    /// Applies [`Manifest::verify`] to all listed files except rows and table, which are verified when they are read. So reading
    /// one of these also shows whether another file is damaged or missing.
    ///
    /// # Errors
    /// The errors of [`Manifest::verify`].
    pub(crate) fn verify_rest(&self, dir: &Path) -> Result<(), DataError> {
        let mut rest =
            self.files.iter().filter(|file| ![ROWS_FILE, TABLE_FILE].contains(&&*file.name));
        rest.try_for_each(|file| self.verify(dir, &file.name))
    }

    /// Like [`Manifest::verify`], for a file that is already read.
    pub(crate) fn verify_bytes(
        &self,
        path: &Path,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), DataError> {
        let Some(listed) = self.files.iter().find(|file| file.name == name) else { return Ok(()) };
        let found = (bytes.len() as u64, checksum(bytes));
        if found == (listed.bytes, listed.crc32.clone()) {
            return Ok(());
        }
        let describe = |bytes: u64, crc32: &str| format!("{bytes} bytes with checksum {crc32}");
        let rows = listed.rows.map(|rows| format!("{rows} rows in ")).unwrap_or_default();
        Err(DataError::Altered {
            path: path.to_owned(),
            expected: rows + &describe(listed.bytes, &listed.crc32),
            found: describe(found.0, &found.1),
        })
    }
}

fn compact(manifest: &Manifest, path: &Path) -> Result<String, DataError> {
    serde_json::to_string(manifest).map_err(|error| DataError::io("write", path)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.bin"), b"0123456789").unwrap();
        let mut manifest =
            Manifest { wanted: Some(Wanted { rows: 12, samples: 8 }), ..Manifest::default() };
        manifest.list(dir.path(), "a.bin", Some(3)).unwrap();
        manifest.write(dir.path()).unwrap();
        (dir, manifest)
    }

    #[test]
    fn comes_back_as_written_and_a_folder_without_one_has_none() {
        let (dir, manifest) = written();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest.clone()));
        manifest.verify(dir.path(), "a.bin").unwrap();
        manifest.verify(dir.path(), "other").unwrap();
        assert_eq!(Manifest::read(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_listed_file_is_named() {
        let (dir, manifest) = written();
        let path = dir.path().join("a.bin");
        let whole = fs::read(&path).unwrap();
        let flipped = (0..8 * whole.len()).map(|bit| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in flipped.chain((0..whole.len()).map(|cut| whole[..cut].to_vec())) {
            fs::write(&path, bytes).unwrap();
            let error = manifest.verify(dir.path(), "a.bin").unwrap_err().to_string();
            assert!(error.contains("a.bin is damaged: expected 3 rows in 10 bytes"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = manifest.verify(dir.path(), "a.bin").unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");
    }

    /// A flipped bit in a blank has no effect; any other is found.
    #[test]
    fn no_flipped_bit_of_the_manifest_gives_another_manifest() {
        let (dir, manifest) = written();
        let path = dir.path().join(MANIFEST_FILE);
        let whole = fs::read(&path).unwrap();
        let mut n_named = 0;
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            match Manifest::read(dir.path()) {
                Ok(read) => assert_eq!(read, Some(manifest.clone()), "bit {bit}"),
                Err(error) => {
                    assert!(error.to_string().contains(MANIFEST_FILE), "{error}");
                    n_named += 1;
                }
            }
        }
        assert!(n_named > 4 * whole.len(), "{n_named}");
    }
}
