//! Counts the rows of a run that another process writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::folder::ROWS_FILE;

/// Counts the rows of a run that another process writes, reading only what was added since the last look.
#[derive(Debug)]
pub struct RowCounter {
    path: PathBuf,
    /// Bytes counted.
    position: u64,
    rows: u64,
}

impl RowCounter {
    /// For the run in this folder, which may not have begun yet.
    pub fn new(dir: &Path) -> Self {
        Self { path: dir.join(ROWS_FILE), position: 0, rows: 0 }
    }

    /// Whole lines there are now. What cannot be read counts as nothing new: this is for showing progress, and whoever
    /// needs the rows reads and verifies them.
    pub fn count(&mut self) -> u64 {
        let Ok(mut file) = File::open(&self.path) else { return self.rows };
        // A torn last line was removed: shorter than what was counted only if lines were, and then they are counted anew.
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
