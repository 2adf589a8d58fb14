//! The label of a predictor: space, encoding, unit, device, errors.

use lat_data::{OperatingPoint, RunHeader, known_point, unit};
use lat_space::{DeclaredSpace, Skeleton, Space, find_space};
use serde::{Deserialize, Deserializer, Serialize};

use crate::regressor::current_name;
use crate::{Metrics, PredictError};

/// A decision as the predictor's file stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLabel {
    /// Its name.
    pub name: String,
    /// Its choices in order; gates are all choices of all decisions.
    pub choices: Vec<String>,
}

impl DecisionLabel {
    /// The decisions of a space.
    pub(crate) fn all(space: &dyn Space) -> Vec<Self> {
        let label =
            |d: &lat_space::Decision| Self { name: d.name.clone(), choices: d.gate_names() };
        space.decisions().iter().map(label).collect()
    }
}

impl std::fmt::Display for DecisionLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name, self.choices.join(", "))
    }
}

/// The description of a predictor: what it predicts and how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Id of the search space.
    pub space: String,
    /// The TOML text that declares the space; None if the space is built in.
    #[serde(default)]
    pub declaration: Option<String>,
    /// Id of the encoding: `one-hot`, `counts` or `structured`.
    pub encoding: String,
    /// The space's decisions in their order.
    pub decisions: Vec<DecisionLabel>,
    /// The predicted column, such as `latency_ms`.
    pub column: String,
    /// The column's unit as [`lat_data::unit`] gives it, such as `ms`.
    pub unit: String,
    /// Model of the measured device, if the data contain it.
    pub device_name: Option<String>,
    /// Images per batch, if the data contain it.
    pub batch: Option<u32>,
    /// The [`RunHeader::reference_ms`] of the measurements, with which others can be measured on the same scale.
    pub reference_ms: Option<f64>,
    /// How the measured networks ran, if the data contain it: the fields `precision`, `mode`, `channels_last` and `cold`.
    #[serde(flatten, with = "known_point")]
    pub point: Option<OperatingPoint>,
    /// Macro architecture of the measured networks, if the data contain it.
    pub skeleton: Option<Skeleton>,
    /// Devices of the predictors that it was transferred from; empty if it was not transferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Name of the regressor. Older files may have an old name, which is read as the current one.
    #[serde(deserialize_with = "named_now")]
    pub regressor: String,
    /// Errors on rows that it was not trained on, if there were any.
    pub errors: Option<Metrics>,
    /// MAPE in percent that a perfect predictor would show on these data, if they contain enough repeats.
    pub noise_floor: Option<f64>,
    /// Number of rows that it was trained on.
    pub n_train: usize,
    /// Seed of the training.
    pub seed: u64,
    /// Version of lat that trained it.
    pub lat_version: String,
}

impl Label {
    /// A label for a space, encoding and column. The device and the settings come from the measurements' header.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] if the header belongs to another space.
    pub fn new(
        space: &dyn Space,
        encoding: &str,
        column: &str,
        header: Option<&RunHeader>,
    ) -> Result<Self, PredictError> {
        if let Some(header) = header.filter(|h| h.space != space.id()) {
            return Err(PredictError::Mismatch {
                what: "measurements of search space",
                expected: space.id().to_owned(),
                found: header.space.clone(),
                advice: "name the space that was measured, with --space",
            });
        }
        Ok(Self {
            space: space.id().to_owned(),
            declaration: space.declaration().map(str::to_owned),
            encoding: encoding.to_owned(),
            decisions: DecisionLabel::all(space),
            column: column.to_owned(),
            unit: unit(column).to_owned(),
            device_name: header.map(|h| h.device_name.clone()),
            batch: header.map(|h| h.batch),
            reference_ms: header.and_then(|h| h.reference_ms),
            point: header.map(|h| h.point),
            skeleton: header.map(|h| h.skeleton),
            sources: Vec::new(),
            regressor: String::new(),
            errors: None,
            noise_floor: None,
            n_train: 0,
            seed: 0,
            lat_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

impl Label {
    /// The space that is predicted: the one declared in the label, or the built-in one with this name.
    ///
    /// # Errors
    /// [`PredictError::Space`] if this program has no such space.
    pub fn read_space(&self) -> Result<Box<dyn Space>, PredictError> {
        match &self.declaration {
            Some(declaration) => Ok(Box::new(DeclaredSpace::read_kept(declaration)?)),
            None => Ok(find_space(&self.space)?),
        }
    }
}

fn named_now<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(current_name(&String::deserialize(from)?).to_owned())
}
