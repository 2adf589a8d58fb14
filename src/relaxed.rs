//! From a method's probabilities to codes that a cost model reads: the three estimators of LA-DARTS.
//!
//! LA-DARTS: Latency-Aware Differentiable Neural Architecture Search. Xu, Xie, Zhang, Chen, Shi, Tian, Xiong, 2020,
//! arXiv 2001.06392. No reference repository is known, and how the paper relaxes the choice of edges is not: the pair
//! distribution, the straight-through samples and the score function are this project's own.

use lat_space::{Decision, Group, SearchSpace};
use rand::{Rng, RngCore};
use tch::{Kind, Tensor};

/// What a method believes at the moment: all that is needed to draw architectures from it.
#[derive(Debug)]
pub struct Relaxed {
    /// Per decision `[n_choices]`, sums to one, `none` included.
    pub probs: Vec<Tensor>,
    /// Per decision a positive scalar: how strongly it competes for its group's places. Empty where decisions do not compete
    /// and `none` alone says which edges there are (SNAS).
    pub strengths: Vec<Tensor>,
}

/// The decisions of a space in blocks that are drawn together.
#[derive(Debug)]
pub struct Blocks {
    /// Groups as one block each, and the decisions outside groups.
    competing: Vec<Block>,
    /// Every decision a block of its own.
    free: Vec<Block>,
    n_decisions: usize,
}

#[derive(Debug)]
struct Block {
    decisions: Vec<usize>,
    none: Option<usize>,
    /// `[n_subsets, n]` of 0 and 1: which members each possible outcome keeps. Nothing where the decision stands alone.
    subsets: Option<Tensor>,
}

/// Straight-through or plain samples as gate vectors.
#[derive(Debug)]
pub struct Samples {
    /// `[m, n_gates]`.
    pub gates: Tensor,
    /// `[m]`: log probability of each, differentiable.
    pub log_prob: Tensor,
}

impl Blocks {
    /// The blocks of a space.
    pub fn new(space: &dyn SearchSpace) -> Self {
        let decisions = space.decisions();
        let alone =
            |d: usize| Block { decisions: vec![d], none: decisions[d].none(), subsets: None };
        let mut competing: Vec<Block> =
            space.groups().iter().map(|group| Block::group(group, decisions)).collect();
        let grouped: Vec<usize> = competing.iter().flat_map(|b| b.decisions.clone()).collect();
        let n_decisions = decisions.len();
        competing.extend((0..n_decisions).filter(|d| !grouped.contains(d)).map(alone));
        Self { competing, free: (0..n_decisions).map(alone).collect(), n_decisions }
    }

    /// The exact mean of the code: `[n_gates]`.
    pub fn expected(&self, relaxed: &Relaxed) -> Tensor {
        self.assemble(relaxed, |block| block.expected(relaxed).unsqueeze(0)).squeeze_dim(0)
    }

    /// `m` architectures drawn from the distribution. Forward they are 0/1 gates; with `tau` the gradient is that of the
    /// Gumbel-softmax at this temperature (straight-through), without it they carry none.
    pub fn sample(
        &self,
        relaxed: &Relaxed,
        m: i64,
        tau: Option<f64>,
        rng: &mut dyn RngCore,
    ) -> Samples {
        let mut log_prob = Tensor::zeros([m], (Kind::Float, relaxed.probs[0].device()));
        let gates = self.assemble(relaxed, |block| {
            let (gates, lp) = block.sample(relaxed, m, tau, rng);
            log_prob = &log_prob + lp;
            gates
        });
        Samples { gates, log_prob }
    }

    /// Puts the blocks' `[m, n, n_choices]` into the order of the decisions: `[m, n_gates]`.
    fn assemble(&self, relaxed: &Relaxed, mut gates: impl FnMut(&Block) -> Tensor) -> Tensor {
        let mut slots: Vec<Option<Tensor>> = (0..self.n_decisions).map(|_| None).collect();
        for block in if relaxed.strengths.is_empty() { &self.free } else { &self.competing } {
            let gates = gates(block);
            for (i, &d) in block.decisions.iter().enumerate() {
                slots[d] = Some(gates.select(1, i as i64));
            }
        }
        let slots: Vec<Tensor> =
            slots.into_iter().map(|s| s.expect("every decision is in a block")).collect();
        Tensor::cat(&slots, 1)
    }
}

impl Block {
    fn group(group: &Group, decisions: &[Decision]) -> Self {
        let n = group.decisions.len();
        let rows: Vec<f32> = (0u32..1 << n)
            .filter(|bits| bits.count_ones() as usize == group.keep)
            .flat_map(|bits| (0..n).map(move |i| f32::from(u8::from(bits >> i & 1 == 1))))
            .collect();
        let subsets = Tensor::from_slice(&rows).view([-1, n as i64]);
        let none = decisions[group.decisions[0]].none();
        Self { decisions: group.decisions.clone(), none, subsets: Some(subsets) }
    }

    /// `[n, n_choices]`: probabilities; within a group without `none` and renormalised, since a kept edge has an operation.
    fn op_probs(&self, relaxed: &Relaxed) -> Tensor {
        let probs: Vec<&Tensor> = self.decisions.iter().map(|&d| &relaxed.probs[d]).collect();
        let probs = Tensor::stack(&probs, 0);
        match (&self.subsets, self.none) {
            (Some(_), Some(none)) => {
                let mask = Tensor::ones([probs.size()[1]], (Kind::Float, probs.device()));
                let _ = mask.get(none as i64).fill_(0.0);
                let kept = probs * mask;
                // An edge that is surely `none` has a strength that says so; its operations are all 0 then, not 0 / 0.
                let sum = kept.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
                kept / sum.clamp_min(1e-30)
            }
            _ => probs,
        }
    }

    /// `[n_subsets]`: log of the unnormalised probability of each outcome, the product of its members' strengths.
    fn subset_logits(&self, subsets: &Tensor, relaxed: &Relaxed) -> Tensor {
        let s: Vec<&Tensor> = self.decisions.iter().map(|&d| &relaxed.strengths[d]).collect();
        subsets.to_device(s[0].device()).matmul(&Tensor::stack(&s, 0).log())
    }

    /// `[n, n_choices]`.
    fn expected(&self, relaxed: &Relaxed) -> Tensor {
        let probs = self.op_probs(relaxed);
        let Some(subsets) = &self.subsets else { return probs };
        let outcome = self.subset_logits(subsets, relaxed).softmax(0, Kind::Float);
        let keep = outcome.matmul(&subsets.to_device(outcome.device()));
        self.gates(&probs, &keep)
    }

    /// `[m, n, n_choices]` gates and `[m]` log probabilities.
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
        let Some(subsets) = &self.subsets else {
            return (ops, op_log.sum_dim_intlist([1i64].as_slice(), false, Kind::Float));
        };
        let subsets = subsets.to_device(log_probs.device());
        let logits = self.subset_logits(&subsets, relaxed).log_softmax(0, Kind::Float);
        let outcome = gumbel(&logits, m, tau, rng);
        let keep = outcome.matmul(&subsets);
        let log_prob =
            (outcome.detach() * &logits).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
                + (keep.detach() * op_log).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        (self.gates(&ops, &keep), log_prob)
    }

    /// Operations `[.., n, n_choices]` times kept edges `[.., n]`; what is not kept is `none`.
    fn gates(&self, ops: &Tensor, keep: &Tensor) -> Tensor {
        let gates = ops * keep.unsqueeze(-1);
        let Some(none) = self.none else { return gates };
        let n_choices = ops.size()[ops.dim() - 1];
        let unit = Tensor::zeros([n_choices], (Kind::Float, ops.device()));
        let _ = unit.get(none as i64).fill_(1.0);
        gates + (1.0 - keep.unsqueeze(-1)) * unit
    }
}

/// `m` one-hot draws over the last dimension of `log_probs` by the Gumbel-max trick, straight-through where `tau` is given.
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
        // Bounded away from 0 and 1, so that every number is finite.
        let u: f64 = rng.gen_range(1e-12..1.0);
        -(-u.ln()).ln() as f32
    };
    let noise: Vec<f32> = (0..shape.iter().product::<i64>()).map(draw).collect();
    Tensor::from_slice(&noise).view(shape)
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
