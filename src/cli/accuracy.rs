//! Flags that say which published accuracies to show.

use std::path::PathBuf;

use lat::record::Published;
use lat_data::{AccuracyRequest, AccuracyTable, AccuracyUnit, published_accuracies};
use lat_space::Space;

use super::output::{Screen, say};

/// Flags that name a table of accuracies.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct AccuracyArgs {
    /// Parquet or CSV table of published accuracies of the space's architectures, shown beside their cost: a text column
    /// `architecture`, `arch_str` or `arch` and columns of numbers whose names contain `acc` [default: the program's own; see
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
    /// What --accuracy-table holds: percent or fraction [default: fractions where no value of a column is above 1].
    #[arg(
        long = "accuracy-unit",
        id = "accuracy_unit",
        value_name = "UNIT",
        requires = "accuracy_table"
    )]
    unit: Option<AccuracyUnit>,
}

impl AccuracyArgs {
    /// The flags of a command that names table and column itself.
    pub(super) fn of(file: Option<PathBuf>, column: Option<String>) -> Self {
        let columns = column.into_iter().filter(|_| file.is_some()).collect();
        Self { file, columns, unit: None }
    }

    /// The table that is named, else the program's own of this space; None where there is neither. What was done to its values is
    /// said on standard error, quiet or not.
    pub(super) fn table(&self, space: &dyn Space) -> anyhow::Result<Option<AccuracyTable>> {
        let Some(path) = &self.file else {
            // A space that a file declares may have the name of a built-in one and other architectures.
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

/// Prints what results say of an architecture's published accuracy, where there is a table.
pub(super) fn say_published(published: &Published) -> anyhow::Result<()> {
    match (&published.published_accuracy, &published.published_accuracy_source) {
        (Some(published), _) => say(published.to_string()),
        (None, Some(source)) => {
            say(format!("published accuracy ({source}): none of this architecture"))
        }
        (None, None) => Ok(()),
    }
}
