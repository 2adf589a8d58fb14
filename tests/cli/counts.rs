//! `lat count`: known networks, layers, and inputs that it rejects.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use super::{folder, lat, refused};

/// The JSON that `lat count` writes with these flags.
fn counted(dir: &Path, flags: &[&str]) -> Value {
    lat(dir).arg("count").args(flags).args(["--json", "c.json"]).assert().success();
    serde_json::from_slice(&fs::read(dir.join("c.json")).unwrap()).unwrap()
}

#[test]
fn a_network_of_a_benchmark_counts_what_the_benchmark_says() {
    let dir = folder();
    let args = ["count", "--space", "nasbench-macro", "--arch", "22212220"];
    lat(dir.path()).args(args).assert().success().stdout(
        contains("parameters 1,985,514")
            .and(contains("multiply-adds 85,164,544 (conv_linear: "))
            .and(contains("(ptflops: "))
            .and(contains("C=32, 8 cells, 32x32, 10 classes"))
            .and(contains("peak memory ")),
    );
}

#[test]
fn layers_add_up_to_the_whole() {
    let dir = folder();
    let text =
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|";
    let whole = counted(dir.path(), &["--arch", text, "--layers-table", "--channels", "8"]);
    let layers = whole["layers"].as_array().unwrap();
    for column in ["params", "conv_linear", "ptflops"] {
        let sum: u64 = layers.iter().map(|layer| layer[column].as_u64().unwrap()).sum();
        assert_eq!(whole[column], sum, "{column}");
    }
    assert_eq!(layers.last().unwrap()["op"], "classifier");
    assert_eq!(layers[0]["channels"], 8);
    assert_eq!(whole["space"], "nasbench201");
    // The only difference is the classifier's bias.
    assert_eq!(whole["ptflops"].as_u64(), whole["multiply_adds"].as_u64().map(|n| n + 10));
}

#[test]
fn counts_follow_the_skeleton_and_the_batch() {
    let dir = folder();
    let of = |flags: &[&str]| counted(dir.path(), &[&["--arch", "01201201"], flags].concat());
    let (small, large) = (of(&["--resolution", "16"]), of(&["--resolution", "32"]));
    assert_eq!(small["params"], large["params"]);
    assert!(small["conv_linear"].as_u64() < large["conv_linear"].as_u64());
    assert!(small.get("layers").is_none());
    let many = of(&["--batch", "64"]);
    assert!(many["peak_memory_bytes"].as_u64() > large["peak_memory_bytes"].as_u64());
    assert_eq!(many["conv_linear"], large["conv_linear"]);
}

#[test]
fn bad_input_is_one_sentence() {
    let dir = folder();
    let told = |flags: &[&str], texts: &[&str]| {
        let args = [&["count", "--json", "c.json"], flags].concat();
        refused(dir.path(), &args, texts);
    };
    told(&["--space", "mars", "--arch", "0"], &["unknown search space 'mars'", "nasbench-macro"]);
    told(&["--space", "nasbench-macro", "--arch", "2221"], &["eight digits", "found '2221'"]);
    told(&["--arch", "2221"], &["one of the spaces", "found '2221'"]);
    told(&["--arch", "22212220", "--resolution", "3"], &["resolution must be", "found 3"]);
    told(&["--arch", "22212220", "--layers", "9"], &["8 layers", "found 9"]);
    told(&["--arch", "22212220", "--preset", "huge"], &["unknown skeleton preset 'huge'"]);
    assert!(!dir.path().join("c.json").exists());
}
