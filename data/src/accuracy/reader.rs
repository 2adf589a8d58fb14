//! Reads accuracies from a table made elsewhere.

use std::path::Path;

use lat_space::Space;

use super::{AccuracyColumn, AccuracyTable, AccuracyUnit};
use crate::DataError;
use crate::table::architecture_texts;
use crate::table::columns::Columns;
use crate::table::file;
use crate::table::row_filter::quoted;

/// If no column is named, columns whose name contains this are read.
const ACCURACY: &str = "acc";

/// A table of accuracies to read.
#[derive(Debug, Clone, Copy)]
pub struct AccuracyRequest<'a> {
    /// A Parquet or CSV file.
    pub path: &'a Path,
    /// The columns to read; if empty, all columns of numbers whose name contains `acc`.
    pub columns: &'a [String],
    /// The unit of the accuracies; if None, it is found from the values, column by column.
    pub unit: Option<AccuracyUnit>,
}

impl AccuracyTable {
    /// Reads accuracies of a space's architectures: a text column `architecture`, `arch_str`, `cellstr` or `arch` (or a column per
    /// decision), and columns of accuracies. These are from 0 to 100, or in all rows from 0 to 1; then they are multiplied by
    /// 100. An architecture may occur several times if its values are the same.
    ///
    /// # Errors
    /// [`DataError::Missing`] if there is no file; [`DataError::Content`] if it is no such table, has no rows, or has values that
    /// are not numbers, that could be percent or fractions, or that contradict each other; [`DataError::NoColumn`] if it lacks a
    /// column; [`DataError::Architecture`] and [`DataError::Choice`] if a row is no architecture of the space.
    pub fn read(request: &AccuracyRequest<'_>, space: &dyn Space) -> Result<Self, DataError> {
        let columns = file::open(request.path, None)?;
        if columns.height() == 0 {
            return Err(DataError::content(columns.path(), "rows of accuracies", "none"));
        }
        let names = names(&columns, request.columns, space)?;
        check_space(&columns, space)?;
        let rows: Vec<usize> = (0..columns.height()).collect();
        let texts = architecture_texts::texts(&columns, Some(space), &rows)?;
        let column = |name: &String| AccuracyColumn { name: name.clone(), label: name.clone() };
        let source = request.path.display().to_string();
        let mut table = Self::new(&source, space.id(), names.iter().map(column).collect());
        let mut values = Vec::new();
        for name in &names {
            let (column, unit) = percent(&columns, name, request.unit)?;
            values.push(column);
            if unit == AccuracyUnit::Fraction {
                let note =
                    format!("column '{name}' of {source} holds fractions: multiplied by 100");
                table.notes.push(note);
            }
        }
        fill(&mut table, &columns, &texts, &values)?;
        Ok(table)
    }
}

/// The columns of accuracies: those named, or those whose names contain `acc`.
fn names(columns: &Columns, named: &[String], space: &dyn Space) -> Result<Vec<String>, DataError> {
    if let Some(missing) = named.iter().find(|name| !columns.has(name)) {
        let (path, names) = (columns.path().to_owned(), columns.names());
        return Err(DataError::NoColumn { path, column: missing.clone(), names });
    }
    let mut names: Vec<String> = named.to_vec();
    if named.is_empty() {
        let is_decision = |name: &str| space.decisions().iter().any(|d| d.name == name);
        let is_accuracy =
            |name: &&str| name.to_lowercase().contains(ACCURACY) && !is_decision(name);
        names.extend(columns.numeric().into_iter().filter(is_accuracy).map(str::to_owned));
    }
    if names.is_empty() {
        let expected =
            "a column of numbers whose name contains 'acc', or one named by --accuracy-column";
        let found = format!("columns {}", columns.names());
        return Err(DataError::content(columns.path(), expected, found));
    }
    let mut seen: Vec<String> = Vec::new();
    names.retain(|name| {
        let is_new = !seen.contains(name);
        seen.extend(is_new.then(|| name.clone()));
        is_new
    });
    Ok(names)
}

/// If the table says which space it is for, it must be this one.
fn check_space(columns: &Columns, space: &dyn Space) -> Result<(), DataError> {
    if !columns.has("space") || space.decisions().iter().any(|d| d.name == "space") {
        return Ok(());
    }
    let values = columns.distinct("space")?;
    if values == [space.id()] {
        return Ok(());
    }
    let expected = format!("architectures of space '{}'", space.id());
    Err(DataError::content(columns.path(), expected, format!("those of {}", quoted(values))))
}

/// A column converted to percent, and its original unit.
fn percent(
    columns: &Columns,
    name: &str,
    unit: Option<AccuracyUnit>,
) -> Result<(Vec<f64>, AccuracyUnit), DataError> {
    let mut values = columns.numbers(name)?;
    let most = unit.map_or(100.0, AccuracyUnit::most);
    if let Some(row) = values.iter().position(|value| !(0.0..=most).contains(value)) {
        let found = match values[row] {
            value if value.is_nan() => "none".to_owned(),
            value => value.to_string(),
        };
        let expected = match unit {
            None => "accuracies from 0 to 100 % or fractions from 0 to 1".to_owned(),
            Some(_) => format!("accuracies from 0 to {most}"),
        };
        let (path, row) = columns.place(name, row);
        let found = format!("{found} in row {row}");
        return Err(DataError::content(path, format!("{expected} in column '{name}'"), found));
    }
    let unit = match unit {
        Some(unit) => unit,
        None => AccuracyUnit::of(&values).map_err(|row| mixed(columns, name, &values, row))?,
    };
    for value in &mut values {
        *value = unit.percent(*value);
    }
    Ok((values, unit))
}

/// The error for a value that could be percent or a fraction; it also names one that can only be percent.
fn mixed(columns: &Columns, name: &str, values: &[f64], row: usize) -> DataError {
    let sure = values.iter().position(|&value| value > 1.0).unwrap_or(row);
    let expected = format!(
        "column '{name}' to hold percent or fractions, not both (--accuracy-unit percent reads all as percent)"
    );
    let found = format!(
        "{} in row {} beside {} in row {}",
        values[row],
        columns.number(row),
        values[sure],
        columns.number(sure)
    );
    DataError::content(columns.path(), expected, found)
}

/// Adds the rows; `values` are column by column.
fn fill(
    table: &mut AccuracyTable,
    columns: &Columns,
    texts: &[String],
    values: &[Vec<f64>],
) -> Result<(), DataError> {
    // For each row of the table, the row of the file that it comes from.
    let mut firsts = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let own: Vec<f64> = values.iter().map(|column| column[row]).collect();
        let Some(place) = table.add(text, &own) else {
            firsts.push(row);
            continue;
        };
        let known = table.row(place).1;
        let differs = |&c: &usize| (known[c] - own[c]).abs() > 1e-9;
        if let Some(column) = (0..own.len()).find(differs) {
            let expected = "one accuracy per architecture";
            let found = format!(
                "{} in row {} and {} in row {} of column '{}' for {text}",
                known[column],
                columns.number(firsts[place]),
                own[column],
                columns.number(row),
                table.columns[column].name
            );
            return Err(DataError::content(columns.path(), expected, found));
        }
    }
    Ok(())
}
