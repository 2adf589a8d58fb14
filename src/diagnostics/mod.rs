//! Numbers per epoch, kept in the log, that distinguish a healthy search from one that collapses.
//!
//! The five problems of differentiable search are those of "Survey on Differentiable Architecture Search". Skip dominance is counted
//! as in DARTS+ (Liang et al. 2019, arXiv 1909.06035), curvature is that of `RobustDARTS` (Zela et al. 2020, arXiv 1909.09656). All
//! numbers are computed on the same images each time, the first of the validation half, in training mode as in a step. Weights,
//! moments, running statistics and generators are unchanged afterwards, to the bit.

mod collapse;
mod curvature;
mod logit_gates;
mod matthew;
mod pressure;

use lat_data::nullable;
use lat_nn::guard;
use lat_space::{Architecture, Decision, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

pub use collapse::{Collapse, collapse};
pub use curvature::dominant_eigenvalue;
pub use matthew::gini;

use crate::accuracy::accuracy;
use crate::batches::Images;
use crate::error::SearchError;
use crate::methods::Method;
use crate::objective::Objective;
use crate::supernet::{CellSupernet, Gating, Path, SharedGates, Supernet};
use logit_gates::LogitGates;

/// Number of batches on which losses before and after derivation are compared.
const GAP_BATCHES: usize = 2;

/// Which diagnostics to compute while a search runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Whether to compute [`Diagnostics`] after each epoch.
    pub diagnostics: bool,
    /// Number of epochs between two computations of the curvature; 0 means never.
    pub hessian_every: u32,
    /// Whether to end the search when it collapses, with the architecture from before.
    pub stop_on_collapse: bool,
}

impl Watch {
    /// Computes nothing.
    pub const OFF: Self = Self { diagnostics: false, hessian_every: 0, stop_on_collapse: false };
}

impl Default for Watch {
    fn default() -> Self {
        Self { diagnostics: true, ..Self::OFF }
    }
}

/// The numbers of one epoch. A number is missing if the method does not have it (a supernet that never runs as a mixture has no
/// gradient of the mixture) or if it is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Average over the decisions of the total probability of choices without weights: `none`, skips and pools.
    #[serde(with = "nullable")]
    pub free_mass: f64,
    /// Largest entropy of a decision's choice probabilities, in nats.
    #[serde(with = "nullable")]
    pub max_entropy: f64,
    /// Largest share of skip connections among a cell type's kept edges, in the architecture that would be derived.
    #[serde(with = "nullable")]
    pub skip_share: f64,
    /// Share of all kept edges of that architecture whose operation has no weights.
    #[serde(with = "nullable")]
    pub free_share: f64,
    /// Accuracy on the training half minus accuracy on the validation half, in percentage points.
    #[serde(with = "nullable")]
    pub generalisation_gap: f64,
    /// Cross entropy of that architecture with the supernet's weights and the batch's own BN statistics.
    pub derived_loss: Option<f64>,
    /// Accuracy of that architecture, percent.
    pub derived_accuracy: Option<f64>,
    /// `derived_loss` minus the supernet's own loss on the same images. It is large if the search relied on the mixture.
    pub discretisation_gap: Option<f64>,
    /// Gini coefficient of the gradients' sizes so far (each divided by the square root of its number of weights) over an edge's
    /// operations, averaged over the edges: 0 if all operations learn equally, (K-1)/K if one takes everything.
    pub gradient_gini: Option<f64>,
    /// Spearman correlation, over all edges and operations with weights, between probability and that gradient size: near 1 if the
    /// rich get richer.
    pub rich_get_richer: Option<f64>,
    /// Share of the task's gradient for the logits (sum of magnitudes) that belongs to choices without weights.
    pub free_gradient_share: Option<f64>,
    /// Share of the cost in the logits' gradient: its norm divided by the sum of both norms, computed for the expected code.
    pub cost_gradient_share: Option<f64>,
    /// Cosine between the gradients of task and cost: -1 if accuracy and cost pull in opposite directions.
    pub cost_gradient_cosine: Option<f64>,
    /// Dominant eigenvalue of the Hessian of the validation loss with respect to the logits, if it was computed.
    pub hessian_eigenvalue: Option<f64>,
}

/// The state of a search between two epochs.
pub(crate) struct Subject<'a, 'c> {
    pub(crate) space: &'a dyn SearchSpace,
    pub(crate) net: &'a CellSupernet,
    pub(crate) method: &'a dyn Method,
    pub(crate) objective: Option<&'a Objective<'c>>,
    pub(crate) images: &'a Images,
    /// Indices of the validation half, always in this order.
    pub(crate) valid: &'a [usize],
    pub(crate) batch: usize,
}

impl Subject<'_, '_> {
    /// Computes everything but the accuracies, which the caller has. The curvature costs some forty passes.
    pub(crate) fn examine(&self, hessian: bool) -> Result<Diagnostics, SearchError> {
        guard(|| keeping_statistics(self.net, || self.look(hessian)))?
    }

    fn look(&self, hessian: bool) -> Result<Diagnostics, SearchError> {
        let decisions = self.space.decisions();
        let relaxed = self.method.relaxed();
        let derived = self.method.derive(self.space);
        let gates = self.method.gates(self.space, self.net);
        let (skip_share, free_share) = shares(decisions, &derived);
        let (derived_loss, derived_accuracy) =
            self.answer(&SharedGates::hard(decisions, &derived, relaxed.probs[0].device()));
        let (supernet_loss, _) = self.answer(gates.as_ref());
        let (gradient_gini, rich_get_richer) = matthew::effect(self.net, self.method, &relaxed);
        let found = Diagnostics {
            free_mass: free_mass(decisions, &relaxed.probs),
            max_entropy: relaxed.probs.iter().map(entropy).fold(0.0, f64::max),
            skip_share,
            free_share,
            generalisation_gap: 0.0,
            derived_loss: finite(derived_loss),
            derived_accuracy: finite(derived_accuracy),
            discretisation_gap: finite(derived_loss - supernet_loss),
            gradient_gini,
            rich_get_richer,
            ..Diagnostics::default()
        };
        if !is_mixture(self.net, gates.as_ref()) {
            return Ok(found);
        }
        let logits = LogitGates::new(gates.as_ref(), &relaxed.probs);
        let batch = self.images.plain(&self.valid[..self.batch.min(self.valid.len())]);
        let loss = self.net.forward_t(&batch.images, &logits, true);
        let loss = loss.cross_entropy_for_logits(&batch.labels);
        let pressure = pressure::of(self, &logits, &loss)?;
        let hessian_eigenvalue = hessian.then(|| curvature::of(&logits, &loss)).and_then(finite);
        Ok(Diagnostics { hessian_eigenvalue, ..pressure.into(found) })
    }

    /// Loss and accuracy (percent) on the first batches, with their own BN statistics.
    fn answer(&self, gates: &dyn Gating) -> (f64, f64) {
        let n = (GAP_BATCHES * self.batch).min(self.valid.len());
        accuracy(self.images, &self.valid[..n], self.batch, |batch| {
            self.net.forward_t(&batch.images, gates, true)
        })
    }
}

/// Runs a function that updates running statistics, and restores them afterwards.
fn keeping_statistics<T>(net: &CellSupernet, look: impl FnOnce() -> T) -> T {
    let buffers = net.weights().variables().into_values().filter(|t| !t.requires_grad());
    let saved: Vec<(Tensor, Tensor)> = buffers.map(|t| (t.copy(), t)).collect();
    let found = look();
    tch::no_grad(|| saved.into_iter().for_each(|(old, mut now)| now.copy_(&old)));
    found
}

/// Whether the method runs several operations of an edge at once. A method that runs single paths must not be asked for a mixture,
/// for which there may not be enough memory.
fn is_mixture(net: &CellSupernet, gates: &dyn Gating) -> bool {
    net.sites().into_iter().any(|(decision, cell)| {
        gates.gate(decision, cell).paths.iter().filter(|path| **path == Path::On).count() > 1
    })
}

fn free_mass(decisions: &[Decision], probs: &[Tensor]) -> f64 {
    let free = |(decision, probs): (&Decision, &Tensor)| -> f64 {
        let choices = (0..decision.choices.len()).filter(|&c| decision.is_weightless(c));
        choices.map(|c| probs.double_value(&[c as i64])).sum()
    };
    // The sum of no numbers is -0.0; adding 0.0 makes it 0.0.
    (0.0 + decisions.iter().zip(probs).map(free).sum::<f64>()) / decisions.len() as f64
}

/// Entropy of probabilities in nats.
pub(crate) fn entropy(probs: &Tensor) -> f64 {
    -(probs * probs.clamp_min(1e-30).log()).sum(Kind::Float).double_value(&[])
}

/// Largest share of skips among a cell type's kept edges, and share of operations without weights among all kept edges.
fn shares(decisions: &[Decision], architecture: &Architecture) -> (f64, f64) {
    // For each cell type the number of kept edges and of skips.
    let mut cells: Vec<(&str, f64, f64)> = Vec::new();
    let (mut kept, mut free) = (0.0, 0.0);
    for (decision, set) in decisions.iter().zip(&architecture.choices) {
        let ops: Vec<usize> = set.iter().filter(|c| Some(*c) != decision.none()).collect();
        if ops.is_empty() {
            continue;
        }
        if !cells.iter().any(|cell| cell.0 == decision.cell_type()) {
            cells.push((decision.cell_type(), 0.0, 0.0));
        }
        let cell = cells.iter_mut().find(|cell| cell.0 == decision.cell_type());
        let cell = cell.expect("it was added above");
        cell.1 += 1.0;
        cell.2 += f64::from(u8::from(ops.iter().any(|&c| decision.choices[c].is_skip())));
        kept += 1.0;
        free += f64::from(u8::from(ops.iter().all(|&c| decision.is_weightless(c))));
    }
    let skips = cells.iter().map(|(_, kept, skips)| skips / kept).fold(0.0, f64::max);
    (skips, if kept > 0.0 { free / kept } else { 1.0 })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(choices: &[&str], n: usize) -> Vec<Decision> {
        let cell = |i| if i < 2 { "normal" } else { "reduce" };
        (0..n).map(|i| Decision::edge(cell(i), (0, i), choices)).collect()
    }

    // Number 2 of the survey's card, its count by hand; the dynamics are in tests/cards/survey.rs.
    #[test]
    fn survey_2_shares_are_those_counted_by_hand() {
        let decisions = edges(&["none", "skip_connect", "max_pool_3x3", "sep_conv_3x3"], 4);
        let of = |choices: [usize; 4]| shares(&decisions, &Architecture::new("toy", choices));
        assert_eq!(of([1, 3, 3, 3]), (0.5, 0.25));
        assert_eq!(of([1, 0, 2, 3]), (1.0, 2.0 / 3.0));
        assert_eq!(of([0; 4]), (0.0, 1.0), "an empty architecture has nothing that learns");
    }

    #[test]
    fn free_mass_adds_up_what_has_no_weights() {
        let decisions = edges(&["none", "skip_connect", "sep_conv_3x3"], 2);
        let probs = [[0.1f32, 0.2, 0.7], [0.3, 0.3, 0.4]].map(|p| Tensor::from_slice(&p));
        assert!((free_mass(&decisions, &probs) - 0.45).abs() < 1e-6);
        assert!((entropy(&Tensor::from_slice(&[0.5f32, 0.5])) - 2f64.ln()).abs() < 1e-6);
        assert!(entropy(&Tensor::from_slice(&[1.0f32, 0.0])).abs() < 1e-6);
    }
}
