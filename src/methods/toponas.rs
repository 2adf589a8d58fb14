//! `TopoNAS`: Explicitly Learning Topology for Differentiable Neural Architecture Search. Huang, You, Yang, Tu, Wang, Qian, Zhang, 2020,
//! arXiv 2011.09300. No public implementation is known to us; pairs of edges are learnt in <https://github.com/guyuchao/DOTS> too.
//!
//! **The paper's body could not be read.** From its abstract: topology has variables of its own, a combinatorial distribution over
//! the sets of in-edges of a node; they are learnt jointly with operations and weights; a passive-aggressive regulariser suppresses
//! invalid topologies. What is chosen here: everything else. A softmax over the sets of each node (as DOTS has it for pairs), edges
//! weighed by their marginals, which sum to the mean number of in-edges (`normalised = true` divides each set by its size), rates
//! and epochs of DARTS, a warm-up of 30 % for the weights, temperature 1 (annealed where `tau_min` is below `tau`), and the
//! regulariser of `toponas_regulariser.rs`.
//!
//! `degree = "two"` keeps the published two in-edges per node, `"any"` weighs all non-empty sets; the paper's own count is not known.
//! Where edges do not compete (NAS-Bench-201) only `"any"` has a meaning, and every node there keeps an input. A predictor that has
//! seen cells of two edges per node alone is off its data on others.
//! The quick preset raises the learning rate of alpha and beta so that some hundred steps suffice.

use lat_space::{Decision, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, chosen, load_parameter};
use super::coverage::covered_cells;
use super::pc_darts::nodes;
use super::toponas_regulariser::Regulariser;
use super::{Batches, Context, Method, MethodEntry, Preset, StepReport, configure, darts, expect};
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::{EdgeSets, Relaxed, Topology, subsets};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "toponas",
    summary: "a distribution over sets of in-edges per node, learnt beside the operations",
    paper: "Explicitly Learning Topology for Differentiable Neural Architecture Search, 2020, arXiv 2011.09300",
    is_sampling: false,
    schedule: darts::schedule,
    build: |preset, options, space, seed| {
        covered_cells("toponas", space)?;
        let config: Config = configure("toponas", Config::preset(preset, space), options, space)?;
        let Config { tau, tau_min, mu, margin, degree, .. } = config;
        expect("toponas", tau_min > 0.0 && tau_min <= tau, || {
            format!("0 < tau_min <= tau, found tau_min={tau_min} and tau={tau}")
        })?;
        expect("toponas", mu >= 0.0 && margin >= 0.0, || {
            format!("mu and margin of at least 0, found mu={mu} and margin={margin}")
        })?;
        expect("toponas", degree == Degree::Any || !space.groups().is_empty(), || {
            format!("degree=\"any\" on {}, whose edges do not compete; found \"two\"", space.id())
        })?;
        Ok(Box::new(TopoNas::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Of alpha and beta.
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Which sets of in-edges a node may have.
    degree: Degree,
    /// Divide a set's share of each edge by the set's size.
    normalised: bool,
    /// Temperature of the softmax over sets at the start.
    tau: f64,
    /// At the end; exponential between.
    tau_min: f64,
    /// Weight of the regulariser; 0 turns it off.
    mu: f64,
    /// By how much valid sets shall lead, in logits.
    margin: f64,
}

/// Which sets of in-edges a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Degree {
    /// Pairs.
    Two,
    /// All that are not empty.
    Any,
}

impl Config {
    fn preset(preset: Preset, space: &dyn SearchSpace) -> Self {
        let paper = Self {
            weights: WeightConfig::DARTS,
            alpha: AlphaConfig { warmup: 0.3, ..AlphaConfig::DARTS },
            degree: if space.groups().is_empty() { Degree::Any } else { Degree::Two },
            normalised: false,
            tau: 1.0,
            tau_min: 1.0,
            mu: 1.0,
            margin: 0.1,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig::QUICK,
                ..paper
            },
        }
    }
}

/// Above this probability of one set, the softmax of a node is hard enough: colder, its gradient would underflow.
const SATURATED: f64 = 0.999;

/// A node's in-edges and the sets of them that compete.
#[derive(Debug)]
struct Node {
    decisions: Vec<usize>,
    /// `[n_sets, n]` of 0 and 1.
    members: Tensor,
    /// Where its variables begin in beta.
    first: i64,
}

impl Node {
    /// All nodes of a space and the number of their variables.
    fn all(decisions: &[Decision], degree: Degree) -> (Vec<Self>, usize) {
        let mut first = 0;
        let node = |decisions: Vec<usize>| {
            let n = decisions.len();
            let sizes = if degree == Degree::Two { 2..=2 } else { 1..=n };
            let node = Self { members: subsets(n, sizes), first, decisions };
            first += node.members.size()[0];
            node
        };
        let all = nodes(decisions).into_iter().map(node).collect();
        (all, first as usize)
    }

    /// Its part of beta at this temperature.
    fn sets(&self, beta: &Tensor, tau: f64) -> EdgeSets {
        EdgeSets {
            decisions: self.decisions.clone(),
            members: self.members.shallow_clone(),
            logits: beta.narrow(0, self.first, self.members.size()[0]) / tau,
        }
    }
}

#[derive(Debug)]
struct TopoNas {
    config: Config,
    alphas: CellAlphas,
    nodes: Vec<Node>,
    /// `[n_variables]`: one logit per set of each node.
    beta: Tensor,
    beta_adam: Adam,
    /// Of the softmax over sets, now.
    tau: f64,
    regulariser: Regulariser,
    weights: WeightStep,
}

impl TopoNas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let (nodes, n_variables) = Node::all(space.decisions(), config.degree);
        let beta = Tensor::zeros([n_variables as i64], tch::kind::FLOAT_CPU);
        let beta = beta.set_requires_grad(true);
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            beta_adam: Adam::new(vec![beta.shallow_clone()], ALPHA_BETAS, config.alpha.alpha_decay),
            weights: WeightStep::new(config.weights),
            regulariser: Regulariser::new(space, config.margin),
            tau: config.tau,
            nodes,
            beta,
            config,
        }
    }

    fn sets(&self, beta: &Tensor, tau: f64) -> Vec<EdgeSets> {
        self.nodes.iter().map(|node| node.sets(beta, tau)).collect()
    }

    /// gamma: a scalar per decision, the probability that the edge is kept; normalised, each set's share over its size.
    fn edge_weights(&self, beta: &Tensor) -> Vec<Tensor> {
        let mut weights: Vec<Option<Tensor>> = self.alphas.decisions.iter().map(|_| None).collect();
        for sets in self.sets(beta, self.tau) {
            let gamma = if self.config.normalised {
                let sizes = sets.members.sum_dim_intlist(1, true, Kind::Float);
                sets.probs().matmul(&(&sets.members / sizes))
            } else {
                sets.keep()
            };
            for (&d, weight) in
                sets.decisions.iter().zip(gamma.to_device(self.alphas.device).unbind(0))
            {
                weights[d] = Some(weight);
            }
        }
        weights.into_iter().map(|w| w.expect("every edge ends in a node")).collect()
    }

    fn gates_at(&self, alpha: &Tensor, beta: &Tensor) -> SharedGates {
        let rows = self.alphas.rows(&alpha.softmax(-1, Kind::Float));
        SharedGates::soft(&self.alphas.decisions, &rows, Some(&self.edge_weights(beta)))
    }

    fn relaxed_at(&self, alpha: &Tensor, beta: &Tensor) -> Relaxed {
        Relaxed {
            probs: alpha.softmax(-1, Kind::Float).unbind(0),
            topology: Topology::Sets(self.sets(beta, self.tau)),
        }
    }

    /// Exponentially from `tau` to `tau_min`, until a node with a choice is all but decided.
    fn anneal(&mut self, progress: f64) {
        let is_sure = |sets: &EdgeSets| {
            let probs = sets.probs();
            probs.size()[0] > 1 && probs.max().double_value(&[]) > SATURATED
        };
        let beta = self.beta.detach();
        if !self.sets(&beta, self.tau).iter().any(is_sure) {
            let Config { tau, tau_min, .. } = self.config;
            self.tau = tau * (tau_min / tau).powf(progress);
        }
    }

    /// The architecture step: alpha and beta move along one gradient of validation loss, cost and regulariser.
    fn step_architecture(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let (alpha, beta) = (self.alphas.logits.shallow_clone(), self.beta.shallow_clone());
        let task = task_loss(cx.net, &self.gates_at(&alpha, &beta), &batches.valid);
        let value = task.double_value(&[]);
        let both = [alpha.shallow_clone(), beta.shallow_clone()];
        let cost = cx.cost_gradient(&self.relaxed_at(&alpha, &beta), &both)?;
        let mut loss = task;
        if self.config.mu > 0.0 {
            let favoured = chosen(&alpha.detach());
            if let Some(term) = self.regulariser.term(&self.sets(&beta, 1.0), &favoured) {
                loss += term.to_device(loss.device()) * self.config.mu;
            }
        }
        let mut of_alpha = cx.joined(gradients(&loss, &both), cost);
        let of_beta = of_alpha.split_off(1);
        self.alphas.apply(&of_alpha);
        self.beta_adam.step(&of_beta, self.config.alpha.alpha_lr);
        Ok(value)
    }
}

impl Method for TopoNas {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
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
        self.anneal(cx.progress);
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.alpha.warmup {
            valid_loss = self.step_architecture(cx, batches)?;
        }
        let gates = self.gates_at(&self.alphas.logits.detach(), &self.beta.detach());
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, _: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.gates_at(&self.alphas.logits.detach(), &self.beta.detach()))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.alphas.logits.detach(), &self.beta.detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.alphas.state());
        state.extend(self.beta_adam.state("beta.adam"));
        state.push(("beta".into(), self.beta.detach()));
        state.push(("tau".into(), Tensor::from_slice(&[self.tau])));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)?;
        self.beta_adam.load("beta.adam", state)?;
        load_parameter(&mut self.beta, "beta", state)?;
        self.tau = state.get("tau").ok_or("tau")?.double_value(&[0]);
        Ok(())
    }
}
