//! LA-DARTS, arXiv 2001.06392.
//!
//! Tested elsewhere: 1 for uniform draws in `space/src/darts/tests.rs`; 5 for the predictor's weights in
//! `predictor/src/cost/tests.rs`, for the supernet's and for lambda = 0 in `tests/contracts`; 7 in
//! `predictor/src/train/tests.rs`.

use lat::methods::{Options, Preset, find_method};
use lat::objective::{Estimator, Goal, Objective};
use lat::relaxed::{Blocks, Relaxed};
use lat::steering::Joining;
use lat_predictor::{
    CostModel, PredictorCost, RegressorChoice, Samples, TableCost, TrainOptions, train,
};
use lat_space::{
    Architecture, Darts, Decision, FeatureMap, NasBench201, SearchSpace, Space, architecture_at,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::toy_net::{ToyNet, steps};
use crate::toy_space::ToySpace;
use crate::{formula, setup, toy};

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(11)
}

/// DARTS' relaxation of alpha `[n_decisions, n_choices]`, with `none` first: an edge is as strong as its best operation.
fn relaxed(alpha: &Tensor) -> Relaxed {
    let probs = alpha.softmax(-1, Kind::Float);
    let n_ops = probs.size()[1] - 1;
    let strengths = probs.narrow(1, 1, n_ops).amax([1i64].as_slice(), false).unbind(0);
    Relaxed::competing(probs.unbind(0), strengths)
}

/// An alpha that is far from uniform.
fn uneven(rows: i64, columns: i64) -> Tensor {
    setup::ready();
    formula::tensor("alpha", &[rows, columns]) * 2.0
}

/// Rows `[28, 7]` of the code, from gates `[224]`.
fn code(gates: &Tensor) -> Tensor {
    gates.view([28, 8]).narrow(1, 1, 7)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(&tensor.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

#[test]
fn la_darts_1_every_sampled_code_is_an_architectures() {
    let space = Darts::new();
    let (alpha, map) = (uneven(28, 8), FeatureMap::of_encoding(&space.encoding()));
    assert_eq!(map.len(), 196);
    let samples = Blocks::new(&space).sample(&relaxed(&alpha), 300, None, &mut rng());
    let mut distinct = std::collections::HashSet::new();
    for gates in samples.gates.unbind(0) {
        let gates = Vec::<f32>::try_from(&gates).unwrap();
        assert!(gates.iter().all(|&g| g == 0.0 || g == 1.0));
        let code = map.encode(&gates);
        assert_eq!(code.iter().sum::<f32>(), 16.0);
        let taken = gates.chunks(8).map(|row| {
            assert_eq!(row.iter().sum::<f32>(), 1.0, "one choice per edge, `none` included");
            row.iter().position(|&g| g == 1.0).unwrap()
        });
        let architecture = Architecture::new("darts", taken);
        space.check(&architecture).unwrap();
        assert_eq!(map.encode(&architecture.gates(space.decisions())), code);
        for group in space.groups() {
            let kept = group.decisions.iter().filter(|&&d| !architecture.choices[d].contains(0));
            assert_eq!(kept.count(), 2);
        }
        distinct.insert(architecture);
    }
    assert!(distinct.len() > 290, "{} of 300", distinct.len());
}

#[test]
fn la_darts_2_the_expected_code_keeps_two_edges_per_node() {
    let space = Darts::new();
    let expected = Blocks::new(&space).expected(&relaxed(&uneven(28, 8)));
    let keep = code(&expected).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
    let keep = numbers(&keep);
    for group in space.groups() {
        let sum: f64 = group.decisions.iter().map(|&d| keep[d]).sum();
        assert!((sum - 2.0).abs() < 1e-6, "{sum}");
    }
    // Node 0 of each cell has only two edges.
    for edge in [0, 1, 14, 15] {
        assert!((keep[edge] - 1.0).abs() < 1e-6, "{}", keep[edge]);
    }
    assert!((keep.iter().sum::<f64>() - 16.0).abs() < 1e-5);
    // Including `none`, each edge's row adds up to one.
    for row in numbers(&expected).chunks(8) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn la_darts_2_the_expected_code_is_the_mean_of_samples() {
    let (darts, nasbench201) = (Darts::new(), NasBench201::new());
    let spaces: [(&dyn SearchSpace, Tensor); 2] =
        [(&darts, uneven(28, 8)), (&nasbench201, uneven(6, 5))];
    for (space, alpha) in spaces {
        let (blocks, relaxed) = (Blocks::new(space), relaxed(&alpha));
        let expected = blocks.expected(&relaxed);
        for tau in [None, Some(1.0)] {
            let samples = blocks.sample(&relaxed, 20_000, tau, &mut rng()).gates;
            let mean = samples.mean_dim([0i64].as_slice(), false, Kind::Float);
            let error = (mean - &expected).abs().max().double_value(&[]);
            assert!(error < 0.02, "{} tau {tau:?}: {error}", space.id());
        }
    }
}

/// Cost of each gate of the toy space, and of the rest.
const TOY_MS: [f64; 9] = [0.0, 1.0, 5.0, 0.0, 2.0, 2.5, 0.0, 0.5, 9.0];
const REST_MS: f64 = 3.0;

fn toy_cost() -> TableCost {
    TableCost::new(&ToySpace::new(), "latency_ms", REST_MS, TOY_MS.to_vec()).unwrap()
}

/// The average cost over all 12 architectures of the toy space, computed in `f64` from the formulas of the description.
fn brute_force(alpha: &[f64]) -> f64 {
    let rows: Vec<Vec<f64>> = alpha
        .chunks(3)
        .map(|row| {
            let sum: f64 = row.iter().map(|a| a.exp()).sum();
            row.iter().map(|a| a.exp() / sum).collect()
        })
        .collect();
    let strength = |e: usize| rows[e][1].max(rows[e][2]);
    let op = |e: usize, o: usize| rows[e][o] / (rows[e][1] + rows[e][2]);
    let pairs = [(0, 1), (0, 2), (1, 2)];
    let all: f64 = pairs.iter().map(|&(a, b)| strength(a) * strength(b)).sum();
    let mut mean = 0.0;
    for (a, b) in pairs {
        for (oa, ob) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let chance = strength(a) * strength(b) / all * op(a, oa) * op(b, ob);
            mean += chance * (REST_MS + TOY_MS[3 * a + oa] + TOY_MS[3 * b + ob]);
        }
    }
    mean
}

fn exact_gradient(alpha: &[f64]) -> Vec<f64> {
    let h = 1e-5;
    let slope = |i: usize| {
        let at = |by: f64| {
            let mut moved = alpha.to_vec();
            moved[i] += by;
            brute_force(&moved)
        };
        (at(h) - at(-h)) / (2.0 * h)
    };
    (0..alpha.len()).map(slope).collect()
}

#[test]
fn la_darts_3_an_additive_cost_of_the_expected_code_is_the_mean_cost() {
    let alpha = uneven(3, 3).set_requires_grad(true);
    let values = numbers(&alpha);
    let expected = Blocks::new(&ToySpace::new()).expected(&relaxed(&alpha));
    let cost = toy_cost().relaxed(&expected).unwrap();
    let exact = brute_force(&values);
    assert!((cost.double_value(&[]) / exact - 1.0).abs() < 1e-5);
    cost.backward();
    let gradient = exact_gradient(&values);
    let largest = gradient.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
    for (i, (found, exact)) in numbers(&alpha.grad()).iter().zip(&gradient).enumerate() {
        assert!((found - exact).abs() < 1e-3 * largest, "{i}: {found}, exactly {exact}");
    }
}

#[test]
fn la_darts_3_the_score_functions_mean_is_the_exact_gradient() {
    let (space, cost) = (ToySpace::new(), toy_cost());
    let alpha = uneven(3, 3).set_requires_grad(true);
    let goal = Goal::Lambda(1.0);
    let mut objective = Objective::new(&space, &cost, goal, Estimator::ScoreFunction).unwrap();
    let n = 4000;
    let mut sum_cost = 0.0;
    for _ in 0..n {
        let term = objective.term(&relaxed(&alpha)).unwrap().unwrap();
        sum_cost += term.double_value(&[]);
        // Adds to the gradient of the previous steps.
        term.backward();
    }
    let reference = objective.reference();
    let exact: Vec<f64> = exact_gradient(&numbers(&alpha)).iter().map(|g| g / reference).collect();
    let found: Vec<f64> = numbers(&alpha.grad()).iter().map(|g| g / f64::from(n)).collect();
    let largest = exact.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
    for (i, (found, exact)) in found.iter().zip(&exact).enumerate() {
        assert!((found - exact).abs() < 0.05 * largest, "{i}: {found}, exactly {exact}");
    }
    let mean = sum_cost / f64::from(n) * reference;
    assert!((mean / brute_force(&numbers(&alpha)) - 1.0).abs() < 0.02, "the forward value");
}

#[test]
fn la_darts_4_straight_through_samples_are_hard_and_let_gradients_pass() {
    let space = Darts::new();
    let alpha = uneven(28, 8).set_requires_grad(true);
    let blocks = Blocks::new(&space);
    let samples = blocks.sample(&relaxed(&alpha), 64, Some(1.0), &mut rng());
    let plain = blocks.sample(&relaxed(&alpha), 64, None, &mut rng());
    let off = (&samples.gates - &plain.gates).abs().max().double_value(&[]);
    assert!(off <= 1e-6, "the same draws, hard up to rounding: {off}");
    assert!(!plain.gates.requires_grad());
    let cost = toy::cost(&space).relaxed(&samples.gates).unwrap();
    cost.mean(Kind::Float).backward();
    for (edge, row) in numbers(&alpha.grad()).chunks(8).enumerate() {
        assert!(row.iter().all(|g| g.is_finite()), "edge {edge}: {row:?}");
        assert!(row.iter().any(|g| *g != 0.0), "edge {edge} gets no gradient");
    }
}

/// A cost of 1 ms for every operation except one, which costs 10 ms.
fn slow_op_cost(space: &dyn SearchSpace, slow: usize) -> TableCost {
    let of_decision = |d: &Decision| {
        let none = d.none();
        let ms = move |c| match c {
            c if Some(c) == none => 0.0,
            c if c == slow => 10.0,
            _ => 1.0,
        };
        (0..d.choices.len()).map(ms).collect::<Vec<_>>()
    };
    let values = space.decisions().iter().flat_map(of_decision).collect();
    TableCost::new(space, "latency_ms", 0.0, values).unwrap()
}

#[test]
fn la_darts_6_200_steps_make_a_slow_operation_less_likely_on_every_edge() {
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let slow = 5;
    let cost = slow_op_cost(&space, slow);
    for (host, estimator) in [
        ("darts", Estimator::Expected),
        ("darts", Estimator::StraightThrough),
        ("darts", Estimator::ScoreFunction),
        ("pc-darts", Estimator::Expected),
        ("pc-darts", Estimator::StraightThrough),
    ] {
        let entry = find_method(host).unwrap();
        let mut method = entry.build(Preset::Quick, &Options::new(), &space, 1).unwrap();
        method.begin(&net);
        let among_ops = |p: &Tensor| p.double_value(&[slow as i64]) / (1.0 - p.double_value(&[0]));
        let chances = |method: &dyn lat::methods::Method| {
            method.relaxed().probs.iter().map(among_ops).collect::<Vec<_>>()
        };
        let before = chances(method.as_ref());
        let objective = Objective::new(&space, &cost, Goal::Lambda(1.0), estimator).unwrap();
        let mut objective = objective.joining(Joining::Sum);
        steps(method.as_mut(), &space, &net, Some(&mut objective), (200, 0.5));
        for (edge, (before, after)) in before.iter().zip(chances(method.as_ref())).enumerate() {
            assert!(after < *before, "{host} {estimator:?} edge {edge}: {before} to {after}");
        }
    }
}

#[test]
fn la_darts_8_costs_keep_their_unit_and_the_loss_has_none() {
    let space = Darts::new();
    let relaxed = relaxed(&uneven(28, 8));
    let joined = |factor: f64| {
        let values = toy::prices(&space).iter().map(|p| p * factor).collect();
        let cost = TableCost::new(&space, "latency_ms", 2.0 * factor, values).unwrap();
        assert_eq!((cost.column(), cost.unit()), ("latency_ms", "ms"));
        let goal = Goal::Lambda(0.5);
        let mut objective = Objective::new(&space, &cost, goal, Estimator::Expected).unwrap();
        let term = objective.term(&relaxed).unwrap().unwrap().double_value(&[]);
        (objective.reference(), objective.expected_cost(&relaxed).unwrap(), term)
    };
    let (small, large) = (joined(1.0), joined(1000.0));
    assert!((large.0 / small.0 - 1000.0).abs() < 1e-3);
    assert!((large.1 / small.1 - 1000.0).abs() < 1e-3);
    assert!((large.2 - small.2).abs() < 1e-6, "{} and {}", large.2, small.2);
    assert!((small.2 - 0.5 * small.1 / small.0).abs() < 1e-6);
}

#[test]
fn la_darts_8_a_predictor_answers_in_the_unit_of_its_table() {
    setup::ready();
    let space = NasBench201::new();
    let table = toy::cost(&space);
    let all: Vec<Architecture> = (0..300).map(|i| architecture_at(&space, 2, i).unwrap()).collect();
    let rows = |part: &[Architecture]| {
        let costs: Vec<f64> = part.iter().map(|a| table.cost(a).unwrap()).collect();
        Samples::of(&space, part.iter().zip(costs)).unwrap()
    };
    let choice = RegressorChoice::Named("linear".into());
    let options = TrainOptions { choice, compare: false, seed: 1 };
    let report = train(&space, &rows(&all[..250]), &rows(&all[250..]), &options).unwrap();
    let predictor = report.predictor(&space, "latency_ms", None, None).unwrap();
    let cost = PredictorCost::new(&predictor, &space, "latency_ms", Device::Cpu).unwrap();
    assert_eq!((cost.column(), cost.unit()), (table.column(), table.unit()));
    for architecture in &all[250..] {
        let (found, truth) = (cost.cost(architecture).unwrap(), table.cost(architecture).unwrap());
        assert!((found / truth - 1.0).abs() < 0.01, "{found} ms, the table says {truth} ms");
    }
}

#[test]
fn a_target_raises_its_multiplier_above_and_lowers_it_below() {
    let space = Darts::new();
    let cost = toy::cost(&space);
    let relaxed = relaxed(&uneven(28, 8));
    let mu = |objective: &Objective<'_>| objective.state()[0].1.double_value(&[0]);
    let after = |target: f64, n: usize| {
        let goal = Goal::Target(target);
        let mut objective = Objective::new(&space, &cost, goal, Estimator::Expected).unwrap();
        let mut all = Vec::new();
        for _ in 0..n {
            objective.term(&relaxed).unwrap();
            all.push(mu(&objective));
        }
        all
    };
    let now = Objective::new(&space, &cost, Goal::Lambda(0.0), Estimator::Expected).unwrap();
    let now = now.expected_cost(&relaxed).unwrap();
    let above = after(now / 2.0, 5);
    assert!(above[0] > 0.0 && above.is_sorted_by(|a, b| a < b), "{above:?}");
    assert_eq!(after(now * 2.0, 5), [0.0; 5], "never negative");

    // Checkpoints from before the cost had random draws of its own contain two numbers.
    let mut objective =
        Objective::new(&space, &cost, Goal::Target(1.0), Estimator::Expected).unwrap();
    let old = [("objective".to_owned(), Tensor::from_slice(&[0.5f64, 1.0]))];
    let error = objective.load(&old.into_iter().collect()).unwrap_err();
    assert_eq!(error, "objective of 3 numbers, not 2");
}
