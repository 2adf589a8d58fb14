//! `TopoNAS`, arXiv 2011.09300.

use lat::methods::Method;
use lat::objective::{Estimator, Goal, Objective};
use lat::relaxed::{Blocks, EdgeSets, Relaxed, Topology, subsets};
use lat::supernet::{Gate, Path, SharedGates, Supernet};
use lat_predictor::{CostModel, TableCost};
use lat_space::{ChoiceSet, Darts, NasBench201, SearchSpace, Space};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::paths::{built, real_net, refused, steps_on_images};
use crate::toy_net::{ToyNet, begin_with, parameter, steps};
use crate::toy_space::ToySpace;
use crate::{formula, setup, toy};

/// In-edges of the four nodes of a cell.
const IN_EDGES: [usize; 4] = [2, 3, 4, 5];

fn sets(method: &dyn Method) -> Vec<EdgeSets> {
    match method.relaxed().topology {
        Topology::Sets(sets) => sets,
        other => panic!("expected sets, found {other:?}"),
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(&tensor.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

fn sum(tensor: &Tensor) -> f64 {
    numbers(tensor).iter().sum()
}

/// The method with this beta, if it has one of this length.
fn with_beta(
    space: &dyn SearchSpace,
    options: &[(&str, toml::Value)],
    beta: &Tensor,
) -> Box<dyn Method> {
    let mut method = built("toponas", space, options);
    begin_with(method.as_mut(), &ToyNet::indifferent(space), &[("beta", beta.shallow_clone())]);
    method
}

fn any() -> (&'static str, toml::Value) {
    ("degree", "any".into())
}

#[test]
fn toponas_1_probabilities_sum_to_one_and_marginals_to_the_mean_degree() {
    setup::ready();
    let space = Darts::new();
    for (options, n_variables) in [(vec![], 40), (vec![any()], 112)] {
        let beta = formula::tensor("beta", &[n_variables]) * 2.0;
        let method = with_beta(&space, &options, &beta);
        let all = sets(method.as_ref());
        assert_eq!(all.len(), 8);
        for sets in all {
            assert!((sum(&sets.probs()) - 1.0).abs() < 1e-6);
            let sizes = sets.members.sum_dim_intlist(1, false, Kind::Float);
            let mean = sum(&(sets.probs() * sizes));
            assert!((sum(&sets.keep()) - mean).abs() < 1e-6);
            if options.is_empty() {
                assert!((mean - 2.0).abs() < 1e-6, "{mean}");
            }
        }
    }
}

#[test]
fn toponas_2_uniform_beta_keeps_every_edge_alike() {
    setup::ready();
    let space = Darts::new();
    for (options, n_sets, expected) in [
        (vec![], [1, 3, 6, 10], [1.0, 2.0 / 3.0, 0.5, 0.4]),
        (vec![any()], [3, 7, 15, 31], [2.0 / 3.0, 4.0 / 7.0, 8.0 / 15.0, 16.0 / 31.0]),
    ] {
        let method = built("toponas", &space, &options);
        for (n, sets) in sets(method.as_ref()).into_iter().enumerate() {
            assert_eq!(sets.members.size(), [n_sets[n % 4], IN_EDGES[n % 4] as i64]);
            assert!(numbers(&sets.keep()).iter().all(|g| (g - expected[n % 4]).abs() < 1e-6));
        }
    }
}

#[test]
fn toponas_3_a_sure_set_is_a_discrete_node() {
    setup::ready();
    let space = Darts::new();
    let net = real_net(&space);
    let beta = Tensor::zeros([40], tch::kind::FLOAT_CPU);
    // Beta clearly prefers one set of each node, at a different position in each.
    let mut firsts = vec![0];
    for n in [1i64, 3, 6, 10, 1, 3, 6, 10] {
        firsts.push(firsts.last().unwrap() + n);
    }
    for (n, first) in firsts[..8].iter().enumerate() {
        let _ = beta.get(first + n as i64 % [1, 3, 6, 10][n % 4]).fill_(50.0);
    }
    let alpha = formula::tensor("alpha", &[28, 8]);
    let mut method = built("toponas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha.copy()), ("beta", beta)]);
    // The same node with only the edges of the set: absent edges are not computed.
    let probs = alpha.softmax(-1, Kind::Float).unbind(0);
    let mut kept = [false; 28];
    for (n, sets) in sets(method.as_ref()).iter().enumerate() {
        let members = sets.members.get(n as i64 % sets.members.size()[0]);
        for (&d, m) in sets.decisions.iter().zip(numbers(&members)) {
            kept[d] = m == 1.0;
        }
        let absent = numbers(&(sets.keep() * (1.0 - members)));
        assert!(absent.iter().all(|gamma| *gamma < 1e-12), "{absent:?}");
    }
    assert_eq!(kept.iter().filter(|k| **k).count(), 16);
    let discrete = SharedGates::with_paths(space.decisions(), &probs, |d, _| {
        if kept[d] { Path::On } else { Path::Off }
    });
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    let expected = net.forward_t(&images, &discrete, true);
    let found = net.forward_t(&images, method.gates(&space, &net).as_ref(), true);
    assert!(found.allclose(&expected, 1e-5, 1e-6, false));
}

#[test]
fn toponas_4_the_gradient_of_a_marginal_has_its_closed_form() {
    setup::ready();
    for (n, sizes, tau) in [(3, 2..=2, 1.0), (5, 2..=2, 0.5), (4, 1..=4, 2.0), (2, 2..=2, 1.0)] {
        let members = subsets(n, sizes);
        let beta = formula::tensor("beta", &[members.size()[0]]).set_requires_grad(true);
        let sets = EdgeSets { decisions: (0..n).collect(), members, logits: &beta / tau };
        let (z, gamma) = (numbers(&sets.probs()), numbers(&sets.keep()));
        for (i, gamma) in gamma.iter().enumerate() {
            let keep = sets.keep().get(i as i64);
            let found = numbers(&Tensor::run_backward(&[keep], &[&beta], true, false)[0]);
            for (c, found) in found.into_iter().enumerate() {
                let member = sets.members.double_value(&[c as i64, i as i64]);
                let expected = z[c] * (member - gamma) / tau;
                assert!((found - expected).abs() < 1e-6, "{n} {i} {c}: {found}, {expected}");
                assert!(n > 2 || found == 0.0, "the only pair has nothing to learn");
            }
        }
    }
}

#[test]
fn toponas_4_the_node_of_two_inputs_learns_nothing_of_pairs() {
    let space = Darts::new();
    let net = real_net(&space);
    let options = [("alpha_decay", 0.0.into()), ("mu", 0.0.into())];
    let mut method = built("toponas", &space, &options);
    method.begin(&net);
    steps_on_images(method.as_mut(), &space, &net);
    let moved = numbers(&parameter(method.as_ref(), "beta"));
    for (v, moved) in moved.into_iter().enumerate() {
        assert_eq!(moved == 0.0, v == 0 || v == 20, "{v}: {moved}");
    }
}

#[test]
fn toponas_5_the_most_probable_set_is_not_that_of_the_largest_marginals() {
    setup::ready();
    let space = Darts::new();
    // Node 2 has variables 4 to 9, its pairs in this order: 01, 02, 12, 03, 13, 23.
    let z = [0.4f32, 0.3, 1e-9, 1e-9, 1e-9, 0.3];
    let beta = Tensor::zeros([40], tch::kind::FLOAT_CPU);
    beta.narrow(0, 4, 6).copy_(&Tensor::from_slice(&z).log());
    let method = with_beta(&space, &[], &beta);
    let gamma = numbers(&sets(method.as_ref())[2].keep());
    assert!(gamma[0] > gamma[2] && gamma[2] > gamma[1] && gamma[1] > gamma[3], "{gamma:?}");
    let derived = method.derive(&space);
    let kept: Vec<bool> = derived.choices[5..9].iter().map(|c| *c != ChoiceSet::one(0)).collect();
    assert_eq!(kept, [true, true, false, false]);
    space.check(&derived).unwrap();
}

#[test]
fn toponas_6_invalid_sets_lose_what_valid_ones_gain() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    // Edge 2, the first of node 1, prefers `none`.
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    let _ = alpha.narrow(1, 4, 1).fill_(1.0);
    let _ = alpha.get(2).get(0).fill_(2.0);
    // Variables 1 to 3 are its pairs 01, 02, 12. Either the first is ahead, or the last.
    let moved = |ahead: i64, mu: f64| {
        let beta = Tensor::zeros([40], tch::kind::FLOAT_CPU);
        let _ = beta.get(ahead).fill_(1.0);
        let options = [("alpha_decay", 0.0.into()), ("mu", mu.into())];
        let mut method = built("toponas", &space, &options);
        begin_with(method.as_mut(), &net, &[("alpha", alpha.copy()), ("beta", beta.copy())]);
        let invalid = |m: &dyn Method| numbers(&sets(m)[1].probs())[..2].iter().sum::<f64>();
        let before = invalid(method.as_ref());
        steps(method.as_mut(), &space, &net, None, (1, 0.5));
        let moved = numbers(&(parameter(method.as_ref(), "beta") - beta));
        (moved, invalid(method.as_ref()) - before)
    };
    let (passive, _) = moved(3, 1.0);
    assert!(passive.iter().all(|m| *m == 0.0), "a valid set is left alone: {passive:?}");
    let (aggressive, change) = moved(1, 1.0);
    assert!(change < 0.0, "{change}");
    assert!(aggressive[1] < 0.0 && aggressive[2] < 0.0 && aggressive[3] > 0.0, "{aggressive:?}");
    let elsewhere = aggressive.iter().enumerate().filter(|(v, _)| !(1..4).contains(v));
    assert!(elsewhere.into_iter().all(|(_, m)| *m == 0.0));
    let (off, _) = moved(1, 0.0);
    assert!(off.iter().all(|m| *m == 0.0), "mu = 0 turns it off");
}

#[test]
fn toponas_7_the_expected_cost_is_the_mean_over_topologies_and_operations() {
    setup::ready();
    let space = ToySpace::new();
    let prices = [0.0, 1.0, 5.0, 0.0, 2.0, 2.5, 0.0, 0.5, 9.0];
    let cost = TableCost::new(&space, "latency_ms", 3.0, prices.to_vec()).unwrap();
    for sizes in [2..=2, 1..=3] {
        let members = subsets(3, sizes);
        let logits = formula::tensor("beta", &[members.size()[0]]) * 2.0;
        let probs = (formula::tensor("alpha", &[3, 3]) * 2.0).softmax(-1, Kind::Float);
        let sets = EdgeSets { decisions: vec![0, 1, 2], members, logits };
        let z = numbers(&sets.probs());
        let p = numbers(&probs);
        let op = |e: usize, o: usize| p[3 * e + o] / (p[3 * e + 1] + p[3 * e + 2]);
        let mut mean = 0.0;
        for (c, z) in z.iter().enumerate() {
            let kept: Vec<usize> = (0..3)
                .filter(|&e| sets.members.double_value(&[c as i64, e]) == 1.0)
                .map(|e| e as usize)
                .collect();
            // All ways to choose one of two operations for each kept edge.
            for ops in 0..1 << kept.len() {
                let taken = kept.iter().enumerate().map(|(i, &e)| (e, 1 + (ops >> i & 1)));
                let chance: f64 = taken.clone().map(|(e, o)| op(e, o)).product();
                let price: f64 = taken.map(|(e, o)| prices[3 * e + o]).sum();
                mean += z * chance * (3.0 + price);
            }
        }
        let relaxed = Relaxed { probs: probs.unbind(0), topology: Topology::Sets(vec![sets]) };
        let blocks = Blocks::new(&space);
        let found = cost.relaxed(&blocks.expected(&relaxed)).unwrap().double_value(&[]);
        assert!((found / mean - 1.0).abs() < 1e-6, "{found}, {mean}");
        // Samples are drawn from the same distribution, and weighted by it.
        let samples = blocks.sample(&relaxed, 20_000, None, &mut ChaCha8Rng::seed_from_u64(1));
        let sampled = cost.relaxed(&samples.gates).unwrap().mean(Kind::Double).double_value(&[]);
        assert!((sampled / mean - 1.0).abs() < 0.02, "{sampled}, {mean}");
        let first = numbers(&samples.gates.get(0));
        let alike =
            (&samples.gates - samples.gates.get(0)).abs().sum_dim_intlist(1, false, Kind::Float);
        let share = sum(&alike.eq(0.0)) / 20_000.0;
        let chance = samples.log_prob.double_value(&[0]).exp();
        assert!((share - chance).abs() < 0.02, "{first:?}: {share}, {chance}");
    }
}

#[test]
fn toponas_7_three_estimators_have_the_gradient_of_the_mean_cost() {
    setup::ready();
    let (space, cost) = (Darts::new(), toy::cost(&Darts::new()));
    let beta = formula::tensor("beta", &[31]).set_requires_grad(true);
    let gradient = |estimator, n: usize| {
        let goal = Goal::Lambda(1.0);
        let mut objective = Objective::new(&space, &cost, goal, estimator).unwrap();
        let mut total = Tensor::zeros([31], tch::kind::FLOAT_CPU);
        for _ in 0..n {
            let sets = EdgeSets {
                decisions: (9..14).collect(),
                members: subsets(5, 1..=5),
                logits: beta.shallow_clone(),
            };
            let uniform = Relaxed::uniform(&space);
            let relaxed = Relaxed { topology: Topology::Sets(vec![sets]), ..uniform };
            let loss = objective.term(&relaxed).unwrap().unwrap();
            total += &Tensor::run_backward(&[loss], &[&beta], false, false)[0];
        }
        total / n as f64
    };
    let exact = gradient(Estimator::Expected, 1);
    for (estimator, n) in [(Estimator::StraightThrough, 300), (Estimator::ScoreFunction, 3000)] {
        let found = gradient(estimator, n);
        let cosine = sum(&(&found * &exact)) / (sum(&found.square()) * sum(&exact.square())).sqrt();
        assert!(cosine > 0.9, "{estimator:?}: {cosine}");
    }
}

#[test]
fn toponas_8_the_cost_alone_moves_topology_and_falls() {
    setup::ready();
    let space = Darts::new();
    let cost = toy::cost(&space);
    for options in [vec![], vec![any()]] {
        let mut objective =
            Objective::new(&space, &cost, Goal::Lambda(1.0), Estimator::Expected).unwrap();
        let mut sets = sets(built("toponas", &space, &options).as_ref());
        let probs = (formula::tensor("alpha", &[28, 8]) * 2.0).softmax(-1, Kind::Float).unbind(0);
        // Alpha is frozen: only the gradient of the logits of sets is needed.
        let mut price = |sets: &[EdgeSets]| {
            let probs = probs.iter().map(Tensor::shallow_clone).collect();
            let copies = sets.iter().map(|s| EdgeSets {
                decisions: s.decisions.clone(),
                members: s.members.shallow_clone(),
                logits: s.logits.shallow_clone(),
            });
            let relaxed = Relaxed { probs, topology: Topology::Sets(copies.collect()) };
            objective.term(&relaxed).unwrap().unwrap()
        };
        let mut last = f64::INFINITY;
        for _ in 0..50 {
            for s in &mut sets {
                s.logits = s.logits.detach().copy().set_requires_grad(true);
            }
            let loss = price(&sets);
            let value = loss.double_value(&[]);
            assert!(value < last, "{value} after {last}");
            last = value;
            loss.backward();
            for s in &mut sets {
                s.logits = s.logits.detach() - s.logits.grad() * 1.0;
            }
        }
    }
}

#[test]
fn toponas_normalised_marginals_sum_to_one() {
    setup::ready();
    let space = Darts::new();
    let beta = formula::tensor("beta", &[112]);
    let weights = |normalised: bool| {
        let method = with_beta(&space, &[any(), ("normalised", normalised.into())], &beta);
        let gates = method.gates(&space, &ToyNet::indifferent(&space));
        let edge = |d| {
            let Gate { edge, .. } = gates.gate(d, 0);
            edge.unwrap().double_value(&[])
        };
        (0..28).map(edge).collect::<Vec<f64>>()
    };
    let (plain, normalised) = (weights(false), weights(true));
    for group in space.groups() {
        let sum = |of: &[f64]| group.decisions.iter().map(|&d| of[d]).sum::<f64>();
        assert!((sum(&normalised) - 1.0).abs() < 1e-6);
        assert!(sum(&plain) > 1.0);
    }
}

#[test]
fn toponas_anneals_where_asked_until_a_node_is_decided() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let tau = |options: &[(&str, toml::Value)], beta: &Tensor, progress| {
        let mut method = with_beta(&space, options, beta);
        steps(method.as_mut(), &space, &net, None, (1, progress));
        parameter(method.as_ref(), "tau").double_value(&[0])
    };
    let even = Tensor::zeros([40], tch::kind::FLOAT_CPU);
    assert_eq!(tau(&[], &even, 0.5), 1.0);
    let cooled = [("tau", 10.0.into()), ("tau_min", 0.1.into())];
    assert!((tau(&cooled, &even, 0.5) - 1.0).abs() < 1e-9);
    let sure = even.copy();
    let _ = sure.get(2).fill_(100.0);
    assert_eq!(tau(&cooled, &sure, 0.5), 10.0);
    // A node with only one set is no reason to stop.
    let sure = even.copy();
    let _ = sure.get(0).fill_(100.0);
    assert!((tau(&cooled, &sure, 0.5) - 1.0).abs() < 1e-9);
}

#[test]
fn toponas_reads_nodes_that_nobody_reads() {
    setup::ready();
    let space = NasBench201::new();
    let net = ToyNet::indifferent(&space);
    // Sets of node 1: 0; of node 2: 0, 1, 01; of node 3: 0, 1, 01, 2, 02, 12, 012. All nodes read only node 0.
    let beta = Tensor::zeros([11], tch::kind::FLOAT_CPU);
    let _ = beta.get(1).fill_(1.0);
    let _ = beta.get(4).fill_(1.0);
    let alpha = Tensor::zeros([6, 5], tch::kind::FLOAT_CPU);
    let _ = alpha.narrow(1, 3, 1).fill_(1.0);
    let options = [("alpha_decay", 0.0.into())];
    let mut method = built("toponas", &space, &options);
    begin_with(method.as_mut(), &net, &[("alpha", alpha), ("beta", beta.copy())]);
    steps(method.as_mut(), &space, &net, None, (1, 0.5));
    let moved = numbers(&(parameter(method.as_ref(), "beta") - beta));
    let signs: Vec<i8> = moved.iter().map(|m| i8::from(*m > 0.0) - i8::from(*m < 0.0)).collect();
    // Node 2 should read node 1, and node 3 should read nodes 1 and 2, because no other node does.
    assert_eq!(signs, [0, -1, 1, 1, -1, -1, -1, -1, -1, 1, 1]);
}

#[test]
fn toponas_refuses_what_has_no_meaning() {
    refused("toponas", ("tau_min", 0.0.into()), "0 < tau_min <= tau");
    refused("toponas", ("mu", (-1.0).into()), "mu and margin of at least 0");
    refused("toponas", ("degree", "two".into()), "whose edges do not compete");
    refused("toponas", ("degree", "three".into()), "degree");
}
