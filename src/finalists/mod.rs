//! The last step of a search: candidates drawn from its final distribution are compared, and the best is named.
//!
//! How they are compared was measured on NAS-Bench-201 against the published accuracies (docs/tradeoff.md): the validation loss
//! with shared weights, the field's usual measure, ranks cells the wrong way round after a short search, because a small cell trains
//! faster than a good one. So candidates are compared by what their untrained networks tell ([`signals`]).

mod candidates;
mod signals;
mod tilt;

use lat_space::{Architecture, SearchSpace, Skeleton};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::SearchError;
use crate::methods::{Batch, Stage, learns, neighbours};
use crate::objective::{Goal, Objective};
use crate::relaxed::{Blocks, Relaxed};
use crate::supernet::{AllChannels, CellSupernet, SharedGates};
use candidates::{Candidate, Source};
use signals::{Signals, gradient_signal};
use tilt::Tilt;

/// A budget is met from this share of it on.
const WINDOW: f64 = 0.9;
/// Where in the window the mean cost of the draws is put.
const AIM: f64 = 0.95;
/// How many of the candidates the dearest of the measures is taken of.
const SHORT_LIST: usize = 32;
/// How much less a lambda asks for: the budget is the cost of what the task alone would take over `1 + SAVING * lambda`.
const SAVING: f64 = 2.5;

/// One that took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// As text.
    pub architecture: String,
    /// In the cost's unit, where the search has a cost.
    pub cost: Option<f64>,
    /// Log determinant of the activation patterns' likeness (see [`signals`]).
    pub patterns: f64,
    /// Sum of the least correlations of the maps (see [`signals`]).
    pub correlation: f64,
    /// Signal of the gradients (see [`signals`]).
    pub gradients: f64,
    /// Mean of the three as ranks among the finalists, from 0 to 1; the best is named.
    pub score: f64,
}

/// How it ended.
#[derive(Debug)]
pub struct Finals {
    /// The architecture to name.
    pub winner: Architecture,
    /// The short list of what was compared within the budget, best first.
    pub finalists: Vec<Finalist>,
    /// Cost of what the score alone would take.
    pub free_cost: Option<f64>,
    /// What the architecture may cost by the goal.
    pub budget: Option<f64>,
}

impl Finals {
    /// Where nothing is compared.
    pub fn only(winner: Architecture) -> Self {
        Self { winner, finalists: Vec::new(), free_cost: None, budget: None }
    }
}

/// What a comparison needs.
pub(crate) struct Contest<'a, 'c> {
    pub(crate) space: &'a dyn SearchSpace,
    pub(crate) skeleton: &'a Skeleton,
    pub(crate) objective: Option<&'a Objective<'c>>,
    /// Images of the validation half, [`n_images`] of them.
    pub(crate) batch: Batch,
    pub(crate) device: Device,
    pub(crate) seed: u64,
    /// How many are drawn.
    pub(crate) n: usize,
}

/// Images that a comparison looks at.
pub(crate) fn n_images() -> usize {
    signals::IMAGES
}

impl Contest<'_, '_> {
    /// Draws from the distribution, `argmax` always among them, and names the best that the goal allows.
    ///
    /// # Errors
    /// Where the cost model cannot answer or libtorch cannot build the network.
    pub(crate) fn run(
        &self,
        relaxed: &Relaxed,
        argmax: &Architecture,
    ) -> Result<Finals, SearchError> {
        let blocks = Blocks::new(self.space);
        let source = Source { space: self.space, blocks: &blocks, objective: self.objective };
        let net = self.untrained()?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(FINALISTS_STREAM);
        let given = std::slice::from_ref(argmax);
        let drawn = source.draw(relaxed, self.n, given, &|_| true, &mut rng)?;
        let free = self.compared(&net, drawn);
        let Some((best, _)) = free.first().cloned() else {
            // Nothing that learns is left anywhere near: the caller warns.
            return Ok(Finals::only(argmax.clone()));
        };
        let budget = self.objective.and_then(|o| budget(o.goal(), best.cost?));
        let (Some(objective), Some(budget)) = (self.objective, budget) else {
            return Ok(self.finals(free, best.cost, None));
        };
        if best.cost.is_some_and(|cost| cost <= budget) {
            return Ok(self.finals(free, best.cost, Some(budget)));
        }
        let known: Vec<Architecture> = free.into_iter().map(|(c, _)| c.architecture).collect();
        let cheaper = Tilt::new(self.space, &blocks, relaxed, objective)?.to_cost(
            &blocks,
            objective,
            AIM * budget,
            self.seed,
        )?;
        let mut within = self.within(&source, &cheaper, &known, budget, &mut rng)?;
        if within.is_empty() {
            within.push(self.descended(&source, best.clone(), budget)?);
        }
        Ok(self.finals(self.compared(&net, within), best.cost, Some(budget)))
    }

    /// Candidates that meet the budget; where there are none, those that are below it.
    fn within(
        &self,
        source: &Source<'_, '_>,
        cheaper: &Relaxed,
        known: &[Architecture],
        budget: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Candidate>, SearchError> {
        let meets = |cost: f64| cost <= budget && cost >= WINDOW * budget;
        let found = source.draw(cheaper, self.n, known, &meets, rng)?;
        if !found.is_empty() {
            return Ok(found);
        }
        source.draw(cheaper, self.n, known, &|cost| cost <= budget, rng)
    }

    /// All candidates with untrained weights, the same for all finalists of all searches of one seed.
    fn untrained(&self) -> Result<CellSupernet, SearchError> {
        let graph = Stage::of_whole(0).graph(self.space, self.skeleton)?;
        tch::manual_seed(self.seed as i64);
        Ok(CellSupernet::new(graph, &AllChannels, self.device)?)
    }

    /// The short list with what its members are worth, best first; of equals the one drawn first.
    fn compared(&self, net: &CellSupernet, all: Vec<Candidate>) -> Vec<(Candidate, Worth)> {
        let gates =
            |c: &Candidate| SharedGates::hard(self.space.decisions(), &c.architecture, self.device);
        let look = |c: Candidate| {
            let signals = Signals::of(net, &gates(&c), &self.batch);
            (c, Worth { signals, gradients: 0.0, score: 0.0 })
        };
        let mut listed: Vec<(Candidate, Worth)> = all.into_iter().map(look).collect();
        rank(&mut listed, &[|w| w.signals.patterns, |w| w.signals.correlation]);
        listed.truncate(SHORT_LIST);
        for (candidate, worth) in &mut listed {
            worth.gradients = gradient_signal(net, &gates(candidate), &self.batch);
        }
        rank(&mut listed, &[|w| w.signals.patterns, |w| w.signals.correlation, |w| w.gradients]);
        listed
    }

    /// The cheapest way down by single changes, until the budget is met or nothing is cheaper.
    fn descended(
        &self,
        source: &Source<'_, '_>,
        from: Candidate,
        budget: f64,
    ) -> Result<Candidate, SearchError> {
        let mut now = from;
        while now.cost.is_some_and(|cost| cost > budget) {
            let mut next = now.clone();
            for neighbour in neighbours(self.space, &now.architecture) {
                let cost = source.cost(&neighbour)?;
                if cost < next.cost && learns(self.space, &neighbour) {
                    next = Candidate { architecture: neighbour, cost };
                }
            }
            if next.cost == now.cost {
                break;
            }
            now = next;
        }
        Ok(now)
    }

    fn finals(
        &self,
        compared: Vec<(Candidate, Worth)>,
        free_cost: Option<f64>,
        budget: Option<f64>,
    ) -> Finals {
        let winner = compared[0].0.architecture.clone();
        let finalist =
            |(candidate, Worth { signals, gradients, score }): (Candidate, Worth)| Finalist {
                architecture: self.space.format(&candidate.architecture),
                cost: candidate.cost,
                patterns: signals.patterns,
                correlation: signals.correlation,
                gradients,
                score,
            };
        let finalists = compared.into_iter().map(finalist).collect();
        Finals { winner, finalists, free_cost, budget }
    }
}

/// The generator's stream, which no epoch and no cost has.
const FINALISTS_STREAM: u64 = u64::MAX;

/// What a candidate is worth.
#[derive(Debug, Clone, Copy)]
struct Worth {
    signals: Signals,
    gradients: f64,
    score: f64,
}

/// One of the measures.
type Measure = fn(&Worth) -> f64;

/// Scores each by the mean of its ranks in these measures, and sorts by it.
fn rank(listed: &mut [(Candidate, Worth)], measures: &[Measure]) {
    let values = |m: &Measure| listed.iter().map(|(_, worth)| m(worth)).collect::<Vec<f64>>();
    let ranked: Vec<Vec<f64>> = measures.iter().map(|m| ranks(&values(m))).collect();
    for (i, (_, worth)) in listed.iter_mut().enumerate() {
        worth.score = ranked.iter().map(|r| r[i]).sum::<f64>() / ranked.len() as f64;
    }
    listed.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
}

/// What the goal allows, where the task alone would take an architecture of this cost.
///
/// A weighted sum of score and cost would do for lambda what it does in the loss: jump from one end of the front to the other,
/// since the front is not convex. A budget moves along it evenly: at 0.1 a fifth less, at 0.4 half.
fn budget(goal: Goal, free_cost: f64) -> Option<f64> {
    match goal {
        Goal::Lambda(0.0) => None,
        Goal::Lambda(lambda) => Some(free_cost / (1.0 + SAVING * lambda)),
        Goal::Target(target) => Some(target),
    }
}

/// Share of the others that each value is above, ties counted half: 0 for the worst, 1 for the best. The scale of a measure does
/// not matter then.
fn ranks(values: &[f64]) -> Vec<f64> {
    let others = values.len().saturating_sub(1).max(1) as f64;
    let rank = |v: &f64| {
        let below = values.iter().filter(|x| *x < v).count() as f64;
        let equal = values.iter().filter(|x| *x == v).count() as f64;
        (below + (equal - 1.0) / 2.0) / others
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_know_no_scale_and_ties_share_theirs() {
        assert_eq!(ranks(&[3.0, f64::NEG_INFINITY, 1e9, 3.0]), [0.5, 0.0, 1.0, 0.5]);
        assert_eq!(ranks(&[1.0]), [0.0]);
    }

    #[test]
    fn the_budget_of_lambda_falls_evenly() {
        assert_eq!(budget(Goal::Lambda(0.0), 10.0), None);
        assert!((budget(Goal::Lambda(0.1), 10.0).unwrap() - 8.0).abs() < 1e-12);
        assert!((budget(Goal::Lambda(0.4), 10.0).unwrap() - 5.0).abs() < 1e-12);
        assert_eq!(budget(Goal::Target(3.0), 10.0), Some(3.0));
    }
}
