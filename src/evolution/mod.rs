//! The second stage of a two-stage search: finds the best subnet of a trained supernet that a budget allows.
//!
//! Evolution as in once-for-all (arXiv 1908.09791) and `AttentiveNAS` (arXiv 2011.09011): the best so far are mutated and crossed,
//! children that cost too much are dropped unjudged, the others are judged with the weights of the supernet. Deviations: children
//! are judged directly instead of by an accuracy predictor, which would need more judged networks than a small search has in total;
//! the last generation counts too; parents are the best quarter of all architectures ever judged; if children within the budget are
//! rare, crossings with the space's cheapest architecture are proposed, so that no search runs forever.

mod breeding;
mod judge;

use std::collections::HashMap;

use lat_predictor::CostModel;
use lat_space::{Architecture, SearchSpace};
use rand_chacha::ChaCha8Rng;

use crate::ending::Ending;
use crate::error::SearchError;
use crate::fastest::fastest;
use breeding::Breeding;
pub(crate) use judge::{Judge, Worth};

/// Share of the judgements that the first generation takes.
const FIRST: f64 = 0.25;
/// Number of generations after the first.
const GENERATIONS: usize = 6;
/// Share of all judged architectures that are parents.
const PARENTS: f64 = 0.25;

/// An architecture with its judgement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) architecture: Architecture,
    /// In the cost model's unit; None if there is no cost.
    pub(crate) cost: Option<f64>,
    pub(crate) worth: Worth,
}

/// A function that judges an architecture.
pub(crate) type Judging<'a> = dyn FnMut(&Architecture) -> Result<Worth, SearchError> + 'a;

/// An evolutionary search among the architectures of a space.
pub(crate) struct Evolution<'a> {
    space: &'a dyn SearchSpace,
    cost: Option<&'a dyn CostModel>,
    /// The space's cheapest architecture; None if there is no cost.
    cheapest: Option<Architecture>,
    rng: ChaCha8Rng,
    /// All judged architectures, in the order in which they were judged.
    all: Vec<Judged>,
    /// Index of each judged architecture in `all`.
    seen: HashMap<Architecture, usize>,
}

impl<'a> Evolution<'a> {
    /// A search that has not judged anything yet.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute a cost.
    pub(crate) fn new(
        space: &'a dyn SearchSpace,
        cost: Option<&'a dyn CostModel>,
        rng: ChaCha8Rng,
    ) -> Result<Self, SearchError> {
        let cheapest = cost.map(|cost| fastest(space, cost)).transpose()?.map(|found| found.0);
        Ok(Self { space, cost, cheapest, rng, all: Vec::new(), seen: HashMap::new() })
    }

    /// Judges `n` more architectures that cost at most `budget`, or fewer if there are no more. Starts with those in `given` that
    /// fit, and continues by evolution, or with random ones only, as `ending` says.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model or the judge fails.
    pub(crate) fn run(
        &mut self,
        ending: Ending,
        n: usize,
        budget: Option<f64>,
        given: &[Architecture],
        judging: &mut Judging<'_>,
    ) -> Result<(), SearchError> {
        let end = self.all.len() + n;
        let known: Vec<Architecture> = given.iter().chain(&self.cheapest).cloned().collect();
        self.judge(known, budget, end, judging)?;
        let first = if ending == Ending::Evolution {
            self.all.len().max(end - n + (FIRST * n as f64).ceil() as usize)
        } else {
            end
        };
        self.generation(&[], budget, first.min(end), judging)?;
        let size = (end - self.all.len().min(end)).div_ceil(GENERATIONS).max(1);
        while self.all.len() < end {
            let parents = self.parents(budget);
            let before = self.all.len();
            self.generation(&parents, budget, (before + size).min(end), judging)?;
            if self.all.len() == before {
                // Everything within the budget has been judged.
                break;
            }
        }
        Ok(())
    }

    /// Judges children of these parents, or random ones if there are no parents, until `end` are judged in total or no new ones are
    /// found.
    fn generation(
        &mut self,
        parents: &[Architecture],
        budget: Option<f64>,
        end: usize,
        judging: &mut Judging<'_>,
    ) -> Result<(), SearchError> {
        let cheapest = self.cheapest.clone();
        let breeding = Breeding { space: self.space, cheapest: cheapest.as_ref(), parents };
        for round in 0..breeding::ROUNDS {
            let missing = end.saturating_sub(self.all.len());
            if missing == 0 {
                break;
            }
            let proposed = breeding.propose(missing, round, &mut self.rng);
            self.judge(proposed, budget, end, judging)?;
        }
        Ok(())
    }

    /// Judges the proposals that are new, valid and within the budget, until `end` are judged in total. All are priced at once.
    fn judge(
        &mut self,
        proposed: Vec<Architecture>,
        budget: Option<f64>,
        end: usize,
        judging: &mut Judging<'_>,
    ) -> Result<(), SearchError> {
        let decisions = self.space.decisions();
        let costs = match self.cost {
            Some(cost) => {
                let costs = crate::prices::prices(decisions, cost, &proposed)?;
                costs.into_iter().map(Some).collect()
            }
            None => vec![None; proposed.len()],
        };
        for (architecture, cost) in proposed.into_iter().zip(costs) {
            if self.all.len() >= end {
                break;
            }
            let fits = !is_above(cost, budget) && !self.seen.contains_key(&architecture);
            if fits && self.is_good(&architecture) {
                let worth = judging(&architecture)?;
                self.seen.insert(architecture.clone(), self.all.len());
                self.all.push(Judged { architecture, cost, worth });
            }
        }
        Ok(())
    }

    fn is_good(&self, architecture: &Architecture) -> bool {
        let space = self.space;
        space.check(architecture).is_ok()
            && crate::methods::learns(space, architecture)
            && space.reads_input(architecture)
    }

    /// The best quarter of the architectures within the budget.
    fn parents(&self, budget: Option<f64>) -> Vec<Architecture> {
        let fit = self.best(budget);
        let n = ((PARENTS * fit.len() as f64).ceil() as usize).max(2);
        fit.into_iter().take(n).map(|judged| judged.architecture.clone()).collect()
    }

    /// The lowest cost among the judged architectures.
    pub(crate) fn least(&self) -> Option<f64> {
        self.all.iter().filter_map(|judged| judged.cost).min_by(f64::total_cmp)
    }

    /// All judged architectures that cost at most `budget`, best first; among equals the one judged first.
    pub(crate) fn best(&self, budget: Option<f64>) -> Vec<&Judged> {
        let mut fit: Vec<&Judged> =
            self.all.iter().filter(|judged| !is_above(judged.cost, budget)).collect();
        fit.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        fit
    }

    /// All judged architectures, in the order in which they were judged.
    pub(crate) fn all(&self) -> &[Judged] {
        &self.all
    }
}

fn is_above(cost: Option<f64>, budget: Option<f64>) -> bool {
    cost.zip(budget).is_some_and(|(cost, budget)| cost > budget)
}

#[cfg(test)]
mod tests {
    use lat_predictor::{CountCost, TableCost};
    use lat_space::{NasBenchMacro, find_space};
    use rand::SeedableRng;

    use super::*;

    /// A table in which every choice costs its index.
    fn additive(space: &dyn SearchSpace) -> TableCost {
        let costs = space.decisions().iter().flat_map(|d| 0..d.choices.len());
        TableCost::new(space, "latency_ms", 1.0, costs.map(|c| c as f64).collect()).unwrap()
    }

    fn numbers(architecture: &Architecture) -> Vec<usize> {
        architecture.choices.iter().map(|set| set.only().unwrap()).collect()
    }

    /// Worth `2 * c - d / 10` for choice `c` of decision `d` if `c` is not 0: the best within a budget takes early decisions first.
    fn worth(architecture: &Architecture) -> Worth {
        let of =
            |(d, c): (usize, usize)| if c == 0 { 0.0 } else { (2 * c) as f64 - 0.1 * d as f64 };
        let accuracy = numbers(architecture).into_iter().enumerate().map(of).sum();
        Worth { accuracy, loss: 0.0 }
    }

    #[test]
    fn evolution_finds_the_best_of_a_toy_and_never_goes_over_the_budget() {
        let space = NasBenchMacro::new();
        let cost = additive(&space);
        for (seed, budget) in [(0, 6.0), (1, 10.0), (2, 17.0)] {
            let rng = ChaCha8Rng::seed_from_u64(seed);
            let mut evolution = Evolution::new(&space, Some(&cost), rng).unwrap();
            let mut judging = |a: &Architecture| Ok(worth(a));
            evolution.run(Ending::Evolution, 600, Some(budget), &[], &mut judging).unwrap();
            for judged in evolution.all() {
                let total: usize = numbers(&judged.architecture).iter().sum();
                // The rest of the network costs 1.
                assert!(1.0 + total as f64 <= budget);
            }
            let best = worth(&evolution.best(Some(budget))[0].architecture).accuracy;
            let of = |i| space.at(i);
            let all = (0..space.size())
                .map(of)
                .filter(|a| 1.0 + numbers(a).iter().sum::<usize>() as f64 <= budget);
            let truth = all.map(|a| worth(&a).accuracy).fold(f64::MIN, f64::max);
            assert!((best - truth).abs() < 1e-9, "{budget}: {best} of {truth}");
        }
    }

    #[test]
    fn the_same_seed_looks_at_the_same_and_nothing_twice() {
        let space = find_space("ofa").unwrap();
        let preset = space.skeletons()[0].skeleton;
        let cost = CountCost::new(space.as_ref(), &preset, "params").unwrap();
        let looked_at = |seed, ending| {
            let rng = ChaCha8Rng::seed_from_u64(seed);
            let mut evolution = Evolution::new(space.as_ref(), Some(&cost), rng).unwrap();
            let mut judging = |a: &Architecture| Ok(worth(a));
            evolution.run(ending, 40, None, &[], &mut judging).unwrap();
            let all = evolution.all().iter().map(|judged| judged.architecture.clone());
            all.collect::<Vec<_>>()
        };
        let once = looked_at(3, Ending::Evolution);
        assert_eq!(once, looked_at(3, Ending::Evolution));
        assert_ne!(once, looked_at(4, Ending::Evolution));
        assert_ne!(once, looked_at(3, Ending::Random));
        assert_eq!(once.iter().collect::<std::collections::HashSet<_>>().len(), 40);
    }

    #[test]
    fn a_budget_that_only_the_cheapest_meets_is_met() {
        let space = NasBenchMacro::new();
        let cost = additive(&space);
        let (_, least) = fastest(&space, &cost).unwrap();
        let rng = ChaCha8Rng::seed_from_u64(0);
        let mut evolution = Evolution::new(&space, Some(&cost), rng).unwrap();
        let mut judging = |a: &Architecture| Ok(worth(a));
        evolution.run(Ending::Evolution, 100, Some(least), &[], &mut judging).unwrap();
        let found = evolution.best(Some(least));
        assert!(!found.is_empty() && found.iter().all(|judged| judged.cost == Some(least)));
        // Ten more: none is above the budget of the later run, and those judged before count.
        evolution.run(Ending::Random, 10, Some(least + 1.0), &[], &mut judging).unwrap();
        assert!(evolution.best(Some(least + 1.0)).len() >= found_len(&evolution, least));
        assert!(space.size() > 100);
    }

    fn found_len(evolution: &Evolution<'_>, budget: f64) -> usize {
        evolution.best(Some(budget)).len()
    }
}
