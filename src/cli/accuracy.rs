//! Flags that choose the table of published accuracies.

use std::path::PathBuf;

use lat::record::Published;
use lat_data::{AccuracyRequest, AccuracyTable, AccuracyUnit, published_accuracies};
use lat_space::Space;

use super::output::{Screen, say};

/// Flags that choose a table of published accuracies and its columns.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct AccuracyArgs {
    /// Parquet or CSV table of published accuracies of the space's architectures, shown beside their cost. It has a text column
    /// `architecture`, `arch_str`, `cellstr` or `arch` and number columns whose names contain `acc` [default: the built-in one; see
    /// `lat list benchmarks`].
    #[arg(long = "accuracy-table", id = "accuracy_table", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Column of --accuracy-table to read instead of those whose names contain `acc`; may be repeated.
    #[arg(
        long = "accuracy-column",
        id = "accuracy_column",
        value_name = "NAME",
        requires = "accuracy_table"
    )]
    columns: Vec<String>,
    /// Unit of the values in --accuracy-table: percent or fraction [default: fraction if no value of a column is above 1].
    #[arg(
        long = "accuracy-unit",
        id = "accuracy_unit",
        value_name = "UNIT",
        requires = "accuracy_table"
    )]
    unit: Option<AccuracyUnit>,
}

impl AccuracyArgs {
    /// The flags of a command that names the table and one column by flags of its own.
    pub(super) fn of(file: Option<PathBuf>, column: Option<String>) -> Self {
        let columns = column.into_iter().filter(|_| file.is_some()).collect();
        Self { file, columns, unit: None }
    }

    /// The table that the flags name, else the built-in one of this space; None if there is neither. Prints a note on standard error if
    /// values were converted, even with --quiet.
    pub(super) fn table(&self, space: &dyn Space) -> anyhow::Result<Option<AccuracyTable>> {
        let Some(path) = &self.file else {
            // A space declared by a file may have the name of a built-in one but other architectures.
            let is_built_in = space.declaration().is_none();
            let own = is_built_in.then(|| published_accuracies(space.id())).transpose()?;
            return Ok(own.flatten());
        };
        let request = AccuracyRequest { path, columns: &self.columns, unit: self.unit };
        let table = AccuracyTable::read(&request, space)?;
        for note in &table.notes {
            Screen { quiet: true }.warn(None, note);
        }
        Ok(Some(table))
    }
}

/// Prints an architecture's published accuracy and where it comes from, if it has one.
pub(super) fn say_published(published: &Published) -> anyhow::Result<()> {
    match (&published.published_accuracy, &published.published_accuracy_source) {
        (Some(published), _) => say(published.to_string()),
        (None, Some(source)) => {
            say(format!("published accuracy ({source}): none of this architecture"))
        }
        (None, None) => Ok(()),
    }
}
