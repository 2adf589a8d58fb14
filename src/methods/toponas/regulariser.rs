//! `TopoNAS`' passive-aggressive regulariser against invalid topologies.
//!
//! Its name and purpose are the paper's; we could not read the paper's formula, so this one is ours. A set of in-edges is invalid if it
//! - keeps an edge that prefers `none` over every operation, or
//! - leaves a node without a reader (only in cells whose output is not a concatenation of all nodes).
//!
//! An empty set would be invalid too, but is never among the sets. While a node's most probable set is valid, its term is 0
//! (passive). Otherwise its term is `max(0, logsumexp(invalid) - logsumexp(valid) + margin)` over its logits (aggressive). If no set
//! of a node is valid, its term is also 0, because no beta would help.

use lat_space::{Decision, DecisionId, Edges, SearchSpace};
use tch::{Kind, Tensor};

use crate::relaxed::EdgeSets;

/// The regulariser, with the facts about the space that it needs.
#[derive(Debug)]
pub(super) struct Regulariser {
    nones: Vec<Option<usize>>,
    /// The nodes that each edge joins; None if every node is always read.
    edges: Option<Edges>,
    margin: f64,
}

/// A node's sets of in-edges as plain numbers.
struct Sets {
    decisions: Vec<DecisionId>,
    /// For each set one flag per member: whether the edge is in the set.
    members: Vec<Vec<bool>>,
    /// Index of the most probable set; among equals the first.
    best: usize,
}

impl Regulariser {
    pub(super) fn new(space: &dyn SearchSpace, margin: f64) -> Self {
        let nones = space.decisions().iter().map(Decision::none).collect();
        Self { nones, edges: space.structure().edges, margin }
    }

    /// Sum of the nodes' terms; None if all are passive. `favoured` is each decision's most probable choice.
    pub(super) fn term(&self, nodes: &[EdgeSets], favoured: &[usize]) -> Option<Tensor> {
        let sets: Vec<Sets> = nodes.iter().map(Sets::of).collect();
        let terms = nodes.iter().enumerate().filter_map(|(n, node)| {
            let invalid = self.invalid(&sets, n, favoured);
            (invalid[sets[n].best] && !invalid.iter().all(|i| *i))
                .then(|| self.hinge(&node.logits, &invalid))
        });
        terms.reduce(|a, b| a + b)
    }

    /// For each set of node `n` whether it is invalid, given the most probable sets of the other nodes.
    fn invalid(&self, all: &[Sets], n: usize, favoured: &[usize]) -> Vec<bool> {
        let node = &all[n];
        let needed = self.needed(all, n);
        let is_invalid = |members: &Vec<bool>| {
            node.decisions.iter().zip(members).any(|(&d, &kept)| {
                let prefers_none = Some(favoured[d]) == self.nones[d];
                if kept { prefers_none } else { needed.contains(&d) }
            })
        };
        node.members.iter().map(is_invalid).collect()
    }

    /// In-edges of node `n` from nodes that no other node reads.
    fn needed(&self, all: &[Sets], n: usize) -> Vec<DecisionId> {
        let Some(Edges { ends, input, .. }) = &self.edges else { return Vec::new() };
        let others = all.iter().enumerate().filter(|(other, _)| *other != n);
        let read: Vec<usize> =
            others.flat_map(|(_, s)| s.kept()).filter_map(|d| Some(ends[d]?.0)).collect();
        let is_needed = |d: &DecisionId| {
            ends[*d].is_some_and(|(from, _)| from != *input && !read.contains(&from))
        };
        all[n].decisions.iter().copied().filter(is_needed).collect()
    }

    /// How much the valid sets fall short of leading by the margin.
    fn hinge(&self, logits: &Tensor, invalid: &[bool]) -> Tensor {
        let of = |wanted: bool| {
            let rows = (0..invalid.len()).filter(|&c| invalid[c] == wanted);
            let rows: Vec<i64> = rows.map(|c| c as i64).collect();
            logits.index_select(0, &Tensor::from_slice(&rows)).logsumexp([0i64].as_slice(), false)
        };
        (of(true) - of(false) + self.margin).relu().to_kind(Kind::Float)
    }
}

impl Sets {
    fn of(sets: &EdgeSets) -> Self {
        let rows = Vec::<Vec<f32>>::try_from(&sets.members).expect("two dimensions");
        let members = rows.into_iter().map(|row| row.into_iter().map(|m| m > 0.5).collect());
        let best = sets.logits.detach().argmax(0, false).int64_value(&[]) as usize;
        Self { decisions: sets.decisions.clone(), members: members.collect(), best }
    }

    /// The decisions of the most probable set.
    fn kept(&self) -> impl Iterator<Item = DecisionId> {
        self.decisions.iter().zip(&self.members[self.best]).filter(|(_, m)| **m).map(|(d, _)| *d)
    }
}
