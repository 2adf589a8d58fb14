//! Counts the rows of a run that another process writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::folder::ROWS_FILE;

/// Counts the rows of a run that another process writes. It reads only what was added since the last count.
#[derive(Debug)]
pub struct RowCounter {
    path: PathBuf,
    /// Number of bytes that are counted already.
    position: u64,
    rows: u64,
}

impl RowCounter {
    /// A counter for the run in this folder, which may not have begun yet.
    pub fn new(dir: &Path) -> Self {
        Self { path: dir.join(ROWS_FILE), position: 0, rows: 0 }
    }

    /// The number of complete lines now. If the file cannot be read, the count stays as it was: this only shows progress, and
    /// code that needs the rows reads and verifies them.
    pub fn count(&mut self) -> u64 {
        let Ok(mut file) = File::open(&self.path) else { return self.rows };
        // Removing a torn last line cannot make the file shorter than what was counted. If it is shorter, rows were removed, and
        // all are counted again.
        if file.metadata().is_ok_and(|metadata| metadata.len() < self.position) {
            (self.position, self.rows) = (0, 0);
        }
        let mut added = Vec::new();
        if file.seek(SeekFrom::Start(self.position)).is_ok() && file.read_to_end(&mut added).is_ok()
        {
            for line in added.split_inclusive(|&byte| byte == b'\n').filter(|l| l.ends_with(b"\n"))
            {
                self.position += line.len() as u64;
                self.rows += 1;
            }
        }
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn counts_whole_lines_as_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let mut counter = RowCounter::new(dir.path());
        assert_eq!(counter.count(), 0);
        for (text, rows) in [("a\nb", 1), ("a\nb\n", 2), ("a\nb\nc\nd\n", 4), ("a\n", 1)] {
            fs::write(dir.path().join(ROWS_FILE), text).unwrap();
            assert_eq!(counter.count(), rows, "{text:?}");
        }
    }
}
