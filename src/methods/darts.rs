//! DARTS: Differentiable Architecture Search. Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055.
//! Reference: <https://github.com/quark0/darts>, `cnn/`.
//!
//! Deviations: with `unrolled = true` the three extra passes of the second order update BN's running statistics as the
//! reference's do on its copy, here on the one network; the search ends with the last epoch's architecture.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use std::fmt::Debug;

use lat_space::SearchSpace;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas};
use super::{
    Batch, Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "darts",
    summary: "softmax over all operations of every edge, weights and alpha in turn",
    paper: "DARTS: Differentiable Architecture Search, 2018, arXiv 1806.09055",
    is_sampling: false,
    schedule,
    build: |preset, options, space, seed| {
        let config = configure("darts", Config::preset(preset), options, space)?;
        Ok(Box::new(Darts::new(config, AllChannels, space, seed)))
    },
};

/// The paper's second row: the same with the gradient through one step of the weights.
pub(super) const SECOND_ORDER: MethodEntry = MethodEntry {
    name: "darts-2nd",
    summary: "DARTS with the second-order gradient: through one virtual step of the weights",
    paper: ENTRY.paper,
    is_sampling: false,
    schedule,
    build: |preset, options, space, seed| {
        let preset = Config { unrolled: true, ..Config::preset(preset) };
        let config = configure("darts-2nd", preset, options, space)?;
        if !config.unrolled {
            return Err(SearchError::Settings(
                "option of method darts-2nd: expected unrolled=true, which is what it is; found false. Use --method darts".into(),
            ));
        }
        Ok(Box::new(Darts::new(config, AllChannels, space, seed)))
    },
};

pub(super) fn schedule(preset: Preset) -> Schedule {
    match preset {
        Preset::Quick => Schedule { epochs: 12, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    }
}

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Second-order gradient.
    unrolled: bool,
}

impl Config {
    pub(super) fn preset(preset: Preset) -> Self {
        let (weights, alpha, unrolled) = (WeightConfig::DARTS, AlphaConfig::DARTS, false);
        match preset {
            Preset::Paper => Self { weights, alpha, unrolled },
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..weights },
                alpha: AlphaConfig::QUICK,
                unrolled,
            },
        }
    }
}

/// DARTS on sites of some kind.
#[derive(Debug)]
pub(super) struct Darts<S> {
    config: Config,
    sites: S,
    alphas: CellAlphas,
    weights: WeightStep,
}

impl<S> Darts<S> {
    pub(super) fn new(config: Config, sites: S, space: &dyn SearchSpace, seed: u64) -> Self {
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            weights: WeightStep::new(config.weights),
            config,
            sites,
        }
    }

    /// The architecture step: alpha moves along the gradient of validation loss and cost.
    fn step_alpha(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let (net, progress, alphas) = (cx.net, cx.progress, &self.alphas);
        let loss_on = |batch: &Batch| {
            let gates = SharedGates::soft(&alphas.decisions, &alphas.rows(&alphas.probs()), None);
            task_loss(net, &gates, batch)
        };
        let parameters = [alphas.logits.shallow_clone()];
        // The cost does not depend on the weights, so that the second order is the task's alone.
        let cost = cx.cost_gradient(&alphas.relaxed(), &parameters)?;
        let (task, value) = if self.config.unrolled {
            let losses = (|| loss_on(&batches.train), || loss_on(&batches.valid));
            self.weights.unrolled_gradients(&parameters, progress, losses.0, losses.1)
        } else {
            let loss = loss_on(&batches.valid);
            (gradients(&loss, &parameters), loss.double_value(&[]))
        };
        self.alphas.apply(&cx.joined(task, cost));
        Ok(value)
    }
}

impl<S: BuildMixedOp + Copy + Debug + 'static> Method for Darts<S> {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(self.sites)
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.alpha.warmup {
            valid_loss = self.step_alpha(cx, batches)?;
        }
        let gates = self.alphas.soft_gates();
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, _: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.alphas.soft_gates())
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.alphas.relaxed())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
    }
}
