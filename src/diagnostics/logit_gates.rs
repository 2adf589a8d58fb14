//! A method's gates as a function of its logits, to differentiate by these.

use lat_space::DecisionId;
use tch::{Kind, Tensor};

use crate::supernet::{Gate, Gating};

/// A method's gates as a function of changes of its logits, which are zero here: weights are those of the method times
/// `exp(change) / sum_c p_c exp(change_c)`. Where the weights are the softmax of logits, that is the softmax of the changed
/// logits; what else a method multiplies with (PC-DARTS' edges) stands still.
pub(super) struct LogitGates<'a> {
    inner: &'a dyn Gating,
    /// Per decision `[n_choices]`, zeros that require gradients.
    pub(super) changes: Vec<Tensor>,
    /// Per decision `[n_choices]`: the factors.
    factors: Vec<Tensor>,
    /// Per decision `[n_choices]`: probabilities as the changes have them.
    pub(super) probs: Vec<Tensor>,
}

impl<'a> LogitGates<'a> {
    /// `probs`: what the method believes, `[n_choices]` per decision.
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

    /// Gradients of a loss in the changes, all decisions one behind the other; zeros where it does not depend on them.
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
