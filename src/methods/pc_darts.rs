//! PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search. Xu, Xie, Zhang, Chen, Qi, Tian, Xiong,
//! ICLR 2020, arXiv 1907.05737. Reference: <https://github.com/yuhuixu1993/PC-DARTS>.
//!
//! Deviations: the unrolled (second-order) path, off in the reference, is not offered. On a space without groups (NAS-Bench-201)
//! edges compete within their node as in DARTS cells: beta is normalised over the decisions that end in one node.
//! The quick preset raises the learning rate of alpha and beta so that some hundred steps suffice.

use lat_space::{Decision, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{
    ALPHA_BETAS, AlphaConfig, init, load_parameter, n_choices, probs, rng, strengths,
};
use super::coverage::covered_cells;
use super::{
    Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{BuildMixedOp, Gating, PartialChannels, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "pc-darts",
    summary: "DARTS on 1/K of the channels, with a second weight per edge",
    paper: "PC-DARTS: Partial Channel Connections, 2019, arXiv 1907.05737",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 10, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 256 },
    },
    build: |preset, options, space, seed| {
        covered_cells("pc-darts", space)?;
        let config: Config = configure("pc-darts", Config::preset(preset), options, space)?;
        expect("pc-darts", config.divisor > 0, || "divisor of at least 1, found 0".into())?;
        Ok(Box::new(PcDarts::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Of alpha and beta; the warm-up is 15 of 50 epochs in the paper.
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// K: one channel in so many goes through the mixed op.
    divisor: u32,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig { lr: 0.1, lr_min: 0.0, ..WeightConfig::DARTS },
            alpha: AlphaConfig { alpha_lr: 6e-4, alpha_decay: 1e-3, warmup: 0.3 },
            divisor: 4,
        };
        match preset {
            Preset::Paper => paper,
            // Eight channels divided by four would leave two: too few for a reduction's two halves to differ.
            Preset::Quick => {
                Self { divisor: 2, alpha: AlphaConfig { alpha_lr: 3e-2, ..paper.alpha }, ..paper }
            }
        }
    }
}

#[derive(Debug)]
struct PcDarts {
    config: Config,
    decisions: Vec<Decision>,
    /// Decisions whose betas are normalised together: the in-edges of one node.
    nodes: Vec<Vec<usize>>,
    /// `[n_decisions, n_choices]`.
    alpha: Tensor,
    /// `[n_decisions, 1]`.
    beta: Tensor,
    adam: Adam,
    weights: WeightStep,
    device: Device,
}

impl PcDarts {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let n = space.decisions().len();
        let mut rng = rng(seed);
        let (alpha, beta) = (init(n, n_choices(space), &mut rng), init(n, 1, &mut rng));
        let parameters = vec![alpha.shallow_clone(), beta.shallow_clone()];
        Self {
            adam: Adam::new(parameters, ALPHA_BETAS, config.alpha.alpha_decay),
            weights: WeightStep::new(config.weights),
            nodes: nodes(space.decisions()),
            decisions: space.decisions().to_vec(),
            alpha,
            beta,
            config,
            device: Device::Cpu,
        }
    }

    /// Softmax of beta within each node, a scalar per decision.
    fn edge_weights(&self, beta: &Tensor, device: Device) -> Vec<Tensor> {
        let mut weights: Vec<Option<Tensor>> = self.decisions.iter().map(|_| None).collect();
        for node in &self.nodes {
            let rows: Vec<i64> = node.iter().map(|&d| d as i64).collect();
            let group = beta.view([-1]).index_select(0, &Tensor::from_slice(&rows));
            let group = group.softmax(0, Kind::Float).to_device(device).unbind(0);
            for (&d, weight) in node.iter().zip(group) {
                weights[d] = Some(weight);
            }
        }
        weights.into_iter().map(|w| w.expect("every edge ends in a node")).collect()
    }

    fn soft_gates(&self, alpha: &Tensor, beta: &Tensor) -> SharedGates {
        let edges = self.edge_weights(beta, self.device);
        SharedGates::soft(&self.decisions, &probs(alpha, self.device), Some(&edges))
    }

    /// Edge strength is beta times the best operation's probability: the paper's rule of derivation.
    fn relaxed_at(&self, alpha: &Tensor, beta: &Tensor) -> Relaxed {
        let probs = alpha.softmax(-1, Kind::Float);
        let best = strengths(&self.decisions, &probs);
        let edges = self.edge_weights(beta, Device::Cpu);
        let strengths = best.iter().zip(edges).map(|(best, edge)| best * edge).collect();
        Relaxed::competing(probs.unbind(0), strengths)
    }

    fn step_alpha(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let gates = self.soft_gates(&self.alpha, &self.beta);
        let task = task_loss(cx.net, &gates, &batches.valid);
        let value = task.double_value(&[]);
        let relaxed = self.relaxed_at(&self.alpha, &self.beta);
        let cost = cx.cost_gradient(&relaxed, self.adam.weights())?;
        let gradients = cx.joined(gradients(&task, self.adam.weights()), cost);
        self.adam.step(&gradients, self.config.alpha.alpha_lr);
        Ok(value)
    }
}

/// Decisions that end in the same node of the same cell type, by their names (`normal/0-2`).
pub(super) fn nodes(decisions: &[Decision]) -> Vec<Vec<usize>> {
    let end = |d: &Decision| {
        let to = d.name.rsplit('-').next().unwrap_or_default().to_owned();
        (d.cell_type().to_owned(), to)
    };
    let mut nodes: Vec<((String, String), Vec<usize>)> = Vec::new();
    for (i, decision) in decisions.iter().enumerate() {
        let key = end(decision);
        match nodes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(i),
            None => nodes.push((key, vec![i])),
        }
    }
    nodes.into_iter().map(|(_, members)| members).collect()
}

impl Method for PcDarts {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(PartialChannels { divisor: self.config.divisor })
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
        if cx.progress >= self.config.alpha.warmup {
            valid_loss = self.step_alpha(cx, batches)?;
        }
        let gates = self.soft_gates(&self.alpha.detach(), &self.beta.detach());
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, _: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.soft_gates(&self.alpha.detach(), &self.beta.detach()))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.alpha.detach(), &self.beta.detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.adam.state("alpha.adam"));
        state.push(("alpha".into(), self.alpha.detach()));
        state.push(("beta".into(), self.beta.detach()));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.adam.load("alpha.adam", state)?;
        load_parameter(&mut self.alpha, "alpha", state)?;
        load_parameter(&mut self.beta, "beta", state)
    }
}
