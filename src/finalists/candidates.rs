//! Distinct architectures drawn from a distribution.

use std::collections::HashSet;

use lat_space::{Architecture, SearchSpace};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::error::SearchError;
use crate::methods::{is_connected, learns};
use crate::objective::Objective;
use crate::relaxed::{Blocks, EdgeSets, Relaxed, Topology};

/// Rounds of draws before no more are expected; each is flatter than the one before, so that a distribution that has settled on a
/// few architectures still gives others.
const ROUNDS: i32 = 6;
/// Draws per round, in units of the number asked for.
const DRAWS: i64 = 4;

/// An architecture and its cost, where the search has a cost.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) architecture: Architecture,
    pub(super) cost: Option<f64>,
}

/// What candidates are drawn for.
pub(super) struct Source<'a, 'c> {
    pub(super) space: &'a dyn SearchSpace,
    pub(super) blocks: &'a Blocks,
    pub(super) objective: Option<&'a Objective<'c>>,
}

impl Source<'_, '_> {
    /// Up to `n` distinct ones that read their input, have something that learns and cost what `fits` allows, after those of `given`.
    pub(super) fn draw(
        &self,
        relaxed: &Relaxed,
        n: usize,
        given: &[Architecture],
        fits: &dyn Fn(f64) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Candidate>, SearchError> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for architecture in given {
            let cost = self.cost(architecture)?;
            self.take(architecture.clone(), cost, fits, &mut seen, &mut found);
        }
        for round in 0..ROUNDS {
            if found.len() >= n {
                break;
            }
            let flat = flattened(relaxed, 1.5f64.powi(round));
            let gates = self.blocks.sample(&flat, DRAWS * n as i64, None, rng).gates;
            let costs = self.objective.map(|o| o.cost().relaxed(&gates)).transpose()?;
            for (i, row) in gates.unbind(0).into_iter().enumerate() {
                let cost = costs.as_ref().map(|costs| costs.double_value(&[i as i64]));
                // Told by the price alone, which spares the rest of the work for most.
                if found.len() < n && cost.is_none_or(fits) {
                    self.take(self.read(&row), cost, fits, &mut seen, &mut found);
                }
            }
        }
        Ok(found)
    }

    fn take(
        &self,
        architecture: Architecture,
        cost: Option<f64>,
        fits: &dyn Fn(f64) -> bool,
        seen: &mut HashSet<Architecture>,
        found: &mut Vec<Candidate>,
    ) {
        let is_new = cost.is_none_or(fits) && seen.insert(architecture.clone());
        // What learns is told from the decisions alone; whether the input is read needs the graph.
        if is_new && learns(self.space, &architecture) && is_connected(self.space, &architecture) {
            found.push(Candidate { architecture, cost });
        }
    }

    /// The cost of one.
    pub(super) fn cost(&self, architecture: &Architecture) -> Result<Option<f64>, SearchError> {
        Ok(self.objective.map(|o| o.cost().cost(architecture)).transpose()?)
    }

    /// The architecture of 0/1 gates `[n_gates]`.
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
