//! The contents of `search.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CostPlace, Published};
use crate::diagnostics::Collapse;
use crate::finalists::{Answer, Finalist};
use crate::search::{EpochReport, SearchSettings};

/// The result of a search. Costs are in `unit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// The settings that identify the search.
    #[serde(flatten)]
    pub settings: SearchSettings,
    /// The architecture found, as text.
    pub architecture: String,
    /// The architecture that the method's own rule derives. The finalists may have led to another.
    #[serde(default)]
    pub most_probable: Option<String>,
    /// Predicted cost of that architecture.
    #[serde(default)]
    pub most_probable_predicted: Option<f64>,
    /// The short list of finalists within the budget, best first.
    #[serde(default)]
    pub finalists_best: Vec<Finalist>,
    /// The finalists (or all architectures that evolution judged) that no other beats in both cost and score, cheapest first; empty
    /// if the search had no cost.
    #[serde(default)]
    pub front: Vec<Finalist>,
    /// The best architecture for each target, if there were several targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// The highest cost that the goal allowed: a target, the cost that lambda asks for, or the cost that a product's search arrived at.
    #[serde(default)]
    pub budget: Option<f64>,
    /// Cost of the architecture that the score alone would pick.
    #[serde(default)]
    pub free_cost: Option<f64>,
    /// The epoch in which the search collapsed; None if it did not.
    #[serde(default)]
    pub collapse: Option<Collapse>,
    /// Whether the search ended there. Then the architecture, `predicted` and `measured` belong to the epoch that was kept, but
    /// `relaxed` and its gap to the collapsed state.
    #[serde(default)]
    pub stopped_on_collapse: bool,
    /// Published accuracy of the architecture.
    #[serde(flatten)]
    pub published: Published,
    /// File of the predictor that gave the cost.
    #[serde(default)]
    pub predictor: Option<PathBuf>,
    /// Where and how the cost model's training data was measured; None if the cost is counted or this is not known.
    #[serde(default)]
    pub place: Option<CostPlace>,
    /// Column of the cost; None in a search for accuracy alone.
    pub column: Option<String>,
    /// Unit of the cost.
    pub unit: Option<String>,
    /// Expected cost of the relaxed architecture at the end.
    pub relaxed: Option<f64>,
    /// Average cost of 1000 architectures drawn from the relaxed one.
    #[serde(default)]
    pub relaxed_sampled: Option<f64>,
    /// How far `relaxed` is above that average, percent.
    #[serde(default)]
    pub relaxation_gap_percent: Option<f64>,
    /// Standard error of that gap due to the random draws, percent.
    #[serde(default)]
    pub relaxation_gap_error_percent: Option<f64>,
    /// Predicted cost of the derived architecture. It does not include the risk, while `relaxed` and `reference` do.
    pub predicted: Option<f64>,
    /// Measured cost of the derived architecture.
    pub measured: Option<f64>,
    /// Where it was measured, or why not.
    #[serde(default)]
    pub measurement: String,
    /// Undisturbed time of the CPU's reference network that the measured times are based on, milliseconds.
    #[serde(default)]
    pub reference_ms: Option<f64>,
    /// Cost of the average architecture (`T_ref`).
    pub reference: Option<f64>,
    /// Trainable parameters of the derived architecture.
    pub params: u64,
    /// Its multiply-adds for one image.
    pub multiply_adds: u64,
    /// Seconds of all processes that worked on the search, added up.
    pub seconds: f64,
    /// Largest memory of any process, MiB: memory allocated on the GPU, or else the growth of the process.
    #[serde(default)]
    pub peak_memory_mib: Option<f64>,
    /// The log, one entry per epoch; at least one.
    pub log: Vec<EpochReport>,
}

impl SearchRecord {
    /// The file's name in the search's folder.
    pub const FILE: &str = "search.json";

    /// Reads the text of a `search.json`.
    ///
    /// # Errors
    /// A sentence about the field that is missing or has another type.
    pub fn read(text: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if record.log.is_empty() {
            return Err("a log without an epoch".to_owned());
        }
        Ok(record)
    }

    /// The unit of the costs; empty if there is none.
    pub fn unit(&self) -> &str {
        match self.unit.as_deref() {
            Some("1") | None => "",
            Some(unit) => unit,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file as the first version of `lat search` wrote it.
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
    fn a_file_of_the_first_version_is_read() {
        let record = SearchRecord::read(SEARCH).unwrap();
        assert!(record.log.len() == 2 && record.log[0].valid_loss.is_nan());
        assert_eq!((record.unit(), record.log[1].skips[0].1), ("ms", 1));
        assert_eq!((record.settings.finalists, record.finalists_best.len()), (1, 0));
        assert_eq!((record.most_probable, record.published), (None, Published::default()));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut record = SearchRecord::read(SEARCH).unwrap();
        record.log[0].valid_loss = 0.9;
        record.published = Published {
            published_accuracy: serde_json::from_str(r#"{"b": 91.5, "a": 60.25}"#).unwrap(),
            published_accuracy_source: Some("them".into()),
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(SearchRecord::read(&text).unwrap(), record);
        let published = record.published.accuracy().unwrap();
        assert_eq!(published.to_string(), "published accuracy (them): b 91.50 %, a 60.25 %");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| SearchRecord::read(text).unwrap_err();
        assert!(error("{").contains("EOF"));
        for field in ["space", "architecture", "params", "log"] {
            let without = SEARCH.replacen(&format!("\"{field}\":"), "\"other\":", 1);
            let error = error(&without);
            assert!(error.contains(&format!("missing field `{field}`")), "{error}");
        }
        for (field, value) in [("seed", "\"a\""), ("params", "0.5"), ("relaxed", "\"0.4\"")] {
            let key = format!("\"{field}\": ");
            let (before, after) = SEARCH.split_once(&key).unwrap();
            let (_, after) = after.split_once(',').unwrap();
            let error = error(&format!("{before}{key}{value},{after}"));
            assert!(error.contains("invalid type"), "{error}");
        }
        let (before, _) = SEARCH.split_once("\"log\": [").unwrap();
        let error = error(&format!("{before} \"log\": []}}"));
        assert!(error.contains("without an epoch"), "{error}");
    }
}
