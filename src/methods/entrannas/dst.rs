//! `EnTranNAS-DST`: `EnTranNAS` (see `mod.rs`) whose nodes learn a threshold below which connections are exactly zero, so that
//! any number of edges, and of operations on an edge, can be derived. Yang, You, Li, Wang, Qian, Lin, CVPR 2021, arXiv 2101.11342.
//! No public implementation is known to us; a survey restates the equations.
//!
//! Choices of ours for the parts of the paper that we could not read: beta starts at -3, where everything is alive; its Adam has no
//! decay; thresholds end at 0.999; a reward for large thresholds, `reward * mean(-log t)`, which the paper has as far as we
//! remember; Transit-cells sum everything alive without weights; the operation `none` takes no part. If an edge has only one
//! operation left, the task does not depend on the threshold: only the reward then raises it, which is why beta may learn more
//! slowly (`beta_speed`).
//!
//! The latency term reads one operation per edge, by the weights of its Engine-cell, times the probability that the edge exists,
//! which depends on how far its connections are above the threshold (`thresholds.rs`). The weights alone would not do: on every
//! living edge they sum to one, so no cost could ever remove one. All three estimators draw edges independently. An edge on which
//! several operations survive costs more than that until one is left; the log shows both. Other numbers of edges are off the
//! training data of predictors that have only seen published cells. The quick preset raises the learning rates of alpha and beta.
//! Its some hundred steps still leave several operations on many edges (in one search of digits by parameters the derived network
//! had five times those of the relaxed one). For sparser cells search longer, or raise `reward` or `beta_speed`.

use super::super::tools::alphas::Learning;
use super::super::tools::needs::Need;
use super::super::tools::prelude::*;
use super::EngineTransit;
use super::thresholds::{Connections, Thresholds};

pub(in crate::methods) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "entrannas-dst",
    "EnTranNAS with learnt thresholds: any number of edges, and of operations on an edge",
    super::ENTRY.paper,
    [(12, 64), (50, 64)],
)
.needing(&[Need::Cells, Need::Plain, Need::OneList, Need::Several]);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    base: super::Config,
    /// Initial beta; the threshold is its sigmoid.
    beta_init: f64,
    /// Beta's learning rate divided by alpha's.
    beta_speed: f64,
    /// Weight of the reward for large thresholds.
    reward: f64,
}

impl Settings for Config {
    fn paper(space: &dyn SearchSpace) -> Self {
        let base = super::Config::paper(space);
        Self { base, beta_init: -3.0, beta_speed: 1.0, reward: 0.1 }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        quick_rates_and(toml! { beta_speed = 2.5 })
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        self.base.check(space)?;
        let Self { beta_speed, reward, .. } = *self;
        ensure(reward >= 0.0 && beta_speed >= 0.0, || {
            format!("reward and beta_speed of at least 0, found {reward} and {beta_speed}")
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let thresholds = Thresholds::new(space.decisions());
        let size = [thresholds.n_nodes() as i64];
        let beta = Tensor::full(size, self.beta_init, tch::kind::FLOAT_CPU);
        let alpha = self.base.core.alpha.learning();
        let learning = Learning { lr: alpha.lr * self.beta_speed, decay: 0.0, ..alpha };
        let core = Core::new(space.decisions(), self.base.core, seed);
        let core = core.with([("beta", beta.set_requires_grad(true))], learning);
        Ok(Box::new(EnTranNasDst { core, config: self, thresholds }))
    }
}

#[derive(Debug)]
struct EnTranNasDst {
    core: Core,
    config: Config,
    thresholds: Thresholds,
}

impl EnTranNasDst {
    fn connections(&self) -> Connections {
        let [alpha, beta] = &self.core.parameters()[..] else { unreachable!("it has two") };
        self.thresholds.connections(&(alpha / self.config.base.tau), beta)
    }

    /// The current connections, without a gradient.
    fn settled(&self) -> Connections {
        tch::no_grad(|| self.connections())
    }

    /// Gates: Engine-cells weight the living connections, Transit-cells use them without weights; dead ones are not computed in either.
    fn gates_of(
        &self,
        net: &dyn Supernet,
        now: &Connections,
        derived: &Architecture,
    ) -> EngineTransit {
        let engine = self.core.partly(&now.weights(), &now.q);
        self.config.base.gates(net, engine, self.core.hard(derived))
    }

    /// The architecture step: alpha and beta move along the combined gradient of validation loss, cost and reward.
    fn step_architecture(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
        derived: &Architecture,
    ) -> Result<DeviceScalar> {
        let connections = self.connections();
        let gates = self.gates_of(cx.net, &connections, derived);
        let task = cx.net.loss(&batches.valid, &gates).value;
        let value = DeviceScalar::of(&task);
        let mut loss = task;
        if self.config.reward > 0.0 {
            let shortfall = Thresholds::shortfall(&self.core.parameters()[1]);
            loss += shortfall.to_device(loss.device()) * self.config.reward;
        }
        let gradients = self.core.gradients(cx, &loss, &connections.relaxed())?;
        self.core.apply(&gradients);
        Ok(value)
    }
}

impl Method for EnTranNasDst {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        self.config.base.sites()
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        // The architecture is derived once per iteration: both halves of the step use the same Transit-cells.
        let derived = self.derive(cx.space);
        let mut valid_loss = None;
        if !self.config.base.core.is_warming_up(cx.progress) {
            valid_loss = Some(self.step_architecture(cx, batches, &derived)?);
        }
        let gates = self.gates_of(cx.net, &self.settled(), &derived);
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, space: &dyn SearchSpace, net: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.gates_of(net, &self.settled(), &self.derive(space)))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.connections().relaxed())
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        self.settled().derive(space.id())
    }
}
