//! A network without searched sites.

use std::sync::Arc;

use lat_space::{Graph, Site, ValueId};
use tch::{CModule, Device, Kind, Tensor, nn};

use crate::{
    Answers, DropPath, GraphNet, LayerBuilder, Logits, NnError, Phase, WeightArena, WeightInit,
    channels_last, guard,
};

/// A network without searched sites: timed, or trained from scratch.
#[derive(Debug)]
pub struct StaticNet {
    weights: nn::VarStore,
    net: GraphNet,
}

impl StaticNet {
    /// Builds a derived graph.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch cannot make the weights (out of memory, no such device).
    pub fn new(
        graph: Graph,
        device: Device,
        phase: Phase,
        init: WeightInit,
    ) -> Result<Self, NnError> {
        let is_static = graph.sites().next().is_none() && !graph.is_elastic();
        assert!(is_static, "a static network is derived from its graph first");
        guard(|| {
            let weights = nn::VarStore::new(device);
            let pools_normalised = graph.pools_normalised_in_search;
            let builder = LayerBuilder { phase, pools_normalised, init };
            let net = GraphNet::new(&weights.root(), graph, &builder);
            Self { weights, net }
        })
    }

    /// The network for timing: evaluation phase, with weights lent by the arena, on its device and in its format.
    ///
    /// # Errors
    /// The errors of [`StaticNet::new`].
    pub fn for_timing(graph: &Graph, arena: &Arc<WeightArena>) -> Result<Self, NnError> {
        let init = WeightInit::Lent(arena.lend());
        Self::new(graph.without_auxiliary(), arena.device(), Phase::Evaluation, init)
    }

    /// The weights, under the names of the graph's nodes.
    pub fn weights(&self) -> &nn::VarStore {
        &self.weights
    }

    /// The weights, to load or freeze.
    pub fn weights_mut(&mut self) -> &mut nn::VarStore {
        &mut self.weights
    }

    /// The graph it was built from.
    pub fn graph(&self) -> &Graph {
        self.net.graph()
    }

    /// Computes logits from `[n, 3, h, w]`; panics as tch does.
    pub fn forward_t(&self, images: &Tensor, train: bool, drop_path: DropPath) -> Logits {
        let mut site = |_: ValueId, _: &Site, _: &Tensor| -> Tensor {
            unreachable!("a static network has no searched sites")
        };
        let taken = |_| unreachable!("a static network picks nothing");
        let answers = Answers { site: &mut site, taken: &taken };
        self.net.forward_t(images, train, drop_path, answers)
    }

    /// The network with its weights in another number format. If `is_channels_last`, weights with four dimensions are stored
    /// channels last.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch has not enough memory for them.
    pub fn converted(mut self, kind: Kind, is_channels_last: bool) -> Result<Self, NnError> {
        guard(|| {
            self.weights.set_kind(kind);
            for mut weight in self.weights.variables().into_values() {
                if is_channels_last && weight.dim() == 4 {
                    weight.set_data(&channels_last(&weight.detach()));
                }
            }
            self
        })
    }

    /// The network in eval mode as `TorchScript`, on its current device. `forward` takes any number of images `[n, 3, hw, hw]` of
    /// this height and width, and gives logits `[n, classes]`. The weights are constants of the module.
    ///
    /// # Errors
    /// [`NnError::Torch`] with libtorch's message.
    pub fn traced(mut self, hw: u16) -> Result<CModule, NnError> {
        // Constants have no gradients.
        self.weights.freeze();
        self.net.prepare_trace();
        let hw = i64::from(hw);
        let example = Tensor::zeros([2, 3, hw, hw], (Kind::Float, self.weights.device()));
        let mut forward =
            |inputs: &[Tensor]| vec![self.forward_t(&inputs[0], false, DropPath::OFF).main];
        let traced =
            guard(|| CModule::create_by_tracing("Network", "forward", &[example], &mut forward))?;
        Ok(traced?)
    }

    /// Computes `[n, classes]` from `[n, 3, h, w]` in eval mode.
    ///
    /// # Errors
    /// [`NnError::Torch`] with libtorch's message.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, NnError> {
        guard(|| self.forward_t(images, false, DropPath::OFF).main)
    }
}
