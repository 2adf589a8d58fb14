//! Prints and saves a front.

use std::path::PathBuf;

use lat_data::AccuracyColumn;
use serde::Serialize;

use super::point::Point;
use crate::cli::output::{figure, lines, say};

/// The front as JSON.
#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) space: String,
    /// Architectures that were priced, which are those with a published accuracy.
    pub(super) n_architectures: usize,
    /// Architectures in the space, if it is built in.
    pub(super) n_in_space: Option<u64>,
    pub(super) predictor: PathBuf,
    pub(super) column: String,
    pub(super) unit: String,
    /// Where the accuracies come from.
    pub(super) accuracies: String,
    /// Column of the accuracy that counts.
    pub(super) accuracy: String,
    /// The highest cost allowed, if one was given; `best` is the most accurate architecture within it.
    pub(super) target: Option<f64>,
    pub(super) best: Option<Point>,
    /// Points of the front, cheapest first.
    pub(super) front: Vec<Point>,
}

impl Answer {
    /// Prints the whole front, or the answer to a target. The first `within` points cost no more than the target.
    pub(super) fn print(
        &self,
        columns: &[AccuracyColumn],
        within: usize,
        has_measured: bool,
    ) -> anyhow::Result<()> {
        let Self { space, n_architectures: n, predictor, column, accuracies, .. } = self;
        let label = columns.iter().find(|c| c.name == self.accuracy);
        let label = label.map_or(self.accuracy.as_str(), |c| c.label.as_str());
        let of = match self.n_in_space {
            Some(all) if all != *n as u64 => format!(" of {all}, those with a published accuracy"),
            _ => String::new(),
        };
        say(format!(
            "{n} architectures of {space}{of}, {column} by predictor {}, accuracy by {accuracies}",
            predictor.display()
        ))?;
        let measured: Vec<&Point> = self.front.iter().filter(|p| p.measurement.is_some()).collect();
        match &self.best {
            Some(best) => {
                self.say_best(best, label)?;
                if has_measured && measured.len() > 1 {
                    say(self.table(columns, &measured))?;
                }
            }
            None => say(self.table(columns, &self.front[..within].iter().collect::<Vec<_>>()))?,
        }
        let mut said: Vec<&str> =
            measured.iter().filter_map(|p| p.measurement.as_deref()).collect();
        said.dedup();
        for line in said {
            let is_reason = line.starts_with("not measured");
            say(if is_reason { line.to_owned() } else { format!("measured {line}") })?;
        }
        Ok(())
    }

    fn say_best(&self, best: &Point, label: &str) -> anyhow::Result<()> {
        let unit = &self.unit;
        let interval = match best.low {
            Some(_) => format!(" (90 % interval {} {unit})", best.interval()),
            None => String::new(),
        };
        let measured = match best.measured {
            Some(value) => format!(", measured {} {unit}", figure(value)),
            None => String::new(),
        };
        let target = self.target.map_or_else(String::new, |t| format!("{t} {unit}"));
        let remark = if best.learns { "" } else { "; nothing in its cells learns" };
        say(&best.architecture)?;
        say(format!(
            "the best by {label} within {target}: predicted {} {unit}{interval}{measured}{remark}",
            figure(best.predicted)
        ))?;
        say(best.published_accuracy.to_string())
    }

    fn table(&self, columns: &[AccuracyColumn], points: &[&Point]) -> String {
        let has_measured = points.iter().any(|p| p.measured.is_some());
        let mut header =
            vec![format!("{}, {}", self.column, self.unit), "90 % interval".to_owned()];
        header.extend(has_measured.then(|| "measured".to_owned()));
        header.extend(columns.iter().map(|c| format!("{} %", c.label)));
        header.push("architecture".to_owned());
        let row = |point: &&Point| {
            let mut row = vec![figure(point.predicted), point.interval()];
            let measured = || point.measured.map_or("-".to_owned(), figure);
            row.extend(has_measured.then(measured));
            let accuracies = point.published_accuracy.columns.iter();
            row.extend(accuracies.map(|(_, value)| format!("{value:.2}")));
            let remark = if point.learns { "" } else { "  (nothing in its cells learns)" };
            row.push(format!("{}{remark}", point.architecture));
            row
        };
        lines(&header, points.iter().map(row))
    }
}
