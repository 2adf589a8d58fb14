//! The error type of data files.

use std::path::{Path, PathBuf};

/// Smallest and largest value of a target: predictors compute in single precision, including squares and reciprocals.
pub const COSTS: (f64, f64) = (1e-15, 1e15);

/// An error with a data file, a run folder, or a request for data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system reported an error.
    #[error("could not {action} {}: {source}", .path.display())]
    Io {
        /// The action that failed, such as `read` or `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A file or folder does not exist.
    #[error("{} does not exist; expected {expected}", .path.display())]
    Missing {
        /// The path where it was looked for.
        path: PathBuf,
        /// What should be there.
        expected: String,
    },
    /// A file or folder has the wrong content.
    #[error("{}: expected {expected}; found {found}", .path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// The expected content.
        expected: String,
        /// The content found.
        found: String,
    },
    /// Another process writes this run.
    #[error(
        "{} is in use: another process is writing this run; wait for it to end or choose another --out",
        .dir.display()
    )]
    Locked {
        /// The run folder.
        dir: PathBuf,
    },
    /// A run folder contains a run with other settings.
    #[error(
        "{} holds a run with {field} '{recorded}', but '{asked}' is asked for; \
         choose another --out, or the same settings to resume it",
        .dir.display()
    )]
    OtherRun {
        /// The run folder.
        dir: PathBuf,
        /// The first setting that differs.
        field: &'static str,
        /// Its value in the folder.
        recorded: String,
        /// Its value now.
        asked: String,
    },
    /// A row in the middle of a journal is damaged.
    #[error(
        "line {line} of {} is damaged: {reason}; the file was left as it is: \
         restore it from a copy, or remove that line to measure its architecture again",
        .path.display()
    )]
    Damaged {
        /// The journal's file of rows.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The fault.
        reason: String,
    },
    /// A finished file has changed since it was finished.
    #[error(
        "{} is damaged: expected {expected}, as manifest.json has it; found {found}; restore it from a copy, or remove \
         manifest.json and run the same command again: what is whole is kept, what is lost is measured again",
        .path.display()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// Size and checksum as listed in the manifest.
        expected: String,
        /// Size and checksum now.
        found: String,
    },
    /// A row could not be added to a journal.
    #[error(
        "could not add a row to {}: {source}; the {safe_rows} rows before it are safe: \
         make room or repair the disk, then run the same command again to go on",
        .path.display()
    )]
    Append {
        /// The journal's file of rows.
        path: PathBuf,
        /// Number of rows on the disk.
        safe_rows: usize,
        /// The system's message.
        source: std::io::Error,
    },
    /// A run folder was removed, moved or replaced while the run wrote to it.
    #[error(
        "{} was removed, moved or replaced while this run wrote to it, with the {rows} rows measured so far; nothing more is \
         measured: put it back to go on with the same command, or run that to begin anew",
        .dir.display()
    )]
    Gone {
        /// The run folder.
        dir: PathBuf,
        /// Number of rows that it contained.
        rows: usize,
    },
    /// A table contains several devices, batch sizes or the like.
    #[error(
        "{}: refuse mixed values of column '{column}': {values}; expected one value: filter the table first",
        .path.display()
    )]
    Mixed {
        /// The table's file.
        path: PathBuf,
        /// The column that should be constant.
        column: String,
        /// The values found, separated by commas.
        values: String,
    },
    /// Values that cannot come from a measurement.
    #[error(
        "{}: {count} of {rows} values of column '{column}' are missing, not finite or out of range, \
         the first in row {first_row} ({}); expected positive numbers ({:e} to {:e}): remove or repair these rows{}",
        .path.display(),
        short(*.found),
        COSTS.0,
        COSTS.1,
        if found.is_nan() { ", or leave out those without a value by --drop-missing" } else { "" }
    )]
    Values {
        /// The table's file.
        path: PathBuf,
        /// The target column.
        column: String,
        /// Number of bad values.
        count: usize,
        /// Number of rows in the table, without failed ones.
        rows: usize,
        /// Number of the first bad row, from 1, without the line of names.
        first_row: usize,
        /// The value in that row.
        found: f64,
    },
    /// A column that the table lacks.
    #[error("{}: expected a column '{column}'; found columns {names}", .path.display())]
    NoColumn {
        /// The table's file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The names of its columns, separated by commas.
        names: String,
    },
    /// No row has the value asked for.
    #[error(
        "{}: no row has {column} = '{value}'; expected one of the values that column '{column}' has in the rows left: {values}",
        .path.display()
    )]
    NoRow {
        /// The table's file.
        path: PathBuf,
        /// The filtered column.
        column: String,
        /// The value asked for.
        value: String,
        /// The values in that column, separated by commas.
        values: String,
    },
    /// Two files of one table that do not fit together.
    #[error("cannot join {} and {}: expected {expected}; found {found}", .path.display(), .other.display())]
    Join {
        /// The file of measurements.
        path: PathBuf,
        /// The file of architectures.
        other: PathBuf,
        /// What should connect them.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A cell that is not one of its decision's choices.
    #[error("{}: expected in column '{column}' {expected}; found {found} in row {row}", .path.display())]
    Choice {
        /// The table's file.
        path: PathBuf,
        /// The decision's column.
        column: String,
        /// Number of the row, from 1, without the line of names.
        row: usize,
        /// The cell's content.
        found: String,
        /// The choices, separated by commas.
        expected: String,
    },
    /// A text that is not an architecture of the space.
    #[error("{}, row {row}: {reason}", .path.display())]
    Architecture {
        /// The table's file.
        path: PathBuf,
        /// Number of the row, from 1, without the line of names.
        row: usize,
        /// The space's reason.
        reason: Box<lat_space::SpaceError>,
    },
    /// A column of accuracies that a table does not have.
    #[error("expected an accuracy that {source_name} has, one of {known}; found '{name}'")]
    NoAccuracy {
        /// The name given.
        name: String,
        /// The table.
        source_name: String,
        /// The names of its columns, separated by commas.
        known: String,
    },
    /// Parts of the wrong size.
    #[error("cannot split {n} rows: expected {expected}; found {found}")]
    Split {
        /// Number of rows.
        n: usize,
        /// What is possible.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// A name that is in no table.
    #[error("unknown data set '{name}'; expected one of: {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// A data set that is in a folder, but no folder was named.
    #[error("data set '{name}' needs --data-dir: expected {expected}")]
    NoFolder {
        /// The data set.
        name: &'static str,
        /// What the folder should hold.
        expected: &'static str,
    },
}

impl DataError {
    /// For `map_err`: makes an error from the system's, with the action and the path.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// The error for a file with the wrong content.
    pub(crate) fn content(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Content { path: path.to_owned(), expected: expected.into(), found: found.into() }
    }

    /// The error for a file or folder that does not exist.
    pub(crate) fn missing(path: &Path, expected: impl Into<String>) -> Self {
        Self::Missing { path: path.to_owned(), expected: expected.into() }
    }
}

/// A number in short form, without hundreds of zeros.
fn short(number: f64) -> String {
    let is_usual =
        number == 0.0 || !number.is_finite() || (COSTS.0..=COSTS.1).contains(&number.abs());
    if is_usual { number.to_string() } else { format!("{number:e}") }
}
