//! Mixed operations: all candidates of a searched site, combined by its gate.

use std::collections::HashMap;
use std::fmt::Debug;

use lat_nn::{Layer, LayerBuilder};
use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use super::gates::{Gate, Path};

/// All candidates of one site.
pub trait MixedOp: Debug + Send {
    /// Combines the candidates' outputs: `[n, c_in, h, w]` to `[n, c_out, h', w']`.
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor;

    /// Like [`MixedOp::forward_t`], for several sites that share these candidates and their input: `known` holds the outputs already
    /// computed in this pass.
    fn forward_shared(
        &self,
        xs: &Tensor,
        gate: &Gate,
        train: bool,
        _known: &mut Outputs,
    ) -> Tensor {
        self.forward_t(xs, gate, train)
    }
}

/// Outputs of candidates by their index.
pub type Outputs = HashMap<usize, Tensor>;

/// Builds mixed operations the way a method wants them.
pub trait BuildMixedOp {
    /// Checks that a mixed operation of this shape can be built.
    ///
    /// # Errors
    /// A sentence about the problem with the shape.
    fn check(&self, _candidate: &OpSpec) -> Result<(), String> {
        Ok(())
    }

    /// Why no network can be cut out of a supernet with such mixed operations; None if each candidate is exactly the space's operation.
    fn uncuttable(&self) -> Option<&'static str> {
        None
    }

    /// Whether sites of a cell that read the same value share their candidates, so that each is computed once per pass.
    fn shares_sources(&self) -> bool {
        false
    }

    /// Builds the site's candidates, with their weights under `path`.
    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp>;
}

/// The weighted sum of all candidates whose path is on (DARTS).
#[derive(Debug)]
pub struct WeightedSum {
    /// None for `none`, whose output and gradient are zero, and for choices that another layer computes.
    layers: Vec<Option<Box<dyn Layer>>>,
    output: OpSpec,
}

impl WeightedSum {
    /// Builds the candidates, each under its operation's name.
    pub fn new(builder: &LayerBuilder, path: &nn::Path, candidates: &[OpSpec]) -> Self {
        Self::without(builder, path, candidates, &[])
    }

    /// Builds the candidates except these choices, which another layer computes.
    pub(super) fn without(
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
        choices: &[usize],
    ) -> Self {
        let layer = |(choice, spec): (usize, &OpSpec)| {
            let is_ours = spec.op != Op::None && !choices.contains(&choice);
            is_ours.then(|| builder.layer(&(path / spec.op.name()), spec))
        };
        Self { layers: candidates.iter().enumerate().map(layer).collect(), output: candidates[0] }
    }

    fn zeros(&self, xs: &Tensor) -> Tensor {
        let hw = i64::from(self.output.hw_out());
        let shape = [xs.size()[0], i64::from(self.output.c_out), hw, hw];
        Tensor::zeros(shape, (xs.kind(), xs.device()))
    }
}

impl MixedOp for WeightedSum {
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor {
        self.forward_shared(xs, gate, train, &mut Outputs::new())
    }

    fn forward_shared(&self, xs: &Tensor, gate: &Gate, train: bool, known: &mut Outputs) -> Tensor {
        let mut sum: Option<Tensor> = None;
        for (choice, layer) in self.layers.iter().enumerate() {
            let Some(layer) = layer else { continue };
            let weight = || gate.weights.get(choice as i64);
            let ys = match gate.paths[choice] {
                Path::Off => continue,
                Path::On => {
                    let run = || layer.forward_t(xs, train);
                    &*known.entry(choice).or_insert_with(run) * weight()
                }
                Path::Probe => tch::no_grad(|| layer.forward_t(xs, train)) * weight(),
            };
            sum = Some(sum.map_or_else(|| ys.shallow_clone(), |sum| sum + &ys));
        }
        let sum = sum.unwrap_or_else(|| self.zeros(xs));
        gate.weigh(sum)
    }
}

/// Builds one [`WeightedSum`] per source node of a cell: the edges that leave a node share their operations (`EnTranNAS`). The
/// weights are named after the first of these edges.
#[derive(Debug, Clone, Copy)]
pub struct SharedSources;

impl BuildMixedOp for SharedSources {
    fn shares_sources(&self) -> bool {
        true
    }

    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp> {
        Box::new(WeightedSum::new(builder, path, candidates))
    }
}

/// Builds plain [`WeightedSum`]s, whose candidates see all channels.
#[derive(Debug, Clone, Copy)]
pub struct AllChannels;

impl BuildMixedOp for AllChannels {
    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp> {
        Box::new(WeightedSum::new(builder, path, candidates))
    }
}
