//! Replaces the supernet by one whose loss is a known function of the gates, so that steps take no time and their result is
//! known.

use std::cell::RefCell;
use std::collections::HashSet;

use lat::methods::{Batch, Batches, Context, Method, StepReport};
use lat::objective::Objective;
use lat::supernet::{BuildMixedOp, Gate, Gating, Path, Supernet};
use lat_nn::{NnError, StaticNet};
use lat_space::{Architecture, ChoiceSet, Decision, Graph, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, nn};

use crate::setup;

/// Its loss is `ln(1 + e^s)`, where `s` is the sum of the gates' weights times their harms. It has one weight, which has no
/// effect. A candidate that is not computed does no harm, and its gate gets no gradient. `none`, which is never computed, harms
/// by its weight. If an edge has a weight below one, the rest counts as `none`.
#[derive(Debug)]
pub(crate) struct ToyNet {
    weights: nn::VarStore,
    weight: Tensor,
    /// `[n_decisions, n_choices]`; rows with fewer choices are filled up with zeros.
    harms: Tensor,
    /// Index of `none` for each decision.
    nones: Vec<Option<usize>>,
    /// The graph of the space's first skeleton, for methods that count.
    graph: Graph,
}

/// Images in a training batch.
pub(crate) const N_TRAIN: i64 = 2;
/// Images in a validation batch.
pub(crate) const N_VALID: i64 = 3;

impl ToyNet {
    /// `harms` has one value per gate of the space.
    pub(crate) fn new(space: &dyn SearchSpace, harms: &[f64]) -> Self {
        setup::ready();
        let weights = nn::VarStore::new(Device::Cpu);
        let weight = weights.root().ones("weight", &[1]);
        let n_choices: Vec<i64> =
            space.decisions().iter().map(|d| d.choices.len() as i64).collect();
        let harms = Tensor::from_slice(harms).to_kind(Kind::Float);
        let harms = padded(&harms.split_with_sizes(&n_choices, 0));
        let nones = space.decisions().iter().map(Decision::none).collect();
        let graph = space.graph(&space.skeletons()[0].skeleton);
        Self { weights, weight, harms, nones, graph }
    }

    /// The harm of dropping each edge, `[n_decisions]`.
    fn harms_of_none(&self) -> Tensor {
        let of_none = |(d, none): (usize, &Option<usize>)| {
            none.map_or(0.0, |none| self.harms.double_value(&[d as i64, none as i64]) as f32)
        };
        let harms: Vec<f32> = self.nones.iter().enumerate().map(of_none).collect();
        Tensor::from_slice(&harms)
    }

    /// A net whose loss does not depend on the gates.
    pub(crate) fn indifferent(space: &dyn SearchSpace) -> Self {
        let n_gates = space.decisions().iter().map(|d| d.choices.len()).sum();
        Self::new(space, &vec![0.0; n_gates])
    }
}

impl Supernet for ToyNet {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, _train: bool) -> Tensor {
        let gates: Vec<Gate> = (0..self.nones.len()).map(|d| gates.gate(d, 0)).collect();
        let weights = padded(&gates.iter().map(|g| g.weights.shallow_clone()).collect::<Vec<_>>());
        let counts = |(gate, none): (&Gate, &Option<usize>)| {
            let paths = gate.paths.iter().enumerate();
            let counts = |(c, p): (usize, &Path)| *p != Path::Off || Some(c) == *none;
            let counted: Vec<f32> = paths.map(|p| f32::from(u8::from(counts(p)))).collect();
            Tensor::from_slice(&counted)
        };
        let counted = padded(&gates.iter().zip(&self.nones).map(counts).collect::<Vec<_>>());
        let mut harms = (&weights * &self.harms * counted).sum_dim_intlist(1, false, Kind::Float);
        if let Some(edges) = gates.iter().map(|g| g.edge.as_ref()).collect::<Option<Vec<_>>>() {
            let edges = Tensor::stack(&edges, 0);
            harms = harms * &edges + (1.0 - edges) * self.harms_of_none();
        }
        let right = self.weight.sum(Kind::Float) * 0.0;
        let logits = Tensor::stack(&[right, harms.sum(Kind::Float)], 0);
        logits.unsqueeze(0).repeat([images.size()[0], 1])
    }

    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.forward_t(images, gates, train).unsqueeze(-1).unsqueeze(-1)
    }

    fn width(&self) -> i64 {
        2
    }

    fn classify(&self, features: &Tensor) -> Tensor {
        features.flatten(1, -1)
    }

    /// Every path uses the one weight.
    fn used(&self, _: &dyn Gating) -> HashSet<String> {
        HashSet::from(["weight".to_owned()])
    }

    fn twin(&self, _: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
        let mut weights = nn::VarStore::new(Device::Cpu);
        let weight = weights.root().ones("weight", &[1]);
        weights.freeze();
        let (harms, nones) = (self.harms.shallow_clone(), self.nones.clone());
        let graph = self.graph.clone();
        Ok(Box::new(Self { weights, weight, harms, nones, graph }))
    }

    fn extract(&self, _: &Architecture) -> Result<StaticNet, NnError> {
        unreachable!("it has no layers to cut out")
    }

    fn weights(&self) -> &nn::VarStore {
        &self.weights
    }

    fn sites(&self) -> Vec<(usize, u16)> {
        (0..self.nones.len()).map(|d| (d, 0)).collect()
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }
}

/// A supernet that records its forward passes.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    net: &'a dyn Supernet,
    n_decisions: usize,
    passes: RefCell<Vec<Pass>>,
}

/// A record of one forward pass.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Number of images in the batch: [`N_TRAIN`] or [`N_VALID`] in [`steps`].
    pub(crate) n_images: i64,
    /// `[n_decisions, n_choices]`, detached from the graph; rows with fewer choices are filled up with zeros.
    pub(crate) weights: Tensor,
    /// For each decision the path of each choice.
    pub(crate) paths: Vec<Vec<Path>>,
    /// Whether it ran without gradients.
    pub(crate) without_gradients: bool,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(net: &'a dyn Supernet, space: &dyn SearchSpace) -> Self {
        let n_decisions = space.decisions().len();
        Self { net, n_decisions, passes: RefCell::default() }
    }

    /// The passes since the last call.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        self.passes.take()
    }
}

impl Supernet for Watched<'_> {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        let all: Vec<Gate> = (0..self.n_decisions).map(|d| gates.gate(d, 0)).collect();
        let weights: Vec<Tensor> = all.iter().map(|g| g.weights.shallow_clone()).collect();
        let logits = self.net.forward_t(images, gates, train);
        self.passes.borrow_mut().push(Pass {
            n_images: images.size()[0],
            weights: padded(&weights).detach(),
            paths: all.into_iter().map(|g| g.paths).collect(),
            without_gradients: !logits.requires_grad(),
        });
        logits
    }

    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.net.features_t(images, gates, train)
    }

    fn width(&self) -> i64 {
        self.net.width()
    }

    fn classify(&self, features: &Tensor) -> Tensor {
        self.net.classify(features)
    }

    fn used(&self, gates: &dyn Gating) -> HashSet<String> {
        self.net.used(gates)
    }

    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
        self.net.twin(mixed_op)
    }

    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError> {
        self.net.extract(architecture)
    }

    fn weights(&self) -> &nn::VarStore {
        self.net.weights()
    }

    fn sites(&self) -> Vec<(usize, u16)> {
        self.net.sites()
    }

    fn graph(&self) -> &Graph {
        self.net.graph()
    }

    fn sort_channels(&self, trained: &[ChoiceSet]) {
        self.net.sort_channels(trained);
    }
}

/// Rows as one matrix; shorter ones are filled up with zeros.
fn padded(rows: &[Tensor]) -> Tensor {
    let widest = rows.iter().map(|row| row.size()[0]).max().expect("at least one decision");
    let pad = |row: &Tensor| row.constant_pad_nd([0, widest - row.size()[0]]);
    Tensor::stack(&rows.iter().map(pad).collect::<Vec<_>>(), 0)
}

/// Images of the right class, with `n_views` views each.
fn batch(n: i64, n_views: usize) -> Batch {
    Batch {
        images: Tensor::zeros([n_views as i64 * n, 3, 1, 1], tch::kind::FLOAT_CPU),
        labels: Tensor::zeros([n], tch::kind::INT64_CPU),
    }
}

/// Lets a method that has begun make `n` steps at one point of its schedule.
pub(crate) fn steps(
    method: &mut dyn Method,
    space: &dyn SearchSpace,
    net: &dyn Supernet,
    objective: Option<&mut Objective<'_>>,
    schedule: (usize, f64),
) -> StepReport {
    steps_by(&mut ChaCha8Rng::seed_from_u64(0), method, space, net, objective, schedule)
}

/// Makes steps with a random generator that continues from call to call.
pub(crate) fn steps_by(
    rng: &mut ChaCha8Rng,
    method: &mut dyn Method,
    space: &dyn SearchSpace,
    net: &dyn Supernet,
    mut objective: Option<&mut Objective<'_>>,
    (n, progress): (usize, f64),
) -> StepReport {
    let mut report = None;
    for _ in 0..n {
        let objective = objective.as_deref_mut();
        let mut cx = Context { space, net, objective, progress, rng };
        let batches = Batches { train: batch(N_TRAIN, method.n_views()), valid: batch(N_VALID, 1) };
        report = Some(method.step(&mut cx, &batches).unwrap());
    }
    report.expect("at least one step")
}

/// Begins the method on the net, and sets some of its parameters by their names in its state.
pub(crate) fn begin_with(method: &mut dyn Method, net: &dyn Supernet, values: &[(&str, Tensor)]) {
    method.begin(net);
    let mut state: lat::optimizer::StateMap = method.state().into_iter().collect();
    for (name, value) in values {
        let old = state.insert((*name).to_owned(), value.shallow_clone());
        assert_eq!(old.map(|old| old.size()), Some(value.size()), "{name}");
    }
    method.load(&state).unwrap();
}

/// A parameter of the method, by its name in its state.
pub(crate) fn parameter(method: &dyn Method, name: &str) -> Tensor {
    let found = method.state().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in the state")).1.copy()
}
