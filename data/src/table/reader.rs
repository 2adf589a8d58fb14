//! Reads a table's rows: architectures, values, and which rows are left out.

use lat_space::Space;

use super::architecture_texts::{self, Source};
use super::columns::Columns;
use super::grouped::{Grouped, Reading};
use super::header_columns::{constant, is_merged, read_header};
use super::row_filter::quoted;
use crate::{COSTS, DataError, LatencyTable, Role, Status, TableRequest};

/// Columns that must have only one value, if a table has them. Otherwise rows with different settings would be compared, and the
/// value would not depend on the architecture alone.
pub(crate) const CONSTANT: [&str; 11] = [
    "space",
    "device",
    "device_name",
    "batch",
    "unit",
    "skeleton",
    "precision",
    "mode",
    "channels_last",
    "cold",
    "threads",
];

/// The steps from a file's columns to a table.
pub(crate) struct Reader<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) request: &'a TableRequest<'a>,
}

impl Reader<'_> {
    pub(crate) fn table(&self) -> Result<LatencyTable, DataError> {
        let TableRequest { column, declared, average_duplicates, .. } = *self.request;
        self.check_columns()?;
        let kept = self.kept_rows()?;
        self.check_constants()?;
        self.check_unit()?;
        let space = self.space()?;
        let values = self.columns.numbers(column)?;
        let kept = self.measured(kept, &values)?;
        self.check_values(&kept, &values)?;
        let texts = architecture_texts::texts(self.columns, declared, &kept)?;
        let readings = self.readings(&kept, texts, &values)?;
        let Grouped { rows, repeats, anchors, duplicates } =
            Grouped::of(readings, average_duplicates);
        Ok(LatencyTable {
            space,
            column: column.to_owned(),
            rows,
            repeats,
            anchors,
            duplicates,
            header: read_header(self.columns)?,
            source: self.columns.path().to_owned(),
            architectures: self.columns.place(self.architecture_column()?, 0).0.to_owned(),
            skipped: self.columns.height() - kept.len(),
        })
    }

    /// Whether there is a column with this name that does not belong to a decision.
    fn has(&self, name: &str) -> bool {
        self.columns.has(name) && !self.request.is_decision(name)
    }

    /// Checks that the architecture's columns and the target exist.
    fn check_columns(&self) -> Result<(), DataError> {
        let source = Source::of(self.columns, self.request.declared)?;
        let column = self.request.column;
        if self.request.is_decision(column) {
            let found = format!("'{column}', which is a decision of the space");
            return Err(self.content("a column of measurements as target", &found));
        }
        if self.columns.has(column) && self.columns.height() == 0 {
            return Err(self.content("rows of measurements", "none"));
        }
        if self.columns.has(column) {
            return Ok(());
        }
        let is_text = |name: &str| matches!(source, Source::Text(text) if text == name);
        let is_target = |name: &&str| !is_text(name) && !self.request.is_decision(name);
        let numeric: Vec<&str> = self.columns.numeric().into_iter().filter(is_target).collect();
        let expected = format!("a column '{column}' of numbers");
        let found = match &numeric[..] {
            [] => format!("no column of numbers among {}", self.columns.names()),
            some => format!("columns of numbers {}", some.join(", ")),
        };
        Err(self.content(&expected, &found))
    }

    /// A column that contains (part of) a row's architecture.
    fn architecture_column(&self) -> Result<&str, DataError> {
        let first = || self.request.declared.and_then(|space| space.decisions().first());
        Ok(match Source::of(self.columns, self.request.declared)? {
            Source::Text(name) => name,
            Source::Decisions => first().map_or("", |decision| &decision.name),
        })
    }

    /// Rows whose measurement did not fail and was not repeated, by number from 0.
    fn kept_rows(&self) -> Result<Vec<usize>, DataError> {
        let n = self.columns.height();
        let (status, superseded) = (self.notes("status")?, self.notes("superseded")?);
        let is_kept = |row: &usize| {
            status[*row].as_deref() != Some(Status::Failed.name())
                && superseded[*row].as_deref() != Some("true")
        };
        let kept: Vec<usize> = (0..n).filter(is_kept).collect();
        if kept.is_empty() {
            return Err(self.content("rows of measurements", &format!("{n} rows that all failed")));
        }
        Ok(kept)
    }

    /// An optional column of texts.
    fn notes(&self, column: &str) -> Result<Vec<Option<String>>, DataError> {
        match self.has(column) {
            true => self.columns.texts(column),
            false => Ok(vec![None; self.columns.height()]),
        }
    }

    /// The rows with a value, if others may be left out. They may in a profile's own table, because energy is measured for some
    /// rows only, and if the request says so.
    fn measured(&self, kept: Vec<usize>, values: &[f64]) -> Result<Vec<usize>, DataError> {
        if !self.columns.has("format_version") && !self.request.drop_missing {
            return Ok(kept);
        }
        let measured: Vec<usize> = kept.into_iter().filter(|&row| !values[row].is_nan()).collect();
        if measured.is_empty() {
            let expected = format!("a measured column '{}'", self.request.column);
            let found =
                "that it is empty: this run did not measure it, or the device does not tell";
            return Err(self.content(&expected, found));
        }
        Ok(measured)
    }

    fn check_constants(&self) -> Result<(), DataError> {
        // The rows of a merged run are scaled to one device, whichever device measured them.
        let may_vary = |name: &str| name == "device" && is_merged(self.columns);
        let constant = |name: &&str| self.has(name) && !may_vary(name);
        for column in CONSTANT.into_iter().filter(constant) {
            let values = self.columns.distinct(column)?;
            if values.len() > 1 {
                let (path, values) = (self.columns.path().to_owned(), quoted(values));
                return Err(DataError::Mixed { path, column: column.to_owned(), values });
            }
        }
        Ok(())
    }

    /// Checks that a column `unit` does not contradict the target's name.
    fn check_unit(&self) -> Result<(), DataError> {
        let column = self.request.column;
        let Some(suffix) = crate::units::suffix(column) else { return Ok(()) };
        match self.constant("unit")? {
            Some(unit) if !unit.eq_ignore_ascii_case(suffix) => {
                let expected = format!("unit '{suffix}' as the name of '{column}' says");
                Err(self.content(&expected, &format!("unit '{unit}'")))
            }
            _ => Ok(()),
        }
    }

    /// The column's only value; None if the table lacks it or has several.
    fn constant(&self, column: &str) -> Result<Option<String>, DataError> {
        if self.has(column) { constant(self.columns, column) } else { Ok(None) }
    }

    fn space(&self) -> Result<String, DataError> {
        let declared = self.request.declared.map(Space::id);
        match (self.constant("space")?, declared.or(self.request.space)) {
            (Some(found), Some(asked)) if found != asked => Err(self.content(
                &format!("architectures of space '{asked}'"),
                &format!("those of '{found}'"),
            )),
            (Some(found), _) => Ok(found),
            (None, Some(asked)) => Ok(asked.to_owned()),
            (None, None) => Err(self.content(
                "a column 'space', or the search space named by --space or declared by --space-file",
                &format!("columns {}", self.columns.names()),
            )),
        }
    }

    fn check_values(&self, kept: &[usize], values: &[f64]) -> Result<(), DataError> {
        let is_bad = |row: &&usize| !(COSTS.0..=COSTS.1).contains(&values[**row]);
        let mut bad = kept.iter().filter(is_bad);
        let Some(&first) = bad.next() else { return Ok(()) };
        Err(DataError::Values {
            path: self.columns.path().to_owned(),
            column: self.request.column.to_owned(),
            count: 1 + bad.count(),
            rows: kept.len(),
            first_row: self.columns.number(first),
            found: values[first],
        })
    }

    fn readings(
        &self,
        kept: &[usize],
        texts: Vec<String>,
        values: &[f64],
    ) -> Result<Vec<Reading>, DataError> {
        let roles = self.notes("role")?;
        let column = self.architecture_column()?;
        let reading = |(&row, architecture): (&usize, String)| Reading {
            architecture,
            value: values[row],
            number: self.columns.number(row),
            place: self.columns.place(column, row).1,
            is_anchor: roles[row].as_deref() == Some(Role::Anchor.name()),
        };
        Ok(kept.iter().zip(texts).map(reading).collect())
    }

    fn content(&self, expected: &str, found: &str) -> DataError {
        DataError::content(self.columns.path(), expected, found)
    }
}
