//! What searches and evaluations left in their JSON files, as far as pages need it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lat_data::{OperatingPoint, PublishedAccuracy};
use lat_space::Skeleton;
use serde::{Deserialize, Deserializer};

use crate::diagnostics::Collapse;

/// `search.json`. What a file of another version lacks is nothing.
#[derive(Debug, Clone, Deserialize)]
pub struct SearchRecord {
    /// Id of the space.
    pub space: String,
    /// Name of the method.
    pub method: String,
    /// Data set by name.
    pub dataset: String,
    /// The supernet's skeleton.
    pub skeleton: Skeleton,
    /// Images per batch.
    pub batch: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// What the search was after, in words.
    pub goal: String,
    /// Options of the method as given.
    #[serde(default)]
    pub options: String,
    /// The derived architecture as text.
    pub architecture: String,
    /// Published accuracy of that architecture in percent by column, as the search saw it.
    #[serde(default)]
    pub published_accuracy: Option<BTreeMap<String, f64>>,
    /// Where that is from.
    #[serde(default)]
    pub published_accuracy_source: Option<String>,
    /// The published accuracy that pages show; it is in no file, whoever draws a page fills it in.
    #[serde(skip)]
    pub published: Option<PublishedAccuracy>,
    /// File of the predictor that the cost is from.
    #[serde(default)]
    pub predictor: Option<PathBuf>,
    /// Column of the cost.
    pub column: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// Expected cost of the relaxed architecture at the end.
    pub relaxed: Option<f64>,
    /// Predicted cost of the derived architecture.
    pub predicted: Option<f64>,
    /// Measured cost of the derived architecture.
    pub measured: Option<f64>,
    /// Where it was measured, or why not.
    #[serde(default)]
    pub measurement: String,
    /// Cost of the average architecture (`T_ref`).
    pub reference: Option<f64>,
    /// Trainable parameters.
    pub params: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
    /// Where the search collapsed.
    #[serde(default)]
    pub collapse: Option<Collapse>,
    /// Whether it was stopped there.
    #[serde(default)]
    pub stopped_on_collapse: bool,
    /// Seconds the search took.
    pub seconds: f64,
    /// The log, an entry per epoch.
    pub log: Vec<EpochRecord>,
}

/// One epoch of a search. Numbers that JSON cannot say (a loss that ran away) are nothing.
#[derive(Debug, Clone, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// Mean cross entropy on the training half.
    pub train_loss: Option<f64>,
    /// Correct answers on the training half, percent.
    pub train_accuracy: Option<f64>,
    /// Mean cross entropy on the validation half.
    pub valid_loss: Option<f64>,
    /// Correct answers on the validation half, percent.
    pub valid_accuracy: Option<f64>,
    /// Expected cost of the relaxed architecture.
    pub relaxed_cost: Option<f64>,
    /// Cost of the architecture that would be derived then.
    pub derived_cost: Option<f64>,
    /// Skip connections in it, per cell type.
    #[serde(default)]
    pub skips: Vec<(String, usize)>,
    /// Mean entropy of the choice probabilities in nats.
    pub alpha_entropy: Option<f64>,
    /// Per decision the choice probabilities.
    #[serde(default)]
    pub probabilities: Vec<Vec<f64>>,
    /// The fields of `lat::diagnostics::Diagnostics` by name.
    #[serde(default, deserialize_with = "fields")]
    pub diagnostics: BTreeMap<String, Option<f64>>,
    /// Seconds the epoch took.
    pub seconds: Option<f64>,
}

/// A search that was not looked at has `null` there.
fn fields<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Option<f64>>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `evaluation.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct EvaluationRecord {
    /// The architecture as text.
    pub architecture: String,
    /// Id of the space.
    pub space: String,
    /// Data set by name.
    pub dataset: String,
    /// The network's skeleton.
    pub skeleton: Skeleton,
    /// Seed of everything random.
    pub seed: u64,
    /// Share of correct answers on the test images, percent.
    pub test_accuracy: f64,
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
}

impl SearchRecord {
    /// Reads the text of a `search.json`.
    ///
    /// # Errors
    /// What is missing or broken, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if record.log.is_empty() {
            return Err("a log without an epoch".to_owned());
        }
        Ok(record)
    }

    /// The unit of its costs; empty where it has none.
    pub fn unit(&self) -> &str {
        match self.unit.as_deref() {
            Some("1") | None => "",
            Some(unit) => unit,
        }
    }
}

impl EvaluationRecord {
    /// Reads the text of an `evaluation.json`.
    ///
    /// # Errors
    /// What is missing or broken, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As `lat search` writes it.
    pub(crate) const SEARCH: &str = r#"{
      "space": "nasbench201", "method": "darts", "dataset": "digits",
      "skeleton": {"channels": 16, "layers": 3, "resolution": 8, "classes": 10, "stem": "cifar"},
      "epochs": 2, "batch": 64, "seed": 3, "goal": "lambda 0.1 on latency_ms", "options": "Quick",
      "architecture": "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
      "column": "latency_ms", "unit": "ms", "relaxed": 0.40, "predicted": 0.27, "measured": 0.28,
      "measurement": "on CPU <1>", "reference_ms": 0.5, "reference": 0.43, "params": 78906,
      "multiply_adds": 551552, "seconds": 25.8,
      "log": [
        {"epoch": 1, "train_loss": 1.5, "train_accuracy": 60.0, "valid_loss": null, "valid_accuracy": 55.0,
         "relaxed_cost": 0.43, "derived_cost": 0.3, "skips": [["cell", 2]], "alpha_entropy": 1.6,
         "architecture": "", "seconds": 2.0},
        {"epoch": 2, "train_loss": 0.5, "train_accuracy": 90.0, "valid_loss": 0.7, "valid_accuracy": 85.0,
         "relaxed_cost": 0.40, "derived_cost": 0.27, "skips": [["cell", 1]], "alpha_entropy": 1.5,
         "architecture": "", "seconds": 2.0}]
    }"#;

    #[test]
    fn the_log_is_read() {
        let record = SearchRecord::read(SEARCH).unwrap();
        assert_eq!((record.log.len(), record.log[0].valid_loss), (2, None));
        assert_eq!((record.unit(), record.log[1].skips[0].1), ("ms", 1));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(SearchRecord::read("{}").unwrap_err().contains("missing field `space`"));
        assert!(SearchRecord::read("{").unwrap_err().contains("EOF"));
        let (before, _) = SEARCH.split_once("\"log\": [").unwrap();
        let error = SearchRecord::read(&format!("{before} \"log\": []}}")).unwrap_err();
        assert!(error.contains("without an epoch"), "{error}");
    }
}
