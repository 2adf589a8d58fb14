//! Files that last: whole or not at all, checked against damage, written by one process at a time, read to a limit.

mod bounded;
mod checksum;
pub(crate) mod lock;
pub(crate) mod whole_file;

pub use bounded::{read_at_most, read_text_at_most};
pub use checksum::{BLANK_CHECKSUM, Checksum, check_sealed, checksum, seal};
pub use lock::RunLock;
pub use whole_file::WholeFile;
