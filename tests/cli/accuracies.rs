//! Published accuracies: lists, results, tables made elsewhere, and the front of a whole space.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use super::{folder, lat, profiled, refused};

const NONE: &str = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";

/// A folder with a predictor p.lat of the fake device.
fn with_predictor() -> tempfile::TempDir {
    let dir = profiled("nasbench201", 60);
    let train = ["train", "--regressor", "structured", "--out", "p.lat"];
    lat(dir.path()).args(train).assert().success();
    dir
}

fn json(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap()
}

/// Checks that bad input ends with code 2 and one sentence, and that nothing is written or printed.
fn refused_plainly(dir: &Path, args: &[&str], texts: &[&str]) {
    let files = || {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let assert = lat(dir).args(args).assert().code(2).stdout("");
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    for text in texts {
        assert!(said.contains(text), "{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(files(), before);
}

#[test]
fn benchmarks_are_listed_with_source_and_licence() {
    let dir = folder();
    let listed = lat(dir.path()).args(["list", "benchmarks"]).assert().success();
    listed.stdout(contains("NAS-Bench-201").and(contains("arXiv 2001.00326")).and(contains("MIT")));
}

#[test]
fn a_search_says_what_its_architecture_is_known_to_be_worth() {
    let dir = folder();
    let args = ["search", "--space", "nasbench201", "--method", "darts", "--lambda", "0"];
    let sizes = ["--epochs", "1", "--channels", "4", "--layers", "3", "--out", "s"];
    lat(dir.path()).args(args).args(sizes).assert().success().stdout(
        contains("published accuracy (NAS-Bench-201, 200 epochs): CIFAR-10 ")
            .and(contains("%, ImageNet16-120 ")),
    );
    let result = json(dir.path(), "s/search.json");
    let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
    let own = table.accuracies(result["architecture"].as_str().unwrap()).unwrap();
    let saved = &result["published_accuracy"];
    assert_eq!(saved["cifar10_test_acc"], own[0]);
    assert_eq!(saved["imagenet16_120_test_acc"], own[2]);
    assert_eq!(result["published_accuracy_source"], "NAS-Bench-201, 200 epochs");

    // A table that is named takes precedence, and may lack the architecture.
    fs::write(dir.path().join("mine.csv"), format!("arch,acc\n{NONE},93.5\n")).unwrap();
    let mine = ["--accuracy-table", "mine.csv"];
    let again = lat(dir.path()).args(args).args(sizes).args(mine).assert().success();
    again.stdout(contains("published accuracy (mine.csv): none of this architecture"));
    assert!(json(dir.path(), "s/search.json")["published_accuracy"].is_null());

    lat(dir.path()).args(["report", "s"]).assert().success();
    let page = fs::read_to_string(dir.path().join("s/report.html")).unwrap();
    assert!(!page.contains("Published accuracy ("), "as the search had it");
}

#[test]
fn predict_puts_published_accuracies_behind_the_text() {
    let dir = with_predictor();
    let predict = ["predict", "--predictor", "p.lat", "--json", "p.json", CELL];
    let printed = lat(dir.path()).args(predict).assert().success();
    printed.stdout(contains(format!("ms\t{CELL}\t91.97 %\t67.63 %\t39.12 %\n")));
    let accuracy = &json(dir.path(), "p.json")[0]["published_accuracy"];
    assert_eq!(accuracy["cifar100_test_acc"], 67.6267);

    let text = format!("architecture,top1_acc,note\n{NONE},0.1,x\n {CELL},0.9391,y\n");
    fs::write(dir.path().join("mine.csv"), text).unwrap();
    let mine = lat(dir.path()).args(predict).args(["--accuracy-table", "mine.csv"]).assert();
    mine.success()
        .stdout(contains(format!("ms\t{CELL}\t93.91 %\n")))
        .stderr(contains("column 'top1_acc' of mine.csv holds fractions: multiplied by 100"));
}

#[test]
fn tables_that_cannot_be_meant_are_refused() {
    let dir = with_predictor();
    let macro_bench = "arch,mean_acc\n02012100,89.2\n11111221,92.3\n";
    let tables = [
        (
            macro_bench.to_owned(),
            &["row 1", "not an architecture of nasbench201", "'02012100'"][..],
        ),
        (
            format!("arch,acc\n{CELL},90\n{NONE},10\n{CELL},91.5\n"),
            &["90 in row 1", "91.5 in row 3"],
        ),
        (format!("arch,acc\n{CELL},92\n{NONE},0.9\n"), &["0.9 in row 2 beside 92 in row 1"]),
        (format!("arch,acc\n{CELL},101\n"), &["from 0 to 100 %", "101 in row 1"]),
        (format!("arch,acc\n{CELL},-0.5\n"), &["from 0 to 100 %", "-0.5 in row 1"]),
        (format!("arch,acc\n{CELL},9\n{NONE},NaN\n"), &["from 0 to 100 %", "none in row 2"]),
        (format!("arch,top1\n{CELL},90\n"), &["contains 'acc'", "found columns arch, top1"]),
        (
            "cell,acc\nx,90\n".to_owned(),
            &["text column architecture or arch_str or cellstr or arch"],
        ),
        ("arch,acc\n".to_owned(), &["expected rows of accuracies; found none"]),
        (String::new(), &["bad.csv"]),
    ];
    for (text, said) in tables {
        fs::write(dir.path().join("bad.csv"), text).unwrap();
        let bad = ["--accuracy-table", "bad.csv"];
        let predictor = ["--predictor", "p.lat"];
        for command in [
            &["front", "--json", "x.json"][..],
            &["predict", "--json", "x.json", CELL],
            &["search", "--space", "nasbench201", "--lambda", "1", "--out", "x"],
        ] {
            refused_plainly(dir.path(), &[command, &predictor, &bad].concat(), said);
        }
        refused_plainly(dir.path(), &[&["evaluate", "--arch", CELL][..], &bad].concat(), said);
    }
    fs::write(dir.path().join("bad.csv"), format!("arch,acc\n{CELL},90\n")).unwrap();
    let front = ["front", "--predictor", "p.lat", "--accuracy-table"];
    let more = |args: &[&'static str]| [&front[..], args].concat();
    refused_plainly(dir.path(), &more(&["no.csv"]), &["no.csv does not exist"]);
    let column = ["bad.csv", "--accuracy-column", "top5"];
    refused_plainly(dir.path(), &more(&column), &["a column 'top5'; found columns arch, acc"]);
    refused(dir.path(), &more(&["bad.csv", "--accuracy-unit", "permille"]), &["'permille'"]);
}

#[test]
fn the_front_is_that_of_all_prices_and_accuracies() {
    let dir = with_predictor();
    let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
    let all: Vec<&str> = table.rows().map(|(text, _)| text).collect();
    fs::write(dir.path().join("all.txt"), all.join("\n")).unwrap();
    let predict = ["predict", "--predictor", "p.lat", "--file", "all.txt", "--json", "all.json"];
    lat(dir.path()).args(predict).assert().success();
    let priced = json(dir.path(), "all.json");
    let point = |row: &Value| {
        let accuracy = &row["published_accuracy"]["cifar100_test_acc"];
        (row["value"].as_f64().unwrap(), accuracy.as_f64().unwrap())
    };
    let points: Vec<(f64, f64)> = priced.as_array().unwrap().iter().map(point).collect();
    assert_eq!(points.len(), 15_625);

    let front = ["front", "--predictor", "p.lat", "--accuracy", "cifar100_test_acc"];
    let printed = lat(dir.path()).args(front).args(["--json", "f.json"]).assert().success();
    printed.stdout(contains("15625 architectures").and(contains("73.51")));
    let found = json(dir.path(), "f.json");
    let found: Vec<&Value> = found["front"].as_array().unwrap().iter().collect();
    let of = |p: &Value| {
        let accuracy = &p["published_accuracy"]["cifar100_test_acc"];
        (p["predicted"].as_f64().unwrap(), accuracy.as_f64().unwrap())
    };
    // Computed here directly: the best accuracy up to each cost.
    let best = |most: f64| {
        let within = points.iter().filter(|p| p.0 <= most);
        within.map(|p| p.1).fold(0.0, f64::max)
    };
    for p in &found {
        assert_eq!(of(p).1, best(of(p).0), "{p}");
        assert!(p["low"].as_f64().unwrap() <= of(p).0 && of(p).0 <= p["high"].as_f64().unwrap());
    }
    // Costs that differ only by rounding count as equal.
    let reached = |cost: f64| {
        let within = found.iter().filter(|p| of(p).0 <= cost * 1.000_02);
        within.map(|p| of(p).1).fold(0.0, f64::max)
    };
    for (cost, accuracy) in points.iter().step_by(7) {
        assert!(reached(*cost) >= *accuracy, "{cost} ms {accuracy} %");
    }
    assert_eq!(of(found[found.len() - 1]).1, 73.5133);

    let target = 0.5 * (of(found[0]).0 + of(found[found.len() - 1]).0);
    let target_ms = target.to_string();
    let args = ["--target-ms", &target_ms, "--measure", "2", "--json", "t.json"];
    lat(dir.path()).args(front).args(args).assert().success().stdout(contains("measured"));
    let answer = json(dir.path(), "t.json");
    assert!(of(&answer["best"]).0 <= target && of(&answer["best"]).1 == best(target));
    let asked = |p: &&Value| p["measurement"].is_string();
    assert_eq!(answer["front"].as_array().unwrap().iter().filter(asked).count(), 2);
}

#[test]
fn fronts_that_nobody_can_draw_are_refused() {
    let dir = with_predictor();
    let front = |args: &[&'static str]| [&["front", "--json", "x.json"][..], args].concat();
    let target = |ms| front(&["--predictor", "p.lat", "--target-ms", ms]);
    for ms in ["0", "-3", "NaN", "inf"] {
        refused_plainly(dir.path(), &target(ms), &["--target-ms to be a number above 0"]);
    }
    refused_plainly(dir.path(), &target("1e-9"), &["at least 0.", "the least that", "costs (|"]);
    refused_plainly(dir.path(), &front(&["--space", "darts"]), &["published accuracies", "darts"]);
    let foreign = front(&["--space", "darts", "--predictor", "p.lat"]);
    refused_plainly(dir.path(), &foreign, &["published accuracies", "darts"]);
    let other = front(&["--predictor", "p.lat", "--target", "energy_mj"]);
    refused_plainly(dir.path(), &other, &["energy_mj", "latency_ms"]);
    let unknown = front(&["--predictor", "p.lat", "--accuracy", "svhn"]);
    refused_plainly(dir.path(), &unknown, &["cifar100_test_acc", "'svhn'"]);
    let empty = folder();
    refused_plainly(empty.path(), &front(&[]), &["lat train"]);
    let genotypes = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))";
    fs::write(dir.path().join("d.csv"), format!("arch,acc\n\"{genotypes}\",97.2\n")).unwrap();
    let large = front(&["--space", "darts", "--accuracy-table", "d.csv"]);
    refused_plainly(dir.path(), &large, &["at most 1000000 architectures", "darts, which has"]);
}

#[test]
fn a_folder_of_searches_is_drawn_over_the_front_of_the_whole_space() {
    let dir = with_predictor();
    for (lambda, out) in [("0", "all/a"), ("0.5", "all/b")] {
        let args = ["search", "--space", "nasbench201", "--method", "darts", "--epochs", "1"];
        let sizes = ["--batch", "256", "--channels", "4", "--layers", "3", "--predictor", "p.lat"];
        let own = ["--lambda", lambda, "--out", out];
        lat(dir.path()).args(args).args(sizes).args(own).assert().success();
    }
    let page = |more: &[&str]| {
        lat(dir.path()).args(["report", "all"]).args(more).assert().success();
        fs::read_to_string(dir.path().join("all/report.html")).unwrap()
    };
    let html = page(&[]);
    assert!(html.contains("Published accuracy against cost: CIFAR-100"));
    assert!(html.contains("15625 architectures with published accuracies, priced by p.lat"));
    fs::rename(dir.path().join("p.lat"), dir.path().join("q.lat")).unwrap();
    assert!(page(&[]).contains("name the predictor with --predictor to have it drawn"));
    assert!(page(&["--predictor", "q.lat"]).contains("priced by q.lat"));
    refused(dir.path(), &["report", "all/a", "--predictor", "q.lat"], &["found one search"]);
}
