//! Named columns of a table file, read as texts or numbers whatever their stored type.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars::prelude::{
    ArrowDataType, CsvReadOptions, DataFrame, DataType, IdxCa, IdxSize, ParquetReader, PolarsError,
    SerReader,
};

use crate::DataError;

/// What polars puts between the name of a column that comes again and how often it did.
const REPEATED: &str = "_duplicated_";

/// What a column can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    /// Neither: dates, lists, and numbers of widths that are not built in.
    Other,
}

/// A table's columns, of which those asked for are in memory.
#[derive(Debug)]
pub(crate) struct Columns {
    path: PathBuf,
    /// All columns of the file, whether in memory or not.
    kinds: Vec<(String, Kind)>,
    frame: DataFrame,
    /// Per row in memory its number in the file, from 0; None while all rows are there.
    rows: Option<Vec<usize>>,
    joined: Option<Joined>,
    /// Names that several columns of the file have: none of these is read, since nobody knows which is meant.
    ambiguous: Vec<String>,
}

/// Columns that came from another file.
#[derive(Debug)]
struct Joined {
    path: PathBuf,
    names: Vec<String>,
    /// Per row in memory its number in that file, from 0.
    rows: Vec<usize>,
}

impl Columns {
    /// The columns of a table already in memory.
    pub(crate) fn of_frame(path: &Path, frame: DataFrame) -> Self {
        let columns = frame.columns().iter();
        let kinds = columns.map(|c| (c.name().to_string(), kind_of(c.dtype()))).collect();
        Self {
            path: path.to_owned(),
            kinds,
            frame,
            rows: None,
            joined: None,
            ambiguous: Vec::new(),
        }
    }

    /// Those of the `wanted` columns that a Parquet file has; all that can be read where None is given.
    pub(crate) fn of_parquet(path: &Path, wanted: Option<&[&str]>) -> Result<Self, DataError> {
        // polars panics on some damaged files. What it was reading is dropped with the panic, so nothing half-read is seen.
        let read = AssertUnwindSafe(|| Self::read_parquet(path, wanted));
        catch_unwind(read).unwrap_or_else(|_| {
            Err(DataError::content(path, "a Parquet table", "a damaged file, which cannot be read"))
        })
    }

    fn read_parquet(path: &Path, wanted: Option<&[&str]>) -> Result<Self, DataError> {
        let refused = |error: PolarsError| {
            let found = format!("that it cannot be read: {}", first_line(&error));
            DataError::content(path, "a Parquet table", found)
        };
        let mut reader = ParquetReader::new(open(path)?);
        let schema = reader.schema().map_err(refused)?;
        let kinds: Vec<(String, Kind)> =
            schema.iter().map(|(name, f)| (name.to_string(), kind_of_arrow(&f.dtype))).collect();
        let is_wanted = |(name, kind): &&(String, Kind)| {
            *kind != Kind::Other && wanted.is_none_or(|wanted| wanted.contains(&name.as_str()))
        };
        let names: Vec<String> =
            kinds.iter().filter(is_wanted).map(|(name, _)| name.clone()).collect();
        // Without a column or a row there is nothing to read, and readers differ in what they make of it.
        let empty = names.is_empty() || reader.num_rows().map_err(refused)? == 0;
        let frame = if empty {
            DataFrame::empty()
        } else {
            reader.with_columns(Some(names)).finish().map_err(refused)?
        };
        Ok(Self {
            path: path.to_owned(),
            kinds,
            frame,
            rows: None,
            joined: None,
            ambiguous: Vec::new(),
        })
    }

    /// All columns of a CSV file with a first line of names. They are kept as texts: an architecture such as `0123` must
    /// not become a number.
    pub(crate) fn of_csv(path: &Path) -> Result<Self, DataError> {
        let refused = |error: PolarsError| {
            let found = format!("that it cannot be read: {}", first_line(&error));
            DataError::content(path, "a comma-separated table with a line of names", found)
        };
        let options = CsvReadOptions::default().with_infer_schema_length(Some(0));
        let frame = options.into_reader_with_file_handle(open(path)?).finish().map_err(refused)?;
        if frame.get_column_names().iter().any(|name| name.contains('\r')) {
            let expected = "lines that end in a line feed, alone or behind a carriage return";
            let found = "carriage returns alone; write the table anew with another ending of lines";
            return Err(DataError::content(path, expected, found));
        }
        let mut table = Self::of_frame(path, frame);
        let names: Vec<String> = table.kinds.iter().map(|(name, _)| name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            let first = table.texts(name)?.into_iter().flatten().find(|text| !text.is_empty());
            if first.is_some_and(|text| text.trim().parse::<f64>().is_ok()) {
                table.kinds[index].1 = Kind::Number;
            }
        }
        let repeats = names.iter().filter_map(|name| name.rsplit_once(REPEATED));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let repeats = repeats.filter(|(name, n)| is_number(n) && table.has(name));
        table.ambiguous = repeats.map(|(name, _)| name.to_owned()).collect();
        Ok(table)
    }

    /// Whether the file has the column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.kinds.iter().any(|(column, _)| column == name)
    }

    /// The names of all columns, comma separated.
    pub(crate) fn names(&self) -> String {
        self.kinds.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The names of the columns of numbers.
    pub(crate) fn numeric(&self) -> Vec<&str> {
        let numbers = self.kinds.iter().filter(|(_, kind)| *kind == Kind::Number);
        numbers.map(|(name, _)| name.as_str()).collect()
    }

    /// The file read.
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

    /// The file that a column is from, and the number that a row has there, from 1.
    pub(crate) fn place(&self, column: &str, row: usize) -> (&Path, usize) {
        match &self.joined {
            Some(joined) if joined.names.iter().any(|name| name == column) => {
                (&joined.path, 1 + joined.rows[row])
            }
            _ => (&self.path, self.number(row)),
        }
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

    /// Adds the other table's columns but `key`, of which `rows` has the row for each of ours.
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

    /// Rows in memory.
    pub(crate) fn height(&self) -> usize {
        self.frame.height()
    }

    /// A column as texts, None where null.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<Option<String>>, DataError> {
        let column = self.cast(name, &DataType::String, "texts")?;
        let texts = column.str().map_err(|e| self.unreadable(name, "texts", &e.to_string()))?;
        Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// A column as numbers, NaN where null or blank.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f64>, DataError> {
        if self.frame.column(name).is_ok_and(|c| *c.dtype() == DataType::String) {
            return self.parsed(name);
        }
        let column = self.cast(name, &DataType::Float64, "numbers")?;
        let numbers = column.f64().map_err(|e| self.unreadable(name, "numbers", &e.to_string()))?;
        Ok(numbers.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
    }

    /// The different values of a column in the order of their first rows; null is the empty text.
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
            None | Some("") => Ok(f64::NAN),
            Some(text) => text.parse().map_err(|_| {
                let row = self.place(name, row).1;
                self.unreadable(name, "numbers", &format!("'{text}' in row {row}"))
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

/// What is wrong; the lines behind it are advice on options of polars that nobody here can set.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Opens a table for reading; a missing one is told from one that cannot be read.
fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            DataError::missing(path, "a run folder, a Parquet table or a CSV table")
        }
        _ => DataError::io("read", path)(error),
    })
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

fn kind_of_arrow(dtype: &ArrowDataType) -> Kind {
    use ArrowDataType as A;
    // polars reads the narrower unsigned widths and half floats only with features that nothing else here needs.
    let is_number = matches!(
        dtype,
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt32 | A::UInt64 | A::Float32 | A::Float64
    );
    match dtype {
        _ if is_number => Kind::Number,
        A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Boolean => Kind::Text,
        A::Dictionary(_, values, _) => kind_of_arrow(values),
        _ => Kind::Other,
    }
}
