//! PC-DARTS, arXiv 1907.05737.

use lat::methods::{Method, Options, Preset, find_method};
use lat::supernet::{
    AllChannels, BuildMixedOp, CellSupernet, Gate, PartialChannels, Path, SharedGates, Supernet,
    shuffle,
};
use lat_nn::{LayerBuilder, Phase, WeightInit};
use lat_space::{Darts, OpSpec, SearchSpace, Skeleton, Space};
use tch::{Device, Kind, Tensor, nn};

use crate::toy_net::{ToyNet, begin_with, parameter, steps};
use crate::{formula, setup, toy};

const SEARCH: LayerBuilder =
    LayerBuilder { phase: Phase::Search, pools_normalised: true, init: WeightInit::Uniform };
/// K in the examples of the description.
const K: u32 = 4;
/// In-edges of the four nodes of a cell.
const IN_EDGES: [i64; 4] = [2, 3, 4, 5];

/// The candidates of the first edge with this stride, on 16 channels.
fn candidates(stride: u8) -> Vec<OpSpec> {
    let space = Darts::new();
    let graph = space.graph(&Skeleton { channels: 16, ..toy::skeleton(&space) });
    let of_stride = |candidates: &Vec<OpSpec>| {
        candidates[0].stride == stride && candidates[0].c_in == if stride == 1 { 16 } else { 32 }
    };
    let mut sites = graph.choices().map(|(_, _, _, candidates)| candidates);
    let found = sites.find(of_stride).unwrap();
    found.iter().map(|c| OpSpec { c_in: 16, c_out: 16, ..*c }).collect()
}

/// Output of the site with partial channels and all candidates on, and the sizes of all running means, one per BN.
fn partial(candidates: &[OpSpec], divisor: u32, x: &Tensor) -> (Tensor, Vec<i64>) {
    let store = nn::VarStore::new(Device::Cpu);
    let mixed = {
        let _generator = setup::exclusive();
        PartialChannels { divisor }.build(&SEARCH, &store.root(), candidates)
    };
    formula::fill(&store);
    let weights = Tensor::full([8], 1.0 / 8.0, tch::kind::FLOAT_CPU);
    let mut paths = vec![Path::On; 8];
    paths[0] = Path::Off;
    let y = mixed.forward_t(x, &Gate { weights, paths, edge: None }, true);
    let means = store.variables().into_iter().filter(|(name, _)| name.ends_with("running_mean"));
    (y, means.map(|(_, mean)| mean.size()[0]).collect())
}

#[test]
fn pc_darts_1_a_quarter_of_the_channels_is_mixed_and_the_rest_passes() {
    let x = formula::tensor("x", &[2, 16, 8, 8]).set_requires_grad(true);
    let (y, widths) = partial(&candidates(1), K, &x);
    assert!(widths.iter().all(|&c| c == 4), "operations are built for 4 channels: {widths:?}");
    // Shuffling with the other number of groups undoes the shuffle.
    let y = shuffle(&y, 4);
    assert_eq!(y.narrow(1, 4, 12), x.narrow(1, 4, 12));
    let mixed = y.narrow(1, 0, 4) * formula::tensor("g", &[2, 4, 8, 8]);
    mixed.sum(Kind::Float).backward();
    let reached = x.grad().abs().sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Float);
    for c in 0..16 {
        assert_eq!(reached.double_value(&[c]) > 0.0, c < 4, "channel {c}");
    }
}

#[test]
fn pc_darts_2_past_a_reduction_channels_are_max_pooled() {
    let x = formula::tensor("x", &[2, 16, 8, 8]);
    let (y, _) = partial(&candidates(2), K, &x);
    assert_eq!(y.size(), [2, 16, 4, 4]);
    let past = x.narrow(1, 4, 12).max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
    assert_eq!(shuffle(&y, 4).narrow(1, 4, 12), past);
}

#[test]
fn pc_darts_3_shuffle_interleaves_the_groups() {
    setup::ready();
    let order = |xs: &Tensor| Vec::<f32>::try_from(&xs.view([-1])).unwrap();
    let xs = Tensor::arange(8, tch::kind::FLOAT_CPU).view([1, 8, 1, 1]);
    assert_eq!(order(&shuffle(&xs, 4)), [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    let xs = formula::tensor("x", &[2, 12, 3, 3]);
    assert_eq!(shuffle(&shuffle(&xs, 4), 3), xs);
    assert_ne!(shuffle(&xs, 4), xs);
}

#[test]
fn pc_darts_4_with_k_1_and_equal_betas_it_is_darts_over_the_number_of_in_edges() {
    let space = Darts::new();
    let graph = space.graph(&toy::skeleton(&space));
    let alpha = formula::tensor("alpha", &[28, 8]);
    let probs = alpha.softmax(-1, Kind::Float).unbind(0);
    let n_edges = || [IN_EDGES, IN_EDGES].concat().into_iter().flat_map(|n| (0..n).map(move |_| n));
    let edges: Vec<Tensor> = n_edges().map(|n| Tensor::from(1.0f32 / n as f32)).collect();
    let scaled: Vec<Tensor> = probs.iter().zip(n_edges()).map(|(p, n)| p / n).collect();
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    let logits = |mixed_op: &dyn BuildMixedOp, gates: &SharedGates| {
        let net = {
            let _generator = setup::exclusive();
            CellSupernet::new(graph.clone(), mixed_op, Device::Cpu).unwrap()
        };
        formula::fill(net.weights());
        net.forward_t(&images, gates, true)
    };
    let gates = SharedGates::soft(space.decisions(), &probs, Some(&edges));
    let partial = logits(&PartialChannels { divisor: 1 }, &gates);
    let darts = logits(&AllChannels, &SharedGates::soft(space.decisions(), &scaled, None));
    let largest = darts.abs().max().double_value(&[]);
    let error = (partial - darts).abs().max().double_value(&[]);
    assert!(error <= 1e-5 * largest, "{error} of {largest}");
}

fn method(space: &dyn SearchSpace) -> Box<dyn Method> {
    let entry = find_method("pc-darts").unwrap();
    entry.build(Preset::Paper, &Options::new(), space, 1).unwrap()
}

/// Converts beta to edge weights, as the method does.
fn edge_weights(space: &dyn SearchSpace, beta: Tensor) -> Vec<f64> {
    let net = ToyNet::indifferent(space);
    let mut method = method(space);
    begin_with(method.as_mut(), &net, &[("beta", beta)]);
    let gates = method.gates(space, &net);
    let edge = |d| gates.gate(d, 0).edge.unwrap().double_value(&[]);
    (0..space.decisions().len()).map(edge).collect()
}

#[test]
fn pc_darts_5_betas_are_normalised_within_each_node() {
    let space = Darts::new();
    setup::ready();
    let beta = formula::tensor("beta", &[28, 1]);
    let weights = edge_weights(&space, beta.copy());
    let mut first = 0;
    for n in [IN_EDGES, IN_EDGES].concat() {
        let node = &weights[first..first + n as usize];
        assert!((node.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{node:?}");
        // Within a node, weights are proportional to the exponentials of beta.
        let b = |e: usize| beta.double_value(&[(first + e) as i64, 0]);
        for (e, weight) in node.iter().enumerate() {
            assert!((weight / node[0] - (b(e) - b(0)).exp()).abs() < 1e-5);
        }
        first += n as usize;
    }
    assert_eq!(first, 28);
    // Edges 5 to 8 lead to the same node.
    let shifted = beta.copy();
    let _ = shifted.narrow(0, 5, 4).g_add_scalar_(2.5);
    for (a, b) in weights.iter().zip(edge_weights(&space, shifted)) {
        assert!((a - b).abs() < 1e-6);
    }
    let tilted = beta.copy();
    let _ = tilted.narrow(0, 5, 1).g_add_scalar_(2.5);
    let tilted = edge_weights(&space, tilted);
    let changed: Vec<usize> = (0..28).filter(|&e| (weights[e] - tilted[e]).abs() > 1e-6).collect();
    assert_eq!(changed, [5, 6, 7, 8]);
}

#[test]
fn pc_darts_6_alpha_and_beta_rest_for_15_of_50_epochs() {
    let space = Darts::new();
    let net = ToyNet::new(&space, &toy::prices(&space));
    let mut method = method(&space);
    method.begin(&net);
    let all = |method: &dyn Method| ["alpha", "beta"].map(|name| parameter(method, name));
    let weight = || net.weights().variables().remove("weight").unwrap().copy();
    let before = all(method.as_ref());
    let w = weight();
    let report = steps(method.as_mut(), &space, &net, None, (3, 14.99 / 50.0));
    assert_eq!(all(method.as_ref()), before);
    assert!(report.valid_loss.is_none());
    assert_ne!(weight(), w, "weights move in the warm-up");
    let w = weight();
    steps(method.as_mut(), &space, &net, None, (1, 15.0 / 50.0));
    let [alpha, beta] = all(method.as_ref());
    assert!(alpha != before[0] && beta != before[1]);
    assert_ne!(weight(), w, "weights move afterwards too");
}

#[test]
fn pc_darts_7_derivation_multiplies_beta_and_alpha() {
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    // Node 1 has edges 2 to 4. Alpha has a clear maximum on edge 2; beta prefers 3 and 4.
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    let _ = alpha.get(2).get(4).fill_(3.0);
    let beta = Tensor::zeros([28, 1], tch::kind::FLOAT_CPU);
    let kept = |beta: &Tensor| {
        let mut method = method(&space);
        let values = [("alpha", alpha.copy()), ("beta", beta.copy())];
        begin_with(method.as_mut(), &net, &values);
        let choices = method.derive(&space).choices;
        (2..5).filter(|&e| !choices[e].contains(0)).collect::<Vec<_>>()
    };
    assert_eq!(kept(&beta), [2, 3]);
    let _ = beta.narrow(0, 3, 2).fill_(4.0);
    assert_eq!(kept(&beta), [3, 4]);
    // A small difference in beta does not outweigh a large one in alpha, because the product counts.
    let _ = beta.narrow(0, 3, 2).fill_(0.5);
    assert_eq!(kept(&beta), [2, 3]);
}

#[test]
fn pc_darts_8_a_quarter_of_the_channels_takes_a_third_of_the_activations() {
    // Number of values that the operations and the site output. Every operation except skip ends each of its parts in a BN.
    let numbers = |divisor| {
        let (y, widths) = partial(&candidates(1), divisor, &formula::tensor("x", &[1, 16, 8, 8]));
        y.numel() as i64 + 64 * widths.iter().sum::<i64>()
    };
    let ratio = numbers(4) as f64 / numbers(1) as f64;
    assert!(ratio < 0.35, "{ratio}");
}
