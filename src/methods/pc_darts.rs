//! PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search. Xu, Xie, Zhang, Chen, Qi, Tian, Xiong,
//! ICLR 2020, arXiv 1907.05737. Reference: <https://github.com/yuhuixu1993/PC-DARTS>.
//!
//! Deviations: the unrolled (second-order) path, off in the reference, is not offered. On a space without groups (NAS-Bench-201)
//! edges compete within their node as in DARTS cells: beta is normalised over the decisions that end in one node.
//! The quick preset raises the learning rate of alpha and beta so that some hundred steps suffice.

use tch::Device;

use super::tools::alphas::{init, rng, shape, strengths};
use super::tools::nodes::{nodes, per_edge};
use super::tools::prelude::*;
use crate::supernet::PartialChannels;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "pc-darts",
    "DARTS on 1/K of the channels, with a second weight per edge",
    "PC-DARTS: Partial Channel Connections, 2019, arXiv 1907.05737",
    [(10, 64), (50, 256)],
)
.needing(CELLS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// Alpha's options also apply to beta; in the paper the warm-up is 15 of 50 epochs.
    #[serde(flatten)]
    core: CoreConfig,
    /// K: one in K channels goes through the mixed op.
    divisor: u32,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig { lr: 0.1, lr_min: 0.0, ..WeightConfig::DARTS };
        let alpha = AlphaConfig { alpha_lr: 6e-4, alpha_decay: 1e-3, warmup: 0.3 };
        Self { core: CoreConfig { weights, alpha }, divisor: 4 }
    }

    /// Divisor 2, because eight channels divided by four would leave two: too few for a reduction's two halves to differ.
    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            alpha_lr = 3e-2
            divisor = 2
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.divisor > 0, || "divisor of at least 1, found 0".into())
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let decisions = space.decisions();
        let (shape, mut rng) = (shape(decisions), rng(seed));
        // [n_decisions, n_choices] and [n_decisions, 1].
        let both = [("alpha", init(&shape, &mut rng)), ("beta", init(&[shape[0], 1], &mut rng))];
        let core = Core::bare(decisions, self.core.weights).with(both, self.core.alpha.learning());
        Ok(Box::new(PcDarts { core, config: self, nodes: nodes(decisions) }))
    }
}

#[derive(Debug)]
struct PcDarts {
    core: Core,
    config: Config,
    /// Decisions whose betas are normalised together: the in-edges of each node.
    nodes: Vec<Vec<usize>>,
}

impl PcDarts {
    /// Softmax of beta within each node, one scalar per decision.
    fn edge_weights(&self, beta: &Tensor, device: Device) -> Vec<Tensor> {
        per_edge(self.nodes.iter().map(|node| {
            let rows: Vec<i64> = node.iter().map(|&d| d as i64).collect();
            let group = beta.view([-1]).index_select(0, &Tensor::from_slice(&rows));
            (node.as_slice(), group.softmax(0, Kind::Float).to_device(device))
        }))
    }

    fn soft_gates(&self, parameters: &[Tensor]) -> SharedGates {
        let rows = self.core.rows(&parameters[0].softmax(-1, Kind::Float));
        let edges = self.edge_weights(&parameters[1], self.core.device);
        SharedGates::soft(&self.core.decisions, &rows, Some(&edges))
    }

    /// Edge strength is beta times the best operation's probability: the paper's derivation rule.
    fn relaxed_at(&self, parameters: &[Tensor]) -> Relaxed {
        let probs = parameters[0].softmax(-1, Kind::Float);
        let best = strengths(&self.core.decisions, &probs);
        let edges = self.edge_weights(&parameters[1], Device::Cpu);
        let strengths = best.iter().zip(edges).map(|(best, edge)| best * edge).collect();
        Relaxed::competing(probs.unbind(0), strengths)
    }
}

impl Method for PcDarts {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(PartialChannels { divisor: self.config.divisor })
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let mut valid_loss = None;
        if !self.config.core.is_warming_up(cx.progress) {
            let both = self.core.parameters();
            let (gates, relaxed) = (self.soft_gates(&both), self.relaxed_at(&both));
            valid_loss = Some(self.core.descend(cx, &gates, &relaxed, &batches.valid)?);
        }
        let gates = self.soft_gates(&self.core.settled());
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.soft_gates(&self.core.settled()))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.core.settled())
    }
}
