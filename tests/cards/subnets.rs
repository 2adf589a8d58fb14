//! Tests of what the descriptions of `BigNAS`, `AttentiveNAS` and Once-for-All say about training several sub-networks together.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use lat::methods::{Batch, Batches, Context, Method, Options, Preset, find_method};
use lat::objective::{Estimator, Goal, Objective};
use lat::optimizer::{cosine, joint_norm};
use lat::supernet::{AllChannels, BuildMixedOp, CellSupernet, Gating, Path, SharedGates, Supernet};
use lat_nn::{NnError, StaticNet};
use lat_space::{Architecture, ChoiceSet, DecisionId, Graph, SearchSpace, Space, find_space};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Reduction, Tensor, nn};

use crate::stretch_space::StretchSpace;
use crate::{formula, setup, toy};

/// A supernet that records which networks it runs, and whether with gradients.
#[derive(Debug)]
struct Kept {
    net: CellSupernet,
    n_decisions: usize,
    passes: RefCell<Vec<(Box<[ChoiceSet]>, bool)>>,
    sorted: RefCell<Vec<Vec<ChoiceSet>>>,
}

impl Kept {
    fn new(space: &dyn SearchSpace) -> Self {
        let _generator = setup::exclusive();
        let graph = space.graph(&toy::skeleton(space));
        let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        formula::fill(net.weights());
        let n_decisions = space.decisions().len();
        Self { net, n_decisions, passes: RefCell::default(), sorted: RefCell::default() }
    }
}

impl Supernet for Kept {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        let logits = self.net.forward_t(images, gates, train);
        let open = |d: usize| {
            let paths = gates.gate(d, 0).paths;
            ChoiceSet::of((0..paths.len()).filter(|&c| paths[c] == Path::On))
        };
        let choices = (0..self.n_decisions).map(open).collect();
        self.passes.borrow_mut().push((choices, logits.requires_grad()));
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
        let _generator = setup::exclusive();
        self.net.extract(architecture)
    }

    fn weights(&self) -> &nn::VarStore {
        self.net.weights()
    }

    fn sites(&self) -> Vec<(DecisionId, u16)> {
        self.net.sites()
    }

    fn graph(&self) -> &Graph {
        self.net.graph()
    }

    fn sort_channels(&self, trained: &[ChoiceSet]) {
        self.sorted.borrow_mut().push(trained.to_vec());
        self.net.sort_channels(trained);
    }
}

fn images(n: i64) -> Batch {
    let labels: Vec<i64> = (0..n).map(|i| i * 3 % 10).collect();
    Batch { images: formula::tensor("x", &[n, 3, 8, 8]), labels: Tensor::from_slice(&labels) }
}

fn build(method: &str, options: &str, space: &dyn SearchSpace) -> Box<dyn Method> {
    let options: Options = options.parse().unwrap();
    find_method(method).unwrap().build(Preset::Quick, &options, space, 1).unwrap()
}

/// The networks that one step runs, and whether each runs with gradients.
fn step(
    method: &mut dyn Method,
    space: &dyn SearchSpace,
    net: &Kept,
    progress: f64,
) -> Vec<(Box<[ChoiceSet]>, bool)> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cx = Context { space, net, objective: None, progress, rng: &mut rng };
    method.step(&mut cx, &Batches { train: images(8), valid: images(4) }).unwrap();
    net.passes.take()
}

fn of(space: &StretchSpace, choice: impl Fn(usize) -> usize) -> Box<[ChoiceSet]> {
    let n = |d: usize| space.decisions()[d].choices.len();
    (0..space.decisions().len()).map(|d| ChoiceSet::one(choice(n(d)))).collect()
}

/// The largest network. Its last operation is a block, which has fewer multiply-adds than the second choice, a convolution.
fn largest(space: &StretchSpace) -> Box<[ChoiceSet]> {
    let mut choices = of(space, |n| n - 1);
    choices[7] = ChoiceSet::one(1);
    choices
}

/// The smallest network. Decisions that do not apply because of its depth, or because there is no kernel to choose, have the last
/// choice.
fn smallest() -> Box<[ChoiceSet]> {
    [0, 0, 0, 0, 1, 1, 0, 0, 0, 1].map(ChoiceSet::one).into()
}

/// Gradients of a loss by name; zeros for weights that took no part.
fn gradients(net: &CellSupernet, loss: &Tensor) -> Vec<(String, Tensor)> {
    net.weights().variables().values().for_each(|w| w.shallow_clone().zero_grad());
    loss.backward();
    let trained = net.weights().variables().into_iter().filter(|(_, w)| w.requires_grad());
    let gradient = |w: &Tensor| if w.grad().defined() { w.grad().copy() } else { w.zeros_like() };
    trained.map(|(name, w)| (name, gradient(&w))).collect()
}

/// Checks the result of one step with these gradients on a fresh supernet.
fn assert_stepped(kept: &Kept, fresh: &CellSupernet, gradients: &[(String, Tensor)], lr: f64) {
    let (found, before) = (kept.net.weights().variables(), fresh.weights().variables());
    let mut moved = 0;
    for (name, gradient) in gradients {
        let expected = before[name].detach() - gradient * lr;
        let error = (found[name].detach() - &expected).abs().max().double_value(&[]);
        let largest = gradient.abs().max().double_value(&[]) * lr;
        assert!(error <= 1e-4 * largest + 1e-6, "{name}: {error} of {largest}");
        moved += usize::from(largest > 1e-5);
    }
    assert!(moved > 10, "{moved} weights moved");
}

/// The loss of the largest network on smoothed labels, plus those of the others against its outputs.
fn sandwich(space: &StretchSpace, net: &CellSupernet, networks: &[Box<[ChoiceSet]>]) -> Tensor {
    let batch = images(8);
    let logits = |choices: &[ChoiceSet]| {
        let architecture = Architecture { space: space.id().to_owned(), choices: choices.into() };
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        net.forward_t(&batch.images, &gates, true)
    };
    let first = logits(&networks[0]);
    let teacher = first.detach().softmax(-1, Kind::Float);
    let labels = &batch.labels;
    let hard = first.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.1);
    let soft = |choices: &[ChoiceSet]| {
        let log = logits(choices).log_softmax(-1, Kind::Float);
        -(&teacher * log).sum(Kind::Float) / 8.0
    };
    networks[1..].iter().map(|choices| soft(choices)).fold(hard, |sum, loss| sum + loss)
}

// Number 4 of what must be true of AttentiveNAS: one largest network, one smallest, and n - 2 others. Only the largest one sees
// labels, and its outputs for the others carry no gradient. The step follows the sum of all gradients.
#[test]
fn bignas_steps_by_the_sum_of_the_sandwichs_gradients() {
    let space = StretchSpace::new();
    let kept = Kept::new(&space);
    let options =
        "lr = 0.1\nmomentum = 0.0\nnesterov = false\ndecay = 0.0\nclip = inf\nsubnets = 5";
    let mut method = build("bignas", options, &space);
    method.begin(&kept);
    let passes = step(method.as_mut(), &space, &kept, 0.0);
    let networks: Vec<_> = passes.iter().map(|(choices, _)| choices.clone()).collect();
    assert!(passes.iter().all(|(_, learns)| *learns));
    assert_eq!(networks.len(), 5);
    assert_eq!(networks[0], largest(&space));
    assert_eq!(networks[4], smallest());
    assert!(networks[1..4].iter().all(|n| *n != networks[0] && *n != networks[4]));

    let fresh = Kept::new(&space).net;
    let gradients = gradients(&fresh, &sandwich(&space, &fresh, &networks));
    assert_stepped(&kept, &fresh, &gradients, 0.1);
}

#[test]
fn bignas_clips_the_norm_and_attentivenas_each_entry() {
    let space = StretchSpace::new();
    let plain = "lr = 1.0\nmomentum = 0.0\nnesterov = false\ndecay = 0.0\nclip = 0.01";
    let kept = Kept::new(&space);
    let mut method = build("bignas", plain, &space);
    method.begin(&kept);
    let before = formula::values(kept.weights());
    step(method.as_mut(), &space, &kept, 0.0);
    let trained = kept.weights().variables().into_iter().filter(|(_, w)| w.requires_grad());
    let moves: Vec<Tensor> = trained.map(|(name, w)| w.detach() - &before[&name]).collect();
    assert!((joint_norm(&moves).double_value(&[]) / 0.01 - 1.0).abs() < 1e-2);

    let kept = Kept::new(&space);
    let options = format!("{plain}\nwarmup = 0.0\nsampling = \"uniform\"");
    let mut method = build("attentivenas", &options, &space);
    method.begin(&kept);
    let networks: Vec<_> =
        step(method.as_mut(), &space, &kept, 0.0).into_iter().map(|(n, _)| n).collect();
    assert_eq!(networks.len(), 4, "no candidates are looked at");
    let fresh = Kept::new(&space).net;
    let gradients = gradients(&fresh, &sandwich(&space, &fresh, &networks));
    let clamped: Vec<_> =
        gradients.into_iter().map(|(name, g)| (name, g.clamp(-0.01, 0.01))).collect();
    assert!(clamped.iter().any(|(_, g)| g.abs().max().double_value(&[]) > 0.0099));
    assert_stepped(&kept, &fresh, &clamped, 1.0);
}

// Number 5 of what must be true of AttentiveNAS, in a step.
#[test]
fn attentivenas_looks_at_candidates_without_gradients_and_trains_one_of_each() {
    let space = StretchSpace::new();
    for sampling in ["best-up", "worst-up"] {
        let kept = Kept::new(&space);
        let mut method = build("attentivenas", &format!("sampling = \"{sampling}\""), &space);
        method.begin(&kept);
        let before = formula::values(kept.weights());
        let passes = step(method.as_mut(), &space, &kept, 0.0);
        let (trained, looked_at): (Vec<_>, Vec<_>) = passes.into_iter().partition(|(_, t)| *t);
        assert_eq!((trained.len(), looked_at.len()), (4, 6));
        for (n, of_one) in looked_at.chunks(3).enumerate() {
            // The losses of candidates are compared on the supernet as it was before the step.
            let fresh = Kept::new(&space).net;
            let loss = |(choices, _): &(Box<[ChoiceSet]>, bool)| {
                let choices = choices.clone();
                let architecture = Architecture { space: space.id().to_owned(), choices };
                let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
                let loss = fresh.smoothed_loss(&images(8), &gates, 0.1).value.double_value(&[]);
                if sampling == "best-up" { loss } else { -loss }
            };
            let least = of_one.iter().map(loss).fold(f64::INFINITY, f64::min);
            assert!((loss(&trained[1 + n]) - least).abs() < 1e-9, "{sampling} {n}");
        }
        assert_ne!(before["s2.conv.weight"], kept.weights().variables()["s2.conv.weight"]);
    }
}

#[test]
fn batch_norm_remembers_the_largest_network_alone() {
    let space = StretchSpace::new();
    let statistics = |method: &str, options: &str| {
        let kept = Kept::new(&space);
        let mut method = build(method, options, &space);
        method.begin(&kept);
        step(method.as_mut(), &space, &kept, 0.0);
        let all = formula::values(kept.weights());
        let mut all: Vec<_> =
            all.into_iter().filter(|(name, _)| name.contains("running")).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().map(|(_, t)| toy::tensor_bits(&t)).collect::<Vec<_>>()
    };
    let [two, five] = [2, 5].map(|n| statistics("bignas", &format!("subnets = {n}")));
    assert_eq!(two, five);
    assert_eq!(two, statistics("attentivenas", ""));
}

#[test]
fn what_is_left_out_at_random_changes_a_step_and_follows_from_the_seed() {
    let space = StretchSpace::new();
    let stepped = |method: &str, options: &str| {
        let kept = Kept::new(&space);
        let mut method = build(method, options, &space);
        method.begin(&kept);
        step(method.as_mut(), &space, &kept, 0.9);
        let all: BTreeMap<_, _> = formula::values(kept.weights()).into_iter().collect();
        all.into_values().map(|t| toy::tensor_bits(&t)).collect::<Vec<_>>()
    };
    for (method, option) in [
        ("bignas", "dropout"),
        ("attentivenas", "dropout"),
        ("attentivenas", "drop_connect"),
        ("ofa", "dropout"),
    ] {
        let [none, some, again] =
            [0.0, 0.5, 0.5].map(|chance| stepped(method, &format!("{option} = {chance:?}")));
        assert!(none != some, "{method}: {option} does nothing");
        assert!(some == again, "{method}: {option} is not the same again");
    }
}

#[test]
fn attentivenas_by_cost_needs_a_cost() {
    let space = StretchSpace::new();
    let kept = Kept::new(&space);
    let mut method = build("attentivenas", "bins = \"cost\"", &space);
    method.begin(&kept);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cx =
        Context { space: &space, net: &kept, objective: None, progress: 0.0, rng: &mut rng };
    let batches = Batches { train: images(8), valid: images(4) };
    let error = method.step(&mut cx, &batches).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    assert!(
        error.to_string().contains("a search with a cost for bins=cost, found none"),
        "{error}"
    );

    let cost = toy::cost(&space);
    let goal = Goal::Lambda(0.1);
    let mut objective = Objective::new(&space, &cost, goal, Estimator::Expected).unwrap();
    cx.objective = Some(&mut objective);
    method.step(&mut cx, &batches).unwrap();
}

// Number 7 of what must be true of AttentiveNAS.
#[test]
fn silenced_blocks_are_their_shortcuts() {
    let space = find_space("attentivenas").unwrap();
    let kept = Kept::new(space.as_ref());
    kept.net.silence_residuals();
    let last = space.at(space.size() - 1);
    let gates = SharedGates::hard(space.decisions(), &last, Device::Cpu);
    let compute = || kept.net.forward_t(&images(4).images, &gates, false);
    let before = compute();
    let mut n = 0;
    for (name, mut weight) in kept.weights().variables() {
        if name.contains(".ir_") && name.ends_with("dw.weight") {
            tch::no_grad(|| drop(weight.g_mul_scalar_(-3.0)));
            n += 1;
        }
    }
    assert_eq!(n, 37, "blocks");
    let change = (compute() - before).abs().max().double_value(&[]);
    assert!(change < 1e-6, "what blocks compute reaches nothing: {change}");
}

/// For each decision, whether more than one of its choices was drawn.
fn varied(passes: &[(Box<[ChoiceSet]>, bool)]) -> Vec<bool> {
    let first = &passes[0].0;
    (0..first.len()).map(|d| passes.iter().any(|(choices, _)| choices[d] != first[d])).collect()
}

// Number 3 of what must be true of once-for-all, and its order.
#[test]
fn ofa_shrinks_what_its_phase_says_and_sorts_before_widths() {
    let space = StretchSpace::new();
    let kept = Kept::new(&space);
    let mut method = build("ofa", "", &space);
    method.begin(&kept);
    // In shares of 3, 2, 1 and 1. There are two depths and two of each width, so one phase is left for each.
    let (kernels, depth, widths) = ([2, 4, 7, 9], [6], [1, 3, 5, 8]);
    let mut expected: Vec<usize> = vec![];
    for (progress, opens, n) in
        [(0.1, &[][..], 1), (0.5, &kernels, 1), (0.75, &depth, 2), (0.9, &widths, 4)]
    {
        expected.extend(opens);
        let mut passes = Vec::new();
        for seed in 0..12 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let net: &dyn Supernet = &kept;
            let mut cx = Context { space: &space, net, objective: None, progress, rng: &mut rng };
            method.step(&mut cx, &Batches { train: images(8), valid: images(4) }).unwrap();
            let of_step = kept.passes.take();
            assert_eq!(of_step.len(), n, "at {progress}");
            assert!(of_step.iter().all(|(choices, _)| choices[0] == of_step[0].0[0]), "one size");
            passes.extend(of_step);
        }
        for (d, varies) in varied(&passes).into_iter().enumerate() {
            assert_eq!(varies, d == 0 || expected.contains(&d), "{d} at {progress}");
        }
    }
    let sorted = kept.sorted.take();
    assert_eq!(sorted.len(), 1, "once, at the begin of the phase");
    assert!([3, 5].iter().all(|&d| sorted[0][d] == ChoiceSet::one(1)), "one width was trained");
}

// Number 2 of what must be true of once-for-all, in whole networks.
#[test]
fn sorting_leaves_the_largest_network_what_it_is() {
    let space = find_space("ofa").unwrap();
    let kept = Kept::new(space.as_ref());
    let compute = |index: u128| {
        let gates = SharedGates::hard(space.decisions(), &space.at(index), Device::Cpu);
        kept.net.forward_t(&images(4).images, &gates, false)
    };
    let (largest, smallest) = (compute(space.size() - 1), compute(0));
    let trained: Vec<ChoiceSet> =
        space.decisions().iter().map(|d| ChoiceSet::one(d.choices.len() - 1)).collect();
    kept.sort_channels(&trained);
    let scale = largest.abs().max().double_value(&[]);
    let error = (compute(space.size() - 1) - largest).abs().max().double_value(&[]);
    assert!(error <= 1e-5 * scale, "{error} of {scale}");
    let change = (compute(0) - smallest).abs().max().double_value(&[]);
    assert!(change > 1e-5 * scale, "smaller ones have other channels now");
}

#[test]
fn ofa_learns_from_labels_and_from_the_frozen_largest_network() {
    let space = StretchSpace::new();
    let kept = Kept::new(&space);
    let options = "lr = 0.1\nlr_min = 0.1\nmomentum = 0.0\nnesterov = false\ndecay = 0.0\nclip = inf\ndistill = 2.0";
    let mut method = build("ofa", options, &space);
    method.begin(&kept);
    let passes = step(method.as_mut(), &space, &kept, 0.5);
    let fresh = Kept::new(&space).net;
    let batch = images(8);
    let size = passes[0].0[0];
    let logits = |mut choices: Box<[ChoiceSet]>| {
        choices[0] = size;
        let architecture = Architecture { space: space.id().to_owned(), choices };
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        fresh.forward_t(&batch.images, &gates, true)
    };
    let teacher = logits(largest(&space)).detach().softmax(-1, Kind::Float);
    let student = logits(passes[0].0.clone());
    let labels = &batch.labels;
    let hard = student.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.1);
    let soft = -(teacher * student.log_softmax(-1, Kind::Float)).sum(Kind::Float) / 8.0;
    let gradients = gradients(&fresh, &(hard + soft * 2.0));
    assert!((cosine(0.1, 0.1, 0.3) - 0.1).abs() < 1e-12);
    assert_stepped(&kept, &fresh, &gradients, 0.1);
}
