//! The supernet of a graph, of any space.

mod look;

use std::collections::{HashMap, HashSet};

use lat_nn::{
    Answers, DropPath, GraphNet, LayerBuilder, NnError, Phase, StaticNet, WeightInit, at_depth,
    derived_weight, guard, residual_scale, slice_like,
};
use lat_space::{
    Architecture, ChoiceSet, DecisionId, Graph, Node, Op, OpSpec, Site, Step, ValueId,
};
use tch::{Device, Tensor, nn};

use super::elastic::ElasticSite;
use super::sizes::SoftSizes;
use super::{BuildMixedOp, Gating, MixedOp, Outputs, Path, Supernet};

pub use look::{Look, OwnChoice};

/// Where a site's candidates are stored.
#[derive(Debug, Clone, Copy)]
struct Owned {
    cell: u16,
    /// The site itself, or, if sites share candidates, the first one of its cell that reads the same value.
    owner: ValueId,
}

/// The supernet of a graph: one mixed operation per searched site.
#[derive(Debug)]
pub struct CellSupernet {
    weights: nn::VarStore,
    net: GraphNet,
    sites: HashMap<ValueId, Owned>,
    /// Mixed operations by the site that owns them.
    mixed: HashMap<ValueId, Box<dyn MixedOp>>,
    /// Sites whose operations are cut down.
    elastic: HashMap<ValueId, ElasticSite>,
    /// For each site the factor of its drop-connect probability, see [`lat_nn::Regularisation`].
    depths: HashMap<ValueId, f64>,
    shared: bool,
}

impl CellSupernet {
    /// Builds all candidates of the graph in the search phase.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch cannot create the weights.
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
            let shared = mixed_op.shares_sources();
            let sites = owners(&graph, shared);
            let varying = graph.varying_widths();
            let (mut mixed, mut elastic) = (HashMap::new(), HashMap::new());
            for (node, _, site) in graph.sites().filter(|(node, ..)| sites[node].owner == *node) {
                let path = weights.root() / graph.nodes[node].name.as_str();
                let reads_varying = graph.nodes[node].step.inputs().iter().any(|&v| varying[v]);
                if site.is_plain() && !reads_varying {
                    mixed.insert(node, mixed_op.build(&builder, &path, &site.largest()));
                } else {
                    elastic.insert(node, ElasticSite::new(&builder, &path, site));
                }
            }
            let depths = depths(&graph);
            let net = GraphNet::new(&weights.root(), graph, &builder);
            Self { weights, net, sites, mixed, elastic, depths, shared }
        })
    }
}

impl CellSupernet {
    /// Copies the weights and statistics that another supernet has under the same names; if sizes differ, the first entries that
    /// both have.
    pub(crate) fn inherit(&self, from: &Self) {
        let theirs = from.weights.variables();
        for (name, own) in self.weights.variables() {
            let Some(other) = theirs.get(&name).filter(|other| other.dim() == own.dim()) else {
                continue;
            };
            let both: Vec<i64> =
                own.size().iter().zip(other.size()).map(|(a, b)| *a.min(&b)).collect();
            tch::no_grad(|| slice_like(&own, &both).copy_(&slice_like(other, &both)));
        }
    }

    /// For each site that uses another site's weights: its name and the other site's name.
    fn lenders(&self) -> HashMap<&str, &str> {
        let nodes = &self.graph().nodes;
        let name = |node: ValueId| nodes[node].name.as_str();
        let lent = self.sites.iter().filter(|(node, owned)| **node != owned.owner);
        lent.map(|(&node, owned)| (name(node), name(owned.owner))).collect()
    }

    /// Logits, and the classifier's input. If image sizes are mixed, runs one pass per size.
    fn walk(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> (Tensor, Tensor) {
        let Some(sizes) = SoftSizes::of(self.graph(), gates) else {
            return self.pass(images, gates, train);
        };
        let features = sizes.mixed(gates, &mut |gates| self.walk(images, gates, train).1);
        (self.net.classify(&features), features)
    }

    /// Logits and the classifier's input of a single pass.
    fn pass(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> (Tensor, Tensor) {
        let read = self.graph().nodes.last().map(|head| head.step.inputs()[0]);
        let mut features = None;
        let mut observer = |id: ValueId, value: &Tensor| {
            if Some(id) == read {
                features = Some(value.shallow_clone());
            }
        };
        let mut known: HashMap<ValueId, Outputs> = HashMap::new();
        let mut site = |node: ValueId, site: &Site, xs: &Tensor| {
            self.answer(node, site, xs, (gates, train), &mut known)
        };
        let taken = |decision| taken(gates, decision);
        let answers = Answers { site: &mut site, taken: &taken };
        let logits = self.net.observed_t(images, train, DropPath::OFF, answers, &mut observer).main;
        (logits, features.expect("the head comes last and reads a value"))
    }

    /// A site's output under these gates; `known` holds the outputs of sites that share their candidates, as computed in this pass.
    fn answer(
        &self,
        node: ValueId,
        site: &Site,
        xs: &Tensor,
        (gates, train): (&dyn Gating, bool),
        known: &mut HashMap<ValueId, Outputs>,
    ) -> Tensor {
        let Owned { cell, owner } = self.sites[&node];
        let (Some(mixed), Site::Choice { decision, .. }) = (self.mixed.get(&owner), site) else {
            let answer = || self.elastic[&owner].forward_t(xs, &|d| gates.gate(d, cell), train);
            return at_depth(self.depths.get(&node).copied().unwrap_or(0.0), answer);
        };
        let gate = gates.gate(*decision, cell);
        if !self.shared {
            return mixed.forward_t(xs, &gate, train);
        }
        mixed.forward_shared(xs, &gate, train, known.entry(owner).or_default())
    }
}

/// Weights of the open choices of a pick or an image size, which do not belong to a cell; None for closed ones.
fn taken(gates: &dyn Gating, decision: DecisionId) -> Vec<Option<Tensor>> {
    let gate = gates.gate(decision, 0);
    let paths = gate.paths.iter().enumerate();
    paths.map(|(c, path)| (*path != Path::Off).then(|| gate.weights.get(c as i64))).collect()
}

/// For each site with a block at the last feature map size: the share of all blocks that come before it. `AttentiveNAS` multiplies
/// its drop-connect by this; its last two stages are those of the last size.
fn depths(graph: &Graph) -> HashMap<ValueId, f64> {
    let is_block = |spec: &OpSpec| matches!(spec.op, Op::InvertedResidual(_));
    let blocks = graph.sites().filter(|(.., site)| site.largest().iter().any(is_block));
    let blocks: Vec<ValueId> = blocks.map(|(node, ..)| node).collect();
    let hw = |node: ValueId| graph.nodes[node].shape.hw;
    let last = blocks.last().map(|&node| hw(node));
    let all = blocks.iter().enumerate().filter(|(_, node)| Some(hw(**node)) == last);
    all.map(|(i, &node)| (node, i as f64 / blocks.len() as f64)).collect()
}

/// For each site the owner of its candidates: itself, or the first site of its cell with the same input.
fn owners(graph: &Graph, shared: bool) -> HashMap<ValueId, Owned> {
    let mut firsts = HashMap::new();
    let owned = graph.sites().map(|(node, cell, _)| {
        let from = graph.nodes[node].step.inputs();
        let owner = if shared { *firsts.entry((cell, from)).or_insert(node) } else { node };
        (node, Owned { cell, owner })
    });
    owned.collect()
}

impl Supernet for CellSupernet {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.walk(images, gates, train).0
    }

    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.walk(images, gates, train).1
    }

    fn width(&self) -> i64 {
        let nodes = &self.graph().nodes;
        let head = nodes.last().expect("a network has a head");
        nodes[head.step.inputs()[0]].shape.c.into()
    }

    fn classify(&self, features: &Tensor) -> Tensor {
        self.net.classify(features)
    }

    fn used(&self, gates: &dyn Gating) -> HashSet<String> {
        let (mut resting, mut open) = (HashSet::new(), HashSet::new());
        for (node, cell, decision, candidates) in self.graph().choices() {
            let place = &self.graph().nodes[self.sites[&node].owner].name;
            for (candidate, path) in candidates.iter().zip(gates.gate(decision, cell).paths) {
                let prefix = format!("{place}.{}.", candidate.op.name());
                if path == Path::Off { &mut resting } else { &mut open }.insert(prefix);
            }
        }
        let head =
            self.graph().nodes.last().map(|head| format!("{}.", head.name.replace('/', ".")));
        resting.extend(head);
        let rests = |name: &String| {
            let mut resting = resting.difference(&open);
            resting.any(|prefix| name.starts_with(prefix))
        };
        self.weights.variables().into_keys().filter(|name| !rests(name)).collect()
    }

    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
        let mut twin = Self::new(self.graph().clone(), mixed_op, self.weights.device())?;
        guard(|| twin.inherit(self))?;
        twin.weights.freeze();
        Ok(Box::new(twin))
    }

    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError> {
        let derived = self.graph().derive(architecture).pruned(false);
        let (phase, init) = (Phase::Search, WeightInit::Uniform);
        let net = StaticNet::new(derived, self.weights.device(), phase, init)?;
        let all = self.weights.variables();
        let lenders = self.lenders();
        guard(|| {
            for (name, mut weight) in net.weights().variables() {
                let size = weight.size();
                let (node, rest) = name.split_once('.').expect("weights lie in their node");
                let name = format!("{}.{rest}", lenders.get(node).copied().unwrap_or(node));
                let own = tch::no_grad(|| derived_weight(&all, &name, &size));
                let own = own.expect("derived weights have the supernet's names");
                tch::no_grad(|| weight.copy_(&own));
            }
            net
        })
    }

    fn weights(&self) -> &nn::VarStore {
        &self.weights
    }

    fn sites(&self) -> Vec<(DecisionId, u16)> {
        let sites = self.net.graph().sites();
        let of_site =
            |(_, cell, site): (_, u16, &Site)| site.decisions().into_iter().map(move |d| (d, cell));
        sites.flat_map(of_site).collect()
    }

    fn graph(&self) -> &Graph {
        self.net.graph()
    }

    fn sort_channels(&self, trained: &[ChoiceSet]) {
        self.elastic.values().for_each(|site| site.sort_channels(trained));
    }

    fn silence_residuals(&self) {
        let all = self.weights.variables();
        let of_node = |node: &Node| match &node.step {
            Step::Fixed { op, .. } => vec![(node.name.clone(), *op)],
            Step::Searched { site, .. } => {
                let place = |op: &OpSpec| format!("{}.{}", node.name, op.op.name());
                site.largest().iter().map(|op| (place(op), *op)).collect()
            }
            _ => vec![],
        };
        for (place, op) in self.net.graph().nodes.iter().flat_map(of_node) {
            let scale = residual_scale(&op).and_then(|name| all.get(&format!("{place}.{name}")));
            if let Some(scale) = scale {
                let _ = tch::no_grad(|| scale.shallow_clone().zero_());
            }
        }
    }
}
