//! Flags that choose a table of measurements, and its space.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lat_data::{Duplicates, LatencyTable, RowFilter, TableRequest};
use lat_space::{DeclaredSpace, Space, find_space};

use super::output::say;
use super::{newest, texts};

/// Flags that choose a table of measurements.
#[derive(clap::Args)]
pub(super) struct TableArgs {
    /// Run folder, Parquet or CSV table [default: the newest finished profile].
    #[arg(long, alias = "samples-from", value_name = "DIR|FILE")]
    pub(super) data: Option<PathBuf>,
    /// Search space, if the table does not say.
    #[arg(long)]
    pub(super) space: Option<String>,
    /// TOML file that declares the space of a table made elsewhere; examples/spaces/ has some.
    #[arg(long, value_name = "FILE", conflicts_with = "space", requires = "data")]
    pub(super) space_file: Option<PathBuf>,
    /// Column with the architectures' texts [default: architecture, arch_str, cellstr or arch, else the only column whose texts are
    /// architectures].
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(super) text_column: Option<String>,
    /// Parquet or CSV table of the architectures, if --data has only their values; the two are joined by the one column they share.
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(super) architectures: Option<PathBuf>,
    /// Read only rows with this value, for example --where device=titanx; may be repeated.
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub(super) filters: Vec<RowFilter>,
    /// Take the average if an architecture has several values [default: the first value, or the lower median if they differ by more
    /// than a factor of two].
    #[arg(long)]
    pub(super) average_duplicates: bool,
    /// Leave out rows without a value [default: refuse the table].
    #[arg(long)]
    pub(super) drop_missing: bool,
}

/// A table and the space of its architectures.
pub(super) struct SpaceTable {
    pub(super) data: PathBuf,
    pub(super) space: Box<dyn Space>,
    pub(super) table: LatencyTable,
}

impl TableArgs {
    /// The table named by the flags, or the newest profile's.
    pub(super) fn source(&self) -> anyhow::Result<PathBuf> {
        match &self.data {
            Some(path) => Ok(path.clone()),
            None => newest::newest_profile(self.space.as_deref()),
        }
    }

    /// Reads the table at its [`TableArgs::source`], with the space and the architectures that the flags name.
    pub(super) fn read(&self, data: PathBuf, column: &str) -> anyhow::Result<SpaceTable> {
        let declared = self.space_file.as_deref().map(read_space_file).transpose()?;
        let table = LatencyTable::read(&TableRequest {
            space: self.space.as_deref(),
            declared: declared.as_ref().map(|space| space as &dyn Space),
            text_column: self.text_column.as_deref(),
            architectures: self.architectures.as_deref(),
            filters: &self.filters,
            average_duplicates: self.average_duplicates,
            drop_missing: self.drop_missing,
            ..TableRequest::new(&data, column)
        })?;
        let space: Box<dyn Space> = match declared {
            Some(space) => Box::new(space),
            None => find_space(&table.space)?,
        };
        Ok(SpaceTable { data, space, table })
    }

    /// Prints what the rows do not show: rows that were left out, and values that stand for several. Not for a profile's own
    /// repeats: they are intended, and the noise floor reports them.
    pub(super) fn say_notes(&self, table: &LatencyTable) -> anyhow::Result<()> {
        if self.drop_missing && table.skipped > 0 {
            say(format!("{} rows left out: failed, or without a value", table.skipped))?;
        }
        match &table.duplicates {
            Some(several) if table.header.is_none() => {
                say(duplicates_line(several, self.average_duplicates))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a space file.
pub(super) fn read_space_file(path: &Path) -> anyhow::Result<DeclaredSpace> {
    let text = texts::read(path)
        .with_context(|| format!("expected a space file (TOML) at {}", path.display()))?;
    DeclaredSpace::read(&text).with_context(|| path.display().to_string())
}

fn duplicates_line(several: &Duplicates, are_averaged: bool) -> String {
    let Duplicates { architectures, largest, example, values, rows } = several;
    let what = match are_averaged {
        true => "their means were taken",
        false if *largest > 1.0 => {
            "the first of each counts, or the lower median if they are more than a factor of two apart (--average-duplicates takes their mean)"
        }
        false => "the first of each counts (--average-duplicates takes their mean)",
    };
    let mut text: String = example.chars().take(60).collect();
    if text.len() < example.len() {
        text += "...";
    }
    format!(
        "{architectures} architectures have several values, up to {:.2} % apart ({} in row {}, {} in row {}: {text}); {what}",
        100.0 * largest,
        values.0,
        rows.0,
        values.1,
        rows.1
    )
}
