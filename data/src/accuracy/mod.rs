//! Published accuracies of whole search spaces: one file per benchmark, and one row per benchmark in [`BENCHMARKS`].

mod accuracy_table;
mod nasbench201;
mod nasbench_macro;
mod percent;
mod published;
mod reader;

pub use accuracy_table::{AccuracyColumn, AccuracyTable};
pub use percent::AccuracyUnit;
pub use published::PublishedAccuracy;
pub use reader::AccuracyRequest;

use crate::DataError;

/// A table of published accuracies that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct BenchmarkEntry {
    /// Its name for people, such as `NAS-Bench-201`.
    pub name: &'static str,
    /// Id of the search space whose architectures it has.
    pub space: &'static str,
    /// One line for `lat list benchmarks`.
    pub summary: &'static str,
    /// Who made it, and its licence.
    pub source: &'static str,
    load: fn() -> Result<AccuracyTable, DataError>,
}

impl BenchmarkEntry {
    /// Unpacks the table.
    ///
    /// # Errors
    /// [`DataError::Content`] if the program's own copy is damaged.
    pub fn load(&self) -> Result<AccuracyTable, DataError> {
        (self.load)()
    }
}

/// All benchmarks, one row each. A space has at most one.
pub const BENCHMARKS: &[BenchmarkEntry] = &[nasbench201::ENTRY, nasbench_macro::ENTRY];

/// The published accuracies of the space with this id. None if the program has none.
///
/// # Errors
/// The errors of [`BenchmarkEntry::load`].
pub fn published_accuracies(space: &str) -> Result<Option<AccuracyTable>, DataError> {
    BENCHMARKS.iter().find(|entry| entry.space == space).map(BenchmarkEntry::load).transpose()
}

#[cfg(test)]
mod tests;
