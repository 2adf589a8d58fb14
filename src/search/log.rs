//! The records of a search: its settings, and one line per epoch.

use lat_data::nullable;
use lat_space::Skeleton;
use serde::{Deserialize, Serialize};

use crate::cost_id::CostId;
use crate::diagnostics::Diagnostics;
use crate::ending::Ending;

/// All settings that identify a search. A checkpoint of a search with other settings is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchSettings {
    /// Id of the space.
    pub space: String,
    /// Name of the method.
    pub method: String,
    /// Name of the data set.
    pub dataset: String,
    /// Checksum of its images and labels, [`lat_data::Dataset::checksum`]; empty in files of older versions.
    #[serde(default)]
    pub images: String,
    /// The supernet's skeleton.
    pub skeleton: Skeleton,
    /// Number of epochs.
    pub epochs: u32,
    /// Images per batch.
    pub batch: u32,
    /// Seed for everything random.
    pub seed: u64,
    /// The goal of the search in words: `lambda 0.1`, `target 12 ms`.
    pub goal: String,
    /// Options of the method, as given.
    pub options: String,
    /// Standard deviations added to the predicted cost.
    #[serde(default)]
    pub risk: f64,
    /// Number of architectures compared at the end; 1 means that the most probable one is taken without comparing.
    #[serde(default = "one")]
    pub finalists: u32,
    /// How the search ends.
    #[serde(default, skip_serializing_if = "Ending::is_finalists")]
    pub ending: Ending,
    /// Rule for recomputing batch norm for subnets of the supernet, as [`lat_nn::BnRule::name`]; empty if no subnets are judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bn_rule: String,
    /// Number of images that batch norm's statistics cover in training; 0: those of the whole batch, even if several processes share it.
    #[serde(default, skip_serializing_if = "is_batch")]
    pub bn_images: u32,
    /// The goal of the search's steps: the search's goal, or `lambda 0` if only the last step uses it. Searches that differ in goal
    /// or finalists but not in this may continue from each other's checkpoint.
    #[serde(default)]
    pub steps_goal: String,
    /// The cost model; None if there is none, and in files of older versions.
    #[serde(default)]
    pub cost_model: Option<CostId>,
}

/// `steps_goal` of steps that do not see the cost.
pub const NO_COST: &str = "lambda 0";
/// `steps_goal` of steps that see the cost but no goal: the training depends only on the cost model.
pub const COST_ALONE: &str = "any, by the cost model";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_batch(bn_images: &u32) -> bool {
    *bn_images == 0
}

fn one() -> u32 {
    1
}

/// One line of the log. A loss that diverged is NaN here and null in files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Average cross entropy on the training half; for a one-level method on all training images.
    #[serde(with = "nullable")]
    pub train_loss: f64,
    /// Share of correct answers on the training half, percent.
    #[serde(with = "nullable")]
    pub train_accuracy: f64,
    /// Average cross entropy on the validation half in eval mode. A one-level method has trained on this half too.
    #[serde(with = "nullable")]
    pub valid_loss: f64,
    /// Share of correct answers on the validation half, percent.
    #[serde(with = "nullable")]
    pub valid_accuracy: f64,
    /// Expected cost of the relaxed architecture, in the cost's unit.
    pub relaxed_cost: Option<f64>,
    /// Cost of the architecture that would be derived now.
    pub derived_cost: Option<f64>,
    /// How much the relaxed cost exceeds the average cost of 200 architectures drawn from the same probabilities, percent.
    #[serde(default)]
    pub relaxation_gap_percent: Option<f64>,
    /// Average share of the cost in the architecture's gradient over the epoch's steps: the norm of the cost's gradient divided by
    /// the sum of both norms, after the bound.
    #[serde(default)]
    pub cost_share: Option<f64>,
    /// Number of skip connections in the architecture that would be derived now, per cell type.
    pub skips: Vec<(String, usize)>,
    /// Average entropy of the choice probabilities in nats.
    #[serde(with = "nullable")]
    pub alpha_entropy: f64,
    /// For each decision the choice probabilities, rounded to four digits.
    #[serde(default)]
    pub probabilities: Vec<Vec<f64>>,
    /// The architecture that would be derived now, as text.
    pub architecture: String,
    /// Measures that tell a healthy search from one that collapses; None if they were not computed in this epoch.
    #[serde(default)]
    pub diagnostics: Option<Diagnostics>,
    /// Seconds the epoch took.
    #[serde(with = "nullable")]
    pub seconds: f64,
}

impl SearchSettings {
    /// The first setting in which two searches differ, as (name, this, other). The number of epochs counts too, because it changes
    /// every schedule. Cost models are compared separately by [`SearchSettings::other_cost`].
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let pairs = [
            ("space", self.space.clone(), other.space.clone()),
            ("method", self.method.clone(), other.method.clone()),
            ("data set", self.dataset.clone(), other.dataset.clone()),
            ("content of the data set", known(&self.images, other), known(&other.images, self)),
            ("skeleton", self.skeleton.to_string(), other.skeleton.to_string()),
            ("epochs", self.epochs.to_string(), other.epochs.to_string()),
            ("batch", self.batch.to_string(), other.batch.to_string()),
            ("images per batch norm", self.bn_images().to_string(), other.bn_images().to_string()),
            ("seed", self.seed.to_string(), other.seed.to_string()),
            ("goal", self.steps_goal().to_owned(), other.steps_goal().to_owned()),
            ("risk", self.risk.to_string(), other.risk.to_string()),
            ("method options", self.options.clone(), other.options.clone()),
        ];
        pairs.into_iter().find(|(_, a, b)| a != b)
    }

    /// The two cost models, this search's and the other's, if both are known and differ.
    pub fn other_cost<'a>(&'a self, other: &'a Self) -> Option<(&'a CostId, &'a CostId)> {
        let both = self.cost_model.as_ref().zip(other.cost_model.as_ref());
        both.filter(|(ours, theirs)| ours != theirs)
    }

    /// Whether the search's steps depend on the cost model. They do not if there is no cost, or only finalists use it.
    pub fn steps_see_cost(&self) -> bool {
        self.steps_goal() != NO_COST
    }

    fn bn_images(&self) -> u32 {
        if self.bn_images == 0 { self.batch } else { self.bn_images }
    }

    fn steps_goal(&self) -> &str {
        if self.steps_goal.is_empty() { &self.goal } else { &self.steps_goal }
    }
}

/// The checksum, or an empty text if the other search has none to compare with.
fn known(checksum: &str, other: &SearchSettings) -> String {
    if other.images.is_empty() { String::new() } else { checksum.to_owned() }
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, SearchSpace};

    use super::SearchSettings;
    use crate::cost_id::CostId;
    use crate::ending::Ending;

    fn settings() -> SearchSettings {
        SearchSettings {
            space: "nasbench201".into(),
            method: "darts".into(),
            dataset: "digits".into(),
            images: "00000001".into(),
            skeleton: NasBench201::new().skeletons()[0].skeleton,
            epochs: 2,
            batch: 64,
            seed: 0,
            goal: "lambda 0".into(),
            options: "Quick".into(),
            risk: 0.0,
            finalists: 1,
            ending: Ending::Finalists,
            bn_rule: String::new(),
            bn_images: 0,
            steps_goal: String::new(),
            cost_model: None,
        }
    }

    #[test]
    fn whatever_makes_two_searches_differ_is_named() {
        type Change = fn(&mut SearchSettings);
        assert_eq!(settings().difference(&settings()), None);
        let changes: [(&str, Change); 11] = [
            ("space", |s| s.space = "darts".into()),
            ("method", |s| s.method = "gdas".into()),
            ("data set", |s| s.dataset = "cifar10".into()),
            ("content of the data set", |s| s.images = "00000002".into()),
            ("skeleton", |s| s.skeleton.channels += 1),
            ("epochs", |s| s.epochs += 1),
            ("batch", |s| s.batch += 1),
            ("seed", |s| s.seed += 1),
            ("goal", |s| s.goal = "lambda 1".into()),
            ("risk", |s| s.risk = 1.0),
            ("method options", |s| s.options = "Paper".into()),
        ];
        for (name, change) in changes {
            let mut other = settings();
            change(&mut other);
            let (found, ours, theirs) = settings().difference(&other).expect(name);
            assert!(found == name && ours != theirs, "{found}, {name}");
        }
        let older = SearchSettings { images: String::new(), ..settings() };
        assert_eq!(settings().difference(&older), None, "it did not say");
        assert_eq!(older.difference(&settings()), None);
    }

    #[test]
    fn cost_models_differ_by_content_where_both_are_known() {
        let with = |column: &str, source: &str, checksum: &str| SearchSettings {
            cost_model: Some(CostId {
                column: column.into(),
                source: source.into(),
                checksum: checksum.into(),
            }),
            ..settings()
        };
        let ours = with("latency_ms", "predictor a.lat", "1");
        assert!(ours.other_cost(&with("latency_ms", "predictor moved.lat", "1")).is_none());
        assert!(ours.other_cost(&settings()).is_none() && settings().other_cost(&ours).is_none());
        assert!(ours.other_cost(&with("latency_ms", "predictor a.lat", "2")).is_some());
        assert!(ours.other_cost(&with("energy_mj", "predictor a.lat", "1")).is_some());
        assert!(!settings().steps_see_cost());
    }
}
