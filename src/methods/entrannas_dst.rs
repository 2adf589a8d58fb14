//! `EnTranNAS-DST`: `EnTranNAS` (see `entrannas.rs`) whose nodes learn a threshold below which connections are exactly zero, so that
//! any number of edges, and of operations on an edge, can be derived. Yang, You, Li, Wang, Qian, Lin, CVPR 2021, arXiv 2101.11342.
//! No public implementation is known to us; a survey restates the equations.
//!
//! What of the paper could not be read and is chosen here: beta begins at -3, where everything is alive; its Adam has no decay;
//! thresholds end at 0.999; a reward for large thresholds, `reward * mean(-log t)`, which the paper is remembered to have; Transit-cells
//! sum what is alive without weights; the operation `none` takes no part. Where one operation of an edge is left, the task says nothing
//! about the threshold: the reward alone then raises it, which is why beta may learn more slowly (`beta_speed`).
//!
//! The latency term reads one operation per edge, by the weights of its Engine-cell, times the chance that the edge is there: how
//! far its connections are above the threshold (`entrannas_thresholds.rs`). The weights alone would not do: on every living
//! edge they sum to one, so that no cost could ever remove one. All three estimators draw edges independently. An edge on which
//! several operations survive costs more than that until one is left; the log shows both. Predictors that have only seen
//! published cells are off their data on others.
//! The quick preset raises the learning rates of alpha and beta. Its some hundred steps still leave several operations on many edges
//! (in one search of digits by parameters the derived network had five times those of the relaxed one): search longer, or raise
//! `reward` or `beta_speed`, for sparser cells.

use std::collections::HashSet;

use lat_space::{Architecture, DecisionId, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, load_parameter};
use super::coverage::{covered, holds_several};
use super::entrannas::{self, EngineTransit, engine_sites};
use super::entrannas_thresholds::{Connections, Thresholds};
use super::{Batches, Context, Method, MethodEntry, Preset, StepReport, configure, expect};
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{
    AllChannels, BuildMixedOp, Gating, Path, SharedGates, SharedSources, Supernet,
};

const NAME: &str = "entrannas-dst";

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: NAME,
    summary: "EnTranNAS with learnt thresholds: any number of edges, and of operations on an edge",
    paper: entrannas::ENTRY.paper,
    is_sampling: false,
    schedule: entrannas::ENTRY.schedule,
    build: |preset, options, space, seed| {
        let config: Config = configure(NAME, Config::preset(preset), options, space)?;
        covered(NAME, space, "that hold several operations on an edge", holds_several)?;
        let Config { engines, tau, beta_speed, reward, .. } = config;
        expect(NAME, engines >= 1, || {
            "engines of at least 1, found 0: without an Engine-cell alpha learns nothing".into()
        })?;
        expect(NAME, tau > 0.0, || format!("tau above 0, found {tau}"))?;
        expect(NAME, reward >= 0.0 && beta_speed >= 0.0, || {
            format!("reward and beta_speed of at least 0, found {reward} and {beta_speed}")
        })?;
        Ok(Box::new(EnTranNasDst::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Engine-cells of each cell type, the first ones; more than there are: all.
    engines: u32,
    /// Evaluate an operation once per source node of a cell, for all edges that leave it.
    sharing: bool,
    /// Temperature of the softmax.
    tau: f64,
    /// Beta at the start; the threshold is its sigmoid.
    beta_init: f64,
    /// Beta's learning rate over alpha's.
    beta_speed: f64,
    /// Weight of the reward for large thresholds.
    reward: f64,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig::DARTS,
            alpha: AlphaConfig::DARTS,
            engines: 1,
            sharing: true,
            tau: 1.0,
            beta_init: -3.0,
            beta_speed: 1.0,
            reward: 0.1,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig::QUICK,
                beta_speed: 2.5,
                ..paper
            },
        }
    }
}

#[derive(Debug)]
struct EnTranNasDst {
    config: Config,
    alphas: CellAlphas,
    thresholds: Thresholds,
    /// `[n_nodes]`.
    beta: Tensor,
    beta_adam: Adam,
    weights: WeightStep,
    /// Sites in Engine-cells.
    engines: HashSet<(DecisionId, u16)>,
}

impl EnTranNasDst {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let thresholds = Thresholds::new(space.decisions());
        let size = [thresholds.n_nodes() as i64];
        let beta = Tensor::full(size, config.beta_init, tch::kind::FLOAT_CPU);
        let beta = beta.set_requires_grad(true);
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            beta_adam: Adam::new(vec![beta.shallow_clone()], ALPHA_BETAS, 0.0),
            weights: WeightStep::new(config.weights),
            engines: HashSet::new(),
            thresholds,
            beta,
            config,
        }
    }

    fn connections(&self) -> Connections {
        self.thresholds.connections(&(&self.alphas.logits / self.config.tau), &self.beta)
    }

    /// The same without a gradient.
    fn settled(&self) -> Connections {
        tch::no_grad(|| self.connections())
    }

    /// Engine-cells weigh what is alive, Transit-cells have it without weights; what is dead is not computed in either.
    fn gates_of(&self, connections: &Connections, derived: &Architecture) -> EngineTransit {
        let (decisions, device) = (&self.alphas.decisions, self.alphas.device);
        let (rows, alive) = (self.alphas.rows(&connections.weights()), connections.alive());
        let path = |d: usize, c: usize| if alive[d][c] { Path::On } else { Path::Off };
        EngineTransit {
            engine: SharedGates::with_paths(decisions, &rows, path),
            transit: SharedGates::hard(decisions, derived, device),
            engines: self.engines.clone(),
        }
    }

    /// What rewards large thresholds: 0 where all are 1.
    fn shortfall(&self) -> Tensor {
        Thresholds::of(&self.beta).log().mean(Kind::Float).neg()
    }

    /// The architecture step: alpha and beta move along one gradient of validation loss, cost and reward.
    fn step_architecture(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
        derived: &Architecture,
    ) -> Result<f64, SearchError> {
        let connections = self.connections();
        let task = task_loss(cx.net, &self.gates_of(&connections, derived), &batches.valid);
        let value = task.double_value(&[]);
        let both = [self.alphas.logits.shallow_clone(), self.beta.shallow_clone()];
        let cost = cx.cost_gradient(&connections.relaxed(), &both)?;
        let mut loss = task;
        if self.config.reward > 0.0 {
            loss += self.shortfall().to_device(loss.device()) * self.config.reward;
        }
        let mut of_alpha = cx.joined(gradients(&loss, &both), cost);
        let of_beta = of_alpha.split_off(1);
        self.alphas.apply(&of_alpha);
        self.beta_adam.step(&of_beta, self.config.alpha.alpha_lr * self.config.beta_speed);
        Ok(value)
    }
}

impl Method for EnTranNasDst {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        if self.config.sharing { Box::new(SharedSources) } else { Box::new(AllChannels) }
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        self.engines = engine_sites(net, self.config.engines);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        // One derivation per iteration: both halves of the step see the same Transit-cells.
        let derived = self.derive(cx.space);
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.alpha.warmup {
            valid_loss = self.step_architecture(cx, batches, &derived)?;
        }
        let gates = self.gates_of(&self.settled(), &derived);
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.gates_of(&self.settled(), &self.derive(space)))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.connections().relaxed())
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        self.settled().derive(space.id())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.alphas.state());
        state.extend(self.beta_adam.state("beta.adam"));
        state.push(("beta".into(), self.beta.detach()));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)?;
        self.beta_adam.load("beta.adam", state)?;
        load_parameter(&mut self.beta, "beta", state)
    }
}
