//! Thresholds of `EnTranNAS-DST`: which connections of a node are alive, and how much each weighs.
//!
//! p is a softmax over the operations of an edge, r an operation's p divided by the largest p of its node, t = sigmoid(beta) the
//! node's threshold, q = relu(r - t). An edge is alive if some q of it is above 0; each operation's weight is its q divided by the
//! edge's sum.

use lat_space::{Architecture, Choice, ChoiceSet, Decision};
use tch::{Kind, Tensor};

use crate::methods::tools::nodes::nodes;
use crate::relaxed::Relaxed;

/// Largest threshold: in single precision the sigmoid reaches 1 near beta = 17, and the node would lose all its inputs.
const LARGEST: f64 = 1.0 - 1e-3;

/// Which edges end in which node, and which choices are `none`.
#[derive(Debug)]
pub(super) struct Thresholds {
    /// The in-edges of each node.
    nodes: Vec<Tensor>,
    /// `[n_decisions]`: number of the node that an edge ends in.
    node_of: Tensor,
    /// `[n_decisions, n_choices]`: whether a choice is `none`. It takes no part, because thresholds remove edges instead.
    is_none: Tensor,
    nones: Vec<Option<usize>>,
}

/// The connections of all nodes for one alpha and beta.
#[derive(Debug)]
pub(super) struct Connections {
    /// `[n_decisions, n_choices]`: r minus the threshold, at least 0; 0 for `none`.
    pub q: Tensor,
    /// `[n_decisions, 1]`: threshold of the node that an edge ends in.
    threshold: Tensor,
    /// `[n_decisions, n_choices]`: 1 for `none`.
    is_none: Tensor,
    nones: Vec<Option<usize>>,
}

impl Thresholds {
    pub(super) fn new(decisions: &[Decision]) -> Self {
        let all = nodes(decisions);
        let node_of = |d: usize| all.iter().position(|n| n.contains(&d)).map(|n| n as i64);
        let node_of = (0..decisions.len()).map(|d| node_of(d).expect("every edge ends in a node"));
        let node_of: Vec<i64> = node_of.collect();
        let rows = |node: &Vec<usize>| node.iter().map(|&d| d as i64).collect::<Vec<_>>();
        let is_none = decisions.iter().flat_map(|d| d.choices.iter().map(Choice::is_none));
        let is_none = Tensor::from_slice(&is_none.collect::<Vec<bool>>());
        Self {
            nodes: all.iter().map(|node| Tensor::from_slice(&rows(node))).collect(),
            node_of: Tensor::from_slice(&node_of),
            is_none: is_none.view([decisions.len() as i64, -1]),
            nones: decisions.iter().map(Decision::none).collect(),
        }
    }

    /// Number of nodes, and so of thresholds.
    pub(super) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// `[n_nodes]`: the thresholds t, at most 0.999.
    fn of(beta: &Tensor) -> Tensor {
        beta.sigmoid().clamp_max(LARGEST)
    }

    /// The term that rewards large thresholds: 0 if all are 1.
    pub(super) fn shortfall(beta: &Tensor) -> Tensor {
        Self::of(beta).log().mean(Kind::Float).neg()
    }

    /// Connections for logits `[n_decisions, n_choices]`, already divided by the temperature, and beta `[n_nodes]`.
    pub(super) fn connections(&self, logits: &Tensor, beta: &Tensor) -> Connections {
        let p = logits.masked_fill(&self.is_none, f64::NEG_INFINITY).softmax(-1, Kind::Float);
        let best = p.amax([-1i64].as_slice(), false);
        let largest = self.nodes.iter().map(|rows| best.index_select(0, rows).max());
        let largest = Tensor::stack(&largest.collect::<Vec<_>>(), 0);
        let r = p / largest.index_select(0, &self.node_of).unsqueeze(-1);
        let threshold = Self::of(beta).index_select(0, &self.node_of).unsqueeze(-1);
        Connections {
            q: (r - &threshold).relu() * self.is_none.logical_not(),
            threshold,
            is_none: self.is_none.to_kind(Kind::Float),
            nones: self.nones.clone(),
        }
    }
}

impl Connections {
    /// `[n_decisions, 1]`: 1 for edges that are alive.
    fn lives(&self) -> Tensor {
        self.q.detach().amax([-1i64].as_slice(), true).gt(0.0).to_kind(Kind::Float)
    }

    /// qhat, `[n_decisions, n_choices]`: the operations of a living edge sum to one; a dead edge is `none`.
    pub(super) fn weights(&self) -> Tensor {
        let sum = self.q.sum_dim_intlist([-1i64].as_slice(), true, Kind::Float);
        &self.q / sum.clamp_min(1e-30) + (1.0 - self.lives()) * &self.is_none
    }

    /// For each decision, whether the connection of each choice is alive.
    pub(super) fn alive(&self) -> Vec<Vec<bool>> {
        Vec::<Vec<bool>>::try_from(&self.q.detach().gt(0.0)).expect("two dimensions")
    }

    /// The distribution that costs read: an edge is kept with probability `min(1, sum_k q / (1 - t))`, which depends on how far its
    /// connections are above the threshold, and then holds one of its operations by qhat; otherwise it is `none`. A node's strongest
    /// edge is always kept.
    pub(super) fn relaxed(&self) -> Relaxed {
        let lead = self.q.sum_dim_intlist([-1i64].as_slice(), true, Kind::Float);
        let room: Tensor = 1.0 - &self.threshold;
        let keep = (lead / room).clamp_max(1.0);
        let ops: Tensor = self.weights() * (1.0 - &self.is_none) * &keep;
        let dropped: Tensor = (1.0 - keep) * &self.is_none;
        Relaxed::free((ops + dropped).unbind(0))
    }

    /// The architecture of everything that is alive: no rule, no fixed number of edges or operations.
    pub(super) fn derive(&self, space: &str) -> Architecture {
        let set = |(alive, none): (Vec<bool>, &Option<usize>)| {
            let ops: Vec<usize> = (0..alive.len()).filter(|&c| alive[c]).collect();
            match none {
                Some(none) if ops.is_empty() => ChoiceSet::one(*none),
                _ => ChoiceSet::of(ops),
            }
        };
        let choices = self.alive().into_iter().zip(&self.nones).map(set).collect();
        Architecture { space: space.to_owned(), choices }
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, Space};

    use super::*;
    use crate::optimizer::gradients;

    // Number 6 of what must be true of EnTranNAS.
    #[test]
    fn entrannas_6_the_gradient_of_q_is_that_of_the_threshold_where_it_lives() {
        let thresholds = Thresholds::new(Darts::new().decisions());
        let logits = Tensor::arange(28 * 8, tch::kind::FLOAT_CPU).sin().view([28, 8]) * 2.0;
        let beta = Tensor::linspace(-3.0, 1.0, 8, tch::kind::FLOAT_CPU).set_requires_grad(true);
        let q = thresholds.connections(&logits, &beta).q;
        let (mut n_alive, mut n_dead) = (0, 0);
        for d in 0..28 {
            let node = thresholds.node_of.int64_value(&[d]);
            let t = 1.0 / (1.0 + (-beta.double_value(&[node])).exp());
            for c in 1..8 {
                let entry = q.get(d).get(c);
                let all = &Tensor::run_backward(&[&entry], &[&beta], true, false)[0];
                let found = all.double_value(&[node]);
                let h = 1e-2;
                let at = |by: f64| {
                    let moved = beta.detach().copy();
                    let _ = moved.get(node).g_add_scalar_(by);
                    thresholds.connections(&logits, &moved).q.double_value(&[d, c])
                };
                let slope = (at(h) - at(-h)) / (2.0 * h);
                let is_alive = entry.double_value(&[]) > 0.0;
                let expected = if is_alive { -t * (1.0 - t) } else { 0.0 };
                assert!((found - expected).abs() < 1e-5, "{d} {c}: {found}, {expected}");
                // Skip points where the finite difference crosses the threshold.
                if (at(h) > 0.0) == (at(-h) > 0.0) {
                    assert!((slope - expected).abs() < 1e-3, "{d} {c}: {slope}, {expected}");
                }
                if is_alive { n_alive += 1 } else { n_dead += 1 }
            }
        }
        assert!(n_alive > 20 && n_dead > 20, "{n_alive} alive, {n_dead} dead");
    }

    #[test]
    fn a_cost_of_edges_raises_thresholds_and_weakens_all_but_the_strongest() {
        let thresholds = Thresholds::new(Darts::new().decisions());
        // One operation per edge is stronger than the others, on some edges more than on others.
        let logits = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
        let lead = Tensor::arange(28, tch::kind::FLOAT_CPU).sin() + 5.0;
        logits.select(1, 4).copy_(&lead);
        let logits = logits.set_requires_grad(true);
        let beta = Tensor::full([8], -3.0, tch::kind::FLOAT_CPU).set_requires_grad(true);
        let relaxed = thresholds.connections(&logits, &beta).relaxed();
        let kept: Tensor = relaxed.probs.iter().map(|row| 1.0 - row.get(0)).sum();
        let all = gradients(&kept, &[logits, beta]);
        assert!(all[1].max().double_value(&[]) < 0.0, "{:?}", all[1]);
        for rows in &thresholds.nodes {
            let best = lead.index_select(0, rows).argmax(0, false).int64_value(&[]);
            for i in 0..rows.size()[0] {
                let d = rows.int64_value(&[i]);
                let (slope, kept) = (
                    all[0].double_value(&[d, 4]),
                    1.0 - relaxed.probs[d as usize].double_value(&[0]),
                );
                assert_eq!(slope > 0.0, i != best, "{d}: {slope}");
                assert_eq!(kept < 1.0 - 1e-6, i != best, "{d}: {kept}");
            }
        }
    }
}
