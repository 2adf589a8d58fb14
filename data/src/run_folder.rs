//! A run's folder seen from outside: whether it is one, what its header says, whether it is finished.

use std::path::{Path, PathBuf};

use crate::journal::{HEADER_FILE, TABLE_FILE, check_version, read_header};
use crate::{DataError, RunHeader};

/// Whether a run has begun in the folder.
pub fn has_run(dir: &Path) -> bool {
    dir.join(HEADER_FILE).exists()
}

/// The header of the folder's run; nothing where none has begun. Its rows are not looked at.
///
/// # Errors
/// [`DataError::Content`] where the header is damaged or a newer program's, [`DataError::Io`] where it cannot be read.
pub fn run_header(dir: &Path) -> Result<Option<RunHeader>, DataError> {
    let header = read_header(dir)?;
    if let Some(header) = &header {
        check_version(&dir.join(HEADER_FILE), header)?;
    }
    Ok(header)
}

/// The table of the folder's finished run; nothing where the run has not finished.
pub fn sealed_table(dir: &Path) -> Option<PathBuf> {
    let table = dir.join(TABLE_FILE);
    table.exists().then_some(table)
}
