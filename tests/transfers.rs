//! Predictors of a new device, made from those of others and a few samples.

use std::fs;
use std::path::Path;

use predicates::str::contains;

use crate::cli::{lat, refused};

const OPS: [&str; 5] = ["none", "skip", "conv1", "conv3", "pool"];

/// Six edges with one of five operations each. On every device, an operation's cost depends on its kind and its place.
fn write_tables(dir: &Path) {
    let mut space = "id = \"edges\"\n".to_owned();
    for edge in 0..6 {
        space += &format!("[[decision]]\nname = \"e{edge}\"\nchoices = {OPS:?}\n");
    }
    fs::write(dir.join("space.toml"), space).unwrap();
    for (name, factors) in [
        ("a", [0.0, 0.1, 1.0, 3.0, 0.6]),
        ("b", [0.0, 0.2, 0.8, 1.2, 1.5]),
        ("new", [0.0, 0.15, 1.1, 2.4, 0.9]),
    ] {
        let mut table = "e0,e1,e2,e3,e4,e5,latency_ms\n".to_owned();
        // Every 13th architecture, so that each edge has each operation.
        for number in (0..15_625usize).step_by(13).take(400) {
            let ops = [1, 5, 25, 125, 625, 3125].map(|below| number * 7 % 15_625 / below % 5);
            let place = |edge: usize| 1.0 + edge as f64 / 3.0;
            let cost = |(edge, &op): (usize, &usize)| factors[op] * place(edge);
            let cost = 2.0 + ops.iter().enumerate().map(cost).sum::<f64>();
            table += &format!("{},{cost}\n", ops.map(|op| OPS[op]).join(","));
        }
        fs::write(dir.join(format!("{name}.csv")), table).unwrap();
    }
}

const TRAIN: [&str; 3] = ["train", "--space-file", "space.toml"];

fn sources(dir: &Path) {
    for name in ["a", "b"] {
        let (data, out) = (format!("{name}.csv"), format!("{name}.lat"));
        let args = ["--data", &data, "--regressor", "structured", "--train", "150", "--out", &out];
        lat(dir).args(TRAIN).args(args).assert().success();
    }
}

#[test]
fn ten_samples_and_two_devices_beat_the_ridge_and_training_from_scratch() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path());
    sources(dir.path());
    lat(dir.path())
        .args(TRAIN)
        .args(["--from", "a.lat", "b.lat", "--samples-from", "new.csv", "--train", "10"])
        .args(["--test", "300", "--out", "new.lat", "--json", "new.json"])
        .assert()
        .success()
        .stdout(contains("transfer*"))
        .stdout(contains("best source, rescaled"))
        .stdout(contains("transferred from a, b to 10 samples"));
    let json = fs::read_to_string(dir.path().join("new.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let figure = |way: &str, metric: &str| {
        let rows = json["regressors"].as_array().unwrap();
        rows.iter().find(|r| r["regressor"] == way).unwrap()[metric].as_f64().unwrap()
    };
    assert!(figure("transfer", "spearman") >= figure("ridge-on-sources", "spearman"), "{json}");
    assert!(figure("transfer", "mape") < 0.5 * figure("structured", "mape"), "{json}");
    // The file predicts the costs in the table, like any other predictor.
    let texts = lat(dir.path())
        .args(["predict", "--predictor", "new.lat", "--file", "new.csv"])
        .assert()
        .success();
    let lines = String::from_utf8(texts.get_output().stdout.clone()).unwrap();
    assert_eq!(lines.lines().count(), 400);
}

#[test]
fn sources_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path());
    let args = ["--data", "a.csv", "--regressor", "linear", "--out", "a.lat"];
    lat(dir.path()).args(TRAIN).args(args).assert().success();
    let with = |args: &[&str], texts: &[&str]| {
        refused(dir.path(), &[&TRAIN[..], &["--data", "new.csv"], args].concat(), texts);
    };
    with(&["--from", "none.lat", "--train", "10"], &["could not read none.lat"]);
    with(&["--from", "new.csv", "--train", "10"], &["new.csv is not a predictor"]);
    with(&["--from", "a.lat", "a.lat", "--train", "10"], &["a.lat twice"]);
    with(&["--from", "a.lat"], &["at most 200 samples", "found 320", "--train"]);
    with(&["--from", "a.lat", "--train", "2"], &["at least 3 samples", "found 2"]);
    with(&["--from", "a.lat", "--regressor", "structured"], &["cannot be used with"]);
    let space = fs::read_to_string(dir.path().join("space.toml")).unwrap();
    fs::write(dir.path().join("space.toml"), space.replace("\"edges\"", "\"others\"")).unwrap();
    let texts = ["--from a.lat", "search space others, found edges"];
    with(&["--from", "a.lat", "--train", "10"], &texts);
    fs::write(dir.path().join("space.toml"), space.replace("conv3", "conv5")).unwrap();
    let table = fs::read_to_string(dir.path().join("new.csv")).unwrap();
    fs::write(dir.path().join("new.csv"), table.replace("conv3", "conv5")).unwrap();
    with(&["--from", "a.lat", "--train", "10"], &["decision e0 of none, skip, conv1, conv5"]);
    fs::write(dir.path().join("space.toml"), &space).unwrap();
    let energy = table.replace("latency_ms", "energy_mj");
    fs::write(dir.path().join("new.csv"), energy).unwrap();
    let texts = ["energy_mj (unit mj)", "found latency_ms"];
    with(&["--from", "a.lat", "--train", "10", "--target", "energy_mj"], &texts);
}

#[test]
fn the_same_device_is_told_and_few_samples_are_all_learnt_from() {
    let dir = tempfile::tempdir().unwrap();
    let profile = ["profile", "--device", "fake", "--space", "nasbench201", "--samples"];
    lat(dir.path()).args(profile).args(["30"]).assert().success();
    let linear = ["train", "--regressor", "linear", "--out", "a.lat"];
    lat(dir.path()).args(linear).assert().success();
    lat(dir.path())
        .args(["train", "--from", "a.lat", "--out", "b.lat"])
        .assert()
        .success()
        .stdout(contains(" to train on, 0 to test on"))
        .stdout(contains("warning: a.lat is of"));
}
