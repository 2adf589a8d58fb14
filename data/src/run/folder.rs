//! A run's folder: the names of its files, its header, and whether it is finished.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{DataError, RunHeader};

pub(crate) const HEADER_FILE: &str = "run.json";
pub(crate) const ROWS_FILE: &str = "rows.jsonl";
/// Name of the sealed table in a run folder.
pub(crate) const TABLE_FILE: &str = "measurements.parquet";

/// Name of the certificate in a run folder, which describes the machine when the run began.
pub const DOCTOR_FILE: &str = "doctor.json";

/// Whether a run has begun in the folder.
pub fn has_run(dir: &Path) -> bool {
    dir.join(HEADER_FILE).exists()
}

/// The header of the folder's run; None if no run has begun. The rows are not read.
///
/// # Errors
/// [`DataError::Content`] if the header is damaged or written by a newer program, [`DataError::Io`] if it cannot be read.
pub fn run_header(dir: &Path) -> Result<Option<RunHeader>, DataError> {
    let header = read_header(dir)?;
    if let Some(header) = &header {
        check_version(&dir.join(HEADER_FILE), header)?;
    }
    Ok(header)
}

/// The table of the folder's finished run; None if the run has not finished.
pub fn sealed_table(dir: &Path) -> Option<PathBuf> {
    let table = dir.join(TABLE_FILE);
    table.exists().then_some(table)
}

/// The header in the folder, whatever its version.
pub(crate) fn read_header(dir: &Path) -> Result<Option<RunHeader>, DataError> {
    let path = dir.join(HEADER_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataError::io("read", &path)(error)),
    };
    let header = serde_json::from_slice(&bytes)
        .map_err(|error| DataError::content(&path, "the header of a run", error.to_string()))?;
    Ok(Some(header))
}

/// Rejects what a newer program wrote.
pub(crate) fn check_version(path: &Path, header: &RunHeader) -> Result<(), DataError> {
    if (RunHeader::OLDEST..=RunHeader::VERSION).contains(&header.version) {
        return Ok(());
    }
    let expected = format!("format version {} to {}", RunHeader::OLDEST, RunHeader::VERSION);
    let found = format!("version {}, which another version of lat wrote", header.version);
    Err(DataError::content(path, expected, found))
}
