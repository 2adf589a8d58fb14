//! Random search with weight sharing, arXiv 1902.07638, and local search, arXiv 2005.02960.
//!
//! Tested elsewhere: neighbours in `src/methods/local_search.rs`.

use std::collections::HashSet;

use lat::methods::{Options, Preset, find_method};
use lat::objective::{Estimator, Goal, Objective};
use lat_predictor::CostModel;
use lat_space::{Darts, NasBench201, SearchSpace, architecture_at, find_space};

use super::paths::{built, drawn, real_net, refused, steps_on_images};
use crate::toy_net::{N_TRAIN, N_VALID, ToyNet, Watched, steps};
use crate::{setup, toy};

#[test]
fn random_trains_one_uniform_draw_a_step_and_compares_all_candidates_on_one_batch() {
    setup::ready();
    let space = NasBench201::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let options = [("candidates", 7.into()), ("compare_from", 0.5.into())];
    let mut method = built("random", &space, &options);
    method.begin(&net);
    let report = steps(method.as_mut(), &space, &net, None, (500, 0.4));
    assert!(report.valid_loss.is_none());
    let passes = net.passes();
    assert_eq!(passes.len(), 500);
    assert!(passes.iter().all(|p| p.n_images == N_TRAIN && !p.without_gradients));
    // Uniform over operations. `none` appears as a row without a weight.
    let row_sums = |p: &crate::toy_net::Pass| p.weights.sum(tch::Kind::Double).double_value(&[]);
    let nones: f64 = passes.iter().map(|p| 6.0 - row_sums(p)).sum();
    assert!((nones / 3000.0 - 0.2).abs() < 0.03, "{nones} of 3000");

    let report = steps(method.as_mut(), &space, &net, None, (2, 0.6));
    assert!(report.valid_loss.unwrap().value().is_finite());
    let passes = net.passes();
    assert_eq!(passes.len(), 2 * (1 + 7));
    let compared = |step: usize| -> Vec<Vec<usize>> {
        let of_step = &passes[8 * step + 1..8 * (step + 1)];
        assert!(of_step.iter().all(|p| p.n_images == N_VALID && p.without_gradients));
        of_step.iter().map(drawn).collect()
    };
    assert_eq!(compared(0), compared(1), "the same candidates all the time");
    assert_eq!(compared(0).into_iter().collect::<HashSet<_>>().len(), 7);
}

#[test]
fn random_answers_with_the_best_candidate_by_loss_and_cost() {
    setup::ready();
    let space = Darts::new();
    let prices = toy::prices(&space);
    let net = ToyNet::new(&space, &prices.iter().map(|p| 3.0 - 0.1 * p).collect::<Vec<_>>());
    let cost = toy::cost(&space);
    // All networks of this space read their input, so the candidates are simply its first draws.
    let all: Vec<f64> =
        (0..32).map(|i| cost.cost(&architecture_at(&space, 1, i).unwrap()).unwrap()).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = all.iter().copied().fold(0.0, f64::max);
    let found = |goal: Goal| {
        let mut objective = Objective::new(&space, &cost, goal, Estimator::Expected).unwrap();
        let entry = find_method("random").unwrap();
        let mut method = entry.build(Preset::Quick, &Options::new(), &space, 1).unwrap();
        method.begin(&net);
        steps(method.as_mut(), &space, &net, Some(&mut objective), (3, 0.9));
        cost.cost(&method.derive(&space)).unwrap()
    };
    assert_eq!(found(Goal::Lambda(0.0)), largest, "the task wants the dearest");
    assert_eq!(found(Goal::Lambda(1e4)), least);
    // The most expensive of those within the target.
    let target = f64::midpoint(least, largest);
    let within = all.iter().copied().filter(|c| *c <= target).fold(0.0, f64::max);
    assert_eq!(found(Goal::Target(target)), within);
    assert_eq!(found(Goal::Target(1.0)), least, "nothing is within: the nearest");
}

#[test]
fn local_search_climbs_to_the_best_architecture_of_a_separable_space() {
    setup::ready();
    let space = NasBench201::new();
    let prices = toy::prices(&space);
    let net = ToyNet::new(&space, &prices.iter().map(|p| -0.2 * p).collect::<Vec<_>>());
    let cost = toy::cost(&space);
    let mut costs = Vec::new();
    for lambda in [0.0, 1e4] {
        let mut objective =
            Objective::new(&space, &cost, Goal::Lambda(lambda), Estimator::Expected).unwrap();
        let mut method = built("local-search", &space, &[]);
        method.begin(&net);
        let start = method.derive(&space);
        steps(method.as_mut(), &space, &net, Some(&mut objective), (3, 0.7));
        assert_eq!(method.derive(&space), start, "first the supernet is trained");
        steps(method.as_mut(), &space, &net, Some(&mut objective), (60, 0.9));
        costs.push(cost.cost(&method.derive(&space)).unwrap());
    }
    let graph = space.graph(&space.skeletons()[0].skeleton);
    let connected =
        (0..space.size()).map(|i| space.at(i)).filter(|a| graph.derive(a).is_connected());
    let all: Vec<f64> = connected.map(|a| cost.cost(&a).unwrap()).collect();
    assert_eq!(costs[0], all.iter().copied().fold(0.0, f64::max));
    // `none` on most edges is cheapest, but a path must remain. An optimum among neighbours need not be the cheapest of all.
    let mut cheapest = all.clone();
    cheapest.sort_by(f64::total_cmp);
    assert!(costs[1] <= cheapest[all.len() / 100], "{} of {:?}", costs[1], &cheapest[..5]);
}

/// `FairNAS`, arXiv 1907.01845, algorithm 1.
#[test]
fn fair_steps_train_every_choice_once_on_one_batch() {
    setup::ready();
    let space = NasBench201::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let mut method = built("random", &space, &[("fair", true.into())]);
    method.begin(&net);
    steps(method.as_mut(), &space, &net, None, (3, 0.4));
    let passes = net.passes();
    assert_eq!(passes.len(), 3 * 5);
    assert!(passes.iter().all(|p| p.n_images == N_TRAIN && !p.without_gradients));
    let mut orders = HashSet::new();
    for step in passes.chunks(5) {
        let open = step.iter().map(|pass| pass.weights.shallow_clone()).collect::<Vec<_>>();
        let sum = open.iter().fold(open[0].zeros_like(), |sum, weights| sum + weights);
        // `none`, which is the first choice, is not computed.
        let expected: Vec<f32> = [0.0, 1.0, 1.0, 1.0, 1.0].repeat(6);
        assert_eq!(Vec::<f32>::try_from(&sum.flatten(0, -1)).unwrap(), expected);
        orders.insert(step.iter().map(drawn).collect::<Vec<_>>());
    }
    assert_eq!(orders.len(), 3, "other paths in each step");
    refused("random", ("fair", true.into()), "fair=false in darts");
}

#[test]
fn in_a_fair_step_all_candidates_learn() {
    let space = find_space("nasbench-macro").unwrap();
    let mut momenta = Vec::new();
    for fair in [true, false] {
        let net = real_net(space.as_ref());
        let options = [("fair", fair.into()), ("decay", 0.0.into()), ("clip", 1e9.into())];
        let mut method = built(
            "random",
            space.as_ref(),
            &[&options[..], &[("compare_from", 0.9.into())]].concat(),
        );
        method.begin(&net);
        steps_on_images(method.as_mut(), space.as_ref(), &net);
        let of_weight =
            method.state().into_iter().filter(|(n, _)| n.starts_with("weights.momentum"));
        momenta.push(of_weight.filter(|(_, m)| m.abs().max().double_value(&[]) > 0.0).count());
    }
    // In a fair step all candidates with weights learn; otherwise only those on one path do.
    assert!(momenta[0] > 2 * momenta[1], "{momenta:?}");
}

#[test]
fn sampling_methods_refuse_empty_lists() {
    refused("random", ("candidates", 0.into()), "candidates of at least 1");
    refused("random", ("candidates", 4_000_000_000i64.into()), "candidates of at most");
    refused("random", ("compare_from", 1.0.into()), "below 1");
    refused("local-search", ("neighbours", 0.into()), "neighbours of at least 1");
    refused("local-search", ("climb_from", (-0.1).into()), "at least 0");
}
