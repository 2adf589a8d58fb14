//! A lock on a folder of results, which one process can hold at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::DataError;

pub(crate) const LOCK_FILE: &str = ".lock";
/// How long to wait for a folder in use: a writer that was asked to end still finishes its row.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often to try in that time.
const PERIOD: Duration = Duration::from_millis(50);

/// The lock on a folder of results, held as long as this value lives. In a profile run, the lock file also says which row is
/// being measured.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock; waits a little if another process has it.
    ///
    /// # Errors
    /// [`DataError::Locked`] if that process keeps it, [`DataError::Io`] if the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(LOCK_FILE);
        let file = open_file(&path)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // The row of the previous writer is not being measured any more.
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

    /// Replaces the file's content by `at`: what this process is doing now.
    ///
    /// # Errors
    /// If the system cannot write it.
    pub(crate) fn tell(&mut self, at: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(at)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

/// Opens a file for reading and writing, and creates it if there is none; its content is kept.
pub(crate) fn open_file(path: &Path) -> Result<File, DataError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(DataError::io("open for writing", path))
}
