//! Reads text files named by flags: results, space files, lists of architectures.

use std::path::Path;

use lat_data::{DataError, read_text_at_most};

/// Largest file that is read, in bytes: a hundred times the log of a search of thousands of epochs.
const MOST_BYTES: u64 = 256 << 20;

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, DataError> {
    read_text_at_most(path, MOST_BYTES)
}
