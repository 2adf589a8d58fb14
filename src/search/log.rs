//! What is written of a search: which one it is, and a line per epoch.

use lat_data::nullable;
use lat_space::Skeleton;
use serde::{Deserialize, Serialize};

use crate::cost_id::CostId;
use crate::diagnostics::Diagnostics;
use crate::ending::Ending;

/// Everything that makes two searches the same search; a checkpoint of another is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchSettings {
    /// Id of the space.
    pub space: String,
    /// Name of the method.
    pub method: String,
    /// Data set by name.
    pub dataset: String,
    /// Checksum of its images and labels, [`lat_data::Dataset::checksum`]; empty in what older programs wrote.
    #[serde(default)]
    pub images: String,
    /// The supernet's skeleton.
    pub skeleton: Skeleton,
    /// Epochs and batch.
    pub epochs: u32,
    /// Images per batch.
    pub batch: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// What the search is after, in words: `lambda 0.1`, `target 12 ms`.
    pub goal: String,
    /// Options of the method as given.
    pub options: String,
    /// Standard deviations added to the predicted cost.
    #[serde(default)]
    pub risk: f64,
    /// Architectures that are compared at the end; 1: the most probable one is taken as it is.
    #[serde(default = "one")]
    pub finalists: u32,
    /// How it ends.
    #[serde(default, skip_serializing_if = "Ending::is_finalists")]
    pub ending: Ending,
    /// How batch norm is made anew for parts of the supernet, by [`lat_nn::BnRule::name`]; empty where no parts are judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bn_rule: String,
    /// Images behind batch norm's statistics in training; 0: those of the batch, also where several processes share it.
    #[serde(default, skip_serializing_if = "is_batch")]
    pub bn_images: u32,
    /// What the steps of the search are after: the goal, or `lambda 0` where only the last step looks at it. Searches that differ in
    /// goal or finalists but not in this may go on from one another's checkpoint.
    #[serde(default)]
    pub steps_goal: String,
    /// The cost model; nothing where there is none, and in what older programs wrote.
    #[serde(default)]
    pub cost_model: Option<CostId>,
}

/// The goal of steps that see no cost.
pub const NO_COST: &str = "lambda 0";
/// The goal of steps that look at the cost and at no goal: what is trained depends on the cost model alone.
pub const COST_ALONE: &str = "any, by the cost model";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_batch(bn_images: &u32) -> bool {
    *bn_images == 0
}

fn one() -> u32 {
    1
}

/// One line of the log. A loss that ran away is NaN here and null in files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: u32,
    /// Mean cross entropy on the training half; on all training images where the method has one level.
    #[serde(with = "nullable")]
    pub train_loss: f64,
    /// Share of correct answers on the training half, percent.
    #[serde(with = "nullable")]
    pub train_accuracy: f64,
    /// Mean cross entropy on the validation half in eval mode; a method of one level has trained on it too.
    #[serde(with = "nullable")]
    pub valid_loss: f64,
    /// Share of correct answers on the validation half, percent.
    #[serde(with = "nullable")]
    pub valid_accuracy: f64,
    /// Expected cost of the relaxed architecture, in the cost's unit.
    pub relaxed_cost: Option<f64>,
    /// Cost of the architecture that would be derived now.
    pub derived_cost: Option<f64>,
    /// By how much the relaxed cost is above the mean cost of 200 architectures drawn from the same probabilities, percent.
    #[serde(default)]
    pub relaxation_gap_percent: Option<f64>,
    /// Mean share of the cost in the architecture's gradient over the epoch's steps: its norm over the sum of the task's and its own,
    /// after the bound.
    #[serde(default)]
    pub cost_share: Option<f64>,
    /// Skip connections in that architecture, per cell type.
    pub skips: Vec<(String, usize)>,
    /// Mean entropy of the choice probabilities in nats.
    #[serde(with = "nullable")]
    pub alpha_entropy: f64,
    /// Per decision the choice probabilities, to four digits.
    #[serde(default)]
    pub probabilities: Vec<Vec<f64>>,
    /// The architecture that would be derived now, as text.
    pub architecture: String,
    /// What tells a healthy search from one that collapses; nothing where it was not looked at.
    #[serde(default)]
    pub diagnostics: Option<Diagnostics>,
    /// Seconds the epoch took.
    #[serde(with = "nullable")]
    pub seconds: f64,
}

impl SearchSettings {
    /// The first thing in which two searches differ, as (name, this, other). More epochs would change every schedule, so they
    /// count too. The cost model is compared by [`SearchSettings::other_cost`].
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

    /// The two cost models, this one's and the other's, where both are known and differ.
    pub fn other_cost<'a>(&'a self, other: &'a Self) -> Option<(&'a CostId, &'a CostId)> {
        let both = self.cost_model.as_ref().zip(other.cost_model.as_ref());
        both.filter(|(ours, theirs)| ours != theirs)
    }

    /// Whether the steps of the search depend on the cost model: not where nothing or finalists alone look at it.
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

/// A checksum, where the other search has one to compare with.
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
