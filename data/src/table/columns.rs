//! Named columns of a table file, read as texts or numbers, whatever their stored type.

use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, DataType, IdxCa, IdxSize, PolarsError};

use super::csv_form::is_missing;
use crate::DataError;

/// The types that a column can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
    /// Neither: dates, lists, and numbers with widths that are not compiled in.
    Other,
}

/// A table's columns. Only those asked for are in memory.
#[derive(Debug)]
pub(crate) struct Columns {
    path: PathBuf,
    /// All columns of the file, whether in memory or not.
    kinds: Vec<(String, Kind)>,
    frame: DataFrame,
    /// For each row in memory its number in the file, from 0; None while all rows are in memory.
    rows: Option<Vec<usize>>,
    joined: Option<Joined>,
    /// Names that occur several times in the file. None of these columns is read, because it is unknown which is meant.
    ambiguous: Vec<String>,
    /// The column with the architectures' texts, if it does not have one of the usual names.
    text_column: Option<String>,
}

/// Columns that were joined from another file.
#[derive(Debug)]
struct Joined {
    path: PathBuf,
    names: Vec<String>,
    /// For each row in memory its number in that file, from 0.
    rows: Vec<usize>,
}

impl Columns {
    /// From a table that is already in memory.
    pub(crate) fn of_frame(path: &Path, frame: DataFrame) -> Self {
        let columns = frame.columns().iter();
        let kinds = columns.map(|c| (c.name().to_string(), kind_of(c.dtype()))).collect();
        Self::of_file(path, kinds, frame)
    }

    /// From a file, of whose columns only those in the frame are in memory.
    pub(crate) fn of_file(path: &Path, kinds: Vec<(String, Kind)>, frame: DataFrame) -> Self {
        let path = path.to_owned();
        Self {
            path,
            kinds,
            frame,
            rows: None,
            joined: None,
            ambiguous: Vec::new(),
            text_column: None,
        }
    }

    /// The columns in memory.
    pub(crate) fn into_frame(self) -> DataFrame {
        self.frame
    }

    /// Marks columns that contain numbers although they are stored as texts, and names that occur several times.
    pub(crate) fn mark(&mut self, is_number: impl Fn(&str) -> bool, ambiguous: Vec<String>) {
        for (_, kind) in self.kinds.iter_mut().filter(|(name, _)| is_number(name)) {
            *kind = Kind::Number;
        }
        self.ambiguous = ambiguous;
    }

    /// Sets the rows' numbers if `before` rows of the file come before these.
    pub(crate) fn numbered_from(self, before: usize) -> Self {
        Self { rows: Some((before..before + self.height()).collect()), ..self }
    }

    /// Whether the file has the column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.kinds.iter().any(|(column, _)| column == name)
    }

    /// The names of all columns, separated by commas.
    pub(crate) fn names(&self) -> String {
        self.kinds.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Sets the column with the architectures' texts.
    pub(crate) fn set_text_column(&mut self, name: &str) {
        self.text_column = Some(name.to_owned());
    }

    /// The column with the architectures' texts, if it was set.
    pub(crate) fn text_column(&self) -> Option<&str> {
        self.text_column.as_deref()
    }

    /// The names of columns with texts.
    pub(crate) fn textual(&self) -> Vec<&str> {
        let texts = self.kinds.iter().filter(|(_, kind)| *kind == Kind::Text);
        texts.map(|(name, _)| name.as_str()).collect()
    }

    /// The names of columns with numbers.
    pub(crate) fn numeric(&self) -> Vec<&str> {
        let numbers = self.kinds.iter().filter(|(_, kind)| *kind == Kind::Number);
        numbers.map(|(name, _)| name.as_str()).collect()
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns, one by one.
    pub(crate) fn each_name(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|(name, _)| name.as_str())
    }

    /// Number of a row in the file, from 1, without the line of names.
    pub(crate) fn number(&self, row: usize) -> usize {
        1 + self.rows.as_ref().map_or(row, |rows| rows[row])
    }

    /// The file that a column comes from, and the number of the row in that file, from 1.
    pub(crate) fn place(&self, column: &str, row: usize) -> (&Path, usize) {
        match &self.joined {
            Some(joined) if joined.names.iter().any(|name| name == column) => {
                (&joined.path, 1 + joined.rows[row])
            }
            _ => (&self.path, self.number(row)),
        }
    }

    /// Leaves out rows without any value, which come from empty lines.
    pub(crate) fn drop_blank(&mut self) -> Result<(), DataError> {
        let is_blank = |&row: &usize| {
            self.frame.columns().iter().all(|column| column.get(row).is_ok_and(|v| v.is_null()))
        };
        // Nearly all tables have none, and then nothing is done.
        let any = self.frame.columns().iter().all(|column| column.null_count() > 0);
        if any && self.frame.width() > 0 {
            let kept: Vec<usize> = (0..self.height()).filter(|row| !is_blank(row)).collect();
            self.keep(&kept)?;
        }
        Ok(())
    }

    /// Keeps these rows in memory, in this order.
    pub(crate) fn keep(&mut self, rows: &[usize]) -> Result<(), DataError> {
        self.frame = self.taken(rows)?;
        self.rows = Some(rows.iter().map(|&row| self.number(row) - 1).collect());
        if let Some(joined) = &mut self.joined {
            joined.rows = rows.iter().map(|&row| joined.rows[row]).collect();
        }
        Ok(())
    }

    /// Adds the other table's columns, except `key`; `rows` says which of its rows belongs to each of ours.
    pub(crate) fn join(
        &mut self,
        other: &Self,
        key: &str,
        rows: Vec<usize>,
    ) -> Result<(), DataError> {
        let taken = other.taken(&rows)?;
        let added: Vec<_> = taken.columns().iter().filter(|c| c.name() != key).cloned().collect();
        let refused =
            |error: PolarsError| self.unreadable(key, "rows to join by", &error.to_string());
        self.frame = self.frame.hstack(&added).map_err(refused)?;
        let names: Vec<String> = added.iter().map(|column| column.name().to_string()).collect();
        let is_added = |(name, _): &&(String, Kind)| names.contains(name);
        self.kinds.extend(other.kinds.iter().filter(is_added).cloned());
        self.joined = Some(Joined { path: other.path.clone(), names, rows });
        Ok(())
    }

    fn taken(&self, rows: &[usize]) -> Result<DataFrame, DataError> {
        let indices: Vec<IdxSize> = rows.iter().map(|&row| row as IdxSize).collect();
        let taken = self.frame.take(&IdxCa::from_vec("row".into(), indices));
        taken.map_err(|e| DataError::content(&self.path, "rows to choose from", e.to_string()))
    }

    /// Number of rows in memory.
    pub(crate) fn height(&self) -> usize {
        self.frame.height()
    }

    /// A column as texts; None for null.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<Option<String>>, DataError> {
        let column = self.cast(name, &DataType::String, "texts")?;
        let texts = column.str().map_err(|e| self.unreadable(name, "texts", &e.to_string()))?;
        Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// A column as numbers; NaN for null or blank cells.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f64>, DataError> {
        if self.frame.column(name).is_ok_and(|c| *c.dtype() == DataType::String) {
            return self.parsed(name);
        }
        let column = self.cast(name, &DataType::Float64, "numbers")?;
        let numbers = column.f64().map_err(|e| self.unreadable(name, "numbers", &e.to_string()))?;
        Ok(numbers.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
    }

    /// The different values of a column in the order of their first rows; null is an empty text.
    pub(crate) fn distinct(&self, name: &str) -> Result<Vec<String>, DataError> {
        let mut distinct: Vec<String> = Vec::new();
        for text in self.texts(name)? {
            let text = text.unwrap_or_default();
            if !distinct.contains(&text) {
                distinct.push(text);
            }
        }
        Ok(distinct)
    }

    fn parsed(&self, name: &str) -> Result<Vec<f64>, DataError> {
        let rows = self.texts(name)?.into_iter().enumerate();
        let numbers = rows.map(|(row, text)| match text.as_deref().map(str::trim) {
            None => Ok(f64::NAN),
            Some(text) if is_missing(text) => Ok(f64::NAN),
            Some(text) => text.parse().map_err(|_| {
                let row = self.place(name, row).1;
                let found = format!("'{text}' in row {row}{}", advice(name, text));
                self.unreadable(name, "numbers", &found)
            }),
        });
        numbers.collect()
    }

    fn cast(
        &self,
        name: &str,
        to: &DataType,
        expected: &str,
    ) -> Result<polars::prelude::Column, DataError> {
        if self.ambiguous.iter().any(|ambiguous| ambiguous == name) {
            let expected = format!("one column '{name}'");
            let found = "several of that name; rename or remove all but one";
            return Err(DataError::content(&self.path, expected, found));
        }
        let Ok(column) = self.frame.column(name) else {
            return Err(self.unreadable(name, expected, "another type"));
        };
        column.cast(to).map_err(|error| self.unreadable(name, expected, &error.to_string()))
    }

    fn unreadable(&self, name: &str, expected: &str, found: &str) -> DataError {
        let expected = format!("column '{name}' to hold {expected}, as 32 or 64 bits or as text");
        DataError::content(&self.path, expected, found)
    }
}

/// Advice about a cell that is not a number, if the reason is clear.
fn advice(name: &str, cell: &str) -> &'static str {
    let number = cell.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ' || c == '\u{b5}');
    if cell.trim_matches('"') == name {
        "; that is the line of names once more, as joined files have it: remove it"
    } else if number.len() < cell.len() && number.parse::<f64>().is_ok() {
        "; leave the unit to the column's name, as in latency_ms"
    } else {
        ""
    }
}

fn kind_of(dtype: &DataType) -> Kind {
    if dtype.is_primitive_numeric() {
        Kind::Number
    } else if matches!(dtype, DataType::String | DataType::Boolean) {
        Kind::Text
    } else {
        Kind::Other
    }
}
