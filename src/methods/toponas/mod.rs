//! `TopoNAS`: Explicitly Learning Topology for Differentiable Neural Architecture Search. Huang, You, Yang, Tu, Wang, Qian, Zhang, 2020,
//! arXiv 2011.09300. No public implementation is known to us; <https://github.com/guyuchao/DOTS> also learns pairs of edges.
//!
//! **We could not read the paper's body.** From its abstract: topology has variables of its own, a combinatorial distribution over
//! the sets of in-edges of a node; they are learned jointly with operations and weights; a passive-aggressive regulariser suppresses
//! invalid topologies. Everything else is our choice: a softmax over the sets of each node (as DOTS has it for pairs), edges
//! weighted by their marginals, which sum to the average number of in-edges (`normalised = true` divides each set by its size),
//! rates and epochs of DARTS, a warm-up of 30 % for the weights, temperature 1 (annealed if `tau_min` is below `tau`), and the
//! regulariser of `regulariser.rs`.
//!
//! `degree = "two"` keeps the published two in-edges per node, `"any"` considers all non-empty sets; we do not know the paper's own
//! number. If edges do not compete (NAS-Bench-201), only `"any"` has a meaning, and every node there keeps an input. Other numbers
//! of edges are off the training data of a predictor that has only seen cells with two edges per node. The quick preset raises the
//! learning rate of alpha and beta so that some hundred steps suffice.

mod regulariser;

use lat_space::Decision;

use super::tools::alphas::chosen;
use super::tools::cooling::Cooling;
use super::tools::nodes::{nodes, per_edge};
use super::tools::prelude::*;
use crate::relaxed::{EdgeSets, Topology, subsets};
use regulariser::Regulariser;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "toponas",
    "a distribution over sets of in-edges per node, learnt beside the operations",
    "Explicitly Learning Topology for Differentiable Neural Architecture Search, 2020, arXiv 2011.09300",
    [(12, 64), (50, 64)],
)
.needing(CELLS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// Alpha's options also apply to beta.
    #[serde(flatten)]
    core: CoreConfig,
    /// Which sets of in-edges a node may have.
    degree: Degree,
    /// Whether a set's share of each edge is divided by the set's size.
    normalised: bool,
    /// Temperature of the softmax over sets; falls exponentially.
    #[serde(flatten)]
    tau: Cooling,
    /// Weight of the regulariser; 0 turns it off.
    mu: f64,
    /// Margin by which valid sets should lead, in logits.
    margin: f64,
}

/// Which sets of in-edges a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Degree {
    /// Sets of two in-edges.
    Two,
    /// All non-empty sets.
    Any,
}

impl Settings for Config {
    fn paper(space: &dyn SearchSpace) -> Self {
        let alpha = AlphaConfig { warmup: 0.3, ..AlphaConfig::DARTS };
        Self {
            core: CoreConfig { alpha, ..CoreConfig::DARTS },
            degree: if space.groups().is_empty() { Degree::Any } else { Degree::Two },
            normalised: false,
            tau: Cooling { tau: 1.0, tau_min: 1.0 },
            mu: 1.0,
            margin: 0.1,
        }
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        let Self { mu, margin, degree, .. } = *self;
        self.tau.check()?;
        ensure(mu >= 0.0 && margin >= 0.0, || {
            format!("mu and margin of at least 0, found mu={mu} and margin={margin}")
        })?;
        ensure(degree == Degree::Any || !space.groups().is_empty(), || {
            format!("degree=\"any\" on {}, whose edges do not compete; found \"two\"", space.id())
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let (nodes, n_variables) = Node::all(space.decisions(), self.degree);
        // [n_variables]: one logit per set of each node.
        let beta = Tensor::zeros([n_variables], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let core = Core::new(space.decisions(), self.core, seed);
        let mut core = core.with([("beta", beta)], self.core.alpha.learning());
        core.keep(TAU, Tensor::from_slice(&[self.tau.tau]));
        let regulariser = Regulariser::new(space, self.margin);
        Ok(Box::new(TopoNas { core, config: self, nodes, regulariser }))
    }
}

/// Name of the state entry with the current temperature `[1]` of the softmax over sets.
const TAU: &str = "tau";
/// If one set is more probable than this, a node's softmax is hard enough: at a lower temperature its gradient would underflow.
const SATURATED: f64 = 0.999;

/// A node's in-edges, and the sets of them that compete.
#[derive(Debug)]
struct Node {
    decisions: Vec<usize>,
    /// `[n_sets, n]` of 0 and 1: which in-edges each set contains.
    members: Tensor,
    /// Index of its first variable in beta.
    first: i64,
}

impl Node {
    /// All nodes of a space, and the total number of their variables.
    fn all(decisions: &[Decision], degree: Degree) -> (Vec<Self>, i64) {
        let mut first = 0;
        let node = |decisions: Vec<usize>| {
            let n = decisions.len();
            let sizes = if degree == Degree::Two { 2..=2 } else { 1..=n };
            let node = Self { members: subsets(n, sizes), first, decisions };
            first += node.members.size()[0];
            node
        };
        let all = nodes(decisions).into_iter().map(node).collect();
        (all, first)
    }

    /// The node's part of beta at this temperature.
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
    core: Core,
    config: Config,
    nodes: Vec<Node>,
    regulariser: Regulariser,
}

impl TopoNas {
    fn tau(&self) -> f64 {
        self.core.kept(TAU).double_value(&[0])
    }

    fn sets(&self, beta: &Tensor, tau: f64) -> Vec<EdgeSets> {
        self.nodes.iter().map(|node| node.sets(beta, tau)).collect()
    }

    /// gamma, one scalar per decision: the probability that the edge is kept. If normalised, each set's share is divided by its size.
    fn edge_weights(&self, beta: &Tensor) -> Vec<Tensor> {
        let gamma = |sets: &EdgeSets| {
            if !self.config.normalised {
                return sets.keep();
            }
            let sizes = sets.members.sum_dim_intlist(1, true, Kind::Float);
            sets.probs().matmul(&(&sets.members / sizes))
        };
        let sets = self.sets(beta, self.tau());
        per_edge(sets.iter().map(|s| (&s.decisions[..], gamma(s).to_device(self.core.device))))
    }

    fn gates_at(&self, parameters: &[Tensor]) -> SharedGates {
        let rows = self.core.rows(&parameters[0].softmax(-1, Kind::Float));
        SharedGates::soft(&self.core.decisions, &rows, Some(&self.edge_weights(&parameters[1])))
    }

    fn relaxed_at(&self, parameters: &[Tensor]) -> Relaxed {
        Relaxed {
            probs: parameters[0].softmax(-1, Kind::Float).unbind(0),
            topology: Topology::Sets(self.sets(&parameters[1], self.tau())),
        }
    }

    /// Lowers the temperature exponentially from `tau` to `tau_min`, until a node that has a choice is nearly decided.
    fn anneal(&mut self, progress: f64) {
        let is_sure = |sets: &EdgeSets| {
            let probs = sets.probs();
            probs.size()[0] > 1 && probs.max().double_value(&[]) > SATURATED
        };
        if !self.sets(&self.core.settled()[1], self.tau()).iter().any(is_sure) {
            let tau = self.config.tau.exponential(progress);
            self.core.keep(TAU, Tensor::from_slice(&[tau]));
        }
    }

    /// The architecture step: alpha and beta move along the combined gradient of validation loss, cost and regulariser.
    fn step_architecture(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<DeviceScalar> {
        let both = self.core.parameters();
        let task = cx.net.loss(&batches.valid, &self.gates_at(&both)).value;
        let value = DeviceScalar::of(&task);
        let mut loss = task;
        if self.config.mu > 0.0 {
            let favoured = chosen(&both[0].detach());
            if let Some(term) = self.regulariser.term(&self.sets(&both[1], 1.0), &favoured) {
                loss += term.to_device(loss.device()) * self.config.mu;
            }
        }
        let gradients = self.core.gradients(cx, &loss, &self.relaxed_at(&both))?;
        self.core.apply(&gradients);
        Ok(value)
    }
}

impl Method for TopoNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        self.anneal(cx.progress);
        let mut valid_loss = None;
        if !self.config.core.is_warming_up(cx.progress) {
            valid_loss = Some(self.step_architecture(cx, batches)?);
        }
        let gates = self.gates_at(&self.core.settled());
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.gates_at(&self.core.settled()))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.core.settled())
    }
}
