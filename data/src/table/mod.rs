//! Latency tables: one value per architecture, with repeated measurements kept aside.

mod architecture_list;
pub(crate) mod architecture_texts;
mod column_values;
pub(crate) mod columns;
mod csv_form;
mod csv_pieces;
pub(crate) mod file;
mod file_columns;
mod grouped;
mod header_columns;
mod join;
mod parquet_folder;
mod parquet_schema;
mod reader;
mod request;
pub(crate) mod row_filter;

use std::path::{Path, PathBuf};

use lat_space::{Architecture, Space, find_space};

use crate::run::frame::HEADER_COLUMNS;
use crate::{DataError, RunHeader};
pub use architecture_list::read_architectures;
use architecture_texts::{Source, TEXT_COLUMNS, only_that_parses};
pub use column_values::{ColumnValues, ValueCount, list_columns};
use columns::Columns;
pub use grouped::Duplicates;
use join::join;
use reader::{CONSTANT, Reader};
pub use request::TableRequest;
pub use row_filter::RowFilter;

/// The value of one architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// The architecture in its space's text form: as the file has it, or as a declared space writes it.
    pub architecture: String,
    /// Its value, positive and finite, in the unit that the column's name gives.
    pub value: f64,
    /// Number of its first row in the file with the architectures, from 1, without the line of names.
    pub number: usize,
}

/// One value per architecture, measured on one device at one batch size; a predictor learns from it.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyTable {
    /// Id of the search space.
    pub space: String,
    /// The column with the values, such as `latency_ms`.
    pub column: String,
    /// One row per distinct architecture: its first measurement, or the average of all.
    pub rows: Vec<TableRow>,
    /// For each further measurement of an architecture the pair (its first value, the further value). Their spread is the noise;
    /// no predictor can be better than that.
    pub repeats: Vec<(f64, f64)>,
    /// Such pairs for the anchors of a profile run. Their measurements are spread over the whole run, so these pairs also contain
    /// its drift.
    pub anchors: Vec<(f64, f64)>,
    /// Summary of architectures with several values; None if there are none.
    pub duplicates: Option<Duplicates>,
    /// Settings of the run, in tables that a profile run wrote.
    pub header: Option<RunHeader>,
    /// The file that was read.
    pub source: PathBuf,
    /// The file with the architectures; the same as `source` unless another file was joined.
    pub architectures: PathBuf,
    /// Number of rows that were left out because their measurement failed or has no value.
    pub skipped: usize,
}

impl LatencyTable {
    /// Reads a run folder (its sealed table, else its journal), a `.parquet` or a `.csv` file. A run's sealed table is first
    /// compared with its checksum in the folder's manifest.
    ///
    /// A file made elsewhere needs a text column `architecture`, `arch_str`, `cellstr` or `arch`, and a column of positive numbers named
    /// `column`. Columns `space`, `device`, `device_name`, `batch`, `unit`, `skeleton`, `precision` and `threads` are optional
    /// and must have one value each. If there is a column `status`, rows with the value `failed` are left out.
    ///
    /// # Errors
    /// [`DataError::Missing`] if nothing is there, [`DataError::Content`] if it is no such table or is for another space or unit,
    /// [`DataError::Mixed`] if it contains several devices or the like, [`DataError::Values`] if values are missing, not finite
    /// or not above zero, [`DataError::Altered`] if a run's table has changed since it was sealed.
    pub fn load(path: &Path, space: Option<&str>, column: &str) -> Result<Self, DataError> {
        Self::read(&TableRequest { space, ..TableRequest::new(path, column) })
    }

    /// Reads what a [`TableRequest`] describes. A table for a declared space may have a column per decision, with the decision's
    /// name, instead of a text column.
    ///
    /// # Errors
    /// The errors of [`LatencyTable::load`]; [`DataError::NoColumn`] and [`DataError::NoRow`] if nothing matches a filter,
    /// [`DataError::Join`] if the file with the architectures does not fit, [`DataError::Choice`] and [`DataError::Architecture`]
    /// for architectures that the declared space does not have.
    pub fn read(request: &TableRequest) -> Result<Self, DataError> {
        let columns = columns(request)?;
        Reader { columns: &columns, request }.table()
    }

    /// Parses the rows' architectures.
    ///
    /// # Errors
    /// [`DataError::Architecture`] names the file's row if a text is not an architecture of the space.
    pub fn parse(&self, space: &dyn Space) -> Result<Vec<Architecture>, DataError> {
        let parse = |row: &TableRow| {
            space.parse(&row.architecture).map_err(|reason| DataError::Architecture {
                path: self.architectures.clone(),
                row: row.number,
                reason: Box::new(reason),
            })
        };
        self.rows.iter().map(parse).collect()
    }
}

/// The requested rows, with the columns of their architectures.
fn columns(request: &TableRequest) -> Result<Columns, DataError> {
    let TableRequest { data, column, declared, text_column, architectures, filters, .. } = *request;
    let mut wanted = vec!["status", "superseded", "role", column];
    wanted.extend(TEXT_COLUMNS.iter().chain(&CONSTANT).chain(&HEADER_COLUMNS));
    wanted.extend(text_column);
    wanted.extend(filters.iter().map(|filter| filter.column.as_str()));
    wanted.extend(declared.iter().flat_map(|s| s.decisions()).map(|d| d.name.as_str()));
    // To find the column by which files are joined, all columns must be read.
    let mut columns = file::open(data, architectures.is_none().then_some(&wanted))?;
    if columns.height() == 0 {
        return Ok(columns);
    }
    if architectures.is_none() && text_column.is_none() && Source::of(&columns, declared).is_err() {
        columns = with_any_text_column(columns, request)?;
    }
    let (here, there): (Vec<_>, Vec<_>) = filters.iter().partition(|f| columns.has(&f.column));
    for filter in here {
        filter.apply(&mut columns)?;
    }
    if let Some(path) = architectures {
        join(&mut columns, &file::open(path, None)?, declared)?;
    }
    for filter in there {
        filter.apply(&mut columns)?;
    }
    if let Some(name) = text_column {
        if !columns.has(name) {
            let (path, names) = (columns.path().to_owned(), columns.names());
            return Err(DataError::NoColumn { path, column: name.to_owned(), names });
        }
        columns.set_text_column(name);
    }
    Ok(columns)
}

/// Reads the whole file again and sets the only text column whose texts are architectures of the space. If there is no such
/// column, returns what was read before.
fn with_any_text_column(read: Columns, request: &TableRequest) -> Result<Columns, DataError> {
    let built_in = request.space.and_then(|id| find_space(id).ok());
    let built_in = built_in.as_deref().map(|space| space as &dyn Space);
    let Some(space) = request.declared.or(built_in) else { return Ok(read) };
    let mut whole = file::open(request.data, None)?;
    match only_that_parses(&whole, space) {
        Some(name) => {
            whole.set_text_column(&name);
            Ok(whole)
        }
        None => Ok(read),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod csv_tests;
#[cfg(test)]
mod declared_tests;
