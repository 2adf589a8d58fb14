//! Tests of the choice, and made-up samples for other tests.

use lat_space::{Darts, NasBench201, SearchSpace, architecture_at};

use super::*;

/// Architectures of the space, with a cost computed from their gates. Those without a path from input to output have a price of
/// their own, so they are replaced by a neighbour.
pub(crate) fn synthetic(
    space: &dyn SearchSpace,
    range: std::ops::Range<u64>,
    cost: impl Fn(&[f32]) -> f64,
) -> Samples {
    let at = |i| architecture_at(space, 11, i).unwrap();
    let reach = crate::disconnected::reach(space);
    let is_connected = |a: &Architecture| {
        let gates = a.gates(space.decisions());
        reach.as_ref().is_none_or(|map| map.encode(&gates)[0] > 0.5)
    };
    let connected = |i: u64| (i..i + 1000).map(at).find(is_connected).unwrap();
    let all: Vec<Architecture> = range.map(connected).collect();
    samples(space, &all, cost)
}

/// Samples of these architectures.
fn samples(space: &dyn SearchSpace, all: &[Architecture], cost: impl Fn(&[f32]) -> f64) -> Samples {
    let costs: Vec<f64> = all.iter().map(|a| cost(&a.gates(space.decisions()))).collect();
    Samples::of(space, all.iter().zip(costs)).unwrap()
}

/// A made-up latency for a gate, 0.1 to 2.
pub(crate) fn gate_ms(gate: usize) -> f64 {
    0.1 + (gate * 7919 % 191) as f64 / 100.0
}

pub(crate) fn additive(gates: &[f32]) -> f64 {
    3.0 + gates.iter().enumerate().map(|(i, g)| f64::from(*g) * gate_ms(i)).sum::<f64>()
}

/// Two branches side by side; the slower one counts.
fn slower_branch(gates: &[f32]) -> f64 {
    let (a, b) = gates.split_at(gates.len() / 2);
    additive(a).max(additive(b))
}

fn options(choice: RegressorChoice) -> TrainOptions {
    TrainOptions { choice, compare: false, seed: 4 }
}

fn mape(report: &Report, name: &str) -> f64 {
    report.fitted.iter().find(|f| f.entry.name == name).unwrap().test.unwrap().mape
}

#[test]
fn mlp_reaches_one_percent_on_an_additive_latency() {
    let space = Darts::new();
    let (rows, test) =
        (synthetic(&space, 0..2000, additive), synthetic(&space, 2000..2500, additive));
    let report =
        train(&space, &rows, &test, &options(RegressorChoice::Named("structured".into()))).unwrap();
    assert!(mape(&report, "structured") < 1.0, "{report:?}");
    assert_eq!(report.reason, "structured was asked for");
    assert_eq!(report.best().predicted.len(), 500);
}

#[test]
fn mlp_beats_the_ridge_where_costs_do_not_add_up() {
    let space = Darts::new();
    let rows = synthetic(&space, 0..2000, slower_branch);
    let test = synthetic(&space, 2000..2500, slower_branch);
    let report = train(&space, &rows, &test, &options(RegressorChoice::Auto)).unwrap();
    assert!(mape(&report, "structured") < 0.8 * mape(&report, "linear"), "{report:?}");
    assert_eq!(report.best().entry.name, "structured");
    assert!(report.reason.starts_with("structured has"), "{}", report.reason);
}

#[test]
fn mlp_is_no_worse_than_the_ridge_with_few_samples() {
    let space = Darts::new();
    for cost in [additive as fn(&[f32]) -> f64, slower_branch] {
        let (rows, test) = (synthetic(&space, 0..50, cost), synthetic(&space, 2000..2500, cost));
        let report = train(&space, &rows, &test, &options(RegressorChoice::Auto)).unwrap();
        assert!(mape(&report, "structured") <= 1.1 * mape(&report, "linear"), "{report:?}");
    }
}

#[test]
fn scaling_the_targets_scales_the_predictions() {
    let space = NasBench201::new();
    let (rows, test) =
        (synthetic(&space, 0..120, slower_branch), synthetic(&space, 120..150, slower_branch));
    let in_us = |s: &Samples| Samples { gates: s.gates.clone(), values: &s.values * 1000.0 };
    let all = TrainOptions { choice: RegressorChoice::Auto, compare: true, seed: 4 };
    let ms = train(&space, &rows, &test, &all).unwrap();
    let us = train(&space, &in_us(&rows), &in_us(&test), &all).unwrap();
    assert_eq!(ms.fitted.len(), REGRESSORS.len());
    for (ms, us) in ms.fitted.iter().zip(&us.fitted) {
        for (a, b) in ms.predicted.iter().zip(&us.predicted) {
            // Trees split at places where rounding may decide between two sides.
            let tolerance = if matches!(ms.entry.name, "forest" | "boosting") { 0.2 } else { 1e-3 };
            assert!((b / a / 1000.0 - 1.0).abs() < tolerance, "{}: {a} {b}", ms.entry.name);
        }
    }
}

#[test]
fn what_counts_alone_decide_is_learnt_from_twenty_rows() {
    let space = NasBench201::new();
    let per_choice = |g: &[f32]| {
        1.0 + g.iter().enumerate().map(|(i, g)| f64::from(*g) * gate_ms(i % 5)).sum::<f64>()
    };
    let (rows, test) =
        (synthetic(&space, 0..20, per_choice), synthetic(&space, 20..220, per_choice));
    let report = train(&space, &rows, &test, &options(RegressorChoice::Auto)).unwrap();
    assert!(mape(&report, "linear-counts") < 0.1, "{report:?}");
    assert!(report.best().test.unwrap().mape < 0.1, "{report:?}");
}

#[test]
fn another_than_the_last_candidate_has_to_be_clearly_better() {
    let fitted = |errors: [f64; 3]| -> Vec<Fitted> {
        let entries = REGRESSORS.iter().filter(|e| e.is_candidate).zip(errors);
        let fitted = |(entry, error)| Fitted {
            entry,
            validation_error: Some(error),
            test: None,
            predicted: Array1::zeros(0),
            seconds: 0.0,
        };
        entries.map(fitted).collect()
    };
    let wanted = wanted(&RegressorChoice::Auto).unwrap();
    assert_eq!(wanted, ["linear-counts", "linear", "structured"]);
    let (chosen, reason) = choose(&fitted([4.9, 7.0, 5.0]), &wanted, 1000);
    assert_eq!(chosen, 2);
    assert!(reason.ends_with("and linear-counts is not better by 5 %"), "{reason}");
    let (chosen, reason) = choose(&fitted([4.7, 4.0, 5.0]), &wanted, 1000);
    assert_eq!(chosen, 1);
    assert_eq!(
        reason,
        "linear has 4.00 % error on rows held out while fitting (linear-counts 4.70 %, structured 5.00 %)"
    );
    // Ten rows are too few to be sure.
    let (chosen, reason) = choose(&fitted([4.7, 4.0, 5.0]), &wanted, 10);
    assert_eq!(chosen, 2);
    assert!(reason.ends_with("and linear is not better by 47 %"), "{reason}");
}

#[test]
fn baselines_are_fitted_for_comparison_only() {
    let space = NasBench201::new();
    let rows = synthetic(&space, 0..30, additive);
    let names = |compare| {
        let options = TrainOptions { compare, ..options(RegressorChoice::Auto) };
        let report = train(&space, &rows, &rows, &options).unwrap();
        report.fitted.iter().map(|f| f.entry.name).collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["linear-counts", "linear", "structured"]);
    assert_eq!(names(true).len(), REGRESSORS.len());
}

#[test]
fn what_cannot_be_saved_or_trained_is_refused() {
    let space = NasBench201::new();
    let rows = synthetic(&space, 0..12, additive);
    let empty = synthetic(&space, 0..0, additive);
    let message = |rows: &Samples, name: &str| {
        train(&space, rows, &empty, &options(RegressorChoice::Named(name.into())))
            .unwrap_err()
            .to_string()
    };
    assert!(message(&rows, "forest").contains("forest has no gradient"));
    assert!(
        message(&rows, "forest")
            .contains("linear-counts, linear, lookup-table, elastic-net, structured")
    );
    assert!(message(&rows, "svm").contains("unknown regressor 'svm'"));
    assert!(message(&synthetic(&space, 0..9, additive), "structured").contains("found 9"));
    let other = synthetic(&Darts::new(), 0..12, additive);
    assert!(message(&other, "linear").contains("expected 30 gates, found 224"));
    let report =
        train(&space, &rows, &empty, &options(RegressorChoice::Named("linear".into()))).unwrap();
    assert_eq!(report.best().test, None);
}

/// Whether no path of operations leads through the cell. The gates of `none` are the first choice of each edge.
fn is_cut(gates: &[f32]) -> bool {
    let on: Vec<bool> = (0..6).map(|edge| gates[5 * edge] == 0.0).collect();
    // Edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
    let to_2 = on[1] || (on[0] && on[2]);
    !(on[3] || (on[0] && on[4]) || (to_2 && on[5]))
}

fn phone(gates: &[f32]) -> f64 {
    if is_cut(gates) { 0.003 } else { additive(gates) }
}

#[test]
fn cells_without_a_path_have_their_price_and_do_not_bend_the_others() {
    let space = NasBench201::new();
    let drawn = |range: std::ops::Range<u64>| {
        let all: Vec<_> = range.map(|i| architecture_at(&space, 11, i).unwrap()).collect();
        samples(&space, &all, phone)
    };
    let (rows, test) = (drawn(0..400), drawn(400..1400));
    let n_cut = |samples: &Samples| {
        samples.gates.rows().into_iter().filter(|r| is_cut(&r.to_vec())).count()
    };
    assert!(n_cut(&rows) > 2 && n_cut(&test) > 5, "{} {}", n_cut(&rows), n_cut(&test));
    let report = train(&space, &rows, &test, &options(RegressorChoice::Auto)).unwrap();
    for fitted in &report.fitted {
        assert!(fitted.test.unwrap().mape < 15.0, "{fitted:?}");
    }
    assert!(mape(&report, "structured") < 1.0, "{report:?}");
    let predictor = report.predictor(&space, "latency_ms", None, None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.lat");
    predictor.save(&file).unwrap();
    let predictor = Predictor::load(&file).unwrap();
    let columns: Vec<f32> = test.gates.t().iter().copied().collect();
    let (rows, n) = (test.gates.view(), test.len());
    let found = [
        predictor.price_gates(rows).unwrap(),
        predictor.predict_gates(rows).unwrap().values,
        predictor.price_columns(&columns, n).unwrap(),
        predictor.predict_columns(&columns, n).unwrap().values,
    ];
    for values in found {
        for (value, gates) in values.iter().zip(rows.rows()) {
            assert_eq!(*value == 0.003, is_cut(&gates.to_vec()), "{value}");
        }
    }
}

#[test]
fn regressors_are_compared_on_the_scale_that_suits_the_costs() {
    let space = NasBench201::new();
    // Costs of parts multiply, over three decades.
    let cost = |gates: &[f32]| (1.2 * additive(gates)).exp();
    let (rows, test) = (synthetic(&space, 0..300, cost), synthetic(&space, 300..500, cost));
    let options = TrainOptions { compare: true, ..options(RegressorChoice::Auto) };
    let report = train(&space, &rows, &test, &options).unwrap();
    for name in ["linear", "elastic-net", "gp"] {
        assert!(mape(&report, name) < 5.0, "{name}: {}", mape(&report, name));
    }
    assert!(mape(&report, "boosting") < 40.0, "{}", mape(&report, "boosting"));
    assert!(mape(&report, "lookup-table") > 50.0, "a table of costs adds them up");
}
