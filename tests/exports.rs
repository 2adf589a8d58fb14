//! Predictors in other programs: TorchScript here; ONNX Runtime and the Python example through `scripts/check-exports`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lat_predictor::{ExportFormat, Predictor, RegressorChoice, Samples, TrainOptions, train};
use lat_space::{Darts, NasBench201, SearchSpace, architecture_at};
use ndarray::ArrayView2;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use tch::{CModule, Kind, Tensor};

use crate::cli::lat;
use crate::setup;

/// Number of architectures that are compared; mixtures of them are too.
const HARD: u64 = 200;
const SOFT: usize = 56;
/// The largest relative difference allowed between programs.
const TOLERANCE: f64 = 1e-5;
/// Exit code of `scripts/check-exports` if the Python packages cannot be downloaded.
const SKIPPED: i32 = 77;

/// A predictor of one kind.
struct Case {
    name: &'static str,
    space: Box<dyn SearchSpace>,
    regressor: &'static str,
    /// 1 if measurements are noisy, else 0.
    noise: f64,
    /// From the sums of two weightings of the gates to the cost.
    cost: fn(f64, f64) -> f64,
    /// The scale that the file must have, so that every kind is among the cases.
    scale: &'static str,
    has_networks: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, space, regressor, cost, scale, has_networks| Case {
        name,
        space,
        regressor,
        noise: if name == "constant" { 0.0 } else { 1.0 },
        cost,
        scale,
        has_networks,
    };
    let (cell, darts) = (|| Box::new(NasBench201::new()), || Box::new(Darts::new()));
    vec![
        case("networks", cell(), "structured", |a, b| 5.0 + a.max(b), "plain", true),
        case("structured", darts(), "structured", |a, _| 5.0 + a, "plain", false),
        case("logarithm", darts(), "structured", |a, b| (0.05 * a + 0.02 * b).exp(), "log", false),
        case("rate", cell(), "structured", |a, _| 1e3 / (5.0 + a), "reciprocal", false),
        case("one-hot", darts(), "linear", |a, b| 20.0 + a + 0.1 * b, "plain", false),
        case("constant", cell(), "linear-counts", |_, _| 7.0, "plain", false),
    ]
}

impl Case {
    fn train(&self) -> Predictor {
        let space = self.space.as_ref();
        let all: Vec<_> = (0..500).map(|i| architecture_at(space, 1, i).unwrap()).collect();
        let cost = |gates: &[f32]| {
            let sum = |k: usize| -> f64 {
                gates.iter().enumerate().map(|(i, g)| f64::from(*g) * (i % k) as f64).sum()
            };
            (self.cost)(sum(7), sum(11))
        };
        // 1 % of noise, as in measurements. Without noise the standard deviation would be rounding only.
        let noise = |i: usize| 1.0 + 0.01 * ((i * 7919 % 1000) as f64 / 500.0 - 1.0) * self.noise;
        let costs =
            all.iter().enumerate().map(|(i, a)| noise(i) * cost(&a.gates(space.decisions())));
        let rows = Samples::of(space, all.iter().zip(costs)).unwrap();
        let choice = RegressorChoice::Named(self.regressor.into());
        let options = TrainOptions { choice, compare: false, seed: 2 };
        let report = train(space, &rows, &rows, &options).unwrap();
        report.predictor(space, "latency_ms", None, None).unwrap()
    }

    /// Gates of architectures, then averages of four each, `[n, n_gates]`.
    fn probs(&self) -> Tensor {
        let space = self.space.as_ref();
        let of = |i| architecture_at(space, 9, i).unwrap().gates(space.decisions());
        let mut rows: Vec<Vec<f32>> = (0..HARD).map(of).collect();
        for i in 0..SOFT {
            let sum = |g: usize| (0..4).map(|k| rows[3 * i + k][g] * 0.25).sum();
            rows.push((0..rows[0].len()).map(sum).collect());
        }
        Tensor::from_slice2(&rows)
    }
}

/// The results of lat.
struct Expected {
    probs: Tensor,
    cost: Vec<f64>,
    sd: Vec<f64>,
    slope: Tensor,
    reported: Vec<f64>,
}

impl Expected {
    fn of(predictor: &Predictor, probs: &Tensor) -> Self {
        let gates = probs.copy().set_requires_grad(true);
        let cost = predictor.forward(&gates).unwrap();
        cost.sum(Kind::Float).backward();
        let sd = predictor.forward_with_sd(probs).unwrap().1;
        let [n, n_gates] = [0, 1].map(|dim| probs.size()[dim] as usize);
        let flat = Vec::<f32>::try_from(probs.reshape([-1])).unwrap();
        let view = ArrayView2::from_shape((n, n_gates), &flat).unwrap();
        let reported = predictor.price_gates(view).unwrap();
        let slope = gates.grad();
        Self { probs: probs.copy(), cost: doubles(&cost), sd: doubles(&sd), slope, reported }
    }

    fn to_json(&self) -> Value {
        let rows = |tensor: &Tensor| -> Vec<Vec<f64>> {
            (0..tensor.size()[0]).map(|i| doubles(&tensor.get(i))).collect()
        };
        json!({
            "probs": rows(&self.probs), "cost": self.cost, "sd": self.sd, "slope": rows(&self.slope),
            "reported": self.reported,
        })
    }
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// The largest relative difference; if the expected value is zero, the absolute difference.
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = |e: f64| if e == 0.0 { 1.0 } else { e.abs() };
    found.iter().zip(expected).map(|(f, e)| (f - e).abs() / size(*e)).fold(0.0, f64::max)
}

/// The JSON in a predictor's file.
fn header(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let outer: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    serde_json::from_str(outer["__metadata__"]["lat"].as_str().unwrap()).unwrap()
}

/// Trains, saves and exports a case, and checks its TorchScript module.
fn export(case: &Case, dir: &Path) -> PathBuf {
    let folder = dir.join(case.name);
    fs::create_dir(&folder).unwrap();
    case.train().save(&folder.join("predictor.lat")).unwrap();
    // The file is read again, as other programs do.
    let predictor = Predictor::load(&folder.join("predictor.lat")).unwrap();
    let header = header(&folder.join("predictor.lat"));
    let kind = (header["scale"].as_str().unwrap(), header["n_layers"] != 0);
    assert_eq!(kind, (case.scale, case.has_networks), "{}", case.name);
    for (format, with_sd, file) in [
        (ExportFormat::Onnx, false, "predictor.onnx"),
        (ExportFormat::TorchScript, false, "predictor.pt"),
        (ExportFormat::TorchScript, true, "predictor-sd.pt"),
    ] {
        predictor.export(format, with_sd, &folder.join(file)).unwrap();
    }
    let expected = Expected::of(&predictor, &case.probs());
    check_torchscript(case, &folder, &expected);
    let json = serde_json::to_string(&expected.to_json()).unwrap();
    fs::write(folder.join("expected.json"), json).unwrap();
    folder
}

#[expect(clippy::print_stdout, reason = "the differences are for the log")]
fn check_torchscript(case: &Case, folder: &Path, expected: &Expected) {
    let module = CModule::load(folder.join("predictor.pt")).unwrap();
    let gates = expected.probs.copy().set_requires_grad(true);
    let cost = module.forward_ts(&[&gates]).unwrap();
    cost.sum(Kind::Float).backward();
    let slope = (gates.grad() - &expected.slope).abs().max().double_value(&[]);
    let steepest = expected.slope.abs().max().double_value(&[]);
    let both = CModule::load(folder.join("predictor-sd.pt")).unwrap();
    let both = both.forward_ts(&[&expected.probs]).unwrap();
    let differences = [
        difference(&doubles(&cost), &expected.cost),
        difference(&doubles(&both.get(0)), &expected.cost),
        difference(&doubles(&both.get(1)), &expected.sd),
        slope / if steepest > 0.0 { steepest } else { 1.0 },
    ];
    println!("{}: TorchScript's cost, cost, sd and slope differ by {differences:?}", case.name);
    assert!(differences.iter().all(|d| *d <= TOLERANCE), "{}: {differences:?}", case.name);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the differences, or why they were not looked at, are for the log"
)]
fn other_programs_compute_what_lat_computes() {
    setup::ready();
    let dir = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = cases().iter().map(|case| export(case, dir.path())).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-exports");
    let output = Command::new(script).args(&folders).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    if output.status.code() == Some(SKIPPED) {
        return;
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("good").count() % folders.len(), 0, "{said}");
    assert!(said.contains("by_onnx sd") && said.contains("by_reader reported"), "{said}");
}

#[test]
fn the_command_exports_the_newest_predictor_and_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| lat(dir.path()).args(args).assert();
    run(&["export", "--format", "onnx"]).code(2).stderr(contains("run `lat train` first"));
    run(&["profile", "--device", "fake", "--space", "nasbench201", "--samples", "60"]).success();
    run(&["train"]).success();
    let stem = "runs/predictor-nasbench201-fake-c16-l3-r8-b1-seed0-latency_ms";
    let said = |file: String, result: &str| {
        contains(file).and(contains(format!("probs [b, 30] -> {result} in ms")))
    };
    run(&["export", "--format", "onnx"])
        .success()
        .stdout(said(format!("{stem}.onnx"), "cost [b], sd [b]"));
    run(&["export", "--format", "torchscript"])
        .success()
        .stdout(said(format!("{stem}.pt"), "cost [b]"));
    run(&["export", "--format", "torchscript", "--sd", "--out", "both.pt"])
        .success()
        .stdout(said("both.pt".into(), "cost and sd [2, b]"));
    for file in [format!("{stem}.onnx"), format!("{stem}.pt"), "both.pt".into()] {
        assert!(dir.path().join(&file).metadata().unwrap().len() > 1000, "{file}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("text.lat"), "no predictor").unwrap();
    let refused = |args: &[&str], text: &str| {
        let refusal = contains(text).and(contains("panicked").not());
        lat(dir.path()).arg("export").args(args).assert().code(2).stderr(refusal);
    };
    refused(&["--format", "tflite"], "expected one of: torchscript, onnx");
    refused(&["--format", "onnx", "--predictor", "none.lat"], "could not read none.lat");
    refused(&["--format", "onnx", "--predictor", "text.lat"], "is not a predictor");
    let case = cases().pop().unwrap();
    setup::ready();
    case.train().save(&dir.path().join("p.lat")).unwrap();
    for format in ["torchscript", "onnx"] {
        let export = ["--format", format, "--predictor", "p.lat", "--out"];
        refused(&[&export[..], &["no/such/folder/p"]].concat(), "no/such/folder");
        refused(&[&export[..], &["p.lat"]].concat(), "found p.lat, which this command reads");
    }
}
