//! `EnTranNAS`, arXiv 2101.11342.
//!
//! Tested elsewhere: 5 to 8, which are about thresholds, in `entrannas_dst.rs`. The tests of 1 to 3 run without sharing.

use std::collections::HashMap;

use lat::supernet::{AllChannels, Path, SharedGates, Supernet};
use lat_space::{Darts, SearchSpace, Space};
use tch::{Device, Tensor};

use super::paths::{assert_cell_ran, built, net_of, real_net, refused, steps_on_images};
use crate::toy_net::{begin_with, parameter};
use crate::{formula, setup, toy};

fn images() -> Tensor {
    formula::tensor("x", &[4, 3, 8, 8])
}

#[test]
fn entrannas_1_with_engine_cells_alone_it_is_darts() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let alpha = formula::tensor("alpha", &[28, 8]);
    let mut method = built("entrannas", &space, &[("engines", 100.into())]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha.copy())]);
    let probs = alpha.softmax(-1, tch::Kind::Float).unbind(0);
    let darts = SharedGates::soft(space.decisions(), &probs, None);
    let expected = net.forward_t(&images(), &darts, true);
    let found = net.forward_t(&images(), method.gates(&space, &net).as_ref(), true);
    assert!(found.allclose(&expected, 1e-5, 1e-5, false));
    let mut method = built("entrannas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let found = net.forward_t(&images(), method.gates(&space, &net).as_ref(), true);
    assert!(!found.allclose(&expected, 1e-3, 1e-3, false), "one Engine-cell per type is not DARTS");
}

#[test]
fn entrannas_2_alpha_learns_through_the_engine_cells_of_its_type() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let mut method = built("entrannas", &space, &[("alpha_decay", 0.0.into())]);
    method.begin(&net);
    let before = parameter(method.as_ref(), "alpha");
    steps_on_images(method.as_mut(), &space, &net);
    let moved = (parameter(method.as_ref(), "alpha") - before).abs().narrow(1, 1, 7);
    assert!(moved.min().double_value(&[]) > 0.0, "both types have an Engine-cell");
}

#[test]
fn entrannas_3_and_4_transit_cells_run_the_derived_edges_alone() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let mut method = built("entrannas", &space, &[]);
    let alpha = formula::tensor("alpha", &[28, 8]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let derived = method.derive(&space);
    let hard = lat::supernet::SharedGates::hard(space.decisions(), &derived, Device::Cpu);
    let gates = method.gates(&space, &net);
    // Cells 0, 1, 2: one normal cell and two reductions; the second reduction is a Transit-cell.
    let mut n_open = [0; 3];
    for (decision, cell) in net.sites() {
        let gate = gates.gate(decision, cell);
        n_open[usize::from(cell)] += gate.paths.iter().filter(|p| **p == Path::On).count();
        if cell == 2 {
            let expected = lat::supernet::Gating::gate(&hard, decision, cell);
            assert_eq!((&gate.weights, &gate.paths), (&expected.weights, &expected.paths));
        }
    }
    assert_eq!(n_open, [14 * 7, 14 * 7, 8]);
}

#[test]
fn entrannas_4_a_step_runs_nothing_else_in_transit_cells() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let mut method = built("entrannas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", formula::tensor("alpha", &[28, 8]))]);
    let (derived, before) = (method.derive(&space), formula::values(net.weights()));
    steps_on_images(method.as_mut(), &space, &net);
    assert_cell_ran(&space, &net, &before, 2, &derived);
}

#[test]
fn entrannas_4_shared_operations_run_once_per_source() {
    setup::ready();
    let space = Darts::new();
    let method = built("entrannas", &space, &[]);
    let shared = net_of(&space, method.mixed_op().as_ref());
    let edges = net_of(&space, &AllChannels);
    // For each edge the first edge of its cell that leaves the same node.
    let graph = space.graph(&toy::skeleton(&space)).pruned(false);
    let (mut firsts, mut owner_of) = (HashMap::new(), HashMap::new());
    for (node, cell, _) in graph.sites() {
        let from = graph.nodes[node].step.inputs()[0];
        let first: &String = firsts.entry((cell, from)).or_insert(graph.nodes[node].name.clone());
        owner_of.insert(graph.nodes[node].name.clone(), first.clone());
    }
    assert_eq!((owner_of.len(), firsts.len()), (3 * 14, 3 * 5), "5K operations where 14K stood");
    let (from, own) = (formula::values(shared.weights()), edges.weights().variables());
    let owner = |name: &str| {
        let (site, rest) = name.split_once('.').unwrap();
        format!("{}.{rest}", owner_of.get(site).map_or(site, String::as_str))
    };
    for (name, mut variable) in own {
        tch::no_grad(|| variable.copy_(&from[&owner(&name)]));
    }
    let probs = formula::tensor("alpha", &[28, 8]).softmax(-1, tch::Kind::Float).unbind(0);
    let gates = SharedGates::soft(space.decisions(), &probs, None);
    let expected = edges.forward_t(&images(), &gates, true);
    let found = shared.forward_t(&images(), &gates, true);
    assert!(found.allclose(&expected, 1e-4, 1e-5, false));
    // Running statistics moved once, like those of each edge's own operation.
    let (after, of_edges) = (formula::values(shared.weights()), formula::values(edges.weights()));
    assert!(after.len() < of_edges.len() / 2);
    let mut n_moved = 0;
    for (name, value) in of_edges.iter().filter(|(name, _)| name.contains("running_")) {
        assert!(value.allclose(&after[&owner(name)], 1e-4, 1e-5, false), "{name}");
        n_moved += usize::from(*value != from[&owner(name)]);
    }
    assert!(n_moved > 500, "{n_moved}");
}

#[test]
fn entrannas_4_a_step_trains_operations_with_and_without_sharing() {
    setup::ready();
    let space = Darts::new();
    for sharing in [true, false] {
        let mut method = built("entrannas", &space, &[("sharing", sharing.into())]);
        let net = net_of(&space, method.mixed_op().as_ref());
        method.begin(&net);
        let before = formula::values(net.weights());
        let n_sites = before.keys().filter(|name| name.contains(".sep_conv_5x5.")).count();
        steps_on_images(method.as_mut(), &space, &net);
        let after = formula::values(net.weights());
        let moved = before.iter().filter(|(name, value)| after[*name] != **value).count();
        assert!(moved > before.len() / 2, "{moved} of {}", before.len());
        assert_eq!(n_sites % if sharing { 15 } else { 42 }, 0);
    }
}

#[test]
fn entrannas_refuses_to_do_without_engine_cells() {
    refused("entrannas", ("engines", 0.into()), "engines of at least 1");
    refused("entrannas", ("tau", 0.0.into()), "tau above 0");
}
