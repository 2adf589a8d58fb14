//! DARTS: Differentiable Architecture Search. Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055.
//! Reference: <https://github.com/quark0/darts>, `cnn/`.
//!
//! Deviations: with `unrolled = true` the three extra passes of the second order update BN's running statistics as the
//! reference's do on its copy, here on the one network; the search ends with the last epoch's architecture.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use lat_space::{Decision, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients};
use super::cell_alphas::{init, n_choices, probs, rng, strengths};
use super::{Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure};
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "darts",
    summary: "softmax over all operations of every edge, weights and alpha in turn",
    paper: "DARTS: Differentiable Architecture Search, 2018, arXiv 1806.09055",
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 12, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    },
    build: |preset, options, space, seed| {
        let config = configure("darts", Config::preset(preset), options)?;
        Ok(Box::new(Darts::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Learning rate of the operation weights, start of the cosine.
    lr: f64,
    /// Its end.
    lr_min: f64,
    /// Momentum of the weights' SGD.
    momentum: f64,
    /// Weight decay of the operation weights.
    decay: f64,
    /// Bound of the weight gradient's norm.
    clip: f64,
    /// Learning rate of alpha's Adam.
    alpha_lr: f64,
    /// Weight decay of alpha.
    alpha_decay: f64,
    /// Share of the search before alpha moves.
    warmup: f64,
    /// Second-order gradient.
    unrolled: bool,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            lr: 0.025,
            lr_min: 0.001,
            momentum: 0.9,
            decay: 3e-4,
            clip: 5.0,
            alpha_lr: 3e-4,
            alpha_decay: 1e-3,
            warmup: 0.0,
            unrolled: false,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self { alpha_lr: 3e-2, warmup: 0.2, lr: 0.05, ..paper },
        }
    }
}

/// Betas of alpha's Adam.
const ALPHA_BETAS: (f64, f64) = (0.5, 0.999);

#[derive(Debug)]
struct Darts {
    config: Config,
    decisions: Vec<Decision>,
    /// `[n_decisions, n_choices]`.
    alpha: Tensor,
    adam: Adam,
    weights: WeightStep,
    device: Device,
}

impl Darts {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let alpha = init(space.decisions().len(), n_choices(space), &mut rng(seed));
        let Config { lr, lr_min, momentum, decay, clip, .. } = config;
        Self {
            adam: Adam::new(vec![alpha.shallow_clone()], ALPHA_BETAS, config.alpha_decay),
            weights: WeightStep::new(WeightConfig { lr, lr_min, momentum, decay, clip }),
            decisions: space.decisions().to_vec(),
            alpha,
            config,
            device: Device::Cpu,
        }
    }

    fn soft_gates(&self, alpha: &Tensor) -> SharedGates {
        SharedGates::soft(&self.decisions, &probs(alpha, self.device), None)
    }

    /// The architecture step: alpha moves along the gradient of validation loss and cost.
    fn step_alpha(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let alphas = [self.alpha.shallow_clone()];
        let (net, progress) = (cx.net, cx.progress);
        let (device, decisions) = (self.device, self.decisions.clone());
        let alpha = self.alpha.shallow_clone();
        let loss_on = |batch: &super::Batch| {
            let gates = SharedGates::soft(&decisions, &probs(&alpha, device), None);
            net.forward_t(&batch.images, &gates, true).cross_entropy_for_logits(&batch.labels)
        };
        let mut valid_loss = || -> Result<(Tensor, f64), SearchError> {
            let task = loss_on(&batches.valid);
            let value = task.double_value(&[]);
            let joined = match &mut cx.objective {
                Some(objective) => objective.join(task, &relaxed(&decisions, &alpha), cx.rng)?,
                None => task,
            };
            Ok((joined, value))
        };
        let (gradients, value) = if self.config.unrolled {
            let train_loss = || loss_on(&batches.train);
            self.weights.unrolled_gradients(&alphas, progress, train_loss, valid_loss)?
        } else {
            let (loss, value) = valid_loss()?;
            (gradients(&loss, &alphas), value)
        };
        self.adam.step(&gradients, self.config.alpha_lr);
        Ok(value)
    }
}

/// Edge strength is the best operation's probability; the card's derivation and cost use the same.
fn relaxed(decisions: &[Decision], alpha: &Tensor) -> Relaxed {
    let probs = probs(alpha, Device::Cpu);
    Relaxed { strengths: strengths(decisions, &probs), probs }
}

impl Method for Darts {
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
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.warmup {
            valid_loss = self.step_alpha(cx, batches)?;
        }
        let gates = self.soft_gates(&self.alpha.detach());
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self) -> Box<dyn Gating> {
        Box::new(self.soft_gates(&self.alpha.detach()))
    }

    fn relaxed(&self) -> Relaxed {
        relaxed(&self.decisions, &self.alpha.detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.adam.state("alpha.adam"));
        state.push(("alpha".into(), self.alpha.detach()));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.adam.load("alpha.adam", state)?;
        load_parameter(&mut self.alpha, "alpha", state)
    }
}

/// Copies a saved parameter back.
pub(super) fn load_parameter(
    parameter: &mut Tensor,
    name: &str,
    state: &StateMap,
) -> Result<(), String> {
    let saved = state.get(name).ok_or(name)?;
    if saved.size() != parameter.size() {
        return Err(format!("{name} of shape {:?}", parameter.size()));
    }
    tch::no_grad(|| parameter.copy_(saved));
    Ok(())
}
