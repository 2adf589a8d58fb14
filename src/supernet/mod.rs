//! The supernet: a graph whose searched sites hold all candidates at once.

mod gates;
mod merged_convs;
mod mixed_op;
mod partial_channels;
mod skip_dropout;

use std::collections::HashMap;

use lat_nn::{DropPath, GraphNet, LayerBuilder, NnError, Phase, WeightInit, guard};
use lat_space::{DecisionId, Graph, Site, ValueId};
use tch::{Device, Tensor, nn};

pub use gates::{Gate, Gating, Path, SharedGates};
pub use merged_convs::MergedConvs;
pub use mixed_op::{AllChannels, BuildMixedOp, MixedOp, WeightedSum};
pub use partial_channels::{PartialChannels, shuffle};
pub use skip_dropout::{DroppedSkips, SkipDropout};

/// A network with searched sites, which methods drive through gates alone.
pub trait Supernet: std::fmt::Debug {
    /// `[n, 3, h, w]` to `[n, classes]`, the sites mixed as the gates say.
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// The operation weights and BN statistics.
    fn weights(&self) -> &nn::VarStore;

    /// The searched sites in the order of the network: decision and number of the cell.
    fn sites(&self) -> Vec<(DecisionId, u16)>;
}

/// The supernet of a cell-based space.
#[derive(Debug)]
pub struct CellSupernet {
    weights: nn::VarStore,
    net: GraphNet,
    sites: HashMap<ValueId, (u16, Box<dyn MixedOp>)>,
}

impl CellSupernet {
    /// Builds all candidates of the graph in the search phase.
    ///
    /// # Errors
    /// [`NnError::Torch`] where libtorch cannot make the weights.
    #[expect(clippy::needless_pass_by_value, reason = "a graph is made for its supernet")]
    pub fn new(graph: Graph, mixed_op: &dyn BuildMixedOp, device: Device) -> Result<Self, NnError> {
        guard(|| {
            let weights = nn::VarStore::new(device);
            let builder = LayerBuilder {
                phase: Phase::Search,
                pools_normalised: graph.pools_normalised_in_search,
                init: WeightInit::Uniform,
            };
            // The auxiliary head belongs to the evaluation phase.
            let graph = graph.pruned(false);
            let sites = graph.sites().map(|(node, cell, Site::Choice { candidates, .. })| {
                let path = weights.root() / graph.nodes[node].name.as_str();
                (node, (cell, mixed_op.build(&builder, &path, candidates)))
            });
            let sites = sites.collect();
            let net = GraphNet::new(&weights.root(), graph, &builder);
            Self { weights, net, sites }
        })
    }
}

impl Supernet for CellSupernet {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        let mut site = |node: ValueId, Site::Choice { decision, .. }: &Site, xs: &Tensor| {
            let (cell, mixed) = &self.sites[&node];
            mixed.forward_t(xs, &gates.gate(*decision, *cell), train)
        };
        self.net.forward_t(images, train, DropPath::OFF, &mut site).main
    }

    fn weights(&self) -> &nn::VarStore {
        &self.weights
    }

    fn sites(&self) -> Vec<(DecisionId, u16)> {
        let sites = self.net.graph().sites();
        sites.map(|(_, cell, Site::Choice { decision, .. })| (*decision, cell)).collect()
    }
}
