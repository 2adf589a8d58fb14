//! Text files that flags name: results, space files, lists of architectures.

use std::path::Path;

use lat_data::{DataError, read_text_at_most};

/// Longest one that is read, in bytes: the log of a search of thousands of epochs is a hundredth of it.
const MOST_BYTES: u64 = 256 << 20;

/// Reads one.
pub(super) fn read(path: &Path) -> Result<String, DataError> {
    read_text_at_most(path, MOST_BYTES)
}
