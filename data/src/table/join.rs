//! Joins tables in two files: measurements in one, their architectures in the other.

use std::collections::HashMap;

use lat_space::Space;

use super::architecture_texts::TEXT_COLUMNS;
use super::columns::Columns;
use super::row_filter::quoted;
use crate::{DataError, DataError::Join};

/// Adds to each measurement the columns of its architecture. Rows are matched by the one other column that both files have.
///
/// # Errors
/// [`DataError::Join`] if there is no such column or several, if an architecture occurs twice, or if a measurement's architecture
/// is missing.
pub(crate) fn join(
    data: &mut Columns,
    architectures: &Columns,
    space: Option<&dyn Space>,
) -> Result<(), DataError> {
    let key = key(data, architectures, space)?;
    let mut places: HashMap<String, usize> = HashMap::with_capacity(architectures.height());
    for (row, cell) in cells(architectures, &key)?.into_iter().enumerate() {
        if let Some(first) = places.insert(cell.clone(), row) {
            let (first, second) = (architectures.number(first), architectures.number(row));
            let found = format!("'{cell}' in rows {first} and {second}");
            return Err(refused(
                data,
                architectures,
                format!("each '{key}' once in the latter"),
                found,
            ));
        }
    }
    let wanted = cells(data, &key)?;
    let unknown = |cell: &&String| !places.contains_key(*cell);
    if let Some(row) = wanted.iter().position(|cell| unknown(&cell)) {
        let count = wanted.iter().filter(unknown).count();
        let found = format!(
            "{count} of {} that it lacks, the first '{}' in row {} of the former",
            wanted.len(),
            wanted[row],
            data.number(row)
        );
        return Err(refused(data, architectures, format!("each '{key}' in the latter"), found));
    }
    let rows = wanted.iter().map(|cell| places[cell]).collect();
    data.join(architectures, &key, rows)
}

/// The column that both files have and that is not part of an architecture.
fn key(
    data: &Columns,
    architectures: &Columns,
    space: Option<&dyn Space>,
) -> Result<String, DataError> {
    let is_part = |name: &str| {
        TEXT_COLUMNS.contains(&name)
            || space.is_some_and(|space| space.decisions().iter().any(|d| d.name == name))
    };
    let shared: Vec<&str> = data.each_name().filter(|name| architectures.has(name)).collect();
    if let Some(twice) = shared.iter().find(|name| is_part(name)) {
        let expected = "architectures in the latter only".to_owned();
        return Err(refused(data, architectures, expected, format!("column '{twice}' in both")));
    }
    match shared[..] {
        [key] => Ok(key.to_owned()),
        [] => {
            let expected = "one column that both have, to join them by".to_owned();
            let found = format!("{} in one, {} in the other", data.names(), architectures.names());
            Err(refused(data, architectures, expected, found))
        }
        _ => {
            let expected =
                "one column that both have, to join them by (rename the others)".to_owned();
            let found = quoted(shared.iter().map(|&name| name.to_owned()).collect());
            Err(refused(data, architectures, expected, found))
        }
    }
}

/// The cells of a column in the form in which they are compared: 12 and 12.0 are the same.
fn cells(columns: &Columns, name: &str) -> Result<Vec<String>, DataError> {
    let plain = |cell: Option<String>| {
        let cell = cell.unwrap_or_default().trim().to_owned();
        match cell.strip_suffix(".0") {
            Some(whole) if whole.bytes().all(|b| b.is_ascii_digit()) => whole.to_owned(),
            _ => cell,
        }
    };
    Ok(columns.texts(name)?.into_iter().map(plain).collect())
}

fn refused(data: &Columns, architectures: &Columns, expected: String, found: String) -> DataError {
    let (path, other) = (data.path().to_owned(), architectures.path().to_owned());
    Join { path, other, expected, found }
}
