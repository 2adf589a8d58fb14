//! DARTS, arXiv 1806.09055.
//!
//! Tested elsewhere: 2 (shapes, places of the reductions) in `space/src/darts/tests.rs`; 5 and 6 (second order, weights restored)
//! in `src/methods/bilevel.rs`, whose function is private. The running statistics of 6 are tested here.

use std::collections::HashMap;

use lat::methods::{Batch, Batches, Context, Method, Options, Preset, derive, find_method};
use lat::relaxed::Relaxed;
use lat::supernet::{
    AllChannels, BuildMixedOp, CellSupernet, Gate, Gating, MixedOp, Path, SharedGates, Supernet,
};
use lat_nn::{DropPath, LayerBuilder, Phase, StaticNet, WeightInit};
use lat_space::{
    Architecture, ChoiceSet, Darts, Decision, Graph, GraphBuilder, NasBench201, Op, OpSpec,
    SearchSpace, Space, architecture_at,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, nn};

use crate::toy_net::{ToyNet, begin_with, parameter, steps};
use crate::{formula, setup, toy};

const SEARCH: LayerBuilder =
    LayerBuilder { phase: Phase::Search, pools_normalised: true, init: WeightInit::Uniform };

/// The candidates of the first edge of the first cell of this type, on 8 channels and 8x8 pixels.
fn candidates(decision: usize) -> Vec<OpSpec> {
    let space = Darts::new();
    let skeleton = lat_space::Skeleton { channels: 8, ..toy::skeleton(&space) };
    let graph = space.graph(&skeleton);
    let found =
        graph.choices().find_map(|(_, _, d, candidates)| (d == decision).then_some(candidates));
    found.unwrap()
}

/// All candidates of a site, with weights set by the formula.
fn mixed_op(candidates: &[OpSpec]) -> Box<dyn MixedOp> {
    let store = nn::VarStore::new(Device::Cpu);
    let _generator = setup::exclusive();
    let mixed = AllChannels.build(&SEARCH, &store.root(), candidates);
    formula::fill(&store);
    mixed
}

/// A gate with all candidates computed, one of them with weight one.
fn one_hot(n: usize, choice: usize) -> Gate {
    let weights = Tensor::zeros([n as i64], tch::kind::FLOAT_CPU);
    let _ = weights.get(choice as i64).fill_(1.0);
    Gate { weights, paths: vec![Path::On; n], edge: None }
}

fn input(spec: &OpSpec) -> Tensor {
    let hw = i64::from(spec.hw_in);
    formula::tensor("x", &[2, i64::from(spec.c_in), hw, hw])
}

#[test]
fn darts_1_there_are_14_edges_of_8_operations_twice() {
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let mut method = method(&space, &[]);
    method.begin(&net);
    assert_eq!(parameter(method.as_ref(), "alpha").size(), [2 * 14, 8]);
    let cell_types: Vec<&str> = space.decisions().iter().map(Decision::cell_type).collect();
    assert_eq!(cell_types, [["normal"; 14], ["reduce"; 14]].concat());
    for probs in method.relaxed().probs {
        assert!((probs.sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn darts_1_a_mixed_op_with_one_weight_1_is_that_operation() {
    // Stride 1 in the normal cell, stride 2 in the reduction.
    for candidates in [candidates(0), candidates(14)] {
        let mixed = mixed_op(&candidates);
        for (choice, spec) in candidates.iter().enumerate() {
            let store = nn::VarStore::new(Device::Cpu);
            let layer = {
                let _generator = setup::exclusive();
                SEARCH.layer(&(store.root() / spec.op.name()), spec)
            };
            formula::fill(&store);
            let x = input(spec);
            let alone = layer.forward_t(&x, true);
            let found = mixed.forward_t(&x, &one_hot(candidates.len(), choice), true);
            assert_eq!(found, alone, "{}", spec.key());
        }
    }
}

#[test]
fn darts_3_none_gives_exact_zeros_and_no_gradient() {
    for candidates in [candidates(0), candidates(14)] {
        let none = &candidates[0];
        assert_eq!(none.op, Op::None);
        let (c, hw) = (i64::from(none.c_out), i64::from(none.hw_out()));
        let zeros = Tensor::zeros([2, c, hw, hw], tch::kind::FLOAT_CPU);
        let layer = SEARCH.layer(&nn::VarStore::new(Device::Cpu).root(), none);
        assert_eq!(layer.forward_t(&input(none), true), zeros);
        let mixed = mixed_op(&candidates);
        let x = input(none).set_requires_grad(true);
        let y = mixed.forward_t(&x, &one_hot(8, 0), true);
        assert_eq!(y, zeros);
        (y * formula::tensor("g", &[2, c, hw, hw])).sum(Kind::Float).backward();
        assert_eq!(x.grad(), Tensor::zeros_like(&x));
        // If everything is off, the result must also be zeros, of the right shape.
        let off = Gate { paths: vec![Path::Off; 8], ..one_hot(8, 0) };
        assert_eq!(mixed.forward_t(&input(none), &off, true), zeros);
    }
}

#[test]
fn darts_3_a_skip_of_stride_1_gives_its_input() {
    let spec = candidates(0)[3];
    assert_eq!((spec.op, spec.stride), (Op::Identity, 1));
    let layer = SEARCH.layer(&nn::VarStore::new(Device::Cpu).root(), &spec);
    assert_eq!(layer.forward_t(&input(&spec), true), input(&spec));
}

#[test]
fn darts_4_average_pools_of_ones_are_ones_at_the_borders_too() {
    let _generator = setup::exclusive();
    for stride in [1, 2] {
        let spec = OpSpec { op: Op::AvgPool { k: 3 }, c_in: 4, c_out: 4, stride, hw_in: 7 };
        let bare = LayerBuilder { phase: Phase::Evaluation, ..SEARCH };
        let layer = bare.layer(&nn::VarStore::new(Device::Cpu).root(), &spec);
        let ys = layer.forward_t(&Tensor::ones([2, 4, 7, 7], tch::kind::FLOAT_CPU), true);
        let hw = i64::from(spec.hw_out());
        assert_eq!(ys, Tensor::ones([2, 4, hw, hw], tch::kind::FLOAT_CPU));
    }
}

fn method(space: &dyn SearchSpace, options: &[(&str, toml::Value)]) -> Box<dyn Method> {
    let options: Options = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    find_method("darts").unwrap().build(Preset::Paper, &options, space, 1).unwrap()
}

/// All variables after one step of DARTS at the schedule's end, where the learning rate of the weights is 0.
fn after_a_step(net: &CellSupernet, unrolled: bool) -> HashMap<String, Tensor> {
    let space = NasBench201::new();
    formula::fill(net.weights());
    let mut method = method(&space, &[("lr_min", 0.0.into()), ("unrolled", unrolled.into())]);
    method.begin(net);
    let batch = || Batch {
        images: formula::tensor("x", &[4, 3, 8, 8]),
        labels: Tensor::from_slice(&[3i64, 7, 1, 9]),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut cx = Context { space: &space, net, objective: None, progress: 1.0, rng: &mut rng };
    method.step(&mut cx, &Batches { train: batch(), valid: batch() }).unwrap();
    net.weights().variables().into_iter().map(|(name, v)| (name, v.copy())).collect()
}

#[test]
fn darts_6_the_second_order_step_keeps_weights_and_updates_running_statistics_three_times_more() {
    let graph = NasBench201::new().graph(&toy::skeleton(&NasBench201::new()));
    let net = {
        let _generator = setup::exclusive();
        CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap()
    };
    let (first, second) = (after_a_step(&net, false), after_a_step(&net, true));
    for (name, variable) in second.iter().filter(|(_, v)| v.requires_grad()) {
        let before = formula::tensor(name, &variable.size());
        let moved = (variable - before).abs().max().double_value(&[]);
        assert!(moved <= 1e-6, "{name} moved by {moved}");
    }
    // All passes see the same images. n of them bring the stem's running mean from m to b + 0.9^n (m - b), where b is the batch's
    // mean. The first order takes two passes (architecture, weights), the second order five.
    let name = "s1.bn.running_mean";
    let start = formula::tensor(name, &first[name].size());
    let mean = (&first[name] - &start * 0.81) / 0.19;
    let expected = &mean + (start - &mean) * 0.9_f64.powi(5);
    let moved = (&expected - &first[name]).abs().max().double_value(&[]);
    let error = (&second[name] - &expected).abs().max().double_value(&[]);
    assert!(moved > 0.0 && error < 0.02 * moved, "{error} of {moved}");
}

/// `alpha` for the two cells of the space: all zero except for some entries (edge of 28, operation, value).
fn alpha(entries: &[(i64, i64, f64)]) -> Tensor {
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    for &(edge, op, value) in entries {
        let _ = alpha.get(edge).get(op).fill_(value);
    }
    alpha
}

fn derived(alpha: Tensor) -> String {
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let mut method = method(&space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    space.format(&method.derive(&space))
}

#[test]
fn darts_7_derivation_of_a_hand_written_alpha() {
    // If all are equal: the first operation that is not `none`, from the first two predecessors.
    let even = "[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), \
        ('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1)]";
    setup::ready();
    let expected = format!(
        "Genotype(normal={even}, normal_concat=range(2, 6), reduce={even}, reduce_concat=range(2, 6))"
    );
    assert_eq!(derived(alpha(&[])), expected);

    // Node 1 of the normal cell has edges 2 to 4: a large `none` weakens the first, the third is strong. Node 2 has edges 5 to 8:
    // on the last one two operations tie, and the earlier wins. Node 3 of the reduction cell has edges 14 + 9 to 14 + 13: the
    // last has large but equal entries, which a softmax cancels.
    let mut entries = vec![(2, 0, 3.0), (4, 4, 2.0), (8, 6, 1.0), (8, 7, 1.0)];
    entries.extend((0..8).map(|op| (14 + 13, op, 5.0)));
    let normal = "[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 1), ('sep_conv_3x3', 2), \
        ('max_pool_3x3', 0), ('dil_conv_3x3', 3), ('max_pool_3x3', 0), ('max_pool_3x3', 1)]";
    let expected = format!(
        "Genotype(normal={normal}, normal_concat=range(2, 6), reduce={even}, reduce_concat=range(2, 6))"
    );
    assert_eq!(derived(alpha(&entries)), expected);
}

#[test]
fn darts_7_derived_cells_have_no_none_and_two_distinct_predecessors_per_node() {
    setup::ready();
    let space = Darts::new();
    for i in 0..200 {
        // `none` has by far the largest alpha.
        let alpha = formula::tensor(&format!("alpha {i}"), &[28, 8]) * 3.0
            + alpha(&(0..28).map(|e| (e, 0, 4.0)).collect::<Vec<_>>());
        let probs = alpha.softmax(-1, Kind::Float);
        let strengths = probs.narrow(1, 1, 7).amax([1i64].as_slice(), false).unbind(0);
        let architecture = derive(&space, &Relaxed::competing(probs.unbind(0), strengths));
        space.check(&architecture).unwrap();
        for group in space.groups() {
            let kept = |d: &&usize| architecture.choices[**d] != ChoiceSet::one(0);
            assert_eq!(group.decisions.iter().filter(kept).count(), 2, "{i}");
        }
        assert_eq!(space.parse(&space.format(&architecture)).unwrap(), architecture);
    }
}

/// A graph of input, one edge with this operation, and classifier.
fn one_edge(op: Op) -> Graph {
    let mut b = GraphBuilder::new(true);
    let image = b.input(6);
    let candidate = b.spec(image, op, 3, 1);
    let edge = b.choice(image, 0, 0, vec![candidate]);
    let node = b.sum(vec![edge]);
    b.head(node, 2);
    b.finish().derive(&Architecture::new("one edge", [0]))
}

#[test]
fn darts_8_drop_path_drops_or_doubles_and_spares_identities() {
    let _generator = setup::exclusive();
    let images = formula::tensor("x", &[64, 3, 6, 6]);
    let net = |op| {
        let phase = Phase::Evaluation;
        let net = StaticNet::new(one_edge(op), Device::Cpu, phase, WeightInit::Uniform).unwrap();
        formula::fill(net.weights());
        net
    };
    let pool = net(Op::MaxPool { k: 3 });
    let whole = pool.forward_t(&images, true, DropPath::OFF).main;
    assert_eq!(pool.forward_t(&images, true, DropPath(0.0)).main, whole);
    assert_eq!(pool.forward_t(&images, false, DropPath(0.5)).main, whole, "only while training");
    let bias = pool.weights().variables().remove("s3.linear.bias").unwrap();
    let dropped = pool.forward_t(&images, true, DropPath(0.5)).main;
    let doubled = (&whole - &bias) * 2.0 + &bias;
    let mut n_kept = 0;
    for i in 0..64 {
        let is = |other: &Tensor| dropped.get(i).allclose(other, 1e-5, 1e-6, false);
        assert!(is(&bias) || is(&doubled.get(i)), "sample {i}");
        n_kept += usize::from(is(&doubled.get(i)));
    }
    // The probability of a number outside this range is below 1e-6.
    assert!((12..=52).contains(&n_kept), "{n_kept} of 64 kept");

    let skip = net(Op::Identity);
    let whole = skip.forward_t(&images, true, DropPath::OFF).main;
    assert_eq!(skip.forward_t(&images, true, DropPath(0.5)).main, whole);
}

#[test]
fn darts_warm_up_leaves_alpha_alone() {
    let space = Darts::new();
    let net = ToyNet::new(&space, &toy::prices(&space));
    let mut method = method(&space, &[("warmup", 0.5.into())]);
    method.begin(&net);
    let before = parameter(method.as_ref(), "alpha");
    let report = steps(method.as_mut(), &space, &net, None, (3, 0.49));
    assert_eq!(parameter(method.as_ref(), "alpha"), before);
    assert!(report.valid_loss.is_none() && report.train_loss.value().is_finite());
    let report = steps(method.as_mut(), &space, &net, None, (3, 0.5));
    assert_ne!(parameter(method.as_ref(), "alpha"), before);
    assert!(report.valid_loss.unwrap().value().is_finite());
}

#[test]
fn soft_gates_answer_the_same_in_every_cell() {
    setup::ready();
    let space = Darts::new();
    let architecture = architecture_at(&space, 0, 0).unwrap();
    let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
    for d in 0..28 {
        assert_eq!(gates.gate(d, 0).weights, gates.gate(d, 7).weights);
    }
}
