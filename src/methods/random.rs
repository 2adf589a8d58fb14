//! Random search with weight sharing: Random Search and Reproducibility for Neural Architecture Search. Li, Talwalkar, UAI 2019,
//! arXiv 1902.07638. Reference: <https://github.com/liamcli/randomNAS_release>.
//!
//! Each step trains one architecture drawn uniformly. In the last part of the search a fixed list of architectures, drawn once, is
//! compared by the mean validation loss with shared weights plus the cost; all see the same batches.
//!
//! Deviations: the reference draws 1000 architectures after the search, compares them on 10 batches, and the best of them on the
//! whole validation half; here the list is compared beside the last steps of training. BN uses each batch's own statistics.

use lat_space::{Architecture, ChoiceSet, SearchSpace, architecture_at, sample};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::bilevel::{WeightConfig, WeightStep, task_loss};
use super::derive::is_connected;
use super::frequencies::Frequencies;
use super::{
    Batch, Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "random",
    summary: "supernet trained on uniform draws, the best of a list of random architectures by loss and cost",
    paper: "Random Search and Reproducibility for Neural Architecture Search, 2019, arXiv 1902.07638",
    is_sampling: true,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 20, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("random", Config::preset(preset), options, space)?;
        let Config { candidates, compare_from, .. } = config;
        expect("random", candidates >= 1, || {
            format!("candidates of at least 1, found {candidates}")
        })?;
        expect("random", (0.0..1.0).contains(&compare_from), || {
            format!("compare_from of at least 0 and below 1, found {compare_from}")
        })?;
        Ok(Box::new(Random::new(config, space, seed)?))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Architectures that are compared.
    candidates: u32,
    /// Share of the search after which they are.
    compare_from: f64,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let weights = WeightConfig::DARTS;
        match preset {
            Preset::Paper => Self { weights, candidates: 1000, compare_from: 0.98 },
            Preset::Quick => {
                let weights = WeightConfig { lr: 0.05, ..weights };
                Self { weights, candidates: 32, compare_from: 0.5 }
            }
        }
    }
}

#[derive(Debug)]
struct Random {
    config: Config,
    weights: WeightStep,
    candidates: Vec<Architecture>,
    /// Per candidate the sum of its validation losses.
    losses: Vec<f64>,
    /// Per candidate what its cost adds to a loss.
    prices: Vec<f64>,
    n_batches: u32,
    frequencies: Frequencies,
    device: Device,
}

impl Random {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Result<Self, SearchError> {
        let n = config.candidates as usize;
        let mut candidates = Vec::with_capacity(n);
        // A network that ignores its input is no answer.
        for i in 0.. {
            if candidates.len() == n {
                break;
            }
            let drawn = architecture_at(space, seed, i)?;
            if is_connected(space, &drawn) {
                candidates.push(drawn);
            }
        }
        Ok(Self {
            weights: WeightStep::new(config.weights),
            losses: vec![0.0; n],
            prices: vec![0.0; n],
            n_batches: 0,
            frequencies: Frequencies::new(space),
            candidates,
            config,
            device: Device::Cpu,
        })
    }

    /// Adds each candidate's loss on one batch; returns the mean of them.
    fn compare(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64, SearchError> {
        let mut sum = 0.0;
        for (i, candidate) in self.candidates.iter().enumerate() {
            let gates = SharedGates::hard(cx.space.decisions(), candidate, self.device);
            let loss = tch::no_grad(|| task_loss(cx.net, &gates, batch)).double_value(&[]);
            self.losses[i] += loss;
            sum += loss;
            if let Some(objective) = &cx.objective {
                self.prices[i] = objective.price(candidate)?;
            }
        }
        self.n_batches += 1;
        Ok(sum / self.candidates.len() as f64)
    }

    /// The candidate with the least mean loss plus price, once any has been compared.
    fn best(&self) -> Option<&Architecture> {
        let score = |i: &usize| self.losses[*i] / f64::from(self.n_batches) + self.prices[*i];
        let best = (0..self.candidates.len()).min_by(|a, b| score(a).total_cmp(&score(b)));
        best.filter(|_| self.n_batches > 0).map(|i| &self.candidates[i])
    }
}

impl Method for Random {
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
        if cx.progress < self.config.compare_from {
            return Ok(report);
        }
        let valid_loss = self.compare(cx, &batches.valid)?;
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.derive(space), self.device))
    }

    fn relaxed(&self) -> Relaxed {
        match self.best() {
            Some(best) => self.frequencies.of(std::slice::from_ref(best)),
            None => self.frequencies.of(&self.candidates),
        }
    }

    fn proposal(&self, space: &dyn SearchSpace) -> Relaxed {
        Relaxed::uniform(space)
    }

    fn derive(&self, _: &dyn SearchSpace) -> Architecture {
        self.best().unwrap_or(&self.candidates[0]).clone()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        // The list hangs on the seed alone, but a state should be whole.
        let choices = self.candidates.iter().flat_map(|a| a.choices.iter());
        let choices: Vec<i64> =
            choices.map(|c| c.only().expect("one choice per decision") as i64).collect();
        let choices = Tensor::from_slice(&choices).view([self.candidates.len() as i64, -1]);
        state.push(("candidates".into(), choices));
        state.push(("losses".into(), Tensor::from_slice(&self.losses)));
        state.push(("prices".into(), Tensor::from_slice(&self.prices)));
        state.push(("n_batches".into(), Tensor::from(i64::from(self.n_batches))));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        let saved = state.get("candidates").ok_or("candidates")?;
        let saved = Vec::<Vec<i64>>::try_from(saved).map_err(|_| "candidates")?;
        if saved.len() != self.candidates.len() {
            return Err(format!("{} candidates", self.candidates.len()));
        }
        for (candidate, choices) in self.candidates.iter_mut().zip(saved) {
            candidate.choices = choices.into_iter().map(|c| ChoiceSet::one(c as usize)).collect();
        }
        for (name, values) in [("losses", &mut self.losses), ("prices", &mut self.prices)] {
            let saved = state.get(name).ok_or(name)?;
            let saved = Vec::<f64>::try_from(saved).map_err(|_| name)?;
            if saved.len() != values.len() {
                return Err(format!("{name} of {} candidates", values.len()));
            }
            *values = saved;
        }
        self.n_batches = state.get("n_batches").ok_or("n_batches")?.int64_value(&[]) as u32;
        Ok(())
    }
}
