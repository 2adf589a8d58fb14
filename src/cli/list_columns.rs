//! `lat list columns`: the columns of a table and their values, which `--where` and `--target` can name.

use std::path::PathBuf;

use lat_data::{ColumnValues, RowFilter, list_columns};

use super::failure::bad;
use super::output::{lines, say, write_json};
use super::written::Written;

/// How many values of a column are printed; `--json` has more.
const PRINTED: usize = 12;

/// Flags of `lat list columns`.
#[derive(clap::Args)]
pub(super) struct ColumnsArgs {
    /// With `columns`: run folder, Parquet or CSV table.
    #[arg(value_name = "DIR|FILE")]
    file: Option<PathBuf>,
    /// With `columns`: only rows with this value, for example --where device=titanx; may be repeated.
    #[arg(long = "where", value_name = "COLUMN=VALUE", requires = "file")]
    filters: Vec<RowFilter>,
    /// With `columns`: also write the columns as JSON, with up to 1000 values each.
    #[arg(long, value_name = "FILE", requires = "file")]
    json: Option<PathBuf>,
}

impl ColumnsArgs {
    /// Refuses a table if anything but `columns` is listed.
    pub(super) fn check_unused(&self) -> anyhow::Result<()> {
        match &self.file {
            Some(file) => Err(bad(format!(
                "expected a table with `lat list columns` alone, found {}",
                file.display()
            ))),
            None => Ok(()),
        }
    }
}

pub(super) fn run(args: &ColumnsArgs) -> anyhow::Result<()> {
    let file = args.file.as_deref().ok_or_else(|| {
        bad("expected a table to list the columns of, found none; name it: lat list columns DIR|FILE")
    })?;
    Written::default().output("--json", args.json.as_deref()).inputs([file]).check()?;
    let columns = list_columns(file, &args.filters)?;
    if let Some(path) = &args.json {
        write_json(path, &columns)?;
    }
    let row = |column: &ColumnValues| {
        vec![column.name.clone(), column.n_values.to_string(), shown(column)]
    };
    let header = ["column", "values", "value (rows)"].map(str::to_owned);
    say(lines(&header, columns.iter().map(row)))
}

/// A column's first values as text.
fn shown(column: &ColumnValues) -> String {
    if column.values.is_empty() {
        return "-".to_owned();
    }
    let first = column.values.iter().take(PRINTED);
    let mut shown: Vec<String> = first.map(|v| format!("{} ({})", v.value, v.rows)).collect();
    if column.n_values > PRINTED {
        shown.push(format!("and {} more", column.n_values - PRINTED));
    }
    shown.join(", ")
}
