//! Local search: Exploring the Loss Landscape in Neural Architecture Search. White, Nolen, Savani, UAI 2021, arXiv 2005.02960.
//! Reference: <https://github.com/naszilla/naszilla>.
//!
//! Starts from a random architecture. The best neighbour by validation loss and cost replaces it, as long as there is a better one.
//! A neighbour differs in one operation, or replaces one of a node's edges by another.
//!
//! Deviations: the reference trains every architecture that it compares; here a supernet is trained on uniform draws, as in random
//! search with weight sharing (arXiv 1902.07638), and losses are those of shared weights on the step's validation batch, also for
//! the current architecture. Each step compares a number of random neighbours, so the search ends with the schedule, not in a
//! certain optimum, and there is no restart. BN uses each batch's own statistics.

use lat_space::{architecture_at, neighbours, sample};
use rand::seq::SliceRandom;

use super::tools::frequencies::{frequencies, numbers, of_numbers};
use super::tools::prelude::*;
use crate::relaxed::Topology;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "local-search",
    "supernet trained on uniform draws; from a random architecture to ever better neighbours",
    "Exploring the Loss Landscape in Neural Architecture Search, 2020, arXiv 2005.02960",
    [(20, 64), (50, 64)],
)
.sampling();

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Neighbours compared per step.
    neighbours: u32,
    /// Share of the search before the climb starts, in which only the supernet is trained.
    climb_from: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self { weights: WeightConfig::DARTS, neighbours: 16, climb_from: 0.8 }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            neighbours = 8
            climb_from = 0.5
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.neighbours >= 1, || "neighbours of at least 1, found 0".into())?;
        ensure((0.0..1.0).contains(&self.climb_from), || {
            format!("climb_from of at least 0 and below 1, found {}", self.climb_from)
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        // Start from the first draw that reads its input. If the space has none, the error comes when its draws run out.
        let mut number = 0;
        let start = loop {
            let drawn = architecture_at(space, seed, number)?;
            if space.reads_input(&drawn) {
                break drawn;
            }
            number += 1;
        };
        let mut core = Core::bare(space.decisions(), self.weights);
        core.keep(CURRENT, numbers(&start));
        Ok(Box::new(LocalSearch { core, config: self, space: space.id().to_owned() }))
    }
}

/// `[n_decisions]`: choices of the climb's current architecture.
const CURRENT: &str = "current";

#[derive(Debug)]
struct LocalSearch {
    core: Core,
    config: Config,
    /// The space's id.
    space: String,
}

impl LocalSearch {
    fn current(&self) -> Architecture {
        of_numbers(&self.space, self.core.kept(CURRENT))
    }

    /// Loss with shared weights on the batch, and the loss plus the price.
    fn score(
        &self,
        cx: &Context<'_, '_>,
        architecture: &Architecture,
        batch: &Batch,
    ) -> Result<(f64, f64)> {
        let gates = self.core.hard(architecture);
        let loss = tch::no_grad(|| cx.net.loss(batch, &gates).value);
        let loss = cx.net.mean_over_ranks(&loss).double_value(&[]);
        let price = cx.objective.as_ref().map_or(Ok(0.0), |o| o.price(architecture, loss))?;
        Ok((loss, loss + price))
    }

    /// Moves to the best of some random neighbours if it is better. Returns the loss of the architecture that is current afterwards.
    fn climb(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64> {
        let current = self.current();
        let mut best = self.score(cx, &current, batch)?;
        let mut looked_at = neighbours(cx.space, &current);
        let n = self.config.neighbours as usize;
        let (some, _) = looked_at.partial_shuffle(cx.rng, n);
        for neighbour in some {
            let found = self.score(cx, neighbour, batch)?;
            if found.1 < best.1 {
                best = found;
                self.core.keep(CURRENT, numbers(neighbour));
            }
        }
        Ok(best.0)
    }
}

impl Method for LocalSearch {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let drawn = sample(cx.space, cx.rng);
        let report = self.core.train(cx, &self.core.hard(&drawn), &batches.train);
        if cx.progress < self.config.climb_from {
            return Ok(report);
        }
        let valid_loss = self.climb(cx, &batches.valid)?;
        Ok(StepReport { valid_loss: Some(valid_loss.into()), ..report })
    }

    fn relaxed(&self) -> Relaxed {
        frequencies(&self.core.decisions, &[self.current()])
    }

    /// Half of the probability mass on the current architecture, the other half spread uniformly.
    fn proposal(&self, space: &dyn SearchSpace) -> Relaxed {
        let (here, everywhere) = (self.relaxed(), Relaxed::uniform(space));
        let half = |a: &Tensor, b: &Tensor| (a + b) * 0.5;
        let mean = |a: &[Tensor], b: &[Tensor]| a.iter().zip(b).map(|(a, b)| half(a, b)).collect();
        let probs = mean(&here.probs, &everywhere.probs);
        match (&here.topology, &everywhere.topology) {
            (Topology::Strengths(a), Topology::Strengths(b)) => {
                Relaxed::competing(probs, mean(a, b))
            }
            _ => Relaxed::free(probs),
        }
    }

    fn derive(&self, _: &dyn SearchSpace) -> Architecture {
        self.current()
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, NasBench201};

    use super::*;

    #[test]
    fn local_search_neighbours_differ_in_one_place_and_are_as_many_as_the_count_says() {
        let (darts, nasbench201) = (Darts::new(), NasBench201::new());
        let spaces: [&dyn SearchSpace; 2] = [&darts, &nasbench201];
        for space in spaces {
            for i in 0..5 {
                let current = architecture_at(space, 3, i).unwrap();
                let all = neighbours(space, &current);
                for neighbour in &all {
                    space.check(neighbour).unwrap();
                    let differ = (0..current.choices.len())
                        .filter(|&d| neighbour.choices[d] != current.choices[d])
                        .count();
                    let is_exchange = differ == 2 && !space.groups().is_empty();
                    assert!(differ == 1 || is_exchange, "{differ}");
                }
                let distinct: std::collections::HashSet<_> = all.iter().collect();
                assert_eq!(distinct.len(), all.len());
                // DARTS: 16 edges with 6 other operations; per cell 2 * (0 + 1 + 2 + 3) exchanges.
                match space.groups().is_empty() {
                    false => assert_eq!(all.len(), 16 * 6 + 2 * 2 * 6),
                    true => assert!((1..=6 * 4).contains(&all.len())),
                }
            }
        }
    }
}
