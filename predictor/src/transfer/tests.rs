//! Tests of learning a device from others.

use std::path::Path;

use lat_space::NasBench201;
use tch::Tensor;

use super::*;
use crate::train::tests::{additive, gate_ms, synthetic};
use crate::{Metrics, RegressorChoice, TrainOptions, train};

/// A device on which the operations of choice `c` cost `factors[c]` times as much.
fn device(factors: [f64; 5]) -> impl Fn(&[f32]) -> f64 {
    move |gates| {
        let cost = |(i, g): (usize, &f32)| f64::from(*g) * gate_ms(i) * factors[i % 5];
        2.0 + gates.iter().enumerate().map(cost).sum::<f64>()
    }
}

const SOURCES: [[f64; 5]; 2] = [[1.0, 1.0, 2.0, 4.0, 1.0], [1.0, 0.5, 1.0, 3.0, 2.0]];
const NEW: [f64; 5] = [1.0, 0.7, 1.8, 5.0, 1.2];

fn trained(cost: impl Fn(&[f32]) -> f64, name: &str, rows: u64) -> Predictor {
    let space = NasBench201::new();
    let rows = synthetic(&space, 0..rows, cost);
    let options =
        TrainOptions { choice: RegressorChoice::Named(name.into()), compare: false, seed: 1 };
    let report = train(&space, &rows, &synthetic(&space, 0..0, additive), &options).unwrap();
    report.predictor(&space, "latency_ms", None, None).unwrap()
}

fn label() -> Label {
    let label = Label::new(&NasBench201::new(), "structured", "latency_ms", None).unwrap();
    Label { sources: vec!["a".into(), "b".into()], ..label }
}

fn spearman(truth: &Samples, predicted: &[f64]) -> f64 {
    Metrics::of(&truth.values.to_vec(), predicted).unwrap().spearman
}

#[test]
fn ten_samples_and_two_devices_beat_the_ridge_and_fold() {
    let space = NasBench201::new();
    let sources = SOURCES.map(|f| trained(device(f), "structured", 150));
    let sources = Sources::new(&space, "latency_ms", &sources).unwrap();
    let (samples, test) =
        (synthetic(&space, 3000..3010, device(NEW)), synthetic(&space, 4000..4300, device(NEW)));
    let transfer = sources.transfer(&samples, 0).unwrap();
    assert!(transfer.is_folded() && transfer.held_out_error() > 0.0);
    let predictor = transfer.predictor(label());
    assert_eq!((predictor.label().regressor.as_str(), predictor.label().n_train), (TRANSFER, 10));
    let ridge = sources.baseline(Baseline::Ridge, &samples, test.gates.view()).unwrap().to_vec();
    let own = predictor.predict_gates(test.gates.view()).unwrap();
    assert!(spearman(&test, &own.values) >= spearman(&test, &ridge));
    assert!(own.sds.iter().zip(&own.values).all(|(sd, v)| *sd > 0.0 && sd < v));
    // The folded model equals the sum of its parts.
    let (scores, features) = (sources.scores(&test).unwrap(), sources.features(&test).unwrap());
    let correction = (&sources.features(&samples).unwrap() * sources.prior()).dot(&features.t());
    let rows = Rows {
        scores: sources.scores(&samples).unwrap(),
        correction: (&sources.features(&samples).unwrap() * sources.prior())
            .dot(&sources.features(&samples).unwrap().t()),
        mean_spread: sources.mean_spread(),
    };
    let weights = mixture::fit(&rows, &samples.values.to_vec()).unwrap();
    let expected =
        scores.dot(&weights.by_source) + weights.by_row.dot(&correction) + weights.constant;
    for (found, expected) in predictor.uncut_costs(test.gates.view()).unwrap().iter().zip(expected)
    {
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn sources_of_other_forms_stay_parts_and_are_saved_with_their_gradients() {
    let space = NasBench201::new();
    // Costs that multiply are linear on a logarithmic scale only.
    let product = |g: &[f32]| additive(g).powi(3).exp2().ln().exp();
    let sources = [
        crate::predictor::tests::trained(&space),
        trained(|g| (product(g) / 200.0).exp().min(1e6) + 0.1, "structured", 80),
        trained(device(SOURCES[0]), "linear", 60),
    ];
    let sources = Sources::new(&space, "latency_ms", &sources).unwrap();
    let samples = synthetic(&space, 3000..3012, device(NEW));
    let transfer = sources.transfer(&samples, 0).unwrap();
    assert!(!transfer.is_folded());
    let predictor = transfer.predictor(label());
    let bytes = predictor.to_bytes().unwrap();
    let loaded = Predictor::from_bytes(&bytes, Path::new("memory")).unwrap();
    assert_eq!(loaded.label(), predictor.label());
    let gates = synthetic(&space, 100..140, additive).gates;
    let predict = |p: &Predictor| p.predict_gates(gates.view()).unwrap();
    assert_eq!(predict(&loaded), predict(&predictor));
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    let soft = Tensor::full([2, 30], 0.2, (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
    let (cost, sd) = loaded.forward_with_sd(&soft).unwrap();
    cost.sum(Kind::Float).backward();
    assert!(soft.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
    assert!(sd.double_value(&[0]) > 0.0);
    // A transferred predictor can be a source like any other.
    let again = [loaded];
    let again = Sources::new(&space, "latency_ms", &again).unwrap();
    let once = again.transfer(&samples, 0).unwrap().predictor(label());
    assert!(once.predict_gates(gates.view()).unwrap().values.iter().all(|v| *v > 0.0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let space = NasBench201::new();
    let sources = [trained(device(NEW), "linear", 30)];
    let message = |column| Sources::new(&space, column, &sources).unwrap_err().to_string();
    assert!(message("energy_mj").contains("found latency_ms (unit ms)"));
    let other = Sources::new(&lat_space::Darts::new(), "latency_ms", &sources).unwrap_err();
    assert!(other.to_string().contains("search space darts, found nasbench201"));
    assert!(Sources::new(&space, "latency_ms", &[]).is_err());
    let sources = Sources::new(&space, "latency_ms", &sources).unwrap();
    let message =
        |n| sources.transfer(&synthetic(&space, 0..n, additive), 0).unwrap_err().to_string();
    assert!(message(2).contains("at least 3 samples of the new device, found 2"));
    assert!(message(201).contains("at most 200 samples") && message(201).contains("--train"));
    assert!(sources.transfer(&synthetic(&space, 0..3, additive), 0).is_ok());
    let mut samples = synthetic(&space, 0..5, additive);
    samples.values.fill(2.0);
    let constant = sources.transfer(&samples, 0).unwrap().predictor(label());
    let costs = constant.predict_gates(samples.gates.view()).unwrap().values;
    assert!(costs.iter().all(|c| (c - 2.0).abs() < 1e-3), "{costs:?}");
}
