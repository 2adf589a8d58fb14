//! One architecture on the front.

use lat_data::{AccuracyTable, PublishedAccuracy};
use lat_predictor::Predictions;
use lat_space::{Space, SpaceError};
use serde::Serialize;

use crate::cli::output::figure;

/// An architecture that no other beats in both cost and accuracy.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    pub(super) architecture: String,
    /// Predicted cost in the column's unit.
    pub(super) predicted: f64,
    /// Standard deviation of a measurement around `predicted`; null if the predictor gives none, as are `low` and `high`.
    pub(super) sd: Option<f64>,
    /// The 90 % interval from `low` to `high`.
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// Whether the architecture is unlike the ones the predictor was trained on.
    pub(super) off_data: bool,
    /// Percent by column.
    pub(super) published_accuracy: PublishedAccuracy,
    /// Whether its cells have an operation with weights between input and output.
    pub(super) learns: bool,
    /// Measured cost, if it was measured.
    pub(super) measured: Option<f64>,
    /// Where it was measured, or why not; null if no measurement was asked for.
    pub(super) measurement: Option<String>,
}

impl Point {
    /// The architecture in row `i` of the table, with its cost from `priced`.
    pub(super) fn new(
        space: &dyn Space,
        table: &AccuracyTable,
        priced: &Predictions,
        row: usize,
    ) -> Result<Self, SpaceError> {
        let finite = |x: f64| x.is_finite().then_some(x);
        let (low, high) = priced.interval(row);
        let (text, values) = table.row(row);
        let architecture = space.parse(text)?;
        let columns = table.columns.iter().cloned().zip(values.iter().copied()).collect();
        Ok(Self {
            architecture: text.to_owned(),
            predicted: priced.values[row],
            sd: finite(priced.sds[row]),
            low: finite(low),
            high: finite(high),
            off_data: priced.is_off_data[row],
            published_accuracy: PublishedAccuracy { source: table.source.clone(), columns },
            learns: space.structure().learns(space.decisions(), &architecture),
            measured: None,
            measurement: None,
        })
    }

    /// The 90 % interval as text.
    pub(super) fn interval(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(high)) => format!("{} to {}", figure(low), figure(high)),
            _ => "-".to_owned(),
        }
    }
}
