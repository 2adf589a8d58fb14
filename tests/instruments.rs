//! `lat doctor` and `lat time`: instruments for users who try them on their own machine or network.

use predicates::prelude::*;
use predicates::str::contains;
use tch::{CModule, Tensor};

use crate::cli::lat;

#[test]
fn the_doctor_proves_the_clock_and_writes_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    // A busy machine cannot make timing impossible, only doubtful.
    lat(dir.path())
        .args(["doctor", "--device", "cpu", "--json", "doctor.json"])
        .assert()
        .success()
        .stdout(contains("missing wait").and(contains("run of known length")));
    let text = std::fs::read_to_string(dir.path().join("doctor.json")).unwrap();
    let certificate: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(certificate["findings"].as_array().unwrap().len() >= 8, "{certificate}");
    lat(dir.path())
        .args(["doctor", "--device", "cuda:9"])
        .assert()
        .code(2)
        .stderr(contains("cuda:9"));
}

#[test]
fn a_profile_keeps_the_certificate_of_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path())
        .args(["profile", "--device", "fake", "--samples", "3", "--out", "run"])
        .assert()
        .success();
    let text = std::fs::read_to_string(dir.path().join("run/doctor.json")).unwrap();
    assert!(text.contains("virtual"), "{text}");
}

#[test]
fn a_module_of_ones_own_is_timed_and_what_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let weight = Tensor::ones([4, 3, 3, 3], tch::kind::FLOAT_CPU);
    let mut conv = |inputs: &[Tensor]| {
        vec![inputs[0].conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)]
    };
    let example = Tensor::zeros([1, 3, 8, 8], tch::kind::FLOAT_CPU);
    let module = CModule::create_by_tracing("conv", "forward", &[example], &mut conv).unwrap();
    module.save(dir.path().join("conv.pt")).unwrap();
    std::fs::write(dir.path().join("text.pt"), "no module").unwrap();
    lat(dir.path())
        .args(["time", "conv.pt", "--input", "2x3x16x16", "--device", "cpu", "--max-ms", "400"])
        .args(["--json", "row.json"])
        .assert()
        .success()
        .stdout(contains("95 % interval of the median").and(contains("fp32")));
    let row = std::fs::read_to_string(dir.path().join("row.json")).unwrap();
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    assert!(row["latency_ms"].as_f64().unwrap() > 0.0 && row["n_runs"].as_u64().unwrap() >= 6);
    let refused = |file: &str, shape: &str, reason: &str| {
        lat(dir.path())
            .args(["time", file, "--input", shape, "--device", "cpu"])
            .assert()
            .code(2)
            .stderr(contains(reason));
    };
    refused("conv.pt", "2x5x16x16", "channels");
    refused("conv.pt", "2x3xa", "1x3x224x224");
    refused("text.pt", "1x3x8x8", "text.pt cannot be timed");
    refused("none.pt", "1x3x8x8", "torch.jit.trace");
    for (file, reason) in
        [("conv.pt", "expected an --input for each"), ("text.pt", "no zip archive")]
    {
        lat(dir.path()).args(["time", file]).assert().code(2).stderr(contains(reason));
    }
}
