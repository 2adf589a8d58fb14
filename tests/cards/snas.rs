//! SNAS, arXiv 1812.09926.
//!
//! Tested elsewhere: 3 and 7 (gradient, temperature) in `src/methods/snas.rs`.

use std::sync::Mutex;

use lat::objective::{Estimator, Goal, Objective};
use lat::relaxed::{Blocks, Relaxed};
use lat::supernet::Supernet;
use lat_predictor::{CostModel, PredictError, TableCost};
use lat_space::{Architecture, ChoiceSet, Darts, Space};
use tch::{Kind, Tensor};

use super::paths::{built, frequencies};
use crate::toy_net::{N_TRAIN, ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup, toy};

/// Passes of `n_steps` steps that draw all 28 edges from this row of logits.
fn draws(row: &Tensor, tau: f64, n_steps: usize) -> Vec<crate::toy_net::Pass> {
    let space = Darts::new();
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let options = [("alpha_lr", 0.0.into()), ("tau", tau.into()), ("tau_min", tau.into())];
    let mut method = built("snas", &space, &options);
    begin_with(method.as_mut(), &net, &[("alpha", row.repeat([28, 1]))]);
    steps(method.as_mut(), &space, &net, None, (n_steps, 0.5));
    net.passes()
}

fn even() -> Tensor {
    Tensor::ones([8], tch::kind::FLOAT_CPU)
}

#[test]
fn snas_1_draws_are_distributions_that_harden_as_the_temperature_falls() {
    setup::ready();
    let z = |tau| {
        Tensor::cat(&draws(&even(), tau, 36).iter().map(|p| &p.weights).collect::<Vec<_>>(), 0)
    };
    let (cold, hot) = (z(0.03), z(10.0));
    for z in [&cold, &hot] {
        let sums = z.sum_dim_intlist(1, false, Kind::Float);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
        assert!(z.min().double_value(&[]) >= 0.0);
    }
    assert!(hot.min().double_value(&[]) > 0.0);
    assert!(cold.amax([1i64].as_slice(), false).mean(Kind::Float).double_value(&[]) > 0.95);
    assert!((hot - 0.125).abs().mean(Kind::Float).double_value(&[]) < 0.03);
}

#[test]
fn snas_2_the_largest_entry_is_a_draw_from_the_softmax_at_any_temperature() {
    setup::ready();
    let row = Tensor::from_slice(&[0.0f32, 1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.2]);
    let expected = row.softmax(-1, Kind::Double);
    for tau in [0.03, 5.0] {
        for (c, found) in frequencies(&draws(&row, tau, 800)).into_iter().enumerate() {
            let expected = expected.double_value(&[c as i64]);
            assert!((found - expected).abs() < 0.01, "{c}: {found}, {expected}");
        }
    }
}

#[test]
fn snas_4_alpha_of_a_cell_type_that_the_loss_does_not_see_rests() {
    let space = Darts::new();
    let mut harms = vec![0.0; 28 * 8];
    harms[..14 * 8].copy_from_slice(&toy::prices(&space)[..14 * 8]);
    let net = ToyNet::new(&space, &harms);
    let mut method = built("snas", &space, &[("alpha_decay", 0.0.into())]);
    method.begin(&net);
    let before = parameter(method.as_ref(), "alpha");
    steps(method.as_mut(), &space, &net, None, (3, 0.5));
    let after = parameter(method.as_ref(), "alpha");
    assert_eq!(after.narrow(0, 14, 14), before.narrow(0, 14, 14));
    assert!((after - before).narrow(0, 0, 14).abs().min().double_value(&[]) > 0.0);
}

#[test]
fn snas_5_one_pass_over_a_training_batch_moves_weights_and_alpha() {
    setup::ready();
    let space = Darts::new();
    let supernet = super::paths::real_net(&space);
    let net = Watched::new(&supernet, &space);
    let mut method = built("snas", &space, &[]);
    assert!(method.is_one_level());
    method.begin(&net);
    let (alpha, before) =
        (parameter(method.as_ref(), "alpha"), formula::values(supernet.weights()));
    super::paths::steps_on_images(method.as_mut(), &space, &net);
    let passes = net.passes();
    assert_eq!(passes.len(), 1);
    assert_ne!(parameter(method.as_ref(), "alpha"), alpha);
    let after = formula::values(supernet.weights());
    assert!(before.iter().all(|(name, value)| after[name] != *value), "all operations learn");

    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let mut method = built("snas", &space, &[]);
    method.begin(&net);
    steps(method.as_mut(), &space, &net, None, (3, 0.5));
    assert!(net.passes().iter().all(|p| p.n_images == N_TRAIN), "no validation batch is read");
}

/// A cost that keeps the codes that it is asked about.
struct Asked(TableCost, Mutex<Vec<Tensor>>);

impl CostModel for Asked {
    fn column(&self) -> &str {
        self.0.column()
    }

    fn unit(&self) -> &str {
        self.0.unit()
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        self.0.cost(architecture)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        self.1.lock().unwrap().push(gates.detach());
        self.0.relaxed(gates)
    }
}

#[test]
fn snas_6_the_cost_reads_the_draw_or_the_mean() {
    setup::ready();
    let space = Darts::new();
    let toy = ToyNet::indifferent(&space);
    for of in ["draw", "mean"] {
        let net = Watched::new(&toy, &space);
        let cost = Asked(toy::cost(&space), Mutex::default());
        let mut objective = Objective::new(&space, &cost, Goal::Lambda(1.0), Estimator::Expected)
            .unwrap()
            .joining(lat::steering::Joining::Sum);
        let mut method = built("snas", &space, &[("cost", of.into()), ("alpha_lr", 0.0.into())]);
        method.begin(&net);
        let probs = Tensor::stack(&method.relaxed().probs, 0);
        steps(method.as_mut(), &space, &net, Some(&mut objective), (1, 0.5));
        let (asked, z) = (cost.1.lock().unwrap().pop().unwrap(), net.passes().remove(0).weights);
        let expected = if of == "draw" { z } else { probs };
        assert!(asked.allclose(&expected.view([-1]), 0.0, 1e-6, false), "{of}");
    }
}

#[test]
fn snas_6_the_mean_cost_of_cold_draws_is_that_of_the_softmax() {
    setup::ready();
    let space = Darts::new();
    let (blocks, cost) = (Blocks::new(&space), toy::cost(&space));
    let price = |probs: &Tensor| {
        let relaxed = Relaxed::free(probs.unbind(0));
        cost.relaxed(&blocks.expected(&relaxed)).unwrap().double_value(&[])
    };
    let row = Tensor::from_slice(&[0.0f32, 1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.2]);
    let probs = row.softmax(-1, Kind::Float).repeat([28, 1]);
    let exact = price(&probs);
    let prices = Tensor::from_slice(&toy::prices(&space)).view([28, 8]);
    let sum = (&probs * prices).sum(Kind::Double).double_value(&[]);
    assert!((exact - 2.0 - sum).abs() < 1e-4 * exact, "{exact}, {sum}");
    let all = draws(&row, 0.03, 400);
    let mean = all.iter().map(|pass| price(&pass.weights)).sum::<f64>() / all.len() as f64;
    assert!((mean / exact - 1.0).abs() < 0.02, "{mean}, {exact}");
}

#[test]
fn snas_8_none_decides_the_edges() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    let mut method = built("snas", &space, &[]);
    // All 14 normal edges except edge 0 prefer operation 4. All reduction edges prefer `none`, edge 14 least.
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    let _ = alpha.narrow(0, 0, 14).narrow(1, 4, 1).fill_(3.0);
    let _ = alpha.narrow(0, 14, 14).narrow(1, 0, 1).fill_(3.0);
    let _ = alpha.get(0).get(0).fill_(5.0);
    let _ = alpha.get(14).get(6).fill_(2.5);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let derived = method.derive(&space);
    space.check(&derived).unwrap();
    let none = ChoiceSet::one(0);
    assert_eq!(derived.choices[0], none);
    assert!(derived.choices[1..14].iter().all(|c| *c == ChoiceSet::one(4)));
    // One edge per node is kept and the others are dropped: a cell has no node without input.
    assert_eq!(derived.choices[14], ChoiceSet::one(6));
    assert_eq!(derived.choices[14..].iter().filter(|c| **c != none).count(), 4);
}

#[test]
fn snas_refuses_a_temperature_of_0() {
    super::paths::refused("snas", ("tau_min", 0.0.into()), "0 < tau_min");
    super::paths::refused("snas", ("cost", "median".into()), "median");
}
