//! `lat extract`, the use of its files by `lat evaluate` and `lat time`, and `lat rank`.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tch::{CModule, Tensor};

use super::{SEARCH, folder, lat, refused};

const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";
const NONE: &str = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";

/// A folder with a search of one epoch in `s`.
fn searched() -> tempfile::TempDir {
    let dir = folder();
    let sizes = ["--channels", "4", "--layers", "3", "--images", "128", "--batch", "32"];
    lat(dir.path()).args(SEARCH).args(sizes).args(["--finalists", "1"]).assert().success();
    dir
}

fn json(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap()
}

/// The output of a command.
fn printed(dir: &Path, args: &[&str]) -> String {
    let done = lat(dir).args(args).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

/// The number after a word.
fn number<'t>(text: &'t str, word: &str) -> &'t str {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no '{word}' in {text}"));
    rest.split_whitespace().next().unwrap()
}

#[test]
fn an_extracted_network_is_tested_trained_and_timed() {
    let dir = searched();
    let dir = dir.path();
    let found = json(dir, "s/search.json")["architecture"].as_str().unwrap().to_owned();
    let extract = ["extract", "--search", "s", "--out", "n.safetensors", "--torchscript", "n.pt"];
    let said = printed(dir, &extract);
    assert!(said.contains(&found) && said.contains("after 1 of 1 epochs"), "{said}");
    assert!(said.contains("recalibrated per-image on 128 images"), "{said}");

    // The module has the same weights.
    let module = CModule::load(dir.join("n.pt")).unwrap();
    let logits = module.forward_ts(&[Tensor::ones([3, 3, 8, 8], tch::kind::FLOAT_CPU)]).unwrap();
    assert_eq!(logits.size(), [3, 10]);

    let evaluate = ["evaluate", "--weights", "n.safetensors", "--images", "128"];
    let as_it_is = [&evaluate[..], &["--epochs", "0", "--json", "e.json"]].concat();
    let tested = printed(dir, &as_it_is);
    assert_eq!(number(&tested, "test accuracy "), number(&said, "test accuracy "));
    let weights = json(dir, "e.json")["weights"].as_str().unwrap().to_owned();
    assert_eq!(weights.len(), 8);
    let more = ["--epochs", "1", "--batch", "32", "--lr", "0.01", "--out", "e"];
    let more = [&evaluate[..], &more].concat();
    printed(dir, &more);
    assert_eq!(json(dir, "e/evaluation.json")["plan"]["lr"], 0.01);
    // With other weights it is another evaluation.
    let keep = ["extract", "--search", "s", "--out", "k.safetensors", "--recalibrate", "keep"];
    assert!(printed(dir, &keep).contains("the supernet's batch statistics"));
    let other: Vec<&str> =
        more.iter().map(|a| if *a == "n.safetensors" { "k.safetensors" } else { a }).collect();
    refused(dir, &other, &["first weights", &weights]);

    let time = ["time", "--weights", "n.safetensors", "--device", "cpu", "--max-ms", "20"];
    let time = [&time[..], &["--batch", "2", "--json", "t.json"]].concat();
    lat(dir).args(time).assert().success().stdout(contains("95 % interval of the median"));
    let row = json(dir, "t.json");
    assert_eq!(row["architecture"], found);
    assert!(row["latency_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_is_no_network_of_the_search_is_refused() {
    let dir = searched();
    let dir = dir.path();
    let extract = |more: &[&'static str]| {
        [&["extract", "--search", "s", "--out", "x.safetensors"][..], more].concat()
    };
    refused(dir, &extract(&["--arch", "22212220"]), &["nasbench201", "22212220"]);
    refused(dir, &extract(&["--recalibrate", "all"]), &["per-image or per-batch", "or keep"]);
    refused(dir, &extract(&["--dataset", "digits"]), &["digits-128", "checksum"]);
    refused(dir, &extract(&["--dataset", "fashion-part"]), &["digits-128", "checksum"]);
    refused(dir, &extract(&["--torchscript", "x.safetensors"]), &["the file that --out names"]);
    refused(dir, &["extract", "--search", "none", "--out", "x"], &["none", "lat search"]);
    let over = ["extract", "--search", "s", "--out", "s/checkpoint.safetensors"];
    refused(dir, &over, &["which this command reads"]);
    assert!(!dir.join("x.safetensors").exists());

    printed(dir, &extract(&["--arch", CELL]));
    let evaluate = |more: &[&'static str]| {
        [&["evaluate", "--weights", "x.safetensors", "--out", "e"][..], more].concat()
    };
    refused(dir, &evaluate(&["--space", "darts"]), &["of darts", "of nasbench201"]);
    refused(dir, &evaluate(&["--channels", "8"]), &["--channels 4", "found 8"]);
    refused(dir, &evaluate(&["--arch", CELL]), &["--arch"]);
    refused(dir, &evaluate(&["--device", "fake"]), &["found fake"]);
    refused(dir, &evaluate(&["--lr", "-1"]), &["--lr", "-1"]);
    refused(dir, &["evaluate", "--arch", CELL, "--epochs", "0"], &["--weights"]);
    refused(dir, &["evaluate", "--weights", "s/search.json"], &["whole safetensors file"]);
    refused(dir, &["time", "--weights", "none.safetensors"], &["none.safetensors"]);
    refused(dir, &["time", "--weights", "x.safetensors", "--device", "fake"], &["found fake"]);
    assert!(!dir.join("e").exists());
}

#[test]
fn the_order_by_inherited_weights_is_compared_with_published_accuracies() {
    let dir = searched();
    let dir = dir.path();
    let rank = ["rank", "--search", "s", "--n", "4", "--json", "r.json", "--csv", "r.csv"];
    let said = printed(dir, &rank);
    assert!(said.contains("4 architectures") && said.contains("Kendall's tau-b"), "{said}");
    let answer = json(dir, "r.json");
    let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
    let rows = answer["rows"].as_array().unwrap();
    let csv = fs::read_to_string(dir.join("r.csv")).unwrap();
    assert_eq!((rows.len(), csv.lines().count()), (4, 5));
    for (row, line) in rows.iter().zip(csv.lines().skip(1)) {
        let text = row["architecture"].as_str().unwrap();
        assert_eq!(row["true_accuracy"], table.accuracies(text).unwrap()[0]);
        assert!(line.starts_with(&format!("\"{text}\",")), "{line}");
    }
    let tau = |by: &str| answer[by]["kendall"]["value"].as_f64().unwrap();
    let list = |column: &str| -> Vec<f64> {
        rows.iter().map(|row| row[column].as_f64().unwrap()).collect()
    };
    let truth = list("true_accuracy");
    assert_eq!(tau("by_accuracy"), lat_predictor::kendall(&truth, &list("inherited_accuracy")));
    assert_eq!(tau("by_loss"), -lat_predictor::kendall(&truth, &list("inherited_loss")));
    // A second run prints the same, and the inherited figures are those of the network that was cut out.
    assert_eq!(printed(dir, &rank), said);
    let first = rows[0]["architecture"].as_str().unwrap();
    let cut =
        printed(dir, &["extract", "--search", "s", "--out", "n.safetensors", "--arch", first]);
    let accuracy = rows[0]["inherited_accuracy"].as_f64().unwrap();
    assert_eq!(number(&cut, "test accuracy "), format!("{accuracy:.2}"));
}

#[test]
fn the_order_by_inherited_weights_is_compared_with_training_from_scratch() {
    let dir = searched();
    let dir = dir.path();
    let third = CELL.replace("nor_conv_3x3~0", "nor_conv_1x1~0");
    fs::write(dir.join("a.txt"), format!("{CELL}\n\n{NONE}\n{third}\n{CELL}\n")).unwrap();
    let rank = ["rank", "--search", "s", "--archs", "a.txt", "--train-epochs", "1"];
    let said = printed(dir, &[&rank[..], &["--json", "r.json"]].concat());
    assert!(said.contains("3 architectures") && said.contains("after 1 epochs"), "{said}");
    let rows = json(dir, "r.json")["rows"].clone();
    assert_eq!(rows[1]["architecture"], NONE);
    assert!(rows[0]["true_accuracy"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let dir = searched();
    let dir = dir.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write("two.csv", &format!("arch,acc\n{CELL},91\n{NONE},10\n"));
    write("a.txt", &format!("{CELL}\n{NONE}\n{}\n", CELL.replace("none", "skip_connect")));
    write("bad.txt", &format!("{CELL}\n|nun~0|\n"));
    write("macro.csv", "arch,acc\n02012100,89.2\n11111221,92.3\n");
    let rank = |more: &[&'static str]| [&["rank", "--search", "s"][..], more].concat();
    refused(dir, &rank(&["--truth", "two.csv"]), &["at least 3 architectures", "found 2"]);
    refused(dir, &rank(&["--truth", "macro.csv"]), &["row 1", "02012100"]);
    let missing = ["--archs", "a.txt", "--truth", "two.csv"];
    refused(dir, &rank(&missing), &["all 3 architectures", "found none of 1", "--truth"]);
    refused(dir, &rank(&["--archs", "bad.txt"]), &["bad.txt, line 2", "|nun~0|"]);
    refused(dir, &rank(&["--n", "2"]), &["--n", "2"]);
    refused(dir, &rank(&["--accuracy", "imagenet"]), &["imagenet", "cifar10_test_acc"]);
    refused(dir, &rank(&["--dataset", "fashion-part"]), &["digits-128", "checksum"]);
    refused(dir, &rank(&["--train-epochs", "1", "--truth", "two.csv"]), &["--truth"]);
    refused(dir, &rank(&["--json", "s/search.json"]), &["which this command reads"]);
}

#[test]
fn a_supernet_of_parts_of_operations_is_refused() {
    let dir = folder();
    let search = SEARCH.map(|arg| if arg == "darts" { "pc-darts" } else { arg });
    let sizes = ["--space", "darts", "--channels", "8", "--layers", "3", "--images", "128"];
    let args = search.iter().filter(|arg| !["--space", "nasbench201"].contains(arg));
    lat(dir.path())
        .args(args)
        .args(sizes)
        .args(["--batch", "32", "--finalists", "1"])
        .assert()
        .success();
    let extract = ["extract", "--search", "s", "--out", "x.safetensors"];
    refused(dir.path(), &extract, &["pc-darts", "networks can be cut", "another method"]);
    lat(dir.path())
        .args(["rank", "--search", "s"])
        .assert()
        .code(2)
        .stderr(contains("part of the channels").and(contains("panicked").not()));
}
