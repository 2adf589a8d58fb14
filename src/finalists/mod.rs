//! The last step of a search: compares candidates drawn from its final distribution, and picks the best.
//!
//! The way of comparing was chosen by experiments on NAS-Bench-201 with the published accuracies (docs/tradeoff.md). The validation
//! loss with shared weights, the usual measure in the field, ranks cells in the wrong order after a short search, because a small
//! cell trains faster than a good one. So candidates are compared by measures of their untrained networks (`signals/`). Half of the
//! candidates come from the distribution, half uniformly from all architectures: after a short search the distribution knows little,
//! and if it has settled on a few architectures, there would be little to compare.

mod candidates;
mod ranking;
mod signals;
mod tilt;

use lat_data::nullable;
use lat_space::{Architecture, SearchSpace, Skeleton, neighbours};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::SearchError;
use crate::methods::{Batch, Stage, learns};
use crate::objective::{Goal, Objective};
use crate::pareto::front;
use crate::relaxed::{Blocks, Relaxed};
use crate::supernet::SharedGates;
use candidates::{Candidate, Source, even};
use ranking::{Ranked, rank};
use signals::Untrained;
use tilt::Tilt;

/// A candidate meets a budget if it costs at least this share of it (and at most all of it).
const WINDOW: f64 = 0.9;
/// Share of the budget at which the average cost of the draws is aimed.
const AIM: f64 = 0.95;
/// How many of the candidates are measured with all networks and measures.
pub(crate) const SHORT_LIST: usize = 32;
/// Number of untrained networks, each with other weights. A single one says as much about its weights as about an architecture.
const NETS: u64 = 3;
/// Strength of lambda: the budget is the cost that the task alone would take, divided by `1 + SAVING * lambda`.
const SAVING: f64 = 2.5;

/// An architecture that took part. Measures that were not computed (for example by an older version) are NaN, and null in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// The architecture as text.
    pub architecture: String,
    /// Its cost in the cost's unit, if the search has a cost.
    pub cost: Option<f64>,
    /// Log determinant of the similarity of activation patterns (see `signals/`).
    #[serde(with = "nullable")]
    pub patterns: f64,
    /// Sum of the maps' smallest correlation eigenvalues (see `signals/`).
    #[serde(with = "nullable")]
    pub correlation: f64,
    /// Smallest growth of the features' entropy within a cell (see `signals/`).
    #[serde(with = "nullable", default = "nullable::missing")]
    pub progressivity: f64,
    /// How evenly cells pass gradients back (see `signals/`).
    #[serde(with = "nullable", default = "nullable::missing")]
    pub trainability: f64,
    /// Average of the four measures as ranks among the finalists, from 0 to 1; the best one wins. If subnets of a trained supernet
    /// are compared, it is the share of correct answers.
    #[serde(with = "nullable")]
    pub score: f64,
    /// Percentage of correct answers with the supernet's weights, on images it was not trained on; None if untrained networks are
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_accuracy: Option<f64>,
    /// Measured cost, for points of the front if this machine has the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// The outcome of the last step.
#[derive(Debug)]
pub struct Finals {
    /// The architecture that won.
    pub winner: Architecture,
    /// The short list of the architectures within the budget that were compared, best first.
    pub finalists: Vec<Finalist>,
    /// Those that no other beats in both cost and score, cheapest first; empty if the search has no cost. Taken from the short list,
    /// or from all that evolution judged.
    pub front: Vec<Finalist>,
    /// The best architecture for each target, if there are several targets.
    pub answers: Vec<Answer>,
    /// Cost of the architecture that the score alone would pick.
    pub free_cost: Option<f64>,
    /// The highest cost that the goal allows.
    pub budget: Option<f64>,
}

impl Finals {
    /// An outcome without any comparison.
    pub fn only(winner: Architecture) -> Self {
        let (finalists, front, answers) = (Vec::new(), Vec::new(), Vec::new());
        Self { winner, finalists, front, answers, free_cost: None, budget: None }
    }
}

/// The answer to one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The target in the cost's unit.
    pub target: f64,
    /// The best architecture within it.
    pub best: Finalist,
}

/// Those that no other beats in both cost and score, cheapest first; empty if they have no cost.
pub(crate) fn front_of(all: &[Finalist]) -> Vec<Finalist> {
    let point = |f: &Finalist| (f.cost.unwrap_or(f64::NAN), f.score);
    let points: Vec<(f64, f64)> = all.iter().map(point).collect();
    front(&points).into_iter().map(|i| all[i].clone()).collect()
}

/// Called before an architecture is judged: (judged so far in this round, number in this round).
pub(crate) type OnLook<'a> = &'a mut dyn FnMut(usize, usize);

/// Everything that a comparison needs.
pub(crate) struct Contest<'a, 'c> {
    pub(crate) space: &'a dyn SearchSpace,
    pub(crate) skeleton: &'a Skeleton,
    pub(crate) objective: Option<&'a Objective<'c>>,
    /// [`n_images`] images of the validation half.
    pub(crate) batch: Batch,
    pub(crate) device: Device,
    pub(crate) seed: u64,
    /// Number of candidates to draw.
    pub(crate) n: usize,
}

/// Number of images that a comparison uses.
pub(crate) fn n_images() -> usize {
    signals::IMAGES
}

impl Contest<'_, '_> {
    /// Draws from the distribution, always with `argmax` among the candidates, and picks the best that the goal allows.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute a cost or libtorch cannot build the network.
    pub(crate) fn run(
        &self,
        relaxed: &Relaxed,
        argmax: &Architecture,
        on_look: OnLook<'_>,
    ) -> Result<Finals, SearchError> {
        let blocks = Blocks::new(self.space);
        let source = Source { space: self.space, blocks: &blocks, objective: self.objective };
        let nets = self.untrained()?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(FINALISTS_STREAM);
        // The uniform draws come first: they are then the same with and without a cost, so that only the others show the cost's effect.
        let sources = [even(relaxed), relaxed.shallow_clone()];
        let given = std::slice::from_ref(argmax);
        let drawn = self.drawn(&source, &sources, given, &|_| true, &mut rng)?;
        let free = self.compared(&nets, drawn, on_look);
        let Some(best) = free.first().map(|first| first.candidate.clone()) else {
            // No architecture with weights is left anywhere near: the caller warns.
            return Ok(Finals::only(argmax.clone()));
        };
        let own = source.cost(argmax)?;
        let budget = self.objective.and_then(|o| budget(o.goal(), best.cost?, own?));
        let (Some(objective), Some(budget)) = (self.objective, budget) else {
            return Ok(self.finals(free, best.cost, None));
        };
        if best.cost.is_some_and(|cost| cost <= budget) {
            return Ok(self.finals(free, best.cost, Some(budget)));
        }
        let cheaper = sources.iter().map(|relaxed| {
            let tilt = Tilt::new(self.space, &blocks, relaxed, objective)?;
            tilt.to_cost(&blocks, objective, AIM * budget, self.seed)
        });
        let cheaper = cheaper.collect::<Result<Vec<Relaxed>, SearchError>>()?;
        let known: Vec<Architecture> = free.into_iter().map(|r| r.candidate.architecture).collect();
        let mut within = self.within(&source, &cheaper, &known, budget, &mut rng)?;
        if within.is_empty() {
            within.push(self.descended(&source, best.clone(), budget)?);
        }
        Ok(self.finals(self.compared(&nets, within, on_look), best.cost, Some(budget)))
    }

    /// Candidates that meet the budget; if there are none, all that cost less.
    fn within(
        &self,
        source: &Source<'_, '_>,
        cheaper: &[Relaxed],
        known: &[Architecture],
        budget: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Candidate>, SearchError> {
        let meets = |cost: f64| cost <= budget && cost >= WINDOW * budget;
        let found = self.drawn(source, cheaper, known, &meets, rng)?;
        if !found.is_empty() {
            return Ok(found);
        }
        self.drawn(source, cheaper, known, &|cost| cost <= budget, rng)
    }

    /// Candidates drawn in equal parts from each distribution, after those in `given`.
    fn drawn(
        &self,
        source: &Source<'_, '_>,
        distributions: &[Relaxed],
        given: &[Architecture],
        fits: &dyn Fn(f64) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Candidate>, SearchError> {
        let mut pool = source.pool(given, fits)?;
        for (i, distribution) in distributions.iter().enumerate() {
            let n = (self.n * (i + 1)).div_ceil(distributions.len());
            pool.fill(distribution, n, rng)?;
        }
        Ok(pool.found)
    }

    /// Untrained supernets with all candidates. They are the same for all finalists of all searches with one seed.
    fn untrained(&self) -> Result<Vec<Untrained>, SearchError> {
        let net = |i: u64| {
            let graph = Stage::of_whole(0).graph(self.space, self.skeleton)?;
            Untrained::new(graph, self.seed.wrapping_add(i) as i64, self.device)
        };
        (0..NETS).map(net).collect()
    }

    /// The short list, best first; among equals the one drawn first.
    fn compared(
        &self,
        nets: &[Untrained],
        all: Vec<Candidate>,
        on_look: OnLook<'_>,
    ) -> Vec<Ranked> {
        let images = &self.batch.images;
        let gates =
            |c: &Candidate| SharedGates::hard(self.space.decisions(), &c.architecture, self.device);
        let (n, mut done) = (all.len() + all.len().min(SHORT_LIST), 0);
        let mut look = || {
            on_look(done, n);
            done += 1;
        };
        let first_look = |c: Candidate| {
            look();
            let signals = nets[0].signals(&gates(&c), images, false);
            Ranked::new(c, signals)
        };
        let mut listed: Vec<Ranked> = all.into_iter().map(first_look).collect();
        rank(&mut listed);
        listed.truncate(SHORT_LIST);
        for ranked in &mut listed {
            look();
            let gates = gates(&ranked.candidate);
            ranked.signals = nets.iter().map(|net| net.signals(&gates, images, true)).collect();
        }
        rank(&mut listed);
        listed
    }

    /// Changes one decision at a time, always to the cheapest neighbour, until the budget is met or no neighbour is cheaper.
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
                let is_one = self.space.check(&neighbour).is_ok();
                if is_one && cost < next.cost && learns(self.space, &neighbour) {
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

    fn finals(&self, compared: Vec<Ranked>, free_cost: Option<f64>, budget: Option<f64>) -> Finals {
        let winner = compared[0].candidate.architecture.clone();
        let finalist = |ranked: Ranked| Finalist {
            architecture: self.space.format(&ranked.candidate.architecture),
            cost: ranked.candidate.cost,
            patterns: ranked.mean(|s| s.patterns),
            correlation: ranked.mean(|s| s.correlation),
            progressivity: ranked.mean(|s| s.progressivity),
            trainability: ranked.mean(|s| s.trainability.unwrap_or(0.0)),
            score: ranked.score,
            inherited_accuracy: None,
            measured: None,
        };
        let finalists: Vec<Finalist> = compared.into_iter().map(finalist).collect();
        let front = front_of(&finalists);
        Finals { winner, finalists, front, answers: Vec::new(), free_cost, budget }
    }
}

/// The generator's stream for finalists, which no epoch and no cost uses.
pub(crate) const FINALISTS_STREAM: u64 = u64::MAX;

/// The budget that a goal sets, if the task alone would take an architecture of `free_cost`, and the search has found one of `own_cost`.
///
/// A weighted sum of score and cost would do for lambda what it does in the loss: jump from one end of the front to the other,
/// because the front is not convex. A budget moves along the front evenly: lambda 0.1 allows a fifth less, 0.4 half. A product does
/// not say how much less an architecture should cost. But the steps of the search have weighed loss against cost by it, so the cost
/// they arrived at is the limit.
pub(crate) fn budget(goal: Goal, free_cost: f64, own_cost: f64) -> Option<f64> {
    match goal {
        Goal::Lambda(0.0) => None,
        Goal::Lambda(lambda) => Some(free_cost / (1.0 + SAVING * lambda)),
        Goal::Target(target) => Some(target),
        Goal::Product(_) => Some(own_cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Product, Reading};

    #[test]
    fn the_front_is_what_no_finalist_beats() {
        let finalist = |(name, cost, score): &(&str, Option<f64>, f64)| Finalist {
            architecture: (*name).to_owned(),
            cost: *cost,
            patterns: 0.0,
            correlation: 0.0,
            progressivity: 0.0,
            trainability: 0.0,
            score: *score,
            inherited_accuracy: None,
            measured: None,
        };
        let front = |of: &[(&str, Option<f64>, f64)]| {
            let all: Vec<Finalist> = of.iter().map(finalist).collect();
            front_of(&all).into_iter().map(|f| f.architecture).collect::<Vec<_>>()
        };
        let three =
            [("best", Some(3.0), 0.9), ("beaten", Some(2.0), 0.4), ("cheap", Some(1.0), 0.5)];
        assert_eq!(front(&three), ["cheap", "best"]);
        assert!(front(&[("free", None, 0.9)]).is_empty());
    }

    #[test]
    fn the_budget_of_lambda_falls_evenly() {
        let budget = |goal| budget(goal, 10.0, 7.0);
        assert_eq!(budget(Goal::Lambda(0.0)), None);
        assert!((budget(Goal::Lambda(0.1)).unwrap() - 8.0).abs() < 1e-12);
        assert!((budget(Goal::Lambda(0.4)).unwrap() - 5.0).abs() < 1e-12);
        assert_eq!(budget(Goal::Target(3.0)), Some(3.0));
        let product = Product { alpha: 0.2, beta: 0.6, reading: Reading::Paper };
        assert_eq!(budget(Goal::Product(product)), Some(7.0));
    }
}
