//! How much memory work takes.

mod memory_peak;
pub(crate) mod resident;

pub use memory_peak::MemoryPeak;
