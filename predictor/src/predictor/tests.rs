//! Tests of the predictor.

use std::path::Path;
use std::sync::OnceLock;

use lat_space::{Darts, NasBench201, Skeleton, Stem};
use ndarray::Array2;

use super::*;
use crate::train::{RegressorChoice, Samples, TrainOptions, train};

/// A predictor, with networks, of a made-up latency in which two decisions interact. It is trained once for all tests.
pub(crate) fn trained(space: &NasBench201) -> Predictor {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| train_anew(space).to_bytes().unwrap());
    Predictor::from_bytes(bytes, Path::new("memory")).unwrap()
}

fn train_anew(space: &NasBench201) -> Predictor {
    let cost = |g: &[f32]| {
        let sum: f64 = g.iter().enumerate().map(|(i, g)| f64::from(*g) * (i % 7) as f64).sum();
        // The larger of two branches, which no sum of features can express.
        let other: f64 = g.iter().enumerate().map(|(i, g)| f64::from(*g) * (i % 11) as f64).sum();
        5.0 + sum.max(other)
    };
    let all: Vec<_> = (0..600).map(|i| lat_space::architecture_at(space, 1, i).unwrap()).collect();
    let gates = all.iter().map(|a| a.gates(space.decisions()));
    let rows = Samples::of(space, all.iter().zip(gates.map(|g| cost(&g)))).unwrap();
    let choice = RegressorChoice::Named("structured".into());
    let options = TrainOptions { choice, compare: false, seed: 2 };
    let report = train(space, &rows, &rows, &options).unwrap();
    let predictor = report.predictor(space, "latency_ms", Some(&header()), Some(1.5)).unwrap();
    assert!(predictor.model.correction.is_some(), "the target needs networks: {report:?}");
    predictor
}

fn header() -> lat_data::RunHeader {
    let stem = Stem::Cifar;
    lat_data::RunHeader {
        version: lat_data::RunHeader::VERSION,
        space: "nasbench201".into(),
        skeleton: Skeleton { channels: 16, layers: 15, resolution: 32, classes: 10, stem },
        seed: 0,
        batch: 8,
        device: "cuda:0".into(),
        device_name: "Some GPU".into(),
        point: lat_data::OperatingPoint::default(),
        shard: None,
        threads: 2,
        reference_ms: None,
        versions: vec![],
    }
}

#[test]
fn what_is_read_predicts_what_was_trained() {
    let space = NasBench201::new();
    let (anew, read) = (train_anew(&space), trained(&space));
    let gates: Vec<f32> =
        lat_space::architecture_at(&space, 5, 9).unwrap().gates(space.decisions());
    let gates = Array2::from_shape_vec((1, 30), gates).unwrap();
    let cost = |p: &Predictor| p.predict_gates(gates.view()).unwrap();
    let (anew, read) = (cost(&anew), cost(&read));
    assert!((anew.values[0] / read.values[0] - 1.0).abs() < 1e-5);
    assert!((anew.sds[0] / read.sds[0] - 1.0).abs() < 1e-4);
}

#[test]
fn label_says_what_and_where_from() {
    let space = NasBench201::new();
    let predictor = trained(&space);
    let label = predictor.label();
    assert_eq!((label.column.as_str(), label.unit.as_str()), ("latency_ms", "ms"));
    assert_eq!((label.device_name.as_deref(), label.batch), (Some("Some GPU"), Some(8)));
    assert_eq!((label.n_train, label.seed, label.noise_floor), (600, 2, Some(1.5)));
    assert_eq!((label.regressor.as_str(), label.decisions.len()), ("structured", 6));
    assert!(label.errors.unwrap().n == 600);
}

#[test]
fn mismatches_name_both_sides() {
    let space = NasBench201::new();
    let mut predictor = trained(&space);
    assert!(predictor.check(&space, "latency_ms").is_ok());
    let message =
        |p: &Predictor, space: &dyn Space, column| p.check(space, column).unwrap_err().to_string();
    let error = message(&predictor, &Darts::new(), "latency_ms");
    assert!(error.contains("search space darts, found nasbench201; name a predictor"), "{error}");
    let error = message(&predictor, &space, "energy_mj");
    assert!(error.contains("energy_mj (unit mj), found latency_ms (unit ms)"), "{error}");
    predictor.label.decisions[1].choices.swap(0, 1);
    let error = message(&predictor, &space, "latency_ms");
    assert!(error.contains("decision cell/0-2 of none, skip_connect"), "{error}");
    assert!(error.contains("found cell/0-2 of skip_connect, none"), "{error}");
    predictor.label.decisions.pop();
    let error = message(&predictor, &space, "latency_ms");
    assert!(error.contains("6 decisions for nasbench201, found 5 decisions"), "{error}");
    let other = lat_data::RunHeader { space: "darts".into(), ..header() };
    assert!(Label::new(&space, "one-hot", "latency_ms", Some(&other)).is_err());
}

#[test]
fn gates_of_another_width_are_refused() {
    let predictor = trained(&NasBench201::new());
    let error = predictor.predict_gates(Array2::zeros((2, 23)).view()).unwrap_err().to_string();
    assert!(error.contains("expected 30 gates, found 23"));
    let error = predictor.forward(&Tensor::from_slice(&[1.0f32; 30])).map(|_| ()).unwrap_err();
    assert!(matches!(error, PredictError::Width { expected: 30, .. }));
}

#[test]
fn columns_are_priced_as_rows_are() {
    let space = NasBench201::new();
    let predictor = trained(&space);
    let all: Vec<_> = (0..70).map(|i| lat_space::architecture_at(&space, 6, i).unwrap()).collect();
    let rows: Vec<f32> = all.iter().flat_map(|a| a.gates(space.decisions())).collect();
    let rows = Array2::from_shape_vec((70, 30), rows).unwrap();
    let columns: Vec<f32> = rows.t().iter().copied().collect();
    let (by_row, by_column) = (
        predictor.predict_gates(rows.view()).unwrap(),
        predictor.predict_columns(&columns, 70).unwrap(),
    );
    let values = predictor.price_columns(&columns, 70).unwrap();
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a / b - 1.0).abs() < 1e-4);
    assert!(near(&by_row.values, &values) && near(&by_row.values, &by_column.values));
    assert!(near(&by_row.sds, &by_column.sds));
    assert_eq!(by_row.is_off_data, by_column.is_off_data);
    assert!(predictor.price_columns(&columns, 71).is_err());
    let error = predictor.price_columns(&[f32::NAN; 60], 2).unwrap_err().to_string();
    assert!(error.contains("expected finite gates"), "{error}");
}

/// This variable is set in the process that measures its own memory.
const MEASURES: &str = "LAT_TEST_MEASURES_MEMORY";

/// Other tests use memory too, so this one measures in a process of its own.
#[test]
fn features_of_many_rows_are_not_in_memory_together() {
    if std::env::var_os(MEASURES).is_some() {
        return measure_memory();
    }
    let name = "predictor::tests::features_of_many_rows_are_not_in_memory_together";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(MEASURES, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{told}");
}

fn measure_memory() {
    const FEATURES_MIB: usize = 128;
    let predictor = trained(&NasBench201::new());
    let n = (FEATURES_MIB << 20) / (4 * predictor.feature_map().len());
    let gates = Array2::<f32>::ones((n, 30));
    let price = |n: usize| {
        let rows = gates.slice(ndarray::s![..n, ..]);
        (predictor.price_gates(rows).unwrap(), predictor.predict_gates(rows).unwrap())
    };
    drop(price(8 * CHUNK));
    let before = peak_mib();
    let prices = price(n);
    // The prices themselves take 25 bytes per row.
    let grown = peak_mib() - before - (25 * n) as f64 / f64::from(1 << 20);
    assert!(grown < FEATURES_MIB as f64 / 4.0, "{grown} MiB more for {} rows", prices.0.len());
}

/// Peak memory of this process, MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
