//! `EnTranNAS`: Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable Neural Architecture Search. Yang, You, Li,
//! Wang, Qian, Lin, CVPR 2021, arXiv 2101.11342. No public implementation is known to us.
//!
//! A few Engine-cells run the mixture of all operations; every other cell is a Transit-cell and runs only what would be derived now.
//!
//! Choices of ours for the parts of the paper that we could not read: the Engine-cells are the first of each cell type (a type
//! without one would learn nothing), temperature 1, rates and epochs are DARTS'. Deviation: `none` is among the operations as in
//! DARTS. As in the paper an operation is evaluated once per source node of a cell and shared by the edges that leave it (`sharing =
//! false`: every edge has its own). The derived network, which is trained from scratch and whose latency is optimised, has separate
//! operations per edge. The variant that learns the number of edges by thresholds is `dst.rs`. The quick preset raises the learning
//! rate of alpha so that some hundred steps suffice.

pub(super) mod dst;
mod thresholds;

use std::collections::HashSet;

use lat_space::DecisionId;

use super::tools::prelude::*;
use crate::supernet::{AllChannels, Gate, SharedSources};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "entrannas",
    "one cell of each type runs all operations, the others just what would be derived now",
    "Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable NAS, 2021, arXiv 2101.11342",
    [(12, 64), (50, 64)],
)
.needing(CELLS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    core: CoreConfig,
    /// Number of Engine-cells of each cell type, from the first on; a larger number than there are cells means all.
    engines: u32,
    /// Evaluate an operation once per source node of a cell, for all edges that leave it.
    sharing: bool,
    /// Temperature of the softmax.
    tau: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self { core: CoreConfig::DARTS, engines: 1, sharing: true, tau: 1.0 }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.engines >= 1, || {
            "engines of at least 1, found 0: without an Engine-cell alpha learns nothing".into()
        })?;
        ensure(self.tau > 0.0, || format!("tau above 0, found {}", self.tau))
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let core = Core::new(space.decisions(), self.core, seed);
        Ok(Box::new(EnTranNas { core, config: self }))
    }
}

impl Config {
    fn sites(&self) -> Box<dyn BuildMixedOp> {
        if self.sharing { Box::new(SharedSources) } else { Box::new(AllChannels) }
    }

    /// Gates: Engine-cells weight all operations, Transit-cells run only the derived ones.
    fn gates(
        &self,
        net: &dyn Supernet,
        engine: SharedGates,
        transit: SharedGates,
    ) -> EngineTransit {
        let sites = net.sites();
        let is_engine = |&(d, cell): &(DecisionId, u16)| {
            let before = sites.iter().filter(|s| s.0 == d && s.1 < cell).count();
            before < self.engines as usize
        };
        let engines = sites.iter().copied().filter(is_engine).collect();
        EngineTransit { engine, transit, engines }
    }
}

struct EngineTransit {
    engine: SharedGates,
    transit: SharedGates,
    /// Sites in the first cells of each cell type.
    engines: HashSet<(DecisionId, u16)>,
}

impl Gating for EngineTransit {
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate {
        let is_engine = self.engines.contains(&(decision, cell));
        if is_engine { self.engine.gate(decision, cell) } else { self.transit.gate(decision, cell) }
    }
}

#[derive(Debug)]
struct EnTranNas {
    core: Core,
    config: Config,
}

impl EnTranNas {
    /// `[n_decisions, n_choices]`: softmax of alpha at the temperature `tau`.
    fn probs(&self) -> Tensor {
        (self.core.alpha() / self.config.tau).softmax(-1, Kind::Float)
    }

    fn gates_of(
        &self,
        net: &dyn Supernet,
        probs: &Tensor,
        derived: &Architecture,
    ) -> EngineTransit {
        self.config.gates(net, self.core.soft(probs), self.core.hard(derived))
    }
}

impl Method for EnTranNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        self.config.sites()
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        // The architecture is derived once per iteration: both halves of the step use the same Transit-cells.
        let derived = self.derive(cx.space);
        let mut valid_loss = None;
        if !self.config.core.is_warming_up(cx.progress) {
            let probs = self.probs();
            let gates = self.gates_of(cx.net, &probs, &derived);
            let relaxed = self.core.competing(&probs);
            valid_loss = Some(self.core.descend(cx, &gates, &relaxed, &batches.valid)?);
        }
        let gates = self.gates_of(cx.net, &self.probs().detach(), &derived);
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, space: &dyn SearchSpace, net: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.gates_of(net, &self.probs().detach(), &self.derive(space)))
    }

    fn relaxed(&self) -> Relaxed {
        self.core.competing(&self.probs().detach())
    }
}
