//! Compares layers and small networks with PyTorch; `tests/parity/README.md` describes the files.

mod attentivenas;
mod official;
mod pi_nas;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use lat::supernet::{
    AllChannels, BuildMixedOp, CellSupernet, PartialChannels, SharedGates, Supernet,
};
use lat_nn::{DropPath, LayerBuilder, Phase, StaticNet, WeightInit};
use lat_space::{Op, OpSpec, SearchSpace, Skeleton, Stem, find_space};
use tch::{Device, Kind, Tensor, nn};

use crate::formula::{fill, tensor, uniform};
use crate::setup;

/// Relative to each array's largest absolute value.
const TOLERANCE: f64 = 1e-4;

const OPS: [(&str, Op); 12] = [
    ("nor_conv_1x1", Op::ReluConvBn { k: 1 }),
    ("nor_conv_3x3", Op::ReluConvBn { k: 3 }),
    ("conv_bn_3x3", Op::ConvBn { k: 3 }),
    ("sep_conv_3x3", Op::SepConv { k: 3 }),
    ("sep_conv_5x5", Op::SepConv { k: 5 }),
    ("dil_conv_3x3", Op::DilConv { k: 3 }),
    ("dil_conv_5x5", Op::DilConv { k: 5 }),
    ("max_pool_3x3", Op::MaxPool { k: 3 }),
    ("avg_pool_3x3", Op::AvgPool { k: 3 }),
    ("bn_relu", Op::BnRelu),
    ("factorized_reduce", Op::FactorizedReduce),
    ("residual_block", Op::ResidualBlock),
];
const NETWORKS: [&str; 4] = ["darts", "nasbench201", "darts_supernet", "pc_darts_supernet"];

const DARTS_V2: &str = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
    ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), \
    ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), \
    reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), \
    ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], \
    reduce_concat=range(2, 6))";
const NASBENCH201: &str = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+\
    |skip_connect~0|none~1|nor_conv_3x3~2|";

type Arrays = BTreeMap<String, Tensor>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

fn read(name: &str) -> Arrays {
    let path = folder().join(format!("{name}.npz"));
    Tensor::read_npz(&path).unwrap().into_iter().collect()
}

/// Compares all arrays under the prefix; both sides must have the same ones.
fn compare(file: &str, prefix: &str, expected: &Arrays, found: &Arrays) {
    let of_case = |key: &&String| key.starts_with(prefix);
    let keys: BTreeSet<&String> = expected.keys().filter(of_case).collect();
    assert_eq!(keys, found.keys().collect(), "arrays of {file} {prefix}");
    for key in keys {
        let (expected, found) = (&expected[key], &found[key]);
        assert_eq!(expected.size(), found.size(), "shape of {file} {key}");
        let expected = expected.to_kind(Kind::Double);
        let largest = expected.abs().max().double_value(&[]);
        let error = (found.detach().to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
        // Written in this way so that NaN fails.
        assert!(error <= TOLERANCE * largest, "{file} {key}: off by {error:e} of {largest:e}");
    }
}

#[test]
fn every_file_is_compared() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let is_npz = |path: &PathBuf| path.extension().is_some_and(|e| e == "npz");
    let files: BTreeSet<String> = files.filter(is_npz).map(stem).collect();
    let known = OPS.iter().map(|(name, _)| *name).chain(NETWORKS).chain(official::FILES);
    let known = known.chain(pi_nas::FILES);
    // The losses are compared next to the functions, in `src/methods/tools/distillation.rs`.
    let known = known.chain([attentivenas::FILE, "official_losses"]);
    assert_eq!(files, known.map(str::to_owned).collect());
}

#[test]
fn every_operation_computes_what_pytorch_does() {
    setup::ready();
    for (name, op) in OPS {
        let expected = read(name);
        let cases: BTreeSet<&str> = expected.keys().filter_map(|k| k.strip_suffix("/y")).collect();
        assert!(!cases.is_empty(), "{name} has no case");
        let of_a_case = |key: &String| cases.iter().any(|c| key.starts_with(&format!("{c}/")));
        assert!(expected.keys().all(of_a_case), "{name} has arrays of no case");
        for case in cases {
            let found = run_op(op, case, &expected);
            compare(name, &format!("{case}/"), &expected, &found);
        }
    }
}

/// Output, gradients and running statistics of a case such as `s2/train_plain`.
fn run_op(op: Op, case: &str, expected: &Arrays) -> Arrays {
    let (stride, mode) = case.split_once('/').unwrap();
    let (train, phase, pools_normalised) = match mode {
        "train" => (true, Phase::Evaluation, false),
        "eval" | "bare" => (false, Phase::Evaluation, false),
        "train_plain" => (true, Phase::Search, true),
        "eval_plain" => (false, Phase::Search, true),
        _ => panic!("no mode {mode}"),
    };
    let (input, output) = (expected[&format!("{case}/dx")].size(), &expected[&format!("{case}/y")]);
    let spec = OpSpec {
        op,
        c_in: input[1] as u32,
        c_out: output.size()[1] as u32,
        stride: if stride == "s1" { 1 } else { 2 },
        hw_in: input[2] as u16,
    };
    let store = nn::VarStore::new(Device::Cpu);
    let builder = LayerBuilder { phase, pools_normalised, init: WeightInit::Uniform };
    let layer = {
        let _generator = setup::exclusive();
        builder.layer(&store.root(), &spec)
    };
    fill(&store);
    let x = tensor("x", &input).set_requires_grad(true);
    let y = layer.forward_t(&x, train);
    (&y * tensor("g", &y.size())).sum(Kind::Float).backward();
    let mut found = Arrays::from([(format!("{case}/y"), y), (format!("{case}/dx"), x.grad())]);
    for (name, variable) in store.variables() {
        if variable.requires_grad() {
            found.insert(format!("{case}/dw/{name}"), variable.grad());
        } else if train {
            found.insert(format!("{case}/after/{name}"), variable);
        }
    }
    found
}

fn skeleton(channels: u32) -> Skeleton {
    Skeleton { channels, layers: 3, resolution: 8, classes: 10, stem: Stem::Cifar }
}

#[test]
fn static_networks_compute_what_pytorch_does() {
    for (file, space, text) in
        [("darts", "darts", DARTS_V2), ("nasbench201", "nasbench201", NASBENCH201)]
    {
        let expected = read(file);
        let space = find_space(space).unwrap();
        let graph = space.graph(&skeleton(4)).derive(&space.parse(text).unwrap()).pruned(false);
        let net = {
            let _generator = setup::exclusive();
            StaticNet::new(graph, Device::Cpu, Phase::Evaluation, WeightInit::Uniform).unwrap()
        };
        let forward = |x: &Tensor, train| net.forward_t(x, train, DropPath::OFF).main;
        let names = names(&expected);
        for mode in ["train", "eval"] {
            let found = run_network(mode, net.weights(), &names, &expected, &forward, &[]);
            compare(file, &format!("{mode}/"), &expected, &found);
        }
    }
}

#[test]
fn the_darts_supernet_computes_what_pytorch_does() {
    let space = find_space("darts").unwrap();
    let expected = read("darts_supernet");
    let alpha = parameters("alpha", &[14, 8], &expected);
    let gates = SharedGates::soft(space.decisions(), &probabilities(&alpha), None);
    let names = names(&expected);
    let net = supernet(space.as_ref(), 4, &AllChannels);
    let forward = |x: &Tensor, train| net.forward_t(x, &gates, train);
    let found = run_network("train", net.weights(), &names, &expected, &forward, &alpha);
    compare("darts_supernet", "train/", &expected, &found);
}

#[test]
fn the_pc_darts_supernet_computes_what_pytorch_does() {
    let space = find_space("darts").unwrap();
    let expected = read("pc_darts_supernet");
    let mut parameters_of = parameters("alpha", &[14, 8], &expected);
    let probs = probabilities(&parameters_of);
    let beta = parameters("beta", &[14], &expected);
    // In-edges of the four nodes: 2, 3, 4, 5.
    let per_node = |beta: &Tensor| {
        let nodes = beta.split_with_sizes([2, 3, 4, 5], 0);
        nodes.iter().flat_map(|b| b.softmax(0, Kind::Float).unbind(0)).collect::<Vec<_>>()
    };
    let edges: Vec<Tensor> = beta.iter().flat_map(|(_, beta)| per_node(beta)).collect();
    let gates = SharedGates::soft(space.decisions(), &probs, Some(&edges));
    parameters_of.extend(beta);
    let names = names(&read("darts_supernet"));
    let net = supernet(space.as_ref(), 8, &PartialChannels { divisor: 4 });
    let forward = |x: &Tensor, train| net.forward_t(x, &gates, train);
    let found = run_network("train", net.weights(), &names, &expected, &forward, &parameters_of);
    compare("pc_darts_supernet", "train/", &expected, &found);
}

fn supernet(space: &dyn SearchSpace, channels: u32, mixed_op: &dyn BuildMixedOp) -> CellSupernet {
    let _generator = setup::exclusive();
    CellSupernet::new(space.graph(&skeleton(channels)), mixed_op, Device::Cpu).unwrap()
}

/// Names of the trainable weights, in the order of the file.
fn names(arrays: &Arrays) -> Vec<String> {
    let text = Vec::<u8>::try_from(&arrays["names"]).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// Architecture parameters of both cell types set by the formula; they must equal those of the file.
fn parameters(kind: &str, shape: &[i64], expected: &Arrays) -> Vec<(String, Tensor)> {
    let parameter = |cell_type: &str| {
        let value = tensor(&format!("{kind}.{cell_type}"), shape);
        assert_eq!(value, expected[&format!("{kind}/{cell_type}")], "{kind}/{cell_type}");
        (format!("{kind}/{cell_type}"), value.set_requires_grad(true))
    };
    ["normal", "reduce"].map(parameter).into()
}

fn probabilities(alpha: &[(String, Tensor)]) -> Vec<Tensor> {
    alpha.iter().flat_map(|(_, alpha)| alpha.softmax(-1, Kind::Float).unbind(0)).collect()
}

/// Logits, loss and gradients of one pass.
fn run_network(
    mode: &str,
    store: &nn::VarStore,
    names: &[String],
    expected: &Arrays,
    forward: &dyn Fn(&Tensor, bool) -> Tensor,
    parameters: &[(String, Tensor)],
) -> Arrays {
    fill(store);
    let x = tensor("x", &[4, 3, 8, 8]);
    assert_eq!(x, expected["x"]);
    let logits = forward(&x, mode == "train");
    let loss = logits.cross_entropy_for_logits(&expected["labels"]);
    loss.backward();
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let trainable = variables.iter().filter(|(_, v)| v.requires_grad()).map(|(name, _)| name);
    assert!(trainable.eq(names), "the network has other weights than the file");
    let mut found = HashMap::from([("logits".to_owned(), logits), ("loss".into(), loss.view([1]))]);
    found.extend(parameters.iter().map(|(name, p)| (format!("d{name}"), p.grad())));
    let gradients: Vec<(&String, Tensor)> =
        names.iter().map(|name| (name, variables[name].grad().to_kind(Kind::Double))).collect();
    found.insert("dw_norm".into(), numbers(gradients.iter().map(|(_, g)| norm(g))));
    let dot = |(name, g): &(&String, Tensor)| {
        let direction = Tensor::from_slice(&uniform(&format!("r.{name}"), g.numel()));
        g.flatten(0, -1).dot(&direction).double_value(&[])
    };
    found.insert("dw_dot".into(), numbers(gradients.iter().map(dot)));
    if mode == "train" {
        let is_statistic =
            |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        let statistics = variables.iter().filter(|(name, _)| is_statistic(name));
        found.insert("after_norm".into(), numbers(statistics.map(|(_, s)| norm(s))));
    }
    found.into_iter().map(|(what, array)| (format!("{mode}/{what}"), array)).collect()
}

fn norm(array: &Tensor) -> f64 {
    array.to_kind(Kind::Double).norm().double_value(&[])
}

fn numbers(values: impl Iterator<Item = f64>) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<f64>>())
}
