//! The supernet: a graph whose searched sites hold all candidates at once.

mod elastic;
mod gates;
mod loss;
mod merged_convs;
mod mixed_op;
mod parallel;
mod partial_channels;
mod sizes;
mod skip_dropout;

use std::collections::{HashMap, HashSet};

use elastic::ElasticSite;
use lat_nn::{
    Answers, BnRule, DropPath, GraphNet, LayerBuilder, NnError, Phase, StaticNet, WeightInit,
    derived_weight, guard, recalibrate, residual_scale, slice_like,
};
use lat_space::{Architecture, ChoiceSet, DecisionId, Graph, Node, OpSpec, Site, Step, ValueId};
use sizes::SoftSizes;
use tch::{Device, Tensor, nn};

use crate::batches::Batch;
use crate::optimizer::gradients;

pub use gates::{Gate, Gating, Path, SharedGates};
pub use loss::Loss;
pub use merged_convs::MergedConvs;
pub use mixed_op::{AllChannels, BuildMixedOp, MixedOp, Outputs, SharedSources, WeightedSum};
pub(crate) use parallel::sorted;
pub use parallel::{Parallel, Ranks};
pub use partial_channels::{PartialChannels, shuffle};
pub use skip_dropout::{DroppedSkips, SkipDropout};

/// A network with searched sites, which methods drive through gates alone.
pub trait Supernet: std::fmt::Debug {
    /// Logits: `[n, 3, h, w]` to `[n, classes]`, the sites mixed as the gates say. `train` as in [`Supernet::features_t`].
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// What the classifier reads: `[n, 3, h, w]` to `[n, c, h, w]`; where gates mix sizes of the image, as many pixels as the largest has.
    /// Where `train` holds, batch norm goes by the batch's own statistics
    /// and remembers them.
    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// Channels of [`Supernet::features_t`].
    fn width(&self) -> i64;

    /// Logits `[n, classes]` of features `[n, c, h, w]`: what [`Supernet::forward_t`] makes of [`Supernet::features_t`].
    fn classify(&self, features: &Tensor) -> Tensor;

    /// Names in [`Supernet::weights`] of what the features under these gates are computed with: all but the classifier and the
    /// candidates whose paths are off.
    fn used(&self, gates: &dyn Gating) -> HashSet<String>;

    /// A second supernet of the same graph with copies of weights and statistics, whose weights no gradient moves. `mixed_op` as this
    /// one was built.
    ///
    /// # Errors
    /// [`NnError::Torch`] where libtorch cannot make the weights.
    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError>;

    /// Cross entropy of a batch in training mode.
    fn loss(&self, batch: &Batch, gates: &dyn Gating) -> Loss {
        self.smoothed_loss(batch, gates, 0.0)
    }

    /// Cross entropy where a share of each label's mass, `label_smoothing`, is spread over all classes.
    fn smoothed_loss(&self, batch: &Batch, gates: &dyn Gating, label_smoothing: f64) -> Loss {
        Loss::of(self.forward_t(&batch.images, gates, true), batch, label_smoothing)
    }

    /// Gradients for these tensors alone of a scalar made from what the network computed. Undefined for a tensor that took no part.
    fn gradients(&self, loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
        gradients(loss, of)
    }

    /// The mean over the processes that train this network of a number that each found on its own images, as a loss by which a method
    /// decides: all must decide alike.
    fn mean_over_ranks(&self, number: &Tensor) -> Tensor {
        number.shallow_clone()
    }

    /// How many processes train this network, each on as many images.
    fn n_ranks(&self) -> u32 {
        1
    }

    /// The network of one architecture, cut out: it computes what the supernet computes with the architecture's hard gates. Its weights
    /// are copies.
    ///
    /// # Errors
    /// [`NnError::Torch`] where libtorch cannot make the weights.
    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError>;

    /// Batch norm's statistics anew, of what these gates compute of batches of images `[n, 3, h, w]`; those of layers that take no part
    /// stay. Weights and gradients are not touched.
    fn recalibrate(&self, batches: &[Tensor], gates: &dyn Gating, rule: BnRule) {
        recalibrate(rule, batches, |images| drop(self.forward_t(images, gates, true)));
    }

    /// The operation weights and BN statistics.
    fn weights(&self) -> &nn::VarStore;

    /// Per searched site in the order of the network its decisions, each with the number of the cell.
    fn sites(&self) -> Vec<(DecisionId, u16)>;

    /// The network that is walked.
    fn graph(&self) -> &Graph;

    /// Sorts the middle channels of blocks that are cut there, so that the most important ones stay when they are (Once-for-All); what
    /// the largest network computes does not change. `trained` has per decision the choices that the weights were trained for.
    fn sort_channels(&self, _trained: &[ChoiceSet]) {}

    /// Sets the last scale of each block with a shortcut to 0, so that it begins as its shortcut alone.
    fn silence_residuals(&self) {}
}

/// Where a site's candidates are.
#[derive(Debug, Clone, Copy)]
struct Owned {
    cell: u16,
    /// The site itself, or the first one of its cell that reads the same value where these share.
    owner: ValueId,
}

/// A choice of a site that has weights of its own.
#[derive(Debug)]
pub struct OwnChoice {
    /// Which site it is of, in the order of the network.
    pub site: usize,
    /// The site's decision.
    pub decision: DecisionId,
    /// Number of the choice.
    pub choice: usize,
    /// Its place in [`Supernet::weights`].
    pub path: String,
}

/// What a supernet computes on the way to its logits.
#[derive(Debug)]
pub struct Look {
    /// Input and output `[n, c, h, w]` of each site that runs an operation with weights, in the order of the network.
    pub maps: Vec<(Tensor, Tensor)>,
    /// What each cell that is computed reads and what it computes `[n, c, h, w]`, see [`Graph::cells`].
    pub cells: Vec<(Tensor, Tensor)>,
    /// Which of the graph's cells these are: beyond an elastic depth there are none.
    pub computed: Vec<usize>,
}

/// The supernet of a graph.
#[derive(Debug)]
pub struct CellSupernet {
    weights: nn::VarStore,
    net: GraphNet,
    sites: HashMap<ValueId, Owned>,
    /// Candidates by the site that owns them.
    mixed: HashMap<ValueId, Box<dyn MixedOp>>,
    /// Sites whose operations are cut.
    elastic: HashMap<ValueId, ElasticSite>,
    shared: bool,
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
            let net = GraphNet::new(&weights.root(), graph, &builder);
            Self { weights, net, sites, mixed, elastic, shared }
        })
    }
}

impl CellSupernet {
    /// What is computed on the way to the logits under these gates. Batch statistics are the batch's own.
    pub fn look(&self, images: &Tensor, gates: &dyn Gating) -> Look {
        let mut maps = Vec::new();
        let mut site = |node: ValueId, site: &Site, xs: &Tensor| {
            let ys = self.answer(node, site, xs, (gates, true), &mut HashMap::new());
            let runs_weights = match site {
                Site::Choice { decision, candidates } => {
                    let gate = gates.gate(*decision, self.sites[&node].cell);
                    let mut candidates = candidates.iter().zip(&gate.paths);
                    candidates.any(|(c, path)| *path == Path::On && !c.op.is_parameter_free())
                }
                Site::Elastic(candidate) => !candidate.op.is_parameter_free(),
            };
            if runs_weights {
                maps.push((xs.shallow_clone(), ys.shallow_clone()));
            }
            ys
        };
        let of_cells = self.net.graph().cells();
        let mut values = HashMap::new();
        let mut observer = |id: ValueId, value: &Tensor| {
            if of_cells.iter().any(|&(read, computed)| id == read || id == computed) {
                values.insert(id, value.shallow_clone());
            }
        };
        let taken = |decision| taken(gates, decision);
        let answers = Answers { site: &mut site, taken: &taken };
        self.net.observed_t(images, true, DropPath::OFF, answers, &mut observer);
        // Cells beyond an elastic depth are not computed.
        let value = |id: ValueId| values.get(&id).map(Tensor::shallow_clone);
        let of_cell = |(cell, &(read, computed)): (usize, &(ValueId, ValueId))| {
            Some((cell, (value(read)?, value(computed)?)))
        };
        let (computed, cells) = of_cells.iter().enumerate().filter_map(of_cell).unzip();
        Look { maps, cells, computed }
    }

    /// The candidates of all sites that own them, site by site; some may turn out to have no weights.
    pub fn own_choices(&self) -> Vec<OwnChoice> {
        let graph = self.net.graph();
        let owned =
            graph.choices().filter(|(node, ..)| self.sites[node].owner == *node).enumerate();
        let of_site = owned.flat_map(|(site, (node, _, decision, candidates))| {
            let place = &graph.nodes[node].name;
            candidates.into_iter().enumerate().map(move |(choice, spec)| OwnChoice {
                site,
                decision,
                choice,
                path: format!("{}.{}", place, spec.op.name()),
            })
        });
        of_site.collect()
    }

    /// Takes over the weights and statistics that another supernet has under the same names; where sizes differ, the first entries that
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

    /// By a site's name that of the site whose weights it uses, where that is another.
    fn lenders(&self) -> HashMap<&str, &str> {
        let nodes = &self.graph().nodes;
        let name = |node: ValueId| nodes[node].name.as_str();
        let lent = self.sites.iter().filter(|(node, owned)| **node != owned.owner);
        lent.map(|(&node, owned)| (name(node), name(owned.owner))).collect()
    }

    /// Logits, and what the classifier reads. Where sizes of the image are mixed, there is a pass for each.
    fn walk(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> (Tensor, Tensor) {
        let Some(sizes) = SoftSizes::of(self.graph(), gates) else {
            return self.pass(images, gates, train);
        };
        let features = sizes.mixed(gates, &mut |gates| self.walk(images, gates, train).1);
        (self.net.classify(&features), features)
    }

    /// The same in one pass.
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

    /// What a site computes under these gates; `known` holds what sites that share their candidates have computed in this pass.
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
            return self.elastic[&owner].forward_t(xs, &|d| gates.gate(d, cell), train);
        };
        let gate = gates.gate(*decision, cell);
        if !self.shared {
            return mixed.forward_t(xs, &gate, train);
        }
        mixed.forward_shared(xs, &gate, train, known.entry(owner).or_default())
    }
}

/// How the choices of a pick or a size are weighed. They stand in no cell.
fn taken(gates: &dyn Gating, decision: DecisionId) -> Vec<Option<Tensor>> {
    let gate = gates.gate(decision, 0);
    let paths = gate.paths.iter().enumerate();
    paths.map(|(c, path)| (*path != Path::Off).then(|| gate.weights.get(c as i64))).collect()
}

/// Per site whose candidates it uses: its own, or those of the first site of its cell with the same input.
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
