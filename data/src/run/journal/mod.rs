//! The journal of a profile run: a header, one row per measurement, and at the end a table.

mod flusher;
mod start;

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::durable::lock::{RunLock, open_file};
use crate::durable::whole_file::sync_folder;
use crate::run::folder::{ROWS_FILE, TABLE_FILE};
use crate::run::frame;
use crate::run::manifest::{Manifest, Wanted};
use crate::run::reader::{number_rounds, scan_rows};
use crate::run::rows;
use crate::{AtHand, DataError, Measurement, RunHeader, WholeFile};
use flusher::Flusher;
use start::start;

/// The append-only record of a profile run in a folder of its own.
///
/// The folder contains `run.json` (the [`RunHeader`], written once), `rows.jsonl` (a line per measurement, with a checksum),
/// `measurements.parquet` once the run is finished, and `manifest.json`, which lists those of these files that are finished, with
/// their checksums. The kernel has each row before [`Journal::append`] returns. So if the process ends at any moment, even by
/// `kill -9`, only the row being written is lost. A row is on the disk within a fifth of a second, so a power cut costs at most
/// the rows of that time.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    header: RunHeader,
    rows: Vec<Measurement>,
    /// Sentences about damage that was found and repaired.
    recovered: Vec<String>,
    file: File,
    /// Identity (device and number) of the rows' file, which stays the same if it is renamed.
    identity: (u64, u64),
    flusher: Flusher,
    /// Number of rows that are known to be on the disk.
    n_flushed: usize,
    /// Length of `file` up to the end of the last complete row.
    good_bytes: u64,
    /// The folder's manifest.
    manifest: Manifest,
    lock: RunLock,
}

impl Journal {
    /// Begins a run in `dir`, or resumes the one that is there.
    ///
    /// A resumed run keeps the versions with which it began.
    ///
    /// # Errors
    /// [`DataError::OtherRun`] if the folder contains a run with other settings, [`DataError::Locked`] if another process writes
    /// it, [`DataError::Damaged`] if a row other than the last is damaged, [`DataError::Io`] if the folder cannot be written.
    pub fn open(dir: &Path, header: &RunHeader) -> Result<Self, DataError> {
        fs::create_dir_all(dir).map_err(DataError::io("create the run folder", dir))?;
        let lock = RunLock::take(dir)?;
        let path = dir.join(ROWS_FILE);
        let mut recovered = Vec::new();
        let (header, mut manifest) = start(dir, header, &mut recovered)?;
        let file = open_file(&path)?;
        let scan = scan_rows(&path, &manifest)?;
        if scan.torn_bytes > 0 {
            file.set_len(scan.good_bytes).map_err(DataError::io("shorten", &path))?;
            recovered.push(format!(
                "{} ended in {} bytes of an unfinished row, which were removed; {} rows are kept",
                path.display(),
                scan.torn_bytes,
                scan.rows.len()
            ));
        }
        if let Err(error) = manifest.verify(dir, TABLE_FILE) {
            // The table can be made again from the journal's rows, each of which has its checksum.
            recovered.push(format!("{error}; all its rows are in {ROWS_FILE}, so it is made anew"));
            unlist(dir, &mut manifest)?;
        }
        sync_folder(&path)?;
        let identity = file.metadata().map(|found| identity(&found));
        let identity = identity.map_err(DataError::io("read", &path))?;
        let flusher = Flusher::new(&file).map_err(DataError::io("open for writing", &path))?;
        let (mut rows, good_bytes) = (scan.rows, scan.good_bytes);
        number_rounds(&header, &mut rows);
        let (dir, n_flushed) = (dir.to_owned(), rows.len());
        Ok(Self {
            dir,
            header,
            rows,
            recovered,
            file,
            identity,
            flusher,
            n_flushed,
            good_bytes,
            manifest,
            lock,
        })
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The run's header, as recorded when it began.
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// The rows recorded so far, in the order measured.
    pub fn rows(&self) -> &[Measurement] {
        &self.rows
    }

    /// Damage and unfinished work that were found and repaired, one sentence each; None if there were none.
    pub fn recovered(&self) -> Option<String> {
        (!self.recovered.is_empty()).then(|| self.recovered.join("\n"))
    }

    /// Records how much the run should contain when it is finished, for anyone who later checks whether it is.
    ///
    /// # Errors
    /// [`DataError::Io`] if the manifest cannot be written.
    pub fn expect(&mut self, wanted: Wanted) -> Result<(), DataError> {
        if self.manifest.wanted != Some(wanted) {
            self.manifest.wanted = Some(wanted);
            self.manifest.write(&self.dir)?;
        }
        Ok(())
    }

    /// Writes a file that will not change any more (the description of the machine when the run began) beside the rows, and lists
    /// it.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be written.
    pub fn keep(&mut self, name: &str, content: &[u8]) -> Result<(), DataError> {
        if self.manifest.lists(name) {
            self.manifest.drop_file(name);
            self.manifest.write(&self.dir)?;
        }
        WholeFile::write(&self.dir.join(name), content)?;
        self.manifest.list_bytes(name, content, None);
        self.manifest.write(&self.dir)
    }

    /// Whether the sealed table exists and contains all rows.
    pub fn is_sealed(&self) -> bool {
        self.manifest.lists(TABLE_FILE)
    }

    /// Records which row is about to be measured, for [`AtHand::read`] in case this process ends while measuring it. An error is
    /// ignored, because it does not affect the row.
    pub fn begin_row(&mut self, row: AtHand) {
        let _ = self.lock.tell(&row);
    }

    /// Adds a row. When this returns, the row survives the end of the process, and within a fifth of a second it is on the disk.
    /// A sealed table lacks the row, so it is removed first.
    ///
    /// # Errors
    /// [`DataError::Append`] says how many rows are safe. The row is then not in the journal, and the next call continues after
    /// the last complete row. [`DataError::Gone`] if the folder no longer exists: writing to a deleted file succeeds, but nobody
    /// would ever see the rows.
    pub fn append(&mut self, row: &Measurement) -> Result<(), DataError> {
        self.check_there()?;
        self.unseal()?;
        let added = rows::encode(row).map_err(Into::into).and_then(|line| self.write(&line));
        if let Err(source) = added {
            // If this fails too, the next append or open removes the rest of the row.
            let _ = self.file.set_len(self.good_bytes);
            // Earlier rows are safe if the disk took them. The first error is the one to report.
            let _ = self.flush();
            return Err(self.unsafe_rows(source));
        }
        self.rows.push(row.clone());
        Ok(())
    }

    /// Waits until all rows are on the disk.
    ///
    /// # Errors
    /// [`DataError::Append`] says how many are, [`DataError::Gone`] if the folder no longer exists.
    pub fn flush(&mut self) -> Result<(), DataError> {
        self.check_there()?;
        self.flusher.flush().map_err(|source| self.unsafe_rows(source))?;
        self.n_flushed = self.rows.len();
        Ok(())
    }

    /// Checks that the rows' file is still the one at its path.
    fn check_there(&self) -> Result<(), DataError> {
        let named = fs::metadata(self.dir.join(ROWS_FILE));
        match named.is_ok_and(|named| identity(&named) == self.identity) {
            true => Ok(()),
            false => Err(DataError::Gone { dir: self.dir.clone(), rows: self.rows.len() }),
        }
    }

    fn unsafe_rows(&self, source: std::io::Error) -> DataError {
        DataError::Append { path: self.dir.join(ROWS_FILE), safe_rows: self.n_flushed, source }
    }

    /// Writes the rows as one Parquet table beside the journal and returns its path: the run is finished.
    ///
    /// # Errors
    /// [`DataError::Append`] if rows did not reach the disk, [`DataError::Io`] if the file cannot be written; the journal is then
    /// unchanged.
    pub fn seal(&mut self) -> Result<PathBuf, DataError> {
        self.flush()?;
        let path = self.dir.join(TABLE_FILE);
        let refused = |error: polars::error::PolarsError| DataError::Io {
            action: "write",
            path: path.clone(),
            source: std::io::Error::other(error),
        };
        let mut frame = frame::from_measurements(&self.header, &self.rows).map_err(refused)?;
        let mut file = WholeFile::create(&path)?;
        frame::write_parquet(&mut file, &mut frame).map_err(refused)?;
        file.finish()?;
        let rows = Some(self.rows.len() as u64);
        let mut manifest = self.manifest.clone();
        manifest.list(&self.dir, ROWS_FILE, rows)?;
        manifest.list(&self.dir, TABLE_FILE, rows)?;
        manifest.write(&self.dir)?;
        self.manifest = manifest;
        Ok(path)
    }

    /// Writes the line after the last complete row.
    fn write(&mut self, line: &str) -> std::io::Result<()> {
        if self.file.metadata()?.len() != self.good_bytes {
            self.file.set_len(self.good_bytes)?;
        }
        self.file.seek(SeekFrom::Start(self.good_bytes))?;
        self.file.write_all(line.as_bytes())?;
        self.flusher.written()?;
        self.good_bytes += line.len() as u64;
        Ok(())
    }

    fn unseal(&mut self) -> Result<(), DataError> {
        if !self.is_sealed() {
            return Ok(());
        }
        unlist(&self.dir, &mut self.manifest)?;
        let path = self.dir.join(TABLE_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(DataError::io("remove", &path)(error))
            }
            _ => sync_folder(&path),
        }
    }
}

/// Device and number of a file.
fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Removes rows and table from the list, because they are about to change.
fn unlist(dir: &Path, manifest: &mut Manifest) -> Result<(), DataError> {
    let mut unsealed = manifest.clone();
    unsealed.drop_file(ROWS_FILE);
    unsealed.drop_file(TABLE_FILE);
    unsealed.write(dir)?;
    *manifest = unsealed;
    Ok(())
}

#[cfg(test)]
mod tests;
