//! Reads the YAML of published tables: names of rows, and a few numbers under each.
//!
//! This is a small part of YAML and is read strictly: anything else in a file is an error, never guessed.

use std::path::Path;

use super::{Read, content, number, quoted};
use crate::DataError;

/// Keys that may occur under a name. `mean` is required, and only it is used.
const KEYS: [&str; 4] = ["count", "mean", "std", "var"];

/// A row whose numbers are being read.
struct Open {
    name: String,
    line: usize,
    mean_ms: Option<f64>,
    seen: Vec<&'static str>,
}

pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Read>, DataError> {
    let mut rows = Vec::new();
    let mut open: Option<Open> = None;
    for (i, line) in text.lines().enumerate() {
        let (number, bare) = (i + 1, line.trim());
        if bare.is_empty() || bare.starts_with('#') || line == "---" {
            continue;
        }
        if line.starts_with(' ') {
            let Some(row) = &mut open else {
                return Err(no_row(path, number, line));
            };
            row.add(path, number, bare)?;
            continue;
        }
        if let Some(row) = open.take() {
            rows.push(row.close(path)?);
        }
        open = Some(begin(path, number, bare)?);
    }
    if let Some(row) = open {
        rows.push(row.close(path)?);
    }
    Ok(rows)
}

/// Reads a line that begins a row: a name and a colon, after which the numbers may follow in braces.
fn begin(path: &Path, line: usize, text: &str) -> Result<Open, DataError> {
    let no_row = || no_row(path, line, text);
    let (name, numbers) = match text.strip_suffix(':') {
        Some(name) => (name, ""),
        None => text.split_once(": ").ok_or_else(no_row)?,
    };
    let name = unquoted(name.trim()).filter(|name| !name.is_empty()).ok_or_else(no_row)?;
    let mut row = Open { name: name.to_owned(), line, mean_ms: None, seen: Vec::new() };
    let numbers = numbers.trim();
    if !numbers.is_empty() {
        let inner = numbers.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        for pair in inner.ok_or_else(no_row)?.split(',') {
            row.add(path, line, pair.trim())?;
        }
    }
    Ok(row)
}

impl Open {
    /// Adds a pair such as `mean: 4.08`.
    fn add(&mut self, path: &Path, line: usize, pair: &str) -> Result<(), DataError> {
        let known = pair
            .split_once(':')
            .and_then(|(key, value)| Some((KEYS.into_iter().find(|k| *k == key.trim())?, value)));
        let Some((key, value)) = known else {
            let expected = format!(
                "line {line}, of row '{}', to be {}",
                self.name,
                KEYS.join(", ") + " and a number"
            );
            return Err(content(path, expected, quoted(pair)));
        };
        let what = format!("{key} of row '{}' in line {line}", self.name);
        if self.seen.contains(&key) {
            return Err(content(path, format!("one {what}"), "another".to_owned()));
        }
        self.seen.push(key);
        let value = number(path, &what, value.trim())?;
        if key == "mean" {
            self.mean_ms = Some(value);
        }
        Ok(())
    }

    fn close(self, path: &Path) -> Result<Read, DataError> {
        let Self { name, line, mean_ms, .. } = self;
        let Some(mean_ms) = mean_ms else {
            let expected = format!("a mean under row '{name}' in line {line}");
            return Err(content(path, expected, "none".to_owned()));
        };
        Ok(Read { name, mean_ms, place: format!("in line {line}") })
    }
}

/// The name without its single or double quotes; None if one of the quotes is missing.
fn unquoted(name: &str) -> Option<&str> {
    for quote in ['\'', '"'] {
        if let Some(rest) = name.strip_prefix(quote) {
            return rest.strip_suffix(quote);
        }
    }
    Some(name)
}

fn no_row(path: &Path, line: usize, text: &str) -> DataError {
    let expected = format!("line {line} to be the name of a row and a colon, with its mean below");
    content(path, expected, quoted(text.trim()))
}
