//! `EnTranNAS`: Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable Neural Architecture Search. Yang, You, Li,
//! Wang, Qian, Lin, CVPR 2021, arXiv 2101.11342. No public implementation is known to us.
//!
//! A few Engine-cells run the mixture of all operations; every other cell is a Transit-cell and runs just what would be derived now.
//!
//! What of the paper could not be read and is chosen here: the Engine-cells are the first of each cell type (a type without one would
//! learn nothing), temperature 1, rates and epochs are DARTS'. Deviation: `none` is among the operations as in DARTS. As in
//! the paper an operation is evaluated once per source node of a cell and shared by the edges that leave it (`sharing = false`: every
//! edge has its own); the derived network, which is trained from scratch and whose latency is meant, has operations per edge.
//! The variant that learns the number of edges by thresholds is `entrannas_dst.rs`.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use std::collections::HashSet;

use lat_space::{DecisionId, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, strengths};
use super::coverage::covered_cells;
use super::{
    Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{
    AllChannels, BuildMixedOp, Gate, Gating, SharedGates, SharedSources, Supernet,
};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "entrannas",
    summary: "one cell of each type runs all operations, the others just what would be derived now",
    paper: "Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable NAS, 2021, arXiv 2101.11342",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 12, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    },
    build: |preset, options, space, seed| {
        covered_cells("entrannas", space)?;
        let config: Config = configure("entrannas", Config::preset(preset), options, space)?;
        let Config { engines, tau, .. } = config;
        expect("entrannas", engines >= 1, || {
            "engines of at least 1, found 0: without an Engine-cell alpha learns nothing".into()
        })?;
        expect("entrannas", tau > 0.0, || format!("tau above 0, found {tau}"))?;
        Ok(Box::new(EnTranNas::new(config, space, seed)))
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
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let (weights, alpha) = (WeightConfig::DARTS, AlphaConfig::DARTS);
        match preset {
            Preset::Paper => Self { weights, alpha, engines: 1, sharing: true, tau: 1.0 },
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..weights },
                alpha: AlphaConfig::QUICK,
                engines: 1,
                sharing: true,
                tau: 1.0,
            },
        }
    }
}

#[derive(Debug)]
struct EnTranNas {
    config: Config,
    alphas: CellAlphas,
    weights: WeightStep,
    /// Sites in Engine-cells.
    engines: HashSet<(DecisionId, u16)>,
}

/// Engine-cells weigh all operations, Transit-cells have the derived ones alone.
pub(super) struct EngineTransit {
    pub engine: SharedGates,
    pub transit: SharedGates,
    /// Sites in Engine-cells.
    pub engines: HashSet<(DecisionId, u16)>,
}

/// The sites of the first `engines` cells of each cell type.
pub(super) fn engine_sites(net: &dyn Supernet, engines: u32) -> HashSet<(DecisionId, u16)> {
    let sites = net.sites();
    let is_engine = |&(d, cell): &(DecisionId, u16)| {
        let before = sites.iter().filter(|s| s.0 == d && s.1 < cell).count();
        before < engines as usize
    };
    sites.iter().copied().filter(is_engine).collect()
}

impl Gating for EngineTransit {
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate {
        let is_engine = self.engines.contains(&(decision, cell));
        if is_engine { self.engine.gate(decision, cell) } else { self.transit.gate(decision, cell) }
    }
}

impl EnTranNas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            weights: WeightStep::new(config.weights),
            engines: HashSet::new(),
            config,
        }
    }

    /// `[n_decisions, n_choices]`.
    fn probs(&self) -> Tensor {
        (&self.alphas.logits / self.config.tau).softmax(-1, Kind::Float)
    }

    /// What Transit-cells run: derived from alpha as it is, without a gradient.
    fn transit(&self, space: &dyn SearchSpace) -> SharedGates {
        SharedGates::hard(space.decisions(), &self.derive(space), self.alphas.device)
    }

    fn gates_of(&self, probs: &Tensor, transit: SharedGates) -> EngineTransit {
        let engine = SharedGates::soft(&self.alphas.decisions, &self.alphas.rows(probs), None);
        EngineTransit { engine, transit, engines: self.engines.clone() }
    }

    fn relaxed_of(&self, probs: &Tensor) -> Relaxed {
        let strengths = strengths(&self.alphas.decisions, probs);
        Relaxed::competing(probs.unbind(0), strengths)
    }
}

impl Method for EnTranNas {
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
        let transit = || SharedGates::hard(cx.space.decisions(), &derived, self.alphas.device);
        let (for_alpha, for_weights) = (transit(), transit());
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.alpha.warmup {
            let probs = self.probs();
            let task = task_loss(cx.net, &self.gates_of(&probs, for_alpha), &batches.valid);
            valid_loss = task.double_value(&[]);
            let relaxed = self.relaxed_of(&probs);
            self.alphas.descend(cx, &task, &relaxed)?;
        }
        let gates = self.gates_of(&self.probs().detach(), for_weights);
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.gates_of(&self.probs().detach(), self.transit(space)))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_of(&self.probs().detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
    }
}
