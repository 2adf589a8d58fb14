//! DARTS: Differentiable Architecture Search. Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055.
//! Reference: <https://github.com/quark0/darts>, `cnn/`.
//!
//! Deviations: with `unrolled = true` the three extra passes of the second order update BN's running statistics. The reference does
//! so on a copy of the network, here it happens in the network itself. The search ends with the last epoch's architecture.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use std::fmt::Debug;

use super::tools::prelude::*;
use crate::supernet::AllChannels;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "darts",
    "softmax over all operations of every edge, weights and alpha in turn",
    "DARTS: Differentiable Architecture Search, 2018, arXiv 1806.09055",
    [(12, 64), (50, 64)],
);

/// The second-order DARTS of the paper: its gradient passes through one step of the weights.
pub(super) const SECOND_ORDER: MethodEntry = ENTRY.fixed(
    "darts-2nd",
    "DARTS with the second-order gradient: through one virtual step of the weights",
    "unrolled = true",
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    core: CoreConfig,
    /// Whether to use the second-order gradient.
    unrolled: bool,
}

impl Config {
    pub(super) const PAPER: Self = Self { core: CoreConfig::DARTS, unrolled: false };
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self::PAPER
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(Darts::new(self, AllChannels, space, seed)))
    }
}

/// DARTS with mixed operations built by `S`.
#[derive(Debug)]
pub(super) struct Darts<S> {
    core: Core,
    config: Config,
    sites: S,
}

impl<S> Darts<S> {
    pub(super) fn new(config: Config, sites: S, space: &dyn SearchSpace, seed: u64) -> Self {
        Self { core: Core::new(space.decisions(), config.core, seed), config, sites }
    }

    /// The architecture step: alpha moves along the combined gradient of validation loss and cost.
    fn step_alpha(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<DeviceScalar> {
        let core = &mut self.core;
        let probs = core.probs();
        if !self.config.unrolled {
            let (gates, relaxed) = (core.soft(&probs), core.competing(&probs));
            return core.descend(cx, &gates, &relaxed, &batches.valid);
        }
        let (net, progress, parameters) = (cx.net, cx.progress, core.parameters());
        // The cost does not depend on the weights, so only the task has a second-order term.
        let cost = cx.cost_gradient(&core.competing(&probs), &parameters)?;
        let loss_on = |batch: &Batch| net.loss(batch, &core.soft(&core.probs())).value;
        let losses = (|| loss_on(&batches.train), || loss_on(&batches.valid));
        let (task, value) =
            core.weights.unrolled_gradients(net, &parameters, progress, losses.0, losses.1);
        core.apply(&cx.joined(task, cost, &value));
        Ok(value)
    }
}

impl<S: BuildMixedOp + Copy + Debug + 'static> Method for Darts<S> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(self.sites)
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let is_warming_up = self.config.core.is_warming_up(cx.progress);
        let valid_loss = if is_warming_up { None } else { Some(self.step_alpha(cx, batches)?) };
        let gates = self.core.soft(&self.core.probs().detach());
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.core.soft(&self.core.probs().detach()))
    }
}
