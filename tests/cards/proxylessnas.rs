//! `ProxylessNAS`, arXiv 1812.00332.
//!
//! Tested elsewhere: 2 (the gates' gradient) in `src/methods/proxylessnas.rs`; 5 (expected cost and its gradient) in
//! `la_darts.rs`. 6 is about penalties, which are lambda and target in this program. 7 is about blocks of a chain, which cells do
//! not have.

use lat::optimizer::StateMap;
use lat::supernet::{Path, Supernet};
use lat_space::{Darts, NasBench201, Space};
use tch::{Kind, Tensor};

use super::paths::{
    assert_computed, built, drawn, frequencies, real_net, refused, steps_on_images,
};
use crate::toy_net::{N_VALID, Pass, ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup, toy};

fn n_open(pass: &Pass) -> Vec<usize> {
    pass.paths.iter().map(|paths| paths.iter().filter(|p| **p != Path::Off).count()).collect()
}

#[test]
fn proxylessnas_1_one_path_is_drawn_as_often_as_the_softmax_says() {
    setup::ready();
    let space = Darts::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let row = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 0.0, 1.0, -1.0, 0.3, 0.5]);
    let mut method = built("proxylessnas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", row.repeat([28, 1]))]);
    // In the warm-up each weight step runs one path, and alpha does not change.
    steps(method.as_mut(), &space, &net, None, (800, 0.1));
    let passes = net.passes();
    assert_eq!(passes.len(), 800);
    let expected = row.softmax(-1, Kind::Double);
    for (c, found) in frequencies(&passes).into_iter().enumerate() {
        let expected = expected.double_value(&[c as i64]);
        assert!((found - expected).abs() < 0.01, "{c}: {found}, {expected}");
    }
    for pass in &passes {
        let ones = pass.weights.eq(1.0).to_kind(Kind::Float);
        let per_row = Vec::<f32>::try_from(ones.sum_dim_intlist(1, false, Kind::Float)).unwrap();
        assert_eq!(per_row, [1.0; 28]);
        assert!(n_open(pass).iter().all(|&n| n <= 1));
    }
}

#[test]
fn proxylessnas_3_what_is_not_active_is_computed_at_most_for_its_gate() {
    setup::ready();
    let space = Darts::new();
    for (form, most) in [("two", 2), ("full", 7)] {
        let supernet = real_net(&space);
        let net = Watched::new(&supernet, &space);
        let mut method =
            built("proxylessnas", &space, &[("form", form.into()), ("interval", 1.into())]);
        method.begin(&net);
        let before = formula::values(supernet.weights());
        steps_on_images(method.as_mut(), &space, &net);
        let passes = net.passes();
        assert_eq!(passes.len(), 2);
        let computed = n_open(&passes[1]);
        assert_eq!(computed.iter().max(), Some(&most), "{form}");
        for paths in &passes[1].paths {
            assert!(paths.iter().filter(|p| **p == Path::On).count() <= 1, "{form}");
        }
        if form == "two" {
            assert_computed(&space, &supernet, &before, &passes[..1], &passes);
        }
    }
}

#[test]
fn proxylessnas_3_probed_operations_get_no_gradient_of_their_weights() {
    setup::ready();
    let space = Darts::new();
    let supernet = real_net(&space);
    let rows: Vec<Tensor> = (0..28)
        .map(|_| Tensor::full([8], 0.5, tch::kind::FLOAT_CPU).set_requires_grad(true))
        .collect();
    let gates = lat::supernet::SharedGates::with_paths(space.decisions(), &rows, |_, c| {
        if c == 4 { Path::On } else { Path::Probe }
    });
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    let logits = supernet.forward_t(&images, &gates, true);
    (logits * formula::tensor("g", &[4, 10])).sum(Kind::Float).backward();
    for (name, variable) in supernet.weights().variables() {
        let is_op = name.contains("_conv_") || name.contains("factorized_reduce");
        if variable.requires_grad() && is_op && name.contains("conv_5x5") {
            assert!(!variable.grad().defined(), "{name}");
        }
        if variable.requires_grad() && name.contains("sep_conv_3x3") {
            assert!(variable.grad().defined(), "{name}");
        }
    }
    for row in rows {
        assert!((1..8).all(|c| row.grad().double_value(&[c]) != 0.0), "every gate learns");
    }
}

#[test]
fn proxylessnas_4_a_step_of_two_leaves_all_other_probabilities() {
    setup::ready();
    let space = Darts::new();
    let toy = ToyNet::new(&space, &toy::prices(&space));
    let net = Watched::new(&toy, &space);
    let options = [("interval", 1.into()), ("alpha_lr", 0.1.into())];
    let mut method = built("proxylessnas", &space, &options);
    let alpha = formula::tensor("alpha", &[28, 8]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let probs = |method: &dyn lat::methods::Method| {
        Vec::<Vec<f64>>::try_from(parameter(method, "alpha").softmax(-1, Kind::Double)).unwrap()
    };
    let before = probs(method.as_ref());
    net.passes();
    steps(method.as_mut(), &space, &net, None, (1, 0.5));
    let after = probs(method.as_ref());
    let pass = net.passes().remove(1);
    assert_eq!(pass.n_images, N_VALID);
    for (d, (before, after)) in before.iter().zip(&after).enumerate() {
        let moved: Vec<usize> = (0..8).filter(|&c| (after[c] - before[c]).abs() > 1e-6).collect();
        assert_eq!(moved.len(), 2, "edge {d}: {moved:?}");
        assert!((after[moved[0]] - before[moved[0]]) * (after[moved[1]] - before[moved[1]]) < 0.0);
        let mass = |p: &[f64]| p[moved[0]] + p[moved[1]];
        assert!((mass(after) - mass(before)).abs() < 1e-6);
        assert!(moved.contains(&drawn(&pass)[d]), "the active one is of the pair");
    }
}

#[test]
fn proxylessnas_8_weights_and_alpha_move_in_steps_of_their_own() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::new(&space, &toy::prices(&space));
    let mut method = built("proxylessnas", &space, &[]);
    method.begin(&net);
    let alpha = parameter(method.as_ref(), "alpha");
    steps(method.as_mut(), &space, &net, None, (3, 0.24));
    assert_eq!(parameter(method.as_ref(), "alpha"), alpha, "the warm-up trains weights only");
    // Afterwards every fifth step.
    let report = steps(method.as_mut(), &space, &net, None, (4, 0.3));
    assert_eq!(parameter(method.as_ref(), "alpha"), alpha);
    assert!(report.valid_loss.is_none());
    let report = steps(method.as_mut(), &space, &net, None, (1, 0.3));
    assert_ne!(parameter(method.as_ref(), "alpha"), alpha);
    assert!(report.valid_loss.unwrap().value().is_finite());

    for form in ["two", "full", "reinforce"] {
        let supernet = real_net(&space);
        let options = [("form", form.into()), ("lr", 0.0.into()), ("interval", 1.into())];
        let mut method = built("proxylessnas", &space, &options);
        method.begin(&supernet);
        let before = formula::values(supernet.weights());
        steps_on_images(method.as_mut(), &space, &supernet);
        for (name, variable) in supernet.weights().variables() {
            assert!(!variable.requires_grad() || variable == before[&name], "{form}: {name}");
        }
    }
}

#[test]
fn proxylessnas_reinforce_finds_the_right_path_by_its_accuracy_alone() {
    setup::ready();
    let space = NasBench201::new();
    // The answer is right if operation 3 of edge 0 is on the path, whatever the other operations are.
    let mut harms = vec![0.0; 30];
    (0..5).for_each(|c| harms[c] = if c == 3 { -1.0 } else { 1.0 });
    let toy = ToyNet::new(&space, &harms);
    let net = Watched::new(&toy, &space);
    let options = [("form", "reinforce".into()), ("interval", 1.into()), ("alpha_lr", 0.02.into())];
    let mut method = built("proxylessnas", &space, &options);
    method.begin(&net);
    steps(method.as_mut(), &space, &net, None, (1, 0.5));
    let passes = net.passes();
    assert_eq!(passes.len(), 1 + 10);
    assert!(passes[1..].iter().all(|p| p.without_gradients && p.n_images == N_VALID));
    steps(method.as_mut(), &space, &net, None, (300, 0.5));
    let p = method.relaxed().probs[0].double_value(&[3]);
    assert!(p > 0.9, "{p}");
    let state: StateMap = method.state().into_iter().collect();
    let baseline = state["interval_and_baseline"].double_value(&[1]);
    assert!(baseline > 0.8, "the mean reward of late: {baseline}");
}

#[test]
fn proxylessnas_refuses_an_interval_of_0_and_unknown_forms() {
    refused("proxylessnas", ("interval", 0.into()), "interval of at least 1");
    refused("proxylessnas", ("samples", 1.into()), "samples of at least 2");
    refused("proxylessnas", ("form", "three".into()), "three");
}
