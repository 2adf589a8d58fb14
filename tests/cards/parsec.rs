//! PARSEC, arXiv 1902.05116.
//!
//! Tested elsewhere: 1, 2 and 3 (importances and the estimator) in `src/methods/parsec.rs`; 8 (exactly expected cost) in
//! `la_darts.rs`.

use lat::methods::Method;
use lat::objective::{Estimator, Goal, Objective};
use lat::supernet::{Path, Supernet};
use lat_space::{Darts, NasBench201, Space};
use tch::{Kind, Tensor};

use super::paths::{assert_computed, built, drawn, real_net, refused, steps_on_images};
use crate::toy_net::{N_VALID, ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup};

#[test]
fn parsec_4_one_child_is_refused_since_its_importance_is_always_1() {
    refused("parsec", ("children", 1.into()), "children of at least 2");
    refused("parsec", ("kappa", 0.0.into()), "kappa above 0");
}

#[test]
fn parsec_5_a_likelier_architecture_wins_and_the_entropy_falls() {
    setup::ready();
    let space = NasBench201::new();
    // Operation 3 of edge 0 is ten times as likely per batch of three images as any other operation there.
    let mut harms = vec![0.0; 30];
    (0..5).filter(|&c| c != 3).for_each(|c| harms[c] = 10f64.ln() / N_VALID as f64);
    // With sums this large, the loss nearly equals the sum of harms.
    (5..30).for_each(|c| harms[c] = 10.0);
    let net = ToyNet::new(&space, &harms);
    let mut method = built("parsec", &space, &[("alpha_lr", 0.03.into())]);
    method.begin(&net);
    let row = |method: &dyn Method| method.relaxed().probs[0].copy();
    let entropy = |p: &Tensor| -(p * p.log()).sum(Kind::Double).double_value(&[]);
    let mut entropies = vec![entropy(&row(method.as_ref()))];
    for _ in 0..3 {
        steps(method.as_mut(), &space, &net, None, (50, 0.5));
        entropies.push(entropy(&row(method.as_ref())));
    }
    assert!(entropies.is_sorted_by(|a, b| a > b), "{entropies:?}");
    assert!(row(method.as_ref()).double_value(&[3]) > 0.9);
}

#[test]
fn parsec_6_two_passes_give_the_gradient_of_the_marginal_likelihood() {
    setup::ready();
    let space = NasBench201::new();
    let supernet = real_net(&space);
    let net = Watched::new(&supernet, &space);
    // One step of plain SGD shows the gradient. With a tempered kappa, all children count.
    let kappa = 0.2;
    let options = [
        ("lr", 1.0.into()),
        ("lr_min", 1.0.into()),
        ("decay", 0.0.into()),
        ("momentum", 0.0.into()),
        ("clip", f64::INFINITY.into()),
        ("children", 4.into()),
        ("kappa", kappa.into()),
        ("warmup", 1.0.into()),
    ];
    let mut method = built("parsec", &space, &options);
    method.begin(&net);
    let before = formula::values(supernet.weights());
    steps_on_images(method.as_mut(), &space, &net);
    let after = formula::values(supernet.weights());

    // The same children with the same weights, in one graph.
    let passes: Vec<_> = net.passes().into_iter().take(4).collect();
    formula::fill(supernet.weights());
    let (images, labels) =
        (formula::tensor("train", &[4, 3, 8, 8]), Tensor::from_slice(&[3i64, 7, 1, 9]));
    let log_likelihoods: Vec<Tensor> = passes
        .iter()
        .map(|pass| {
            let architecture = lat_space::Architecture::new("nasbench201", drawn(pass));
            let gates = lat::supernet::SharedGates::hard(
                space.decisions(),
                &architecture,
                tch::Device::Cpu,
            );
            let logits = supernet.forward_t(&images, &gates, true);
            logits.cross_entropy_for_logits(&labels) * (-4.0 * kappa)
        })
        .collect();
    let marginal = Tensor::stack(&log_likelihoods, 0).logsumexp([0i64].as_slice(), false);
    // Without kappa: the loss for the weights is each child's own; only its importance is tempered.
    (-marginal / (4.0 * kappa)).backward();
    let mut n_moved = 0;
    for (name, variable) in supernet.weights().variables() {
        if !variable.requires_grad() || !variable.grad().defined() {
            continue;
        }
        let moved = &before[&name] - &after[&name];
        let error = (&moved - variable.grad()).abs().max().double_value(&[]);
        let largest = variable.grad().abs().max().double_value(&[]);
        n_moved += usize::from(largest > 1e-3);
        assert!(error <= 1e-3 * largest + 1e-5, "{name}: {error} of {largest}");
    }
    assert!(n_moved > 10, "{n_moved} weights with a gradient");
}

#[test]
fn parsec_7_only_operations_of_children_that_matter_are_trained() {
    setup::ready();
    let space = Darts::new();
    let supernet = real_net(&space);
    let net = Watched::new(&supernet, &space);
    let mut method = built("parsec", &space, &[("children", 2.into())]);
    method.begin(&net);
    let before = formula::values(supernet.weights());
    steps_on_images(method.as_mut(), &space, &net);
    let passes = net.passes();
    let trained: Vec<_> = passes.iter().filter(|p| !p.without_gradients).collect();
    // Two children for the prior and two for the weights; some of them run once more with gradients.
    assert_eq!(passes.len() - trained.len(), 4);
    assert!((1..=2).contains(&trained.len()));
    let trained = &passes[passes.len() - trained.len()..];
    assert_computed(&space, &supernet, &before, trained, &passes);
    for pass in &passes {
        let on = |paths: &Vec<Path>| paths.iter().filter(|p| **p == Path::On).count();
        assert_eq!(pass.paths.iter().map(on).sum::<usize>(), 16, "8 operations per cell type");
    }
}

#[test]
fn parsec_the_most_probable_child_is_derived_and_the_cost_moves_edges_too() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let mut method = built("parsec", &space, &[]);
    let edges = Tensor::zeros([28], tch::kind::FLOAT_CPU);
    // Node 1 has edges 2 to 4.
    let _ = edges.narrow(0, 3, 2).fill_(1.0);
    begin_with(method.as_mut(), &net, &[("edges", edges)]);
    let kept = |method: &dyn Method| {
        let choices = method.derive(&space).choices;
        (2..5).filter(|&e| !choices[e].contains(0)).collect::<Vec<_>>()
    };
    assert_eq!(kept(method.as_ref()), [3, 4]);

    // All operations cost the same, except on edge 4, where they cost most.
    let mut prices = vec![0.0; 28 * 8];
    (0..28).for_each(|e| prices[8 * e + 1..8 * e + 8].fill(if e == 4 { 9.0 } else { 1.0 }));
    let cost = lat_predictor::TableCost::new(&space, "latency_ms", 2.0, prices).unwrap();
    let mut objective = Objective::new(&space, &cost, Goal::Lambda(50.0), Estimator::Expected)
        .unwrap()
        .joining(lat::steering::Joining::Sum);
    steps(method.as_mut(), &space, &net, Some(&mut objective), (1, 0.5));
    let before = parameter(method.as_ref(), "edges");
    steps(method.as_mut(), &space, &net, Some(&mut objective), (400, 0.5));
    let after = parameter(method.as_ref(), "edges");
    assert!((after - before).double_value(&[4]) < -0.5);
    assert_eq!(kept(method.as_ref()), [2, 3]);
}
