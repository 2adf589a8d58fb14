//! The contents of `evaluation.json`.

use lat_data::OperatingPoint;
use serde::{Deserialize, Serialize};

use super::Published;
use crate::evaluate::EvaluationSettings;

/// The result of an evaluation: an architecture trained from scratch or from extracted weights, and tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// The evaluation's settings.
    #[serde(flatten)]
    pub settings: EvaluationSettings,
    /// Published accuracy of the architecture.
    #[serde(flatten)]
    pub published: Published,
    /// Share of correct answers on the test images, percent.
    pub test_accuracy: f64,
    /// Cross entropy on the test images.
    #[serde(with = "lat_data::nullable")]
    pub test_loss: f64,
    /// Trainable parameters.
    pub params: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
    /// Median latency of one image on the device, milliseconds.
    pub latency_ms: Option<f64>,
    /// The device's model.
    pub device_name: String,
    /// How the network ran while it was timed; None in files of older versions, which measured eagerly even on GPUs.
    #[serde(default)]
    pub operating_point: Option<OperatingPoint>,
    /// Seconds of training, test and measurement, added up over all processes.
    pub seconds: f64,
}

impl EvaluationRecord {
    /// The file's name in the evaluation's folder.
    pub const FILE: &str = "evaluation.json";

    /// Reads the text of an `evaluation.json`.
    ///
    /// # Errors
    /// A sentence about the field that is missing or has another type.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }
}
