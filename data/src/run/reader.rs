//! Reads a run's rows and verifies them.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::folder::{HEADER_FILE, ROWS_FILE, check_version, read_header};
use super::manifest::Manifest;
use super::rows;
use crate::{DataError, Measurement, Role, RunHeader};

/// Reads a run's header and rows, also while another process writes it; changes nothing. What a crash left of a last row is
/// passed over.
///
/// # Errors
/// [`DataError::Missing`] where `dir` is no run folder, [`DataError::Damaged`] where a row other than the last is damaged.
pub fn read_run(dir: &Path) -> Result<(RunHeader, Vec<Measurement>), DataError> {
    let header = read_header(dir)?.ok_or_else(|| {
        DataError::missing(&dir.join(HEADER_FILE), "the folder of a profile run, which holds it")
    })?;
    check_version(&dir.join(HEADER_FILE), &header)?;
    let path = dir.join(ROWS_FILE);
    let bytes = read_rows(&path)?;
    // Read after the rows: a writer takes the rows off the list before it adds one.
    let manifest = Manifest::read(dir)?.unwrap_or_default();
    manifest.verify_rest(dir)?;
    manifest.verify_bytes(&path, ROWS_FILE, &bytes)?;
    let mut rows = rows::scan(&path, &bytes)?.rows;
    number_rounds(&header, &mut rows);
    Ok((header, rows))
}

/// Anchors of format version 1 do not say which round they are of: their order does.
pub(crate) fn number_rounds(header: &RunHeader, rows: &mut [Measurement]) {
    if header.version > 1 {
        return;
    }
    let mut rounds: HashMap<u64, u32> = HashMap::new();
    for row in rows.iter_mut().filter(|row| row.role == Role::Anchor && row.attempt == 0) {
        let round = rounds.entry(row.index).or_default();
        row.occurrence = *round;
        *round += 1;
    }
}

/// The rows' file; empty where a crash between the header and the first row left none.
fn read_rows(path: &Path) -> Result<Vec<u8>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(DataError::io("read", path)(error)),
    }
}

/// All rows, where a line is damaged that line, and else what a finished file lacks.
pub(crate) fn scan_rows(path: &Path, manifest: &Manifest) -> Result<rows::Scan, DataError> {
    let bytes = read_rows(path)?;
    let scan = rows::scan(path, &bytes)?;
    manifest.verify_bytes(path, ROWS_FILE, &bytes)?;
    Ok(scan)
}
