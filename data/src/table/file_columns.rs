//! The columns of Parquet and CSV files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use polars::prelude::{ArrowDataType, DataFrame, PlSmallStr, PolarsError};
use polars_io::SerReader;
use polars_io::mmap::MmapBytesReader;
use polars_io::parquet::read::ParquetReader;

use super::architecture_texts::TEXT_COLUMNS;
use super::columns::{Columns, Kind};
use super::csv_form::{CsvForm, is_missing};
use super::parquet_schema::{readable, with_decimals};
use crate::DataError;

/// If a column's name occurs again, polars appends this and a number.
const REPEATED: &str = "_duplicated_";

/// The longest table that is unpacked into memory, in bytes.
const MOST_UNPACKED: u64 = 4 << 30;

impl Columns {
    /// The columns in `wanted` that a Parquet file has; if None, all columns that can be read.
    pub(crate) fn of_parquet(path: &Path, wanted: Option<&[&str]>) -> Result<Self, DataError> {
        Self::of_parquet_rows(path, wanted, None)
    }

    /// Reads only some rows: the number of rows to skip, and the number to read; if None, all rows.
    pub(crate) fn of_parquet_rows(
        path: &Path,
        wanted: Option<&[&str]>,
        rows: Option<(usize, usize)>,
    ) -> Result<Self, DataError> {
        careful(path, || Self::read_parquet(path, wanted, rows))
    }

    fn read_parquet(
        path: &Path,
        wanted: Option<&[&str]>,
        rows: Option<(usize, usize)>,
    ) -> Result<Self, DataError> {
        let refused = |error| no_parquet(path, &error);
        let mut reader = ParquetReader::new(open(path)?);
        let (metadata, decimals) = readable(reader.get_metadata().map_err(refused)?);
        reader.set_metadata(Arc::new(metadata));
        let schema = reader.schema().map_err(refused)?;
        let kinds: Vec<(String, Kind)> =
            schema.iter().map(|(name, f)| (name.to_string(), kind_of_arrow(&f.dtype))).collect();
        let is_wanted = |(name, kind): &&(String, Kind)| {
            *kind != Kind::Other && wanted.is_none_or(|wanted| wanted.contains(&name.as_str()))
        };
        let names: Vec<String> =
            kinds.iter().filter(is_wanted).map(|(name, _)| name.clone()).collect();
        // Without a column or a row there is nothing to read, and readers treat that differently.
        let empty = names.is_empty() || reader.num_rows().map_err(refused)? == 0;
        let frame = if empty {
            DataFrame::empty()
        } else {
            let frame = reader.with_columns(Some(names)).with_slice(rows).finish();
            frame.and_then(|frame| with_decimals(frame, &decimals)).map_err(refused)?
        };
        Ok(Self::of_file(path, kinds, frame))
    }

    /// All columns of a CSV file whose first line has the names. They are kept as texts, because an architecture such as `0123`
    /// must not become a number.
    pub(crate) fn of_csv(path: &Path) -> Result<Self, DataError> {
        Self::of_csv_text(path, open(path)?)
    }

    /// All columns of a CSV file that is compressed by gzip.
    pub(crate) fn of_packed_csv(path: &Path) -> Result<Self, DataError> {
        let mut text = Vec::new();
        let unpacked = MultiGzDecoder::new(open(path)?).take(MOST_UNPACKED + 1);
        { unpacked }.read_to_end(&mut text).map_err(DataError::io("unpack", path))?;
        if text.len() as u64 > MOST_UNPACKED {
            let expected = format!("a packed table of at most {} GiB", MOST_UNPACKED >> 30);
            return Err(DataError::content(path, expected, "a longer one"));
        }
        Self::of_csv_text(path, Cursor::new(text))
    }

    /// All columns of a CSV text; `path` is used in messages only.
    pub(crate) fn of_csv_text(
        path: &Path,
        mut text: impl MmapBytesReader,
    ) -> Result<Self, DataError> {
        let refused = |error: PolarsError| {
            let found = format!("that it cannot be read: {}", first_line(&error));
            DataError::content(path, "a comma-separated table with a line of names", found)
        };
        let form = CsvForm::of(&mut text).map_err(DataError::io("read", path))?;
        let options = form.options().with_infer_schema_length(Some(0));
        let frame = options.into_reader_with_file_handle(text).finish().map_err(refused)?;
        if frame.get_column_names().iter().any(|name| name.contains('\r')) {
            let expected = "lines that end in a line feed, alone or behind a carriage return";
            let found = "carriage returns alone; write the table anew with another ending of lines";
            return Err(DataError::content(path, expected, found));
        }
        let mut table = Self::of_frame(path, named(path, frame)?);
        table.drop_blank()?;
        let names: Vec<String> = table.each_name().map(str::to_owned).collect();
        let mut numbers = Vec::new();
        for name in &names {
            let first = table.texts(name)?.into_iter().flatten().find(|text| !is_missing(text));
            if first.is_some_and(|text| text.trim().parse::<f64>().is_ok()) {
                numbers.push(name.as_str());
            }
        }
        let repeats = names.iter().filter_map(|name| name.rsplit_once(REPEATED));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let repeats = repeats.filter(|(name, n)| is_number(n) && table.has(name));
        let ambiguous = repeats.map(|(name, _)| name.to_owned()).collect();
        table.mark(|name| numbers.contains(&name), ambiguous);
        Ok(table)
    }
}

/// The table with cleaned names: without blanks around them, and those of architectures in lower case.
fn named(path: &Path, mut frame: DataFrame) -> Result<DataFrame, DataError> {
    let name = |name: &PlSmallStr| {
        let trimmed = name.trim();
        let known = TEXT_COLUMNS.into_iter().find(|known| known.eq_ignore_ascii_case(trimmed));
        known.unwrap_or(trimmed).to_owned()
    };
    let names: Vec<String> = frame.get_column_names().into_iter().map(name).collect();
    if let Some(quoted) = names.iter().find(|name| name.len() > 1 && name.starts_with('\'')) {
        let found = format!("{quoted} in single quotes, which CSV does not know");
        return Err(DataError::content(path, "names plain or in double quotes", found));
    }
    // If names become equal by this, they stay as they are, so that they are still different.
    let apart: HashSet<&String> = names.iter().collect();
    if apart.len() == names.len() {
        let refused = |error: PolarsError| DataError::content(path, "names", error.to_string());
        frame.set_column_names(&names).map_err(refused)?;
    }
    Ok(frame)
}

/// The number of rows in a Parquet file.
pub(crate) fn parquet_rows(path: &Path) -> Result<usize, DataError> {
    careful(path, || {
        let n_rows = ParquetReader::new(open(path)?).num_rows();
        n_rows.map_err(|error| no_parquet(path, &error))
    })
}

/// Reads a Parquet file. polars panics on some damaged files. What it was reading is dropped with the panic, so nothing half-read
/// is used.
fn careful<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(DataError::content(path, "a Parquet table", "a damaged file, which cannot be read"))
    })
}

fn no_parquet(path: &Path, error: &PolarsError) -> DataError {
    let found = format!("that it cannot be read: {}", first_line(error));
    DataError::content(path, "a Parquet table", found)
}

/// The first line of the message, which says what is wrong. The other lines advise about options of polars that users of lat
/// cannot set.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Opens a table for reading. A missing file and an unreadable one are different errors.
pub(crate) fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            DataError::missing(path, "a run folder, a Parquet table or a CSV table")
        }
        _ => DataError::io("read", path)(error),
    })
}

fn kind_of_arrow(dtype: &ArrowDataType) -> Kind {
    use ArrowDataType as A;
    // Narrower whole numbers have been widened before. Reading half floats would need a feature of polars that nothing else here
    // needs.
    let is_number =
        matches!(dtype, A::Int32 | A::Int64 | A::UInt32 | A::UInt64 | A::Float32 | A::Float64);
    match dtype {
        _ if is_number => Kind::Number,
        A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Boolean => Kind::Text,
        _ => Kind::Other,
    }
}
