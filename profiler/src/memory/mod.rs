//! Measures how much memory work needs.

mod memory_peak;
pub(crate) mod resident;

pub use memory_peak::MemoryPeak;
