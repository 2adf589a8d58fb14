//! Requests for a table: which column and rows to read, of which space.

use std::path::Path;

use lat_space::Space;

use crate::RowFilter;

/// A request to read a [`crate::LatencyTable`].
#[derive(Debug, Clone, Copy)]
pub struct TableRequest<'a> {
    /// A run folder, a `.parquet` or a `.csv` file.
    pub data: &'a Path,
    /// The column with the values, such as `latency_ms`.
    pub column: &'a str,
    /// Id of the space, if the table does not say it.
    pub space: Option<&'a str>,
    /// The space itself, for tables with a column per decision, and to recognise architectures that are written in two ways.
    pub declared: Option<&'a dyn Space>,
    /// The column with the architectures' texts. Needed only if it has no usual name and is not the only column whose texts are
    /// architectures.
    pub text_column: Option<&'a str>,
    /// The file with the architectures' columns, if they are not beside the values. It is joined by the one column that both
    /// files have.
    pub architectures: Option<&'a Path>,
    /// Only rows that match all of these filters are read.
    pub filters: &'a [RowFilter],
    /// Whether an architecture's value is the average of all its rows instead of the first.
    pub average_duplicates: bool,
    /// Whether rows without a value are left out instead of being an error.
    pub drop_missing: bool,
}

impl<'a> TableRequest<'a> {
    /// A request for all rows of one table.
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

    /// Whether the space has a decision with this name; then the column is not a note about the measurement.
    pub(crate) fn is_decision(&self, name: &str) -> bool {
        self.declared.is_some_and(|space| space.decisions().iter().any(|d| d.name == name))
    }
}
