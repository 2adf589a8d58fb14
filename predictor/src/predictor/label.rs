//! What a predictor is of: space, encoding, unit, device, errors.

use lat_data::{OperatingPoint, RunHeader, known_point, unit};
use lat_space::{DeclaredSpace, Skeleton, Space, find_space};
use serde::{Deserialize, Deserializer, Serialize};

use crate::regressor::current_name;
use crate::{Metrics, PredictError};

/// A decision as the predictor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLabel {
    /// Its name.
    pub name: String,
    /// Its choices in order; gates are all choices of all decisions.
    pub choices: Vec<String>,
}

impl DecisionLabel {
    /// Those of a space.
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

/// What a predictor predicts and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Id of the search space.
    pub space: String,
    /// The TOML text that declares the space, where it is not built in.
    #[serde(default)]
    pub declaration: Option<String>,
    /// Id of the encoding: `one-hot`, `counts` or `structured`.
    pub encoding: String,
    /// The space's decisions in their order.
    pub decisions: Vec<DecisionLabel>,
    /// What is predicted: `latency_ms`.
    pub column: String,
    /// Its unit, by [`lat_data::unit`]: `ms`.
    pub unit: String,
    /// Model of the device measured, where the data say it.
    pub device_name: Option<String>,
    /// Images per batch, where the data say it.
    pub batch: Option<u32>,
    /// The measurements' [`RunHeader::reference_ms`], to measure others on the same scale.
    pub reference_ms: Option<f64>,
    /// How the measured networks ran, where the data say it: the fields `precision`, `mode`, `channels_last` and `cold`.
    #[serde(flatten, with = "known_point")]
    pub point: Option<OperatingPoint>,
    /// Macro architecture of the measured networks, where the data say it.
    pub skeleton: Option<Skeleton>,
    /// Devices of the predictors that it was transferred from, where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Name of the regressor; that of files of before is read as what it is called now.
    #[serde(deserialize_with = "named_now")]
    pub regressor: String,
    /// Errors on rows it was not trained on, where there were such.
    pub errors: Option<Metrics>,
    /// MAPE in percent that a perfect predictor would show on these data, where they hold enough repeats.
    pub noise_floor: Option<f64>,
    /// Rows it was trained on.
    pub n_train: usize,
    /// Seed of the training.
    pub seed: u64,
    /// Version of lat that trained it.
    pub lat_version: String,
}

impl Label {
    /// A label of a space, encoding and column; what the measurements' header knows comes from there.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] where the header is of another space.
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
    /// The space predicted for: the one declared in the label, or the built-in one of its name.
    ///
    /// # Errors
    /// [`PredictError::Space`] where this program has no such space.
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
