//! `EnTranNAS-DST`, arXiv 2101.11342: numbers 2 to 8 of the list that concern thresholds.
//!
//! Tested elsewhere: 6 (the gradient of q) in `src/methods/entrannas_thresholds.rs`.

use lat::methods::Method;
use lat::supernet::{Gating, Path, SharedGates, Supernet};
use lat_nn::{DropPath, Phase, StaticNet, WeightInit};
use lat_space::{ChoiceSet, Darts, SearchSpace, Space};
use tch::{Device, Kind, Tensor};

use super::paths::{assert_cell_ran, built, real_net, refused, steps_on_images};
use crate::toy_net::{begin_with, parameter};
use crate::{formula, setup, toy};

fn images() -> Tensor {
    formula::tensor("x", &[4, 3, 8, 8])
}

fn alpha() -> Tensor {
    formula::tensor("alpha", &[28, 8]) * 2.0
}

/// The method on this net with these parameters.
fn begun(
    net: &dyn Supernet,
    alpha: &Tensor,
    beta: f64,
    options: &[(&str, toml::Value)],
) -> Box<dyn Method> {
    let mut method = built("entrannas-dst", &Darts::new(), options);
    let beta = Tensor::full([8], beta, tch::kind::FLOAT_CPU);
    begin_with(method.as_mut(), net, &[("alpha", alpha.copy()), ("beta", beta)]);
    method
}

/// For each decision the weights of its gate in cell 0 or 1, the first of its type, and the choices that are computed there.
fn engine(net: &dyn Supernet, method: &dyn Method) -> Vec<(Vec<f64>, Vec<usize>)> {
    let gates = method.gates(&Darts::new(), net);
    let gate = |d: usize| {
        let gate = gates.gate(d, u16::from(d >= 14));
        let weights = Vec::<f64>::try_from(&gate.weights.to_kind(Kind::Double)).unwrap();
        (weights, (0..8).filter(|&c| gate.paths[c] == Path::On).collect())
    };
    (0..28).map(gate).collect()
}

#[test]
fn entrannas_dst_2_alpha_and_beta_learn_through_engine_cells() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let options = [("alpha_decay", 0.0.into()), ("reward", 0.0.into())];
    let mut method = begun(&net, &alpha(), -3.0, &options);
    let before = ["alpha", "beta"].map(|name| parameter(method.as_ref(), name));
    steps_on_images(method.as_mut(), &space, &net);
    let moved = |name: &str, before: &Tensor| (parameter(method.as_ref(), name) - before).abs();
    for half in [0, 14] {
        let alpha = moved("alpha", &before[0]).narrow(0, half, 14);
        assert!(alpha.max().double_value(&[]) > 0.0, "each type has an Engine-cell");
    }
    assert!(moved("beta", &before[1]).min().double_value(&[]) > 0.0);
    // An operation that is off everywhere learns nothing; `none` is never on.
    assert_eq!(moved("alpha", &before[0]).narrow(1, 0, 1).max().double_value(&[]), 0.0);
}

#[test]
fn entrannas_dst_3_and_4_transit_cells_are_the_derived_network_and_compute_nothing_else() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let method = begun(&net, &alpha(), 1.0, &[]);
    let derived = method.derive(&space);
    space.check(&derived).unwrap();
    assert_eq!(space.parse(&space.format(&derived)).unwrap(), derived, "free degrees have a text");
    assert!(derived.choices.iter().any(|set| set.len() > 1), "{derived:?}");
    assert!(derived.choices.contains(&ChoiceSet::one(0)));
    let hard = SharedGates::hard(space.decisions(), &derived, Device::Cpu);
    let gates = method.gates(&space, &net);
    for (decision, cell) in net.sites().into_iter().filter(|s| s.1 == 2) {
        let (found, expected) = (gates.gate(decision, cell), hard.gate(decision, cell));
        assert_eq!((found.weights, found.paths), (expected.weights, expected.paths));
    }
    // The same as a whole network with copied weights.
    let graph = space.graph(&toy::skeleton(&space)).derive(&derived).pruned(false);
    let alone = {
        let _generator = setup::exclusive();
        StaticNet::new(graph, Device::Cpu, Phase::Search, WeightInit::Uniform).unwrap()
    };
    let from = net.weights().variables();
    for (name, mut variable) in alone.weights().variables() {
        tch::no_grad(|| variable.copy_(&from[&name]));
    }
    let expected = alone.forward_t(&images(), true, DropPath::OFF).main;
    let found = net.forward_t(&images(), &hard, true);
    assert!(found.allclose(&expected, 1e-5, 1e-6, false));
}

#[test]
fn entrannas_dst_4_a_step_runs_nothing_else_in_any_cell() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    // Alpha and beta do not change, so both halves of the step use the same connections.
    let mut method = begun(&net, &alpha(), 1.0, &[("alpha_lr", 0.0.into())]);
    let (derived, before) = (method.derive(&space), formula::values(net.weights()));
    steps_on_images(method.as_mut(), &space, &net);
    for cell in 0..3 {
        assert_cell_ran(&space, &net, &before, cell, &derived);
    }
}

#[test]
fn entrannas_dst_5_thresholds_decide_what_is_alive() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let method = begun(&net, &alpha(), -40.0, &[]);
    let p = alpha().narrow(1, 1, 7).softmax(-1, Kind::Float);
    for (d, (weights, on)) in engine(&net, method.as_ref()).into_iter().enumerate() {
        assert_eq!(on.len(), 7);
        for (c, weight) in weights.iter().enumerate().skip(1) {
            let p = p.double_value(&[d as i64, c as i64 - 1]);
            assert!((weight - p).abs() < 1e-6, "{d} {c}: {weight}, {p}");
        }
    }
    for beta in [6.0, 100.0] {
        let method = begun(&net, &alpha(), beta, &[]);
        let engine = engine(&net, method.as_ref());
        let derived = method.derive(&space);
        for group in space.groups() {
            let alive: usize = group.decisions.iter().map(|&d| engine[d].1.len()).sum();
            assert_eq!(alive, 1, "the strongest connection of a node");
            let kept = group.decisions.iter().filter(|&&d| derived.choices[d] != ChoiceSet::one(0));
            assert_eq!(kept.count(), 1);
        }
    }
}

#[test]
fn entrannas_dst_7_what_is_dead_adds_exactly_nothing() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let method = begun(&net, &alpha(), 0.0, &[("engines", 100.into())]);
    let engine = engine(&net, method.as_ref());
    let n_alive: usize = engine.iter().map(|(_, on)| on.len()).sum();
    assert!(n_alive > 28 && n_alive < 140, "{n_alive}");
    let floats = |w: &Vec<f64>| w.iter().map(|&w| w as f32).collect::<Vec<_>>();
    let rows: Vec<Tensor> = engine.iter().map(|(w, _)| Tensor::from_slice(&floats(w))).collect();
    let all = SharedGates::soft(space.decisions(), &rows, None);
    let found = net.forward_t(&images(), method.gates(&space, &net).as_ref(), true);
    let expected = net.forward_t(&images(), &all, true);
    assert_eq!((found - expected).abs().max().double_value(&[]), 0.0);
}

#[test]
fn entrannas_dst_8_a_cold_softmax_closes_the_gap_between_engine_and_transit() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let cold = [("tau", 1e-6.into())];
    let method = begun(&net, &alpha(), -3.0, &cold);
    let derived = method.derive(&space);
    assert!(derived.choices.iter().all(|set| set.len() == 1 && !set.contains(0)));
    let hard = SharedGates::hard(space.decisions(), &derived, Device::Cpu);
    let expected = net.forward_t(&images(), &hard, true);
    let found = net.forward_t(&images(), method.gates(&space, &net).as_ref(), true);
    assert!(found.allclose(&expected, 1e-5, 1e-6, false));
    // Without thresholds Engine-cells keep 14 edges, and Transit-cells 8.
    let mut plain = built("entrannas", &space, &cold);
    begin_with(plain.as_mut(), &net, &[("alpha", alpha())]);
    let hard = SharedGates::hard(space.decisions(), &plain.derive(&space), Device::Cpu);
    let expected = net.forward_t(&images(), &hard, true);
    let found = net.forward_t(&images(), plain.gates(&space, &net).as_ref(), true);
    assert!(!found.allclose(&expected, 1e-3, 1e-3, false));
}

#[test]
fn entrannas_dst_refuses_what_it_cannot_search() {
    refused("entrannas-dst", ("engines", 0.into()), "engines of at least 1");
    refused("entrannas-dst", ("tau", 0.0.into()), "tau above 0");
    refused("entrannas-dst", ("reward", (-1.0).into()), "reward and beta_speed of at least 0");
    refused(
        "entrannas-dst",
        ("reward", 1.0.into()),
        "several operations on an edge (darts, darts-frc)",
    );
}
