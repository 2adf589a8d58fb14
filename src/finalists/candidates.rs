//! Distinct architectures drawn from a distribution.

use std::collections::HashSet;

use lat_space::{Architecture, SearchSpace};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::error::SearchError;
use crate::methods::learns;
use crate::objective::Objective;
use crate::relaxed::{Blocks, EdgeSets, Relaxed, Topology};

/// Rounds of draws before giving up. Each round's distribution is flatter than the one before, so that one that has settled on a few
/// architectures still yields others.
const ROUNDS: i32 = 6;
/// Draws per round, as a multiple of the number asked for.
const DRAWS: i64 = 4;

/// An architecture and its cost, if the search has a cost.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) architecture: Architecture,
    pub(super) cost: Option<f64>,
}

/// The space and cost that candidates are drawn for.
pub(super) struct Source<'a, 'c> {
    pub(super) space: &'a dyn SearchSpace,
    pub(super) blocks: &'a Blocks,
    pub(super) objective: Option<&'a Objective<'c>>,
}

/// Distinct architectures of the space that read their input, have an operation with weights, and have an allowed cost.
pub(super) struct Pool<'a, 'c> {
    source: &'a Source<'a, 'c>,
    fits: &'a dyn Fn(f64) -> bool,
    seen: HashSet<Architecture>,
    pub(super) found: Vec<Candidate>,
}

impl Pool<'_, '_> {
    /// Draws until there are `n` in all, or until further draws are not expected to help.
    pub(super) fn fill(
        &mut self,
        relaxed: &Relaxed,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), SearchError> {
        for round in 0..ROUNDS {
            let missing = n.saturating_sub(self.found.len());
            if missing == 0 {
                break;
            }
            let flat = flattened(relaxed, 1.5f64.powi(round));
            let n_draws = DRAWS * missing as i64;
            let gates = self.source.blocks.sample(&flat, n_draws, None, rng).gates;
            let costs = self.source.objective.map(|o| o.cost().relaxed(&gates)).transpose()?;
            for (i, row) in gates.unbind(0).into_iter().enumerate() {
                let cost = costs.as_ref().map(|costs| costs.double_value(&[i as i64]));
                // The price alone rejects most draws, which saves the rest of the work for them.
                if self.found.len() < n && cost.is_none_or(self.fits) {
                    self.take(self.source.read(&row), cost);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, architecture: Architecture, cost: Option<f64>) {
        let space = self.source.space;
        let is_new = cost.is_none_or(self.fits) && self.seen.insert(architecture.clone());
        // Whether an architecture has weights follows from its decisions alone; whether it reads its input needs the graph. If edges
        // do not compete, a draw may leave a node without input, which DARTS' cells do not allow.
        let is_one = || space.check(&architecture).is_ok() && learns(space, &architecture);
        if is_new && is_one() && space.reads_input(&architecture) {
            self.found.push(Candidate { architecture, cost });
        }
    }
}

impl<'a, 'c> Source<'a, 'c> {
    /// A pool that starts with those of `given` whose cost `fits` allows.
    pub(super) fn pool(
        &'a self,
        given: &[Architecture],
        fits: &'a dyn Fn(f64) -> bool,
    ) -> Result<Pool<'a, 'c>, SearchError> {
        let mut pool = Pool { source: self, fits, seen: HashSet::new(), found: Vec::new() };
        for architecture in given {
            let cost = self.cost(architecture)?;
            pool.take(architecture.clone(), cost);
        }
        Ok(pool)
    }

    /// The cost of an architecture, if the search has a cost.
    pub(super) fn cost(&self, architecture: &Architecture) -> Result<Option<f64>, SearchError> {
        Ok(self.objective.map(|o| o.cost().cost(architecture)).transpose()?)
    }

    /// The architecture with 0/1 gates `[n_gates]`.
    fn read(&self, gates: &Tensor) -> Architecture {
        let gates = Vec::<f32>::try_from(gates).expect("one dimension");
        let mut rest = gates.as_slice();
        let choices = self.space.decisions().iter().map(|decision| {
            let (own, after) = rest.split_at(decision.choices.len());
            rest = after;
            own.iter().position(|&g| g > 0.5).expect("one choice is drawn per decision")
        });
        Architecture::new(self.space.id(), choices.collect::<Vec<_>>())
    }
}

/// All choices equally likely, and all sets of edges.
pub(super) fn even(relaxed: &Relaxed) -> Relaxed {
    flattened(relaxed, f64::INFINITY)
}

/// Probabilities to the power of `1 / t`, normalised.
fn flattened(relaxed: &Relaxed, t: f64) -> Relaxed {
    let flat = |p: &Tensor| (p.clamp_min(1e-30).log() / t).softmax(-1, Kind::Float);
    let topology = match &relaxed.topology {
        Topology::Free => Topology::Free,
        Topology::Strengths(strengths) => {
            Topology::Strengths(strengths.iter().map(|s| s.pow_tensor_scalar(1.0 / t)).collect())
        }
        Topology::Sets(sets) => {
            let flat = |set: &EdgeSets| EdgeSets {
                decisions: set.decisions.clone(),
                members: set.members.shallow_clone(),
                logits: &set.logits / t,
            };
            Topology::Sets(sets.iter().map(flat).collect())
        }
    };
    Relaxed { probs: relaxed.probs.iter().map(flat).collect(), topology }
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, Space};
    use rand::SeedableRng;

    use super::*;

    /// A distribution as SNAS leaves it: edges do not compete, and `none` is likely on all of them.
    #[test]
    fn draws_that_leave_a_node_without_input_are_no_candidates() {
        let space = Darts::new();
        let probs = || Tensor::from_slice(&[93.0f32, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]) / 100.0;
        let relaxed = Relaxed::free(space.decisions().iter().map(|_| probs()).collect());
        let blocks = Blocks::new(&space);
        let source = Source { space: &space, blocks: &blocks, objective: None };
        let mut pool = source.pool(&[], &|_| true).unwrap();
        pool.fill(&relaxed, 20, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        assert!(!pool.found.is_empty());
        for Candidate { architecture, .. } in &pool.found {
            let text = space.format(architecture);
            assert_eq!(space.parse(&text).unwrap(), *architecture, "{text}");
        }
    }

    #[test]
    fn even_forgets_what_was_learnt_and_what_was_ruled_out() {
        let learnt = || Tensor::from_slice(&[0.7f32, 0.3, 0.0]);
        let strengths = vec![Tensor::from(5.0f32), Tensor::from(0.0f32)];
        let even = even(&Relaxed::competing(vec![learnt(), learnt()], strengths));
        for probs in &even.probs {
            assert!(probs.allclose(&Tensor::full_like(probs, 1.0 / 3.0), 1e-6, 1e-6, false));
        }
        let Topology::Strengths(strengths) = even.topology else { panic!("edges still compete") };
        assert!(strengths.iter().all(|s| s.double_value(&[]) == 1.0));
        let set = EdgeSets {
            decisions: vec![0, 1],
            members: Tensor::eye(2, tch::kind::FLOAT_CPU),
            logits: Tensor::from_slice(&[4.0f32, -9.0]),
        };
        let sets = Relaxed { probs: vec![learnt(), learnt()], topology: Topology::Sets(vec![set]) };
        let Topology::Sets(sets) = super::even(&sets).topology else { panic!("sets stay sets") };
        assert_eq!(Vec::<f32>::try_from(sets[0].probs()).unwrap(), [0.5, 0.5]);
    }
}
