//! What stands at a searched site: all candidates, mixed as the gates say.

use std::collections::HashMap;
use std::fmt::Debug;

use lat_nn::{Layer, LayerBuilder};
use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use super::gates::{Gate, Path};

/// All candidates of one site.
pub trait MixedOp: Debug + Send {
    /// `[n, c_in, h, w]` to `[n, c_out, h', w']`.
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor;

    /// The same where several sites share these candidates and their input: `known` holds what was computed of them in this pass.
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

/// Outputs of candidates by their number.
pub type Outputs = HashMap<usize, Tensor>;

/// How a method wants its sites built.
pub trait BuildMixedOp {
    /// Whether a site of this shape can be built.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the shape.
    fn check(&self, _candidate: &OpSpec) -> Result<(), String> {
        Ok(())
    }

    /// Why no network can be cut out of a supernet of such sites; nothing where each candidate is the operation that the space means.
    fn uncuttable(&self) -> Option<&'static str> {
        None
    }

    /// Whether the sites of a cell that read one value share their candidates, so that each is computed once per pass.
    fn shares_sources(&self) -> bool {
        false
    }

    /// The site's candidates with their weights under `path`.
    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp>;
}

/// The weighted sum of all candidates that are on (DARTS).
#[derive(Debug)]
pub struct WeightedSum {
    /// Nothing for `none`: its output is zero and its gradient too. Nothing either for choices that stand elsewhere.
    layers: Vec<Option<Box<dyn Layer>>>,
    output: OpSpec,
}

impl WeightedSum {
    /// Builds the candidates, each under its operation's name.
    pub fn new(builder: &LayerBuilder, path: &nn::Path, candidates: &[OpSpec]) -> Self {
        Self::without(builder, path, candidates, &[])
    }

    /// The same where somebody else answers for some of the choices.
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

/// Builds [`WeightedSum`]s of which a cell has one per source: operations are shared by the edges that leave a node (`EnTranNAS`). Their
/// weights have the name of the first of these edges.
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

/// Builds [`WeightedSum`]s.
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
