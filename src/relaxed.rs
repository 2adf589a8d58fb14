//! Turns a method's probabilities into codes that a cost model reads: the three estimators of LA-DARTS.
//!
//! LA-DARTS: Latency-Aware Differentiable Neural Architecture Search. Xu, Xie, Zhang, Chen, Shi, Tian, Xiong, 2020, arXiv
//! 2001.06392. No reference repository is known, nor how the paper relaxes the choice of edges: the pair distribution, the
//! straight-through samples and the score function are this project's own. If a method has its own distribution over sets of edges
//! (`TopoNAS`), that one is used.

use std::ops::RangeInclusive;

use lat_space::{Decision, DecisionId, Group, SearchSpace};
use rand::{Rng, RngCore};
use tch::{Kind, Tensor};

/// A method's current distribution: everything needed to draw architectures from it.
#[derive(Debug)]
pub struct Relaxed {
    /// For each decision `[n_choices]` probabilities that sum to one, including `none`.
    pub probs: Vec<Tensor>,
    /// How edges are chosen.
    pub topology: Topology,
}

impl Relaxed {
    /// A distribution in which only `none` decides which edges exist.
    pub fn free(probs: Vec<Tensor>) -> Self {
        Self { probs, topology: Topology::Free }
    }

    /// A copy that shares the tensors.
    pub fn shallow_clone(&self) -> Self {
        let topology = match &self.topology {
            Topology::Free => Topology::Free,
            Topology::Strengths(s) => {
                Topology::Strengths(s.iter().map(Tensor::shallow_clone).collect())
            }
            Topology::Sets(sets) => {
                Topology::Sets(sets.iter().map(EdgeSets::shallow_clone).collect())
            }
        };
        Self { probs: self.probs.iter().map(Tensor::shallow_clone).collect(), topology }
    }

    /// A distribution in which edges compete for their group's places by their strengths, a positive scalar per decision.
    pub fn competing(probs: Vec<Tensor>, strengths: Vec<Tensor>) -> Self {
        Self { probs, topology: Topology::Strengths(strengths) }
    }

    /// All choices equally likely, all edges equally strong.
    pub fn uniform(space: &dyn SearchSpace) -> Self {
        let ones = |n: usize| Tensor::ones([n as i64], tch::kind::FLOAT_CPU);
        let probs =
            space.decisions().iter().map(|d| ones(d.choices.len()) / d.choices.len() as f64);
        let strengths = space.decisions().iter().map(|_| ones(1).squeeze());
        Self::competing(probs.collect(), strengths.collect())
    }
}

/// How a method chooses edges.
#[derive(Debug)]
pub enum Topology {
    /// Edges do not compete: `none` decides for each edge separately (SNAS).
    Free,
    /// For each decision a positive scalar: how strongly it competes for its group's places (DARTS). The probability of a set of the
    /// published size is proportional to the product of its members' strengths.
    Strengths(Vec<Tensor>),
    /// Sets of edges are chosen as a whole (`TopoNAS`); decisions in no set are independent.
    Sets(Vec<EdgeSets>),
}

/// Decisions that are kept or dropped together, and the probability of each set of them. A kept decision has an operation other than
/// `none`.
#[derive(Debug)]
pub struct EdgeSets {
    /// The members.
    pub decisions: Vec<DecisionId>,
    /// `[n_sets, n]` of 0 and 1: which members each set keeps.
    pub members: Tensor,
    /// `[n_sets]`: log-probability of each set, up to a constant.
    pub logits: Tensor,
}

impl EdgeSets {
    /// `[n_sets]`: probability of each set; they sum to one.
    pub fn probs(&self) -> Tensor {
        self.logits.softmax(0, Kind::Float)
    }

    /// `[n]`: probability that each member is kept; they sum to the average size of a set.
    pub fn keep(&self) -> Tensor {
        self.probs().matmul(&self.members.to_device(self.logits.device()))
    }

    fn shallow_clone(&self) -> Self {
        Self {
            decisions: self.decisions.clone(),
            members: self.members.to_device(self.logits.device()),
            logits: self.logits.shallow_clone(),
        }
    }
}

/// `[n_sets, n]` of 0 and 1: all subsets of `n` members whose size is in the range, ordered by their bits.
pub fn subsets(n: usize, sizes: RangeInclusive<usize>) -> Tensor {
    let rows: Vec<f32> = (0u32..1 << n)
        .filter(|bits| sizes.contains(&(bits.count_ones() as usize)))
        .flat_map(|bits| (0..n).map(move |i| f32::from(u8::from(bits >> i & 1 == 1))))
        .collect();
    Tensor::from_slice(&rows).view([-1, n as i64])
}

/// The decisions of a space in blocks that are drawn together.
#[derive(Debug)]
pub struct Blocks {
    /// For each group its members, and the sets of the published size.
    groups: Vec<(Vec<DecisionId>, Tensor)>,
    /// For each decision the index of `none`.
    nones: Vec<Option<usize>>,
}

/// Decisions that are drawn together.
#[derive(Debug)]
struct Block {
    decisions: Vec<DecisionId>,
    none: Option<usize>,
    /// The sets of edges; None if the block is a single independent decision.
    sets: Option<EdgeSets>,
}

/// Drawn architectures as gate vectors, with or without a straight-through gradient.
#[derive(Debug)]
pub struct DrawnGates {
    /// The gates, `[m, n_gates]`.
    pub gates: Tensor,
    /// `[m]`: log-probability of each, differentiable.
    pub log_prob: Tensor,
}

impl Blocks {
    /// The blocks of a space.
    pub fn new(space: &dyn SearchSpace) -> Self {
        let of_group = |group: &Group| {
            let members = subsets(group.decisions.len(), group.keep..=group.keep);
            (group.decisions.clone(), members)
        };
        Self {
            groups: space.groups().iter().map(of_group).collect(),
            nones: space.decisions().iter().map(Decision::none).collect(),
        }
    }

    /// The exact expectation of the code: `[n_gates]`.
    pub fn expected(&self, relaxed: &Relaxed) -> Tensor {
        self.assemble(relaxed, |block| block.expected(relaxed).unsqueeze(0)).squeeze_dim(0)
    }

    /// Draws `m` architectures from the distribution. In the forward pass they are 0/1 gates. With `tau` the gradient is that of the
    /// Gumbel-softmax at this temperature (straight-through); without it they have none.
    pub fn sample(
        &self,
        relaxed: &Relaxed,
        m: i64,
        tau: Option<f64>,
        rng: &mut dyn RngCore,
    ) -> DrawnGates {
        let mut log_prob = Tensor::zeros([m], (Kind::Float, relaxed.probs[0].device()));
        let gates = self.assemble(relaxed, |block| {
            let (gates, lp) = block.sample(relaxed, m, tau, rng);
            log_prob = &log_prob + lp;
            gates
        });
        DrawnGates { gates, log_prob }
    }

    /// Puts the blocks' `[m, n, n_choices]` into the order of the decisions: `[m, n_gates]`.
    fn assemble(&self, relaxed: &Relaxed, mut gates: impl FnMut(&Block) -> Tensor) -> Tensor {
        let mut slots: Vec<Option<Tensor>> = self.nones.iter().map(|_| None).collect();
        for block in self.blocks(&relaxed.topology) {
            let gates = gates(&block);
            for (i, &d) in block.decisions.iter().enumerate() {
                slots[d] = Some(gates.select(1, i as i64));
            }
        }
        let slots: Vec<Tensor> =
            slots.into_iter().map(|s| s.expect("every decision is in a block")).collect();
        Tensor::cat(&slots, 1)
    }

    /// One block per set of edges, then one per decision that is in no set.
    fn blocks(&self, topology: &Topology) -> Vec<Block> {
        let sets: Vec<EdgeSets> = match topology {
            Topology::Free => Vec::new(),
            Topology::Strengths(strengths) => {
                self.groups.iter().map(|(d, m)| competing(d, m, strengths)).collect()
            }
            Topology::Sets(sets) => sets.iter().map(EdgeSets::shallow_clone).collect(),
        };
        let grouped: Vec<DecisionId> = sets.iter().flat_map(|s| s.decisions.clone()).collect();
        let alone = (0..self.nones.len()).filter(|d| !grouped.contains(d));
        let alone = alone.map(|d| Block { decisions: vec![d], none: self.nones[d], sets: None });
        let together = sets.into_iter().map(|sets| Block {
            decisions: sets.decisions.clone(),
            none: self.nones[sets.decisions[0]],
            sets: Some(sets),
        });
        together.chain(alone).collect()
    }
}

/// A group's sets, each with a probability proportional to the product of its members' strengths.
fn competing(decisions: &[DecisionId], members: &Tensor, strengths: &[Tensor]) -> EdgeSets {
    let strengths: Vec<&Tensor> = decisions.iter().map(|&d| &strengths[d]).collect();
    let members = members.to_device(strengths[0].device());
    let logits = members.matmul(&Tensor::stack(&strengths, 0).log());
    EdgeSets { decisions: decisions.to_vec(), members, logits }
}

impl Block {
    /// `[n, n_choices]`: probabilities of the operations; within a set renormalised without `none`, since a kept edge has an operation.
    fn op_probs(&self, relaxed: &Relaxed) -> Tensor {
        let probs: Vec<&Tensor> = self.decisions.iter().map(|&d| &relaxed.probs[d]).collect();
        let probs = Tensor::stack(&probs, 0);
        match (&self.sets, self.none) {
            (Some(_), Some(none)) => {
                let mask = Tensor::ones([probs.size()[1]], (Kind::Float, probs.device()));
                let _ = mask.get(none as i64).fill_(0.0);
                let kept = probs * mask;
                // An edge that is certainly `none` has a strength that says so. The clamp makes its operations 0 instead of 0 / 0.
                let sum = kept.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
                kept / sum.clamp_min(1e-30)
            }
            _ => probs,
        }
    }

    /// Expected gates, `[n, n_choices]`.
    fn expected(&self, relaxed: &Relaxed) -> Tensor {
        let probs = self.op_probs(relaxed);
        match &self.sets {
            Some(sets) => self.gates(&probs, &sets.keep()),
            None => probs,
        }
    }

    /// Drawn gates `[m, n, n_choices]` and their log-probabilities `[m]`.
    fn sample(
        &self,
        relaxed: &Relaxed,
        m: i64,
        tau: Option<f64>,
        rng: &mut dyn RngCore,
    ) -> (Tensor, Tensor) {
        let log_probs = self.op_probs(relaxed).clamp_min(1e-30).log();
        let ops = gumbel(&log_probs, m, tau, rng);
        let op_log =
            (ops.detach() * &log_probs).sum_dim_intlist([2i64].as_slice(), false, Kind::Float);
        let Some(sets) = &self.sets else {
            return (ops, op_log.sum_dim_intlist([1i64].as_slice(), false, Kind::Float));
        };
        let logits = sets.logits.log_softmax(0, Kind::Float);
        let outcome = gumbel(&logits, m, tau, rng);
        let keep = outcome.matmul(&sets.members);
        let log_prob =
            (outcome.detach() * &logits).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
                + (keep.detach() * op_log).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        (self.gates(&ops, &keep), log_prob)
    }

    /// Operations `[.., n, n_choices]` times kept edges `[.., n]`; an edge that is not kept is `none`.
    fn gates(&self, ops: &Tensor, keep: &Tensor) -> Tensor {
        let gates = ops * keep.unsqueeze(-1);
        let Some(none) = self.none else { return gates };
        let n_choices = ops.size()[ops.dim() - 1];
        let unit = Tensor::zeros([n_choices], (Kind::Float, ops.device()));
        let _ = unit.get(none as i64).fill_(1.0);
        gates + (1.0 - keep.unsqueeze(-1)) * unit
    }
}

/// `m` one-hot draws over the last dimension of `log_probs` by the Gumbel-max trick, straight-through if `tau` is given.
fn gumbel(log_probs: &Tensor, m: i64, tau: Option<f64>, rng: &mut dyn RngCore) -> Tensor {
    let mut shape = vec![m];
    shape.extend(log_probs.size());
    let noisy = log_probs.unsqueeze(0) + gumbel_noise(&shape, rng).to_device(log_probs.device());
    let hard = one_hot(&noisy);
    match tau {
        None => hard,
        Some(tau) => straight_through(&hard, &(noisy / tau).softmax(-1, Kind::Float)),
    }
}

/// Draws from Gumbel(0, 1), on the CPU. The largest of `log_probs + noise` is a draw from `probs` (Gumbel-max).
pub(crate) fn gumbel_noise(shape: &[i64], rng: &mut dyn RngCore) -> Tensor {
    let draw = |_| {
        // u is kept away from 0 and 1, so that every number is finite.
        let u: f64 = rng.gen_range(1e-12..1.0);
        -(-u.ln()).ln() as f32
    };
    let noise: Vec<f32> = (0..shape.iter().product::<i64>()).map(draw).collect();
    Tensor::from_slice(&noise).view(shape)
}

/// A draw from the concrete distribution of the logits' softmax at a temperature, by this noise from [`gumbel_noise`] (Gumbel-softmax).
pub(crate) fn concrete(logits: &Tensor, noise: &Tensor, tau: f64) -> Tensor {
    ((logits.log_softmax(-1, Kind::Float) + noise) / tau).softmax(-1, Kind::Float)
}

/// 1 at the largest entry of the last dimension, 0 elsewhere; no gradient.
pub(crate) fn one_hot(scores: &Tensor) -> Tensor {
    let largest = scores.detach().argmax(-1, true);
    Tensor::zeros_like(&scores.detach()).scatter_value(-1, &largest, 1.0)
}

/// The value of `hard` with the gradient of `soft`.
pub(crate) fn straight_through(hard: &Tensor, soft: &Tensor) -> Tensor {
    (hard - soft).detach() + soft
}
