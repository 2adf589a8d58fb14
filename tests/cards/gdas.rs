//! GDAS, arXiv 1910.04465.
//!
//! Tested elsewhere: 3 and 5 (gradient, temperature) in `src/methods/gdas.rs`; 8 (the mean of hard codes is the expected code) in
//! `la_darts.rs`. A step, and the layers of the fixed reduction cell, against the official code: `tests/parity/official.rs`.

use lat::supernet::Supernet;
use lat_space::{ChoiceSet, Darts, Place, SearchSpace, Space, Step};
use tch::{Kind, Tensor};

use super::paths::{assert_computed, built, drawn, frequencies, real_net, steps_on_images};
use crate::toy_net::{ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup, toy};

#[test]
fn gdas_1_draws_are_one_hot_and_as_frequent_as_the_softmax_says() {
    setup::ready();
    let space = Darts::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let row = Tensor::from_slice(&[0.0f32, 1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.2]);
    // At both ends of the schedule, because the temperature must not change what is drawn.
    for progress in [0.0, 1.0] {
        let mut method = built("gdas", &space, &[("alpha_lr", 0.0.into())]);
        begin_with(method.as_mut(), &net, &[("alpha", row.repeat([28, 1]))]);
        net.passes();
        steps(method.as_mut(), &space, &net, None, (400, progress));
        let passes = net.passes();
        for pass in &passes {
            let weights = Vec::<f32>::try_from(&pass.weights.flatten(0, -1)).unwrap();
            assert!(weights.iter().all(|w| w.abs() < 1e-6 || (w - 1.0).abs() < 1e-6));
            assert!(weights.chunks(8).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
        }
        let expected = row.softmax(-1, Kind::Double);
        for (c, found) in frequencies(&passes).into_iter().enumerate() {
            let expected = expected.double_value(&[c as i64]);
            assert!((found - expected).abs() < 0.01, "{c}: {found}, {expected}");
        }
    }
}

#[test]
fn gdas_2_only_what_is_drawn_is_computed_and_trained() {
    let space = Darts::new();
    let supernet = real_net(&space);
    let net = Watched::new(&supernet, &space);
    let mut method = built("gdas", &space, &[]);
    method.begin(&net);
    let before = formula::values(supernet.weights());
    steps_on_images(method.as_mut(), &space, &net);
    let passes = net.passes();
    assert_eq!(passes.len(), 2, "weights, then alpha");
    assert_computed(&space, &supernet, &before, &passes[..1], &passes);
}

#[test]
fn gdas_4_each_step_draws_anew_and_cells_of_one_type_share_the_draw() {
    setup::ready();
    let space = Darts::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let mut method = built("gdas", &space, &[]);
    method.begin(&net);
    steps(method.as_mut(), &space, &net, None, (3, 0.0));
    let draws: std::collections::HashSet<Vec<usize>> = net.passes().iter().map(drawn).collect();
    assert_eq!(draws.len(), 6, "one for the weights and one for alpha in each step");
}

#[test]
fn gdas_7_the_papers_rule_keeps_two_edges_where_the_codes_keeps_two_operations() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    // Node 1 has edges 2 to 4. The two best pairs are both on edge 3.
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    for (edge, op, value) in [(3, 4, 3.0), (3, 5, 2.9), (4, 2, 1.0)] {
        let _ = alpha.get(edge).get(op).fill_(value);
    }
    let node = |pooled: bool| {
        let mut method = built("gdas", &space, &[("pooled", pooled.into())]);
        begin_with(method.as_mut(), &net, &[("alpha", alpha.copy())]);
        let architecture = method.derive(&space);
        space.check(&architecture).unwrap();
        architecture.choices[2..5].to_vec()
    };
    let [none, op] = [ChoiceSet::one(0), ChoiceSet::one(2)];
    assert_eq!(node(false), [none, ChoiceSet::one(4), op]);
    assert_eq!(node(true), [none, ChoiceSet::of([4, 5]), none]);
}

#[test]
fn gdas_refuses_options_that_contradict() {
    for (option, value, expected) in
        [("tau_min", 20.0.into(), "0 < tau_min <= tau"), ("pooled", true.into(), "nasbench201")]
    {
        super::paths::refused("gdas", (option, value), expected);
    }
}

#[test]
fn gdas_6_with_a_fixed_reduction_cell_alpha_is_that_of_the_normal_cell() {
    let space = Darts::with_fixed_reduction();
    let supernet = real_net(&space);
    let net = Watched::new(&supernet, &space);
    let mut method = built("gdas", &space, &[]);
    method.begin(&net);
    assert_eq!(parameter(method.as_ref(), "alpha").size(), [14, 8]);
    let skeleton = toy::skeleton(&space);
    let graph = space.graph(&skeleton);
    // Three cells, of which only the first is searched.
    assert!(graph.sites().all(|(_, cell, _)| cell == 0));
    let halved = (4 * 2 * skeleton.channels, skeleton.resolution / 2);
    let concats: Vec<_> =
        graph.nodes.iter().filter(|n| matches!(n.step, Step::Concat(_))).collect();
    assert_eq!((concats[1].shape.c, concats[1].shape.hw), halved);
    // The fixed cells learn together with the weights, in every step.
    let before = formula::values(supernet.weights());
    steps_on_images(method.as_mut(), &space, &net);
    let after = formula::values(supernet.weights());
    let mut n_moved = 0;
    for node in &graph.nodes {
        if let Step::Fixed { place: Place::Branch, .. } = node.step {
            let prefix = format!("{}.", node.name);
            for (name, value) in after.iter().filter(|(name, _)| name.starts_with(&prefix)) {
                assert_ne!(*value, before[name], "{name}");
                n_moved += 1;
            }
        }
    }
    // Two cells, each with two convolutional branches with 3 weights and 4 statistics, and two pools with 2 statistics.
    assert_eq!(n_moved, 2 * (2 * 7 + 2 * 2));
    assert_eq!(space.check(&method.derive(&space)), Ok(()));
    let narrow = lat_space::Skeleton { channels: 6, ..skeleton };
    assert!(space.check_skeleton(&narrow).is_err(), "12 channels are no 8 groups");
}
