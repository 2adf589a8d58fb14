//! Goals of a search on the command line: a target that is met, one search for several targets, and goals that are rejected.

use std::fs;
use std::path::Path;

use predicates::str::contains;
use serde_json::Value;

use super::{folder, lat, refused};

const SEARCH: [&str; 13] = [
    "search",
    "--space",
    "nasbench201",
    "--method",
    "gdas",
    "--target",
    "params",
    "--images",
    "200",
    "--epochs",
    "1",
    "--dataset",
    "digits",
];

fn result(dir: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(out).join("search.json")).unwrap()).unwrap()
}

#[test]
fn one_search_serves_several_targets() {
    let dir = folder();
    lat(dir.path()).args(SEARCH).args(["--lambda", "0", "--out", "free"]).assert().success();
    let free = result(dir.path(), "free");
    let found = free["predicted"].as_f64().unwrap();
    assert!(free["budget"].is_null() && free["published_accuracy"].is_object());
    assert_eq!(free["finalists_best"].as_array().unwrap().len(), 32);
    for (out, share) in [("most", 0.8), ("half", 0.5)] {
        copy_checkpoint(dir.path(), "free", out);
        let target = (share * found).to_string();
        lat(dir.path())
            .args(SEARCH)
            .args(["--budget", &target, "--out", out])
            .assert()
            .success()
            .stdout(contains("finalists of at most"));
        let met = result(dir.path(), out)["predicted"].as_f64().unwrap() / (share * found);
        assert!(met <= 1.0001, "{met} of the target");
        assert_eq!(result(dir.path(), out)["log"], free["log"], "the steps are the same");
    }
    // A target is a different goal from a lambda in the loss, so that search must not be continued here.
    let other = [&SEARCH[..], &["--lambda", "0.5", "--out", "free"]].concat();
    refused(dir.path(), &other, &["belongs to a search with goal lambda 0"]);
}

fn copy_checkpoint(dir: &Path, from: &str, to: &str) {
    fs::create_dir(dir.join(to)).unwrap();
    let file = |name: &str| dir.join(name).join("checkpoint.safetensors");
    fs::copy(file(from), file(to)).unwrap();
}

#[test]
fn one_supernet_of_two_stages_serves_every_goal() {
    let dir = folder();
    let search = |method: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        let own = SEARCH.map(|word| if word == "gdas" { method } else { word });
        [&own[..], &["--finalists", "8"], more].concat()
    };
    lat(dir.path()).args(search("bignas", &["--lambda", "0", "--out", "free"])).assert().success();
    copy_checkpoint(dir.path(), "free", "fast");
    lat(dir.path())
        .args(search("bignas", &["--lambda", "0.5", "--out", "fast"]))
        .assert()
        .success();
    let [free, fast] = ["free", "fast"].map(|out| result(dir.path(), out));
    let losses = |record: &Value| -> Vec<Value> {
        record["log"].as_array().unwrap().iter().map(|e| e["train_loss"].clone()).collect()
    };
    assert_eq!(losses(&free), losses(&fast), "the supernet is the same");
    assert!(fast["budget"].is_number() && free["budget"].is_null());
    // More saving than is possible gives the cheapest architecture.
    copy_checkpoint(dir.path(), "free", "least");
    lat(dir.path())
        .args(search("bignas", &["--lambda", "1e6", "--out", "least"]))
        .assert()
        .success();
    let least = result(dir.path(), "least");
    assert_eq!(least["predicted"], least["budget"], "{least}");
    assert!(!least["finalists_best"].as_array().unwrap().is_empty());
    // Bins by cost belong to one cost model.
    let bins = ["--set", "bins=cost", "--lambda", "0", "--out", "bins"];
    lat(dir.path()).args(search("attentivenas", &bins)).assert().success();
    let mut other = search("attentivenas", &bins);
    let target = other.iter().position(|word| *word == "params").unwrap();
    other[target] = "multiply_adds";
    refused(dir.path(), &other, &["belongs to a search with the cost model"]);
}

#[test]
fn a_product_bounds_the_finalists_by_the_most_probable_architecture() {
    let dir = folder();
    for (out, reading) in [("paper", "paper"), ("code", "code")] {
        lat(dir.path())
            .args(SEARCH)
            .args(["--product", "0.2,0.6", "--product-reading", reading, "--out", out])
            .assert()
            .success();
        let found = result(dir.path(), out);
        assert_eq!(found["budget"], found["most_probable_predicted"]);
        assert!(found["predicted"].as_f64() <= found["budget"].as_f64());
        let goal = found["goal"].as_str().unwrap();
        assert!(goal.starts_with("product 0.2 0.6") && goal.contains("expected"), "{goal}");
        assert_eq!(goal.contains("as the code reads it"), out == "code");
    }
}

#[test]
fn goals_that_cannot_be_are_refused_and_nothing_is_written() {
    let dir = folder();
    let with = |goal: &[&'static str]| [&SEARCH[..], &["--out", "s"], goal].concat();
    for (goal, text) in [
        (vec!["--budget", "1"], "which is what the fastest architecture of nasbench201"),
        (vec!["--budget", "nan"], "expected --budget to be a number above 0, found NaN"),
        (vec!["--budget", "0"], "above 0, found 0"),
        (
            vec!["--target-ms", "5"],
            "found params (1); say what it may cost in its own unit by --budget",
        ),
        (vec!["--target-ms", "5", "--budget", "5"], "cannot be used with"),
        (vec!["--lambda", "-1"], "at least 0, found -1"),
        (vec!["--lambda", "0.1", "--budget", "5"], "cannot be used with"),
        (vec!["--product", "0.2,0.6", "--lambda", "1"], "cannot be used with"),
        (vec!["--product", "0.2,0.6", "--budget", "5"], "cannot be used with"),
        (vec!["--product", "0.2"], "two numbers with a comma between"),
        (vec!["--product", "0.2,-1"], "two numbers above 0 and at most 20, found -1"),
        (vec!["--product-reading", "code"], "--product <ALPHA,BETA>"),
        (vec!["--finalists", "0", "--lambda", "0"], "0 is not in 1..=100000"),
    ] {
        refused(dir.path(), &with(&goal), &[text]);
        assert!(!dir.path().join("s").exists(), "{goal:?}");
    }
}
