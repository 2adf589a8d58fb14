//! `EnTranNAS`, arXiv 2101.11342.
//!
//! Elsewhere: 5 to 8 are about thresholds, in `entrannas_dst.rs`. Of 4 the counts without sharing.

use lat::supernet::{Path, SharedGates, Supernet};
use lat_space::{Darts, Space};
use tch::{Device, Tensor};

use super::paths::{assert_cell_ran, built, real_net, refused, steps_on_images};
use crate::toy_net::{begin_with, parameter};
use crate::{formula, setup};

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
    let found = net.forward_t(&images(), method.gates(&space).as_ref(), true);
    assert!(found.allclose(&expected, 1e-5, 1e-5, false));
    let mut method = built("entrannas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let found = net.forward_t(&images(), method.gates(&space).as_ref(), true);
    assert!(!found.allclose(&expected, 1e-3, 1e-3, false), "one Engine-cell per type is not DARTS");
}

#[test]
fn entrannas_2_alpha_learns_through_the_engine_cells_of_its_type() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let mut method = built("entrannas", &space, &[("alpha_decay", 0.0.into())]);
    method.begin(&net).unwrap();
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
    let gates = method.gates(&space);
    // Cells 0, 1, 2: one normal, two reductions; the second reduction is a Transit-cell.
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
fn entrannas_refuses_to_do_without_engine_cells() {
    refused("entrannas", ("engines", 0.into()), "engines of at least 1");
    refused("entrannas", ("tau", 0.0.into()), "tau above 0");
}
