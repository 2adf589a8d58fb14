//! Moves a method's distribution towards cheaper architectures, as little as a bound on the cost allows.

use lat_space::{Decision, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::error::SearchError;
use crate::objective::Objective;
use crate::relaxed::{Blocks, EdgeSets, Relaxed, Topology};

/// Number of draws behind each average cost.
const DRAWS: i64 = 256;
/// Largest multiplier that is tried, as a power of two. Slopes are in units of the reference cost.
const MOST_DOUBLINGS: i32 = 14;
const BISECTIONS: u32 = 20;

/// Smallest probability that a tilt starts from, so that rounding cannot make a choice unreachable.
const LEAST: f64 = 1e-12;

/// `p(a) * exp(-eta * cost(a))`: of all distributions with a given average cost, this is the nearest to `p` by the Kullback-Leibler
/// divergence (Csiszár 1975, I-projection). The cost is treated as linear in the gates around the expectation of `p`, so the result
/// has the form of `p`. `eta` is found by the true cost of drawn architectures, not by the linear one.
#[derive(Debug)]
pub(super) struct Tilt<'a> {
    relaxed: &'a Relaxed,
    decisions: &'a [Decision],
    /// For each decision `[n_choices]`: the slope of the cost, divided by the reference cost.
    slopes: Vec<Tensor>,
}

impl<'a> Tilt<'a> {
    /// Computes the slopes at the expectation of the distribution.
    pub(super) fn new(
        space: &'a dyn SearchSpace,
        blocks: &Blocks,
        relaxed: &'a Relaxed,
        objective: &Objective<'_>,
    ) -> Result<Self, SearchError> {
        let code = tch::no_grad(|| blocks.expected(relaxed)).set_requires_grad(true);
        let cost = objective.cost().relaxed(&code)?.sum(Kind::Float) / objective.reference();
        let slopes = Tensor::run_backward(&[cost], &[&code], false, false).remove(0);
        let sizes: Vec<i64> = space.decisions().iter().map(|d| d.choices.len() as i64).collect();
        let slopes = slopes.split_with_sizes(&sizes, 0);
        Ok(Self { relaxed, decisions: space.decisions(), slopes })
    }

    /// The tilted distribution with this multiplier.
    pub(super) fn at(&self, eta: f64) -> Relaxed {
        let probs: Vec<Tensor> = self
            .relaxed
            .probs
            .iter()
            .zip(&self.slopes)
            .map(|(p, slope)| (p.clamp_min(LEAST).log() - slope * eta).softmax(-1, Kind::Float))
            .collect();
        let gains: Vec<Tensor> =
            (0..probs.len()).map(|d| self.price_of_edge(d, &probs[d])).collect();
        let topology = match &self.relaxed.topology {
            Topology::Free => Topology::Free,
            Topology::Strengths(strengths) => Topology::Strengths(
                strengths.iter().zip(&gains).map(|(s, gain)| s * (gain * -eta).exp()).collect(),
            ),
            Topology::Sets(sets) => Topology::Sets(
                sets.iter()
                    .map(|set| {
                        let of_members: Vec<&Tensor> =
                            set.decisions.iter().map(|&d| &gains[d]).collect();
                        let logits =
                            &set.logits - set.members.matmul(&Tensor::stack(&of_members, 0)) * eta;
                        EdgeSets {
                            decisions: set.decisions.clone(),
                            members: set.members.shallow_clone(),
                            logits,
                        }
                    })
                    .collect(),
            ),
        };
        Relaxed { probs, topology }
    }

    /// The cost of keeping an edge instead of dropping it.
    fn price_of_edge(&self, d: usize, probs: &Tensor) -> Tensor {
        let Some(none) = self.decisions[d].none() else { return Tensor::from(0.0f32) };
        let mut kept = probs.copy();
        let _ = kept.narrow(0, none as i64, 1).fill_(0.0);
        kept = &kept / kept.sum(Kind::Float).clamp_min(LEAST);
        (kept * &self.slopes[d]).sum(Kind::Float) - self.slopes[d].get(none as i64)
    }

    /// The tilt with the smallest multiplier at which drawn architectures cost `budget` on average; the largest one tried if none does.
    pub(super) fn to_cost(
        &self,
        blocks: &Blocks,
        objective: &Objective<'_>,
        budget: f64,
        seed: u64,
    ) -> Result<Relaxed, SearchError> {
        let mean = |eta: f64| -> Result<f64, SearchError> {
            // Every multiplier uses the same random numbers, so that the average cost falls smoothly.
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let gates = blocks.sample(&self.at(eta), DRAWS, None, &mut rng).gates;
            Ok(objective.cost().relaxed(&gates)?.mean(Kind::Double).double_value(&[]))
        };
        let (mut low, mut high) = (0.0, 1.0);
        if mean(low)? <= budget {
            return Ok(self.at(low));
        }
        for _ in 0..MOST_DOUBLINGS {
            if mean(high)? <= budget {
                break;
            }
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if mean(middle)? <= budget { high = middle } else { low = middle }
        }
        Ok(self.at(high))
    }
}
