//! The right to write a folder of results, which one process has at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::DataError;

pub(crate) const LOCK_FILE: &str = ".lock";
/// How long a folder in use is waited for: a writer that was told to end finishes its row first.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is tried meanwhile.
const PERIOD: Duration = Duration::from_millis(50);

/// The right to write a folder of results, for as long as it lives. Of a profile run its file says which row is at hand.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Waits a little where another process has it.
    ///
    /// # Errors
    /// [`DataError::Locked`] where that keeps it, [`DataError::Io`] where the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(LOCK_FILE);
        let file = open_file(&path)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // What the writer before was at is no longer at hand.
                    file.set_len(0).map_err(DataError::io("write", &path))?;
                    return Ok(Self { file });
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PERIOD);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(DataError::Locked { dir: dir.to_owned() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(DataError::Io { action: "lock", path: path.clone(), source });
                }
            }
        }
    }

    /// Says what its holder is at, in place of what it was at before.
    ///
    /// # Errors
    /// Where the system cannot write it.
    pub(crate) fn tell(&mut self, at: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(at)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

/// Opens for reading and writing, and creates what is not there; the content stays.
pub(crate) fn open_file(path: &Path) -> Result<File, DataError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(DataError::io("open for writing", path))
}
