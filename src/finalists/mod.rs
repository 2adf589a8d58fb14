//! The last step of a search: candidates drawn from its final distribution are compared, and the best is named.
//!
//! How they are compared was measured on NAS-Bench-201 against the published accuracies (docs/tradeoff.md): the validation loss
//! with shared weights, the field's usual measure, ranks cells the wrong way round after a short search, because a small cell trains
//! faster than a good one. So candidates are compared by what their untrained networks tell (`signals/`). Half of the candidates come
//! from the distribution, half from all architectures alike: after a short search the distribution knows little, and where it has settled
//! on a few architectures there would be little to compare.

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

/// A budget is met from this share of it on.
const WINDOW: f64 = 0.9;
/// Where in the window the mean cost of the draws is put.
const AIM: f64 = 0.95;
/// How many of the candidates are looked at with all networks and measures.
pub(crate) const SHORT_LIST: usize = 32;
/// Untrained networks, each with weights of its own, since one alone says as much about its weights as about an architecture.
const NETS: u64 = 3;
/// How much less a lambda asks for: the budget is the cost of what the task alone would take over `1 + SAVING * lambda`.
const SAVING: f64 = 2.5;

/// One that took part. Measures that are no numbers, or that an older program did not take, are NaN, and null in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// As text.
    pub architecture: String,
    /// In the cost's unit, where the search has a cost.
    pub cost: Option<f64>,
    /// Log determinant of the activation patterns' likeness (see `signals/`).
    #[serde(with = "nullable")]
    pub patterns: f64,
    /// Sum of the least correlations of the maps (see `signals/`).
    #[serde(with = "nullable")]
    pub correlation: f64,
    /// Least growth of the features' entropy within a cell (see `signals/`).
    #[serde(with = "nullable", default = "nullable::missing")]
    pub progressivity: f64,
    /// How evenly cells pass gradients on (see `signals/`).
    #[serde(with = "nullable", default = "nullable::missing")]
    pub trainability: f64,
    /// Mean of the four as ranks among the finalists, from 0 to 1; the best is named. Where parts of a trained supernet are compared it
    /// is the share of right answers.
    #[serde(with = "nullable")]
    pub score: f64,
    /// Percent of right answers with the weights of the supernet, on images it was not trained with; nothing where untrained networks
    /// are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_accuracy: Option<f64>,
    /// Measured cost, of the front where the device is at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// How it ended.
#[derive(Debug)]
pub struct Finals {
    /// The architecture to name.
    pub winner: Architecture,
    /// The short list of what was compared within the budget, best first.
    pub finalists: Vec<Finalist>,
    /// Those that no other beats in both cost and score, the cheapest first; none where the search has no cost. Of the short list, or of
    /// all that evolution looked at.
    pub front: Vec<Finalist>,
    /// Per target, where there are several, the best that meets it.
    pub answers: Vec<Answer>,
    /// Cost of what the score alone would take.
    pub free_cost: Option<f64>,
    /// What the architecture may cost by the goal.
    pub budget: Option<f64>,
}

impl Finals {
    /// Where nothing is compared.
    pub fn only(winner: Architecture) -> Self {
        let (finalists, front, answers) = (Vec::new(), Vec::new(), Vec::new());
        Self { winner, finalists, front, answers, free_cost: None, budget: None }
    }
}

/// What a target is answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// In the cost's unit.
    pub target: f64,
    /// The best within it.
    pub best: Finalist,
}

/// Those that no other beats in both cost and score, the cheapest first; none where they have no cost.
pub(crate) fn front_of(all: &[Finalist]) -> Vec<Finalist> {
    let point = |f: &Finalist| (f.cost.unwrap_or(f64::NAN), f.score);
    let points: Vec<(f64, f64)> = all.iter().map(point).collect();
    front(&points).into_iter().map(|i| all[i].clone()).collect()
}

/// Called before an architecture is looked at: (looked at in this round, those of this round).
pub(crate) type OnLook<'a> = &'a mut dyn FnMut(usize, usize);

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
        on_look: OnLook<'_>,
    ) -> Result<Finals, SearchError> {
        let blocks = Blocks::new(self.space);
        let source = Source { space: self.space, blocks: &blocks, objective: self.objective };
        let nets = self.untrained()?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(FINALISTS_STREAM);
        // The even ones first: they are then the same with a cost and without, so that what a cost changes is seen in the rest.
        let sources = [even(relaxed), relaxed.shallow_clone()];
        let given = std::slice::from_ref(argmax);
        let drawn = self.drawn(&source, &sources, given, &|_| true, &mut rng)?;
        let free = self.compared(&nets, drawn, on_look);
        let Some(best) = free.first().map(|first| first.candidate.clone()) else {
            // Nothing that learns is left anywhere near: the caller warns.
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

    /// Candidates that meet the budget; where there are none, those that are below it.
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

    /// Candidates drawn in equal parts from each distribution, after those of `given`.
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

    /// All candidates with untrained weights, the same for all finalists of all searches of one seed.
    fn untrained(&self) -> Result<Vec<Untrained>, SearchError> {
        let net = |i: u64| {
            let graph = Stage::of_whole(0).graph(self.space, self.skeleton)?;
            Untrained::new(graph, self.seed.wrapping_add(i) as i64, self.device)
        };
        (0..NETS).map(net).collect()
    }

    /// The short list, best first; of equals the one drawn first.
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

/// The generator's stream, which no epoch and no cost has.
pub(crate) const FINALISTS_STREAM: u64 = u64::MAX;

/// What the goal allows, where the task alone would take an architecture of the one cost and the search one of the other.
///
/// A weighted sum of score and cost would do for lambda what it does in the loss: jump from one end of the front to the other,
/// since the front is not convex. A budget moves along it evenly: at 0.1 a fifth less, at 0.4 half. A product says nothing of how much
/// less an architecture should cost; but the steps of the search have weighed loss against cost by it, so what they came to
/// may not be exceeded.
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
