//! A method's gates as a function of its logits, so that losses can be differentiated by the logits.

use lat_space::DecisionId;
use tch::{Kind, Tensor};

use crate::supernet::{Gate, Gating};

/// A method's gates as a function of changes of its logits, which are zero here. The weights are the method's, multiplied by
/// `exp(change) / sum_c p_c exp(change_c)`. If the weights are a softmax of logits, this is the softmax of the changed logits. Other
/// factors of a method (PC-DARTS' edges) stay constant.
pub(super) struct LogitGates<'a> {
    inner: &'a dyn Gating,
    /// The changes: for each decision `[n_choices]` zeros that require gradients.
    pub(super) changes: Vec<Tensor>,
    /// The factors of the weights: `[n_choices]` for each decision.
    factors: Vec<Tensor>,
    /// The probabilities after the changes: `[n_choices]` for each decision.
    pub(super) probs: Vec<Tensor>,
}

impl<'a> LogitGates<'a> {
    /// `probs` is the method's distribution, `[n_choices]` for each decision.
    pub(super) fn new(inner: &'a dyn Gating, probs: &[Tensor]) -> Self {
        let zeros = |p: &Tensor| p.zeros_like().set_requires_grad(true);
        let changes: Vec<Tensor> = probs.iter().map(zeros).collect();
        let factor = |(p, change): (&Tensor, &Tensor)| {
            let factor = change.exp();
            &factor / (p.detach() * &factor).sum(Kind::Float)
        };
        let factors: Vec<Tensor> = probs.iter().zip(&changes).map(factor).collect();
        let probs = probs.iter().zip(&factors).map(|(p, factor)| p.detach() * factor).collect();
        Self { inner, changes, factors, probs }
    }

    /// Gradients of a loss for the changes, concatenated over all decisions; zeros if the loss does not depend on them.
    pub(super) fn gradient(&self, loss: &Tensor, create_graph: bool) -> Tensor {
        if !loss.requires_grad() {
            return Tensor::cat(&self.changes, 0).detach().zeros_like();
        }
        let changes: Vec<&Tensor> = self.changes.iter().collect();
        let found = Tensor::run_backward(&[loss], &changes, true, create_graph);
        let whole = found.iter().zip(&self.changes);
        let whole: Vec<Tensor> = whole
            .map(|(g, c)| if g.defined() { g.shallow_clone() } else { c.detach().zeros_like() })
            .collect();
        Tensor::cat(&whole, 0)
    }
}

impl Gating for LogitGates<'_> {
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate {
        let gate = self.inner.gate(decision, cell);
        Gate { weights: gate.weights.detach() * &self.factors[decision], ..gate }
    }
}
