//! Reads and verifies a run's rows.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::folder::{HEADER_FILE, ROWS_FILE, check_version, read_header};
use super::manifest::Manifest;
use super::rows;
use crate::{DataError, Measurement, Role, RunHeader};

/// Reads a run's header and rows, even while another process writes it. It changes nothing. A last row that a crash left
/// incomplete is ignored.
///
/// # Errors
/// [`DataError::Missing`] if `dir` is no run folder, [`DataError::Damaged`] if a row other than the last is damaged.
pub fn read_run(dir: &Path) -> Result<(RunHeader, Vec<Measurement>), DataError> {
    let header = read_header(dir)?.ok_or_else(|| {
        DataError::missing(&dir.join(HEADER_FILE), "the folder of a profile run, which holds it")
    })?;
    check_version(&dir.join(HEADER_FILE), &header)?;
    let path = dir.join(ROWS_FILE);
    let bytes = read_rows(&path)?;
    // Read after the rows, because a writer takes the rows off the list before it adds one.
    let manifest = Manifest::read(dir)?.unwrap_or_default();
    manifest.verify_rest(dir)?;
    manifest.verify_bytes(&path, ROWS_FILE, &bytes)?;
    let mut rows = rows::scan(&path, &bytes)?.rows;
    number_rounds(&header, &mut rows);
    Ok((header, rows))
}

/// Numbers the rounds of anchors. Format version 1 does not store them, but they follow from the order.
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

/// Reads the rows' file; empty if there is none because of a crash between the header and the first row.
fn read_rows(path: &Path) -> Result<Vec<u8>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(DataError::io("read", path)(error)),
    }
}

/// Reads all rows. If a line is damaged, the error names that line, else what a finished file lacks.
pub(crate) fn scan_rows(path: &Path, manifest: &Manifest) -> Result<rows::Scan, DataError> {
    let bytes = read_rows(path)?;
    let scan = rows::scan(path, &bytes)?;
    manifest.verify_bytes(path, ROWS_FILE, &bytes)?;
    Ok(scan)
}
