//! One architecture on the front.

use lat_data::{AccuracyTable, PublishedAccuracy};
use lat_predictor::Predictions;
use lat_space::{Space, SpaceError};
use serde::Serialize;

use crate::cli::output::figure;

/// An architecture that nothing beats.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    pub(super) architecture: String,
    /// Predicted cost in the column's unit.
    pub(super) predicted: f64,
    /// Standard deviation of a measurement around it; null where the predictor tells none, like the interval.
    pub(super) sd: Option<f64>,
    /// 90 % interval.
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// Whether the architecture is unlike what the predictor was trained on.
    pub(super) off_data: bool,
    /// Percent by column.
    pub(super) published_accuracy: PublishedAccuracy,
    /// Whether something with weights lies between input and output of its cells.
    pub(super) learns: bool,
    /// Measured cost, where it was measured.
    pub(super) measured: Option<f64>,
    /// Where it was measured, or why not; null where nobody asked.
    pub(super) measurement: Option<String>,
}

impl Point {
    /// The architecture in this row of the table, whose costs are `priced`.
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

    /// Its 90 % interval for people.
    pub(super) fn interval(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(high)) => format!("{} to {}", figure(low), figure(high)),
            _ => "-".to_owned(),
        }
    }
}
