//! Reads a folder of Parquet files that form one table, as Spark and `DuckDB` write it: `part-00000.snappy.parquet`,
//! `device=a/data_0.parquet`.

use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, PolarsError};

use super::columns::Columns;
use crate::DataError;

/// The deepest nesting of folders.
const DEEPEST: usize = 8;

/// A file of the table, with the columns that the names of its folders give, such as `device=a`.
struct Part {
    file: PathBuf,
    told: Vec<(String, String)>,
}

/// Whether a folder contains such files.
pub(super) fn is_table(dir: &Path) -> bool {
    parts(dir).is_ok_and(|parts| !parts.is_empty())
}

/// The rows of all files, in the order of the files' names.
pub(super) fn open(dir: &Path, wanted: Option<&[&str]>) -> Result<Columns, DataError> {
    let mut whole: Option<DataFrame> = None;
    for Part { file, told } in parts(dir)? {
        let refused = |error: PolarsError| {
            DataError::content(
                &file,
                "the columns that the other files of the folder have",
                error.to_string(),
            )
        };
        let mut frame = Columns::of_parquet(&file, wanted)?.into_frame();
        let height = frame.height();
        for (name, value) in
            told.iter().filter(|(name, _)| wanted.is_none_or(|w| w.contains(&name.as_str())))
        {
            frame
                .with_column(Column::new(name.into(), vec![value.as_str(); height]))
                .map_err(refused)?;
        }
        match &mut whole {
            None => whole = Some(frame),
            Some(whole) => whole.vstack_mut(&frame).map(drop).map_err(refused)?,
        }
    }
    Ok(Columns::of_frame(dir, whole.unwrap_or_else(DataFrame::empty)))
}

/// The files, sorted. Names that begin with a dot or an underscore are for the programs that wrote them.
fn parts(dir: &Path) -> Result<Vec<Part>, DataError> {
    let mut parts = Vec::new();
    collect(dir, &[], &mut parts)?;
    Ok(parts)
}

fn collect(dir: &Path, told: &[(String, String)], parts: &mut Vec<Part>) -> Result<(), DataError> {
    let refused = DataError::io("read", dir);
    let entries: Result<Vec<_>, _> = fs::read_dir(dir).and_then(Iterator::collect).map_err(refused);
    let mut paths: Vec<PathBuf> = entries?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            if let Some((column, value)) = name.split_once('=').filter(|_| told.len() < DEEPEST) {
                let own = [(column.to_owned(), value.to_owned())];
                collect(&path, &[told, &own].concat(), parts)?;
            }
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            parts.push(Part { file: path, told: told.to_vec() });
        }
    }
    Ok(())
}
