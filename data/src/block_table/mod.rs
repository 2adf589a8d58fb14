//! Published latency tables of whole blocks: milliseconds by the names of rows.

mod flat;
mod write;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{COSTS, DataError, checksum, read_text_at_most};
pub use write::{BlockRow, Spread, block_json, block_yaml};

/// The longest file that is read, in bytes; a table of all rows of a space has a hundredth of that.
const MOST_BYTES: u64 = 64 << 20;
/// Extensions of files that may be named. In a folder only YAML files are read, because others keep JSON of their own beside
/// them.
const ENDINGS: [&str; 4] = ["yaml", "yml", "json", "csv"];

/// A file of such a table.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockFile {
    /// The file's path.
    pub path: PathBuf,
    /// Milliseconds by the names of rows; at least one.
    pub rows: BTreeMap<String, f64>,
    /// CRC-32 of the file.
    pub checksum: String,
}

/// A row as it was read, with its place in words for messages.
struct Read {
    name: String,
    mean_ms: f64,
    place: String,
}

/// Reads the tables at these places. In a folder these are all files that end in .yaml or .yml, in the order of their names.
///
/// YAML: a mapping from names to `mean`, which may be accompanied by `count`, `std` and `var`, in block style (`ProxylessNAS`,
/// Once-for-All). JSON: an object from names to such objects, or to numbers (HW-NAS-Bench). CSV: two columns; the second is
/// called `latency_ms` or `latency_us`. All other numbers are milliseconds, as in the published tables of these forms.
///
/// # Errors
/// [`DataError::Missing`] if a place does not exist, [`DataError::Content`] if it holds no such table: a value is negative or not
/// a number, a row occurs twice with different means, or there are no rows.
pub fn read_block_tables(places: &[PathBuf]) -> Result<Vec<BlockFile>, DataError> {
    let mut files = Vec::new();
    for place in places {
        for path in paths(place)? {
            files.push(BlockFile::read(&path)?);
        }
    }
    Ok(files)
}

/// The file itself, or the tables in a folder.
fn paths(place: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !place.exists() {
        let expected = "a latency table (YAML, JSON or CSV), or a folder of them".to_owned();
        return Err(DataError::Missing { path: place.to_owned(), expected });
    }
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let failed = |source| DataError::Io { action: "read", path: place.to_owned(), source };
    let entries = std::fs::read_dir(place).map_err(failed)?;
    let mut found = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    found.retain(|path| path.is_file() && matches!(ending(path), Some("yaml" | "yml")));
    found.sort();
    if found.is_empty() {
        let expected =
            "the table of `lat profile --per-op`, or latency tables that end in .yaml".to_owned();
        return Err(content(place, expected, "none".to_owned()));
    }
    Ok(found)
}

fn ending(path: &Path) -> Option<&'static str> {
    let own = path.extension()?.to_str()?;
    ENDINGS.into_iter().find(|ending| own.eq_ignore_ascii_case(ending))
}

impl BlockFile {
    fn read(path: &Path) -> Result<Self, DataError> {
        let text = read_text_at_most(path, MOST_BYTES)?;
        let read = match ending(path) {
            Some("yaml" | "yml") => yaml::read(path, &text)?,
            Some("json") => flat::json(path, &text)?,
            Some("csv") => flat::csv(path, &text)?,
            _ => {
                let expected = "a latency table that ends in .yaml, .json or .csv".to_owned();
                return Err(content(path, expected, "another ending".to_owned()));
            }
        };
        let rows = distinct(path, read)?;
        if rows.is_empty() {
            let expected = "a latency table of at least one row".to_owned();
            return Err(content(path, expected, "none".to_owned()));
        }
        Ok(Self { path: path.to_owned(), rows, checksum: checksum(text.as_bytes()) })
    }
}

/// The rows by name. A row that occurs twice must have the same value.
fn distinct(path: &Path, read: Vec<Read>) -> Result<BTreeMap<String, f64>, DataError> {
    let mut rows = BTreeMap::new();
    for Read { name, mean_ms, place } in read {
        match rows.insert(name.clone(), mean_ms) {
            Some(other) if other != mean_ms => {
                let expected = format!("one number for row '{name}'");
                let found = format!("{other} ms, and {mean_ms} ms {place}");
                return Err(content(path, expected, found));
            }
            _ => {}
        }
    }
    Ok(rows)
}

/// Reads a number; it must be finite and not negative.
fn number(path: &Path, what: &str, text: &str) -> Result<f64, DataError> {
    let value: Option<f64> = text.parse().ok();
    match value.filter(|value| (0.0..=COSTS.1).contains(value)) {
        Some(value) => Ok(value),
        None => Err(content(path, format!("{what} to be a number of at least 0"), quoted(text))),
    }
}

fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let short: String = text.chars().take(MOST).collect();
    format!("'{short}'{}", if short.len() < text.len() { " .." } else { "" })
}

fn content(path: &Path, expected: String, found: String) -> DataError {
    DataError::Content { path: path.to_owned(), expected, found }
}

#[cfg(test)]
mod tests;
