//! Diagnostics of searches: the survey's five problems, one number each.
//!
//! Tested elsewhere: 1 (power iteration), 4 (Gini) and the counts of 2 in `src/diagnostics`; 3 (Kendall) in
//! `predictor/src/metrics.rs`, in the crate that computes it. Not offered: the redundancy of 6, the kendall of supernet scores; 8
//! is measured (docs/methods-memory.md).

use std::path::Path;

use lat::diagnostics::Watch;
use lat::methods::find_method;
use lat::objective::{Estimator, Goal, Objective};
use lat::search::SearchOutcome;
use lat_predictor::TableCost;
use lat_space::{NasBench201, SearchSpace, Space};

use crate::toy::{self, Plan, bits};

const LOOK: Watch = Watch { diagnostics: true, hessian_every: 1, stop_on_collapse: false };

/// A cost in which operations with weights are expensive and the others cost nothing.
fn dear_weights(space: &dyn SearchSpace) -> TableCost {
    let decisions = space.decisions().iter();
    let prices = decisions
        .flat_map(|d| (0..d.choices.len()).map(|c| if d.is_weightless(c) { 0.0 } else { 10.0 }));
    TableCost::new(space, "latency_ms", 1.0, prices.collect()).unwrap()
}

fn search(method: &str, plan: &Plan, lambda: f64, checkpoint: &Path) -> SearchOutcome {
    let space = NasBench201::new();
    let cost = dear_weights(&space);
    let goal = Goal::Lambda(lambda);
    let objective = Objective::new(&space, &cost, goal, Estimator::Expected)
        .unwrap()
        .joining(lat::steering::Joining::Sum);
    let entry = find_method(method).unwrap();
    toy::search(&space, entry, plan, Some(objective), checkpoint).unwrap()
}

#[test]
fn survey_2_free_mass_rises_where_weights_are_dear() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { watch: LOOK, ..Plan::new(4) };
    let found = search("darts", &plan, 20.0, &folder.path().join("c"));
    let mass: Vec<f64> = found.epochs.iter().map(|e| e.diagnostics.unwrap().free_mass).collect();
    assert!(mass.windows(2).all(|pair| pair[1] > pair[0]), "{mass:?}");
    // Three of five choices of NAS-Bench-201 have no weights.
    assert!(mass[0] > 0.6 && mass[3] < 1.0, "{mass:?}");
    let last = found.epochs.last().unwrap().diagnostics.unwrap();
    assert!(last.cost_gradient_share.unwrap() > 0.9, "{last:?}");
    assert!(last.free_gradient_share.unwrap() > 0.0, "{last:?}");
    assert!(last.hessian_eigenvalue.unwrap().is_finite(), "{last:?}");
}

#[test]
fn survey_5_derivation_costs_nothing_where_gates_are_one_hot_already() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { watch: LOOK, ..Plan::new(1) };
    let of = |method: &str| {
        let found = search(method, &plan, 0.0, &folder.path().join(method));
        found.epochs[0].diagnostics.unwrap()
    };
    let single = of("gdas");
    assert_eq!(single.discretisation_gap, Some(0.0));
    // Its supernet is never run as a mixture, because there may not be enough memory for that.
    assert_eq!((single.hessian_eigenvalue, single.free_gradient_share), (None, None));
    let mixture = of("darts");
    assert!(mixture.discretisation_gap.unwrap().abs() > 1e-5, "{mixture:?}");
    assert_eq!(mixture.cost_gradient_share, None, "lambda 0: the loss has no cost");
}

#[test]
fn survey_7_looking_changes_nothing() {
    for method in
        ["darts", "pc-darts", "p-darts", "gdas", "snas", "mergenas", "entrannas", "random"]
    {
        let folder = tempfile::tempdir().unwrap();
        let files = ["off", "on"].map(|name| folder.path().join(name));
        let [off, on] = [Watch::OFF, LOOK].map(|watch| {
            let plan = Plan { watch, ..Plan::new(3) };
            search(method, &plan, 0.5, &files[usize::from(watch.diagnostics)])
        });
        assert_eq!(off.architecture, on.architecture, "{method}");
        assert!(off.epochs.iter().all(|e| e.diagnostics.is_none()), "{method}");
        assert!(on.epochs.iter().all(|e| e.diagnostics.is_some()), "{method}");
        for (off, on) in off.epochs.iter().zip(&on.epochs) {
            assert_eq!(off.train_loss.to_bits(), on.train_loss.to_bits(), "{method}");
            assert_eq!(off.valid_loss.to_bits(), on.valid_loss.to_bits(), "{method}");
        }
        for part in ["net.", "method.", "objective"] {
            assert!(bits(&files[0], part) == bits(&files[1], part), "{method}: {part}");
        }
    }
}

#[test]
fn gradients_are_told_apart_operation_by_operation() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { watch: LOOK, ..Plan::new(2) };
    for method in ["darts", "gdas"] {
        let found = search(method, &plan, 0.0, &folder.path().join(method));
        let last = found.epochs.last().unwrap().diagnostics.unwrap();
        let gini = last.gradient_gini.unwrap();
        // Two of five choices have weights, so if one of them takes everything, the Gini coefficient is 1/2.
        assert!(gini > 0.0 && gini <= 0.5, "{method}: {gini}");
        assert!(last.rich_get_richer.unwrap().abs() <= 1.0, "{method}");
    }
}

#[test]
fn a_search_that_collapses_is_stopped_with_what_it_had_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c");
    let watch = Watch { stop_on_collapse: true, ..LOOK };
    let plan = Plan { watch, ..Plan::new(9) };
    let found = search("darts", &plan, 50.0, &file);
    let collapse = found.collapse.expect("nothing that learns is left");
    assert!(found.stopped && found.epochs.len() < 9, "{collapse:?}");
    assert_eq!(collapse.epoch as usize, found.epochs.len());
    assert!(collapse.reason.contains("--lambda"), "{}", collapse.reason);
    let space = NasBench201::new();
    let kept = &found.epochs[collapse.keep as usize - 1].architecture;
    assert_eq!(&space.format(&found.architecture), kept);

    // The same command reports the same again.
    let again = search("darts", &plan, 50.0, &file);
    assert_eq!(again.architecture, found.architecture);
    assert_eq!((again.epochs.len(), again.stopped), (found.epochs.len(), true));
    // Without the option the search continues and only reports.
    let plan = Plan { watch: LOOK, ..Plan::new(9) };
    let on = search("darts", &plan, 50.0, &file);
    assert_eq!((on.epochs.len(), on.stopped), (9, false));
    assert_eq!(on.collapse.unwrap(), collapse);
}
