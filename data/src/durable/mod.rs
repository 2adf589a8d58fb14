//! Files that last: written completely or not at all, checked against damage, locked by one process at a time, read up to a
//! limit.

mod bounded;
mod checksum;
pub(crate) mod lock;
pub(crate) mod whole_file;

pub use bounded::{read_at_most, read_text_at_most};
pub use checksum::{BLANK_CHECKSUM, Checksum, check_sealed, checksum, seal};
pub use lock::RunLock;
pub use whole_file::WholeFile;
