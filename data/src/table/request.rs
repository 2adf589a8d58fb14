//! What to read of a table: which column and rows, of which space.

use std::path::Path;

use lat_space::Space;

use crate::RowFilter;

/// What to read as a [`crate::LatencyTable`].
#[derive(Debug, Clone, Copy)]
pub struct TableRequest<'a> {
    /// A run folder, a `.parquet` or a `.csv` file.
    pub data: &'a Path,
    /// The column of values: `latency_ms`.
    pub column: &'a str,
    /// Id of the space, where the table need not say.
    pub space: Option<&'a str>,
    /// The space itself, for tables with a column per decision, and to know architectures that are written in two ways as one.
    pub declared: Option<&'a dyn Space>,
    /// The column of architectures' texts, if it is none of the usual ones and not the only one whose texts are architectures.
    pub text_column: Option<&'a str>,
    /// The file with the architectures' columns, where they are not beside the values. It is joined by the one column that both
    /// files have.
    pub architectures: Option<&'a Path>,
    /// Rows to read: those that fit all of these.
    pub filters: &'a [RowFilter],
    /// Whether an architecture's value is the mean of all its rows, not the first.
    pub average_duplicates: bool,
    /// Whether rows without a value are left out, not refused.
    pub drop_missing: bool,
}

impl<'a> TableRequest<'a> {
    /// All rows of one table.
    pub fn new(data: &'a Path, column: &'a str) -> Self {
        Self {
            data,
            column,
            space: None,
            declared: None,
            text_column: None,
            architectures: None,
            filters: &[],
            average_duplicates: false,
            drop_missing: false,
        }
    }

    /// Whether the space has a decision of this name, whose column is then no note on the measurement.
    pub(crate) fn is_decision(&self, name: &str) -> bool {
        self.declared.is_some_and(|space| space.decisions().iter().any(|d| d.name == name))
    }
}
