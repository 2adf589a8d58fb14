//! Filters for rows that have a given value in one column.

use std::str::FromStr;

use super::columns::Columns;
use crate::DataError;

/// The most values that a message names.
const NAMED: usize = 30;

/// Selects the rows with this value in this column, written `COLUMN=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFilter {
    /// The column's name.
    pub column: String,
    /// The value. Numbers are compared by value, everything else as it is written, without blanks around it.
    pub value: String,
}

impl FromStr for RowFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((column, value)) if !column.trim().is_empty() => {
                Ok(Self { column: column.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err(format!("expected COLUMN=VALUE such as batch=32, found '{text}'")),
        }
    }
}

impl RowFilter {
    /// Keeps the rows that match.
    ///
    /// # Errors
    /// [`DataError::NoColumn`] if there is no such column; [`DataError::NoRow`], with the existing values, if no row matches.
    pub(crate) fn apply(&self, columns: &mut Columns) -> Result<(), DataError> {
        if !columns.has(&self.column) {
            let (path, names) = (columns.path().to_owned(), columns.names());
            return Err(DataError::NoColumn { path, column: self.column.clone(), names });
        }
        let cells = columns.texts(&self.column)?;
        let fits = |row: &usize| self.fits(cells[*row].as_deref().unwrap_or_default());
        let rows: Vec<usize> = (0..cells.len()).filter(fits).collect();
        if rows.is_empty() {
            return Err(DataError::NoRow {
                path: columns.path().to_owned(),
                column: self.column.clone(),
                value: self.value.clone(),
                values: quoted(columns.distinct(&self.column)?),
            });
        }
        columns.keep(&rows)
    }

    fn fits(&self, cell: &str) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        let equal = || {
            number(cell.trim())
                .zip(number(&self.value))
                .is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
        };
        cell.trim() == self.value || equal()
    }
}

/// The first values in quotes, and the number of the others.
pub(crate) fn quoted(mut values: Vec<String>) -> String {
    let more = values.len().saturating_sub(NAMED);
    values.truncate(NAMED);
    let mut values: Vec<String> = values.iter().map(|v| format!("'{v}'")).collect();
    if more > 0 {
        values.push(format!("and {more} more"));
    }
    values.join(", ")
}
