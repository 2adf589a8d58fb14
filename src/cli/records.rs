//! Reads the result files of searches and evaluations.

use std::path::Path;

use lat::record::{EvaluationRecord, SearchRecord};

use super::failure::bad;
use super::texts;

/// Reads a `search.json`.
pub(super) fn read_search(file: &Path) -> anyhow::Result<SearchRecord> {
    let expected = format!("{} of a search", SearchRecord::FILE);
    read(file, &expected, SearchRecord::read)
}

/// Reads an `evaluation.json`.
pub(super) fn read_evaluation(file: &Path) -> anyhow::Result<EvaluationRecord> {
    let expected = format!("{} of an evaluation", EvaluationRecord::FILE);
    read(file, &expected, EvaluationRecord::read)
}

fn read<T>(file: &Path, expected: &str, read: fn(&str) -> Result<T, String>) -> anyhow::Result<T> {
    let wrong = |found: String| {
        bad(format!("expected the {expected} at {}, found: {found}", file.display()))
    };
    let text = texts::read(file).map_err(|error| wrong(error.to_string()))?;
    read(&text).map_err(wrong)
}
