//! `FBNetV2`, arXiv 2004.05565, and `FBNet`, arXiv 1812.03443.
//!
//! Tested elsewhere: 1 to 3 (masks) in `src/supernet/elastic.rs`, 4 (draws, temperature) in `src/methods/fbnet.rs`, 6 (sizes) in
//! `nn/src/scatter.rs`.

use std::collections::HashMap;
use std::path::Path as File;

use lat::methods::METHODS;
use lat::objective::{Estimator, Goal, Objective};
use lat::product::{Product, Reading};
use lat::relaxed::Relaxed;
use lat::steering::Joining;
use lat::supernet::{AllChannels, CellSupernet, Gating, Path, SharedGates, Supernet};
use lat_nn::DropPath;
use lat_predictor::{CostModel, TableCost};
use lat_space::{Architecture, OpSpec, SPACES, SearchSpace, Space, architecture_at, find_space};
use tch::{Device, Kind, Tensor};

use super::paths::built;
use crate::mask_space::{MaskSpace, WIDTHS};
use crate::toy_net::{N_TRAIN, N_VALID, ToyNet, Watched, parameter, steps};
use crate::{formula, setup, toy};

fn wave(k: f64, size: &[i64], scale: f64) -> Tensor {
    let n: i64 = size.iter().product();
    let values = (Tensor::arange(n, (Kind::Double, Device::Cpu)) + 1.0) * (1.0 + k / 10.0);
    (values.sin() * scale).view(size).to_kind(Kind::Float)
}

fn arrays() -> HashMap<String, Tensor> {
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/formula/fbnetv2_masks.npz");
    Tensor::read_npz(file).unwrap().into_iter().collect()
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size());
    let expected = expected.to_kind(Kind::Double);
    let largest = expected.abs().max().double_value(&[]);
    let error = (found.detach().to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    assert!(error <= 1e-5 * largest, "{error} of {largest}");
}

/// The two sets of logits, and the gates that are their softmax.
fn thetas() -> ([Tensor; 2], Vec<Tensor>) {
    let thetas = [93.0, 94.0].map(|k| wave(k, &[3], 1.0).set_requires_grad(true));
    let gates = thetas.iter().map(|theta| theta.softmax(0, Kind::Float)).collect();
    (thetas, gates)
}

/// The supernet with the convolutions of the file. Its batch norm changes nothing in evaluation mode.
fn masked_net(space: &MaskSpace) -> CellSupernet {
    let net = CellSupernet::new(space.network(), &AllChannels, Device::Cpu).unwrap();
    let mut convs = [wave(95.0, &[8, 3, 3, 3], 0.3), wave(96.0, &[6, 8, 3, 3], 0.3)].into_iter();
    let mut all: Vec<(String, Tensor)> = net.weights().variables().into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, mut weight) in all {
        tch::no_grad(|| {
            if name.ends_with("conv.weight") {
                weight.copy_(&convs.next().unwrap());
            } else if name.ends_with("running_var") {
                let _ = weight.fill_(1.0 - 1e-5);
            }
        });
    }
    net
}

#[test]
fn fbnetv2_masks_and_their_gradients_are_those_of_the_formula() {
    let _generator = setup::exclusive();
    let (space, expected) = (MaskSpace::new(), arrays());
    let net = masked_net(&space);
    let xs = wave(97.0, &[2, 3, 8, 8], 1.0);
    let (thetas, gates) = thetas();
    let ys = net.features_t(&xs, &SharedGates::soft(space.decisions(), &gates, None), false);
    assert_close(&ys, &expected["y"]);
    (&ys * wave(98.0, &ys.size(), 1.0)).sum(Kind::Float).backward();
    assert_close(&thetas[0].grad(), &expected["grad_theta1"]);
    assert_close(&thetas[1].grad(), &expected["grad_theta2"]);

    let one_hot = [[0.0f32, 1.0, 0.0], [1.0, 0.0, 0.0]].map(|g| Tensor::from_slice(&g));
    let soft = SharedGates::soft(space.decisions(), &one_hot, None);
    assert_close(&net.features_t(&xs, &soft, false), &expected["y_onehot_6_3"]);
    let hard =
        SharedGates::hard(space.decisions(), &Architecture::new(space.id(), [1, 0]), Device::Cpu);
    let sliced = net.features_t(&xs, &hard, false);
    assert_close(&sliced, &expected["y_onehot_6_3"].narrow(1, 0, 3));
}

fn table(space: &MaskSpace, look_up: &dyn Fn(&OpSpec) -> f64) -> TableCost {
    let skeleton = space.skeletons()[0].skeleton;
    TableCost::look_up(space, &skeleton, "multiply_adds", 0.0, &|op| Some(look_up(op))).unwrap()
}

fn multiply_adds(op: &OpSpec) -> f64 {
    f64::from(9 * u32::from(op.hw_out()).pow(2) * op.c_in * op.c_out)
}

/// A cost that is a staircase for the second convolution; the first costs nothing.
fn staircase(op: &OpSpec) -> f64 {
    let steps = op.c_in.div_ceil(4) * op.c_out.div_ceil(4);
    if op.c_in == 3 { 0.0 } else { f64::from(steps) + 0.5 }
}

fn enumerated(space: &MaskSpace, cost: &TableCost, gates: &[Tensor]) -> f64 {
    let chance = |architecture: &Architecture| -> f64 {
        let choices = architecture.choices.iter().map(|set| set.only().unwrap() as i64);
        choices.zip(gates).map(|(c, gate)| gate.double_value(&[c])).product()
    };
    let all = (0..space.size()).map(|i| space.at(i));
    all.map(|a| chance(&a) * cost.cost(&a).unwrap()).sum()
}

#[test]
fn fbnetv2_5_the_expected_cost_is_that_of_all_architectures() {
    setup::ready();
    let (space, expected) = (MaskSpace::new(), arrays());
    let (thetas, gates) = thetas();
    let flops = table(&space, &multiply_adds);
    let relaxed = flops.relaxed(&Tensor::cat(&gates, 0)).unwrap();
    assert_close(&relaxed, &expected["flops"]);
    assert_close(&relaxed, &expected["flops_by_enumeration"]);
    relaxed.backward();
    assert_close(&thetas[0].grad(), &expected["grad_flops_theta1"]);
    assert_close(&thetas[1].grad(), &expected["grad_flops_theta2"]);

    // Multiply-adds are linear in each width, so they may be computed at the effective widths. A staircase may not.
    let widths: Vec<f64> = gates
        .iter()
        .zip(WIDTHS)
        .map(|(g, widths)| {
            (0..3).map(|c| g.double_value(&[c]) * f64::from(widths[c as usize])).sum()
        })
        .collect();
    assert!((widths[0] - expected["effective_width1"].double_value(&[])).abs() < 1e-5);
    let at_effective = 9.0 * (64.0 * 3.0 * widths[0] + 16.0 * widths[0] * widths[1]);
    assert!((at_effective / relaxed.double_value(&[]) - 1.0).abs() < 1e-5);
    let stairs = table(&space, &staircase);
    let relaxed = stairs.relaxed(&Tensor::cat(&gates, 0)).unwrap().double_value(&[]);
    assert!((relaxed / enumerated(&space, &stairs, &gates) - 1.0).abs() < 1e-5);
    let at_effective = (widths[0] / 4.0).ceil() * (widths[1] / 4.0).ceil() + 0.5;
    assert!((at_effective - expected["latency_at_effective_width"].double_value(&[])).abs() < 1e-9);
    assert!((relaxed - at_effective).abs() > 0.1, "{relaxed} {at_effective}");
}

#[test]
fn fbnetv2_7_the_costs_gradient_is_its_slope_and_leads_down() {
    setup::ready();
    let space = MaskSpace::new();
    let cost = table(&space, &staircase);
    let at = |thetas: &[Tensor]| {
        let gates: Vec<Tensor> = thetas.iter().map(|t| t.softmax(0, Kind::Float)).collect();
        cost.relaxed(&Tensor::cat(&gates, 0)).unwrap()
    };
    let (thetas, _) = thetas();
    at(&thetas).backward();
    let plain = thetas.each_ref().map(Tensor::detach);
    for (d, theta) in thetas.iter().enumerate() {
        for c in 0..3 {
            let moved = |by: f64| {
                let moved = plain.each_ref().map(Tensor::copy);
                let _ = moved[d].get(c).g_add_scalar_(by);
                at(&moved).double_value(&[])
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            let found = theta.grad().double_value(&[c]);
            assert!((found - slope).abs() < 1e-3, "{d} {c}: {found} {slope}");
        }
    }
    let down: Vec<Tensor> = thetas.iter().map(|t| t.detach() - t.grad() * 0.1).collect();
    assert!(at(&down).double_value(&[]) < at(&plain).double_value(&[]) - 1e-3);
}

/// Gates that are all open; the architecture's have weight one.
fn one_hot(space: &dyn SearchSpace, architecture: &Architecture) -> SharedGates {
    let hard = SharedGates::hard(space.decisions(), architecture, Device::Cpu);
    let weights = (0..space.decisions().len()).map(|d| hard.gate(d, 0).weights);
    SharedGates::soft(space.decisions(), &weights.collect::<Vec<_>>(), None)
}

#[test]
fn fbnetv2_8_one_hot_gates_compute_what_the_extracted_network_computes() {
    let _generator = setup::exclusive();
    let method = METHODS.iter().find(|method| method.name == "fbnetv2").unwrap();
    let spaces = SPACES.iter().map(|build| build()).filter(|space| method.covers(space.as_ref()));
    // Batch statistics over a few pixels increase rounding errors from layer to layer.
    let most = |train: bool| if train { 1e-4 } else { 1e-5 };
    for space in spaces {
        let images = formula::tensor("x", &[16, 3, 8, 8]);
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        for i in 0..2 {
            let architecture = architecture_at(space.as_ref(), 3, i).unwrap();
            let gates = one_hot(space.as_ref(), &architecture);
            for train in [false, true] {
                formula::fill(net.weights());
                let alone = net.extract(&architecture).unwrap();
                let expected = alone.forward_t(&images, train, DropPath::OFF).main;
                let found = net.forward_t(&images, &gates, train);
                let largest = expected.abs().max().double_value(&[]);
                let error = (&found - &expected).abs().max().double_value(&[]);
                let text = space.format(&architecture);
                assert!(
                    error <= most(train) * largest.max(1.0),
                    "{text} {train}: {error} of {largest}"
                );
            }
        }
    }
}

#[test]
fn fbnetv2_sizes_of_the_image_are_mixed_by_their_gates_and_learn() {
    let _generator = setup::exclusive();
    let space = find_space("fbnetv2").unwrap();
    let graph = space.graph(&toy::skeleton(space.as_ref()));
    let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
    formula::fill(net.weights());
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    let mut architecture = architecture_at(space.as_ref(), 5, 0).unwrap();
    let n = space.decisions()[0].choices.len();
    let g: Vec<f32> = (1..=n).map(|c| c as f32 / (n * (n + 1) / 2) as f32).collect();
    let leaf = Tensor::from_slice(&g).set_requires_grad(true);
    let hard = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
    let mut weights: Vec<Tensor> =
        (0..space.decisions().len()).map(|d| hard.gate(d, 0).weights).collect();
    weights[0] = leaf.shallow_clone();
    let mixed = SharedGates::with_paths(space.decisions(), &weights, |d, c| {
        if d == 0 || architecture.choices[d].contains(c) { Path::On } else { Path::Off }
    });
    let found = net.forward_t(&images, &mixed, false);
    let mut expected = Tensor::zeros_like(&found.detach());
    for (c, g) in g.iter().enumerate() {
        architecture.choices[0] = lat_space::ChoiceSet::one(c);
        let hard = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        expected += net.forward_t(&images, &hard, false).detach() * f64::from(*g);
    }
    assert_close(&found, &expected);
    found.square().sum(Kind::Float).backward();
    assert!(leaf.grad().abs().min().double_value(&[]) > 0.0);
}

#[test]
fn fbnet_draws_once_per_decision_and_step_and_trains_weights_first() {
    let space = find_space("fbnet").unwrap();
    let toy = ToyNet::new(space.as_ref(), &toy::prices(space.as_ref()));
    let net = Watched::new(&toy, space.as_ref());
    let mut method = built("fbnet", space.as_ref(), &[]);
    method.begin(&net);
    let before = parameter(method.as_ref(), "alpha");
    steps(method.as_mut(), space.as_ref(), &net, None, (2, 0.1));
    let resting = net.passes();
    assert_eq!(resting.iter().map(|p| p.n_images).collect::<Vec<_>>(), [N_TRAIN; 2]);
    assert_eq!(parameter(method.as_ref(), "alpha"), before, "theta rests in the first epochs");
    steps(method.as_mut(), space.as_ref(), &net, None, (2, 0.5));
    let passes = net.passes();
    let images: Vec<i64> = passes.iter().map(|p| p.n_images).collect();
    assert_eq!(images, [N_TRAIN, N_VALID, N_TRAIN, N_VALID]);
    assert!(parameter(method.as_ref(), "alpha") != before);
    for (i, pass) in passes.iter().enumerate() {
        assert!(pass.paths.iter().flatten().all(|path| *path == Path::On), "all are computed");
        let sums = pass.weights.sum_dim_intlist(-1, false, Kind::Float);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
        assert!(
            passes[..i].iter().all(|other| other.weights != pass.weights),
            "each pass has its own draw"
        );
    }
}

/// The gradient of the product with respect to logits is that of `loss * alpha * (log cost)^beta`, and architectures are compared
/// by this value.
#[test]
fn fbnet_the_product_is_a_goal_with_its_own_gradient() {
    setup::ready();
    let space = MaskSpace::new();
    let cost = table(&space, &multiply_adds);
    for reading in [Reading::Paper, Reading::Code] {
        let product = Product { alpha: 0.2, beta: 0.6, reading };
        let goal = Goal::Product(product);
        let objective = Objective::new(&space, &cost, goal, Estimator::Expected).unwrap();
        let mut objective = objective.joining(Joining::Sum);
        let loss = |thetas: &[Tensor; 2]| (&thetas[0] * &thetas[1]).square().sum(Kind::Float) + 1.5;
        let whole = {
            let (thetas, gates) = thetas();
            let latency = cost.relaxed(&Tensor::cat(&gates, 0)).unwrap();
            let log = latency.log();
            let factor = match reading {
                Reading::Paper => log.pow_tensor_scalar(0.6) * 0.2,
                Reading::Code => log * 0.12,
            };
            (loss(&thetas) * factor).backward();
            thetas.map(|theta| theta.grad())
        };
        let (thetas, gates) = thetas();
        let relaxed = Relaxed::free(gates);
        let of_cost = objective.gradient(&relaxed, &thetas).unwrap().unwrap();
        let value = loss(&thetas);
        let both: Vec<&Tensor> = thetas.iter().collect();
        let task = Tensor::run_backward(&[&value], &both, true, false);
        let found = objective.joined(task, of_cost, &lat::device_scalar::DeviceScalar::of(&value));
        for (found, expected) in found.iter().zip(&whole) {
            assert_close(found, expected);
        }
        let architecture = space.at(4);
        let log = cost.cost(&architecture).unwrap().ln();
        let factor = if reading == Reading::Paper { 0.2 * log.powf(0.6) } else { 0.12 * log };
        let product = 2.0 + objective.price(&architecture, 2.0).unwrap();
        assert!((product - 2.0 * factor).abs() < 1e-9);
    }
    let cheap = table(&space, &|_| 0.25);
    let goal = Goal::Product(Product { alpha: 0.2, beta: 0.6, reading: Reading::Paper });
    let error = Objective::new(&space, &cheap, goal, Estimator::Expected).unwrap_err().to_string();
    assert!(error.contains("expected costs above 1"), "{error}");
}
