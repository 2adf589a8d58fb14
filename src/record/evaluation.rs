//! `evaluation.json`.

use lat_data::OperatingPoint;
use serde::{Deserialize, Serialize};

use super::Published;
use crate::evaluate::EvaluationSettings;

/// What an evaluation found: an architecture, trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// What was evaluated and how.
    #[serde(flatten)]
    pub settings: EvaluationSettings,
    /// What others found the architecture to be worth.
    #[serde(flatten)]
    pub published: Published,
    /// Share of correct answers on the test images, percent.
    pub test_accuracy: f64,
    /// Cross entropy on them.
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
    /// How the network ran while it was timed; nothing in what older programs wrote, which measured eagerly on GPUs too.
    #[serde(default)]
    pub operating_point: Option<OperatingPoint>,
    /// Seconds that training, test and measurement took, all processes together.
    pub seconds: f64,
}

impl EvaluationRecord {
    /// Its name in the folder.
    pub const FILE: &str = "evaluation.json";

    /// Reads the text of an `evaluation.json`.
    ///
    /// # Errors
    /// What is missing or of another type, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }
}
