//! Local search: Exploring the Loss Landscape in Neural Architecture Search. White, Nolen, Savani, UAI 2021, arXiv 2005.02960.
//! Reference: <https://github.com/naszilla/naszilla>.
//!
//! From a random architecture on, the best neighbour by validation loss and cost takes its place, as long as there is a better one. A
//! neighbour differs in one operation, or has one edge of a node in another's place.
//!
//! Deviations: the reference trains every architecture it looks at; here a supernet is trained on uniform draws, as in random search
//! with weight sharing (arXiv 1902.07638), and losses are those of shared weights on the step's validation batch, current
//! architecture included. Per step a number of random neighbours is looked at, so that it ends with the schedule, not in a certain
//! optimum, and no restart follows. BN uses each batch's own statistics.

use lat_space::{Architecture, ChoiceSet, SearchSpace, architecture_at, sample};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::bilevel::{WeightConfig, WeightStep, task_loss};
use super::derive::is_connected;
use super::frequencies::Frequencies;
use super::neighbours::neighbours;
use super::{
    Batch, Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::{Relaxed, Topology};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "local-search",
    summary: "supernet trained on uniform draws; from a random architecture to ever better neighbours",
    paper: "Exploring the Loss Landscape in Neural Architecture Search, 2020, arXiv 2005.02960",
    is_sampling: true,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 20, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("local-search", Config::preset(preset), options, space)?;
        let Config { neighbours, climb_from, .. } = config;
        expect("local-search", neighbours >= 1, || "neighbours of at least 1, found 0".into())?;
        expect("local-search", (0.0..1.0).contains(&climb_from), || {
            format!("climb_from of at least 0 and below 1, found {climb_from}")
        })?;
        Ok(Box::new(LocalSearch::new(config, space, seed)?))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Neighbours looked at per step.
    neighbours: u32,
    /// Share of the search that only trains the supernet.
    climb_from: f64,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self { weights: WeightConfig::DARTS, neighbours: 16, climb_from: 0.8 };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                neighbours: 8,
                climb_from: 0.5,
            },
        }
    }
}

#[derive(Debug)]
struct LocalSearch {
    config: Config,
    weights: WeightStep,
    current: Architecture,
    frequencies: Frequencies,
    device: Device,
}

impl LocalSearch {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Result<Self, SearchError> {
        // The first draw that reads its input; a space without one says so when its draws end.
        let mut n_drawn = 0;
        let current = loop {
            let drawn = architecture_at(space, seed, n_drawn)?;
            if is_connected(space, &drawn) {
                break drawn;
            }
            n_drawn += 1;
        };
        Ok(Self {
            weights: WeightStep::new(config.weights),
            frequencies: Frequencies::new(space),
            current,
            config,
            device: Device::Cpu,
        })
    }

    /// Loss of shared weights on the batch, and with the price added.
    fn score(
        &self,
        cx: &Context<'_, '_>,
        architecture: &Architecture,
        batch: &Batch,
    ) -> Result<(f64, f64), SearchError> {
        let gates = SharedGates::hard(cx.space.decisions(), architecture, self.device);
        let loss = tch::no_grad(|| task_loss(cx.net, &gates, batch)).double_value(&[]);
        let price = cx.objective.as_ref().map_or(Ok(0.0), |o| o.price(architecture))?;
        Ok((loss, loss + price))
    }

    /// Moves to the best of some random neighbours where it is better; returns the loss of where it stands then.
    fn climb(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64, SearchError> {
        let mut best = self.score(cx, &self.current, batch)?;
        let mut looked_at = neighbours(cx.space, &self.current);
        let n = self.config.neighbours as usize;
        let (some, _) = looked_at.partial_shuffle(cx.rng, n);
        for neighbour in some {
            let found = self.score(cx, neighbour, batch)?;
            if found.1 < best.1 {
                best = found;
                self.current.clone_from(neighbour);
            }
        }
        Ok(best.0)
    }
}

impl Method for LocalSearch {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.device = net.weights().device();
        self.weights.begin(net);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let drawn = sample(cx.space, cx.rng);
        let gates = SharedGates::hard(cx.space.decisions(), &drawn, self.device);
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        if cx.progress < self.config.climb_from {
            return Ok(report);
        }
        let valid_loss = self.climb(cx, &batches.valid)?;
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.current, self.device))
    }

    fn relaxed(&self) -> Relaxed {
        self.frequencies.of(std::slice::from_ref(&self.current))
    }

    /// Half of the mass where the climb stands, the rest everywhere.
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
        self.current.clone()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        let only = |c: &ChoiceSet| c.only().expect("one choice per decision") as i64;
        let current: Vec<i64> = self.current.choices.iter().map(only).collect();
        state.push(("current".into(), Tensor::from_slice(&current)));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        let saved = state.get("current").ok_or("current")?;
        let saved = Vec::<i64>::try_from(saved).map_err(|_| "current")?;
        if saved.len() != self.current.choices.len() {
            return Err(format!("current of {} decisions", self.current.choices.len()));
        }
        self.current.choices = saved.into_iter().map(|c| ChoiceSet::one(c as usize)).collect();
        Ok(())
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
