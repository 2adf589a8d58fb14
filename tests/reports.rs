//! `lat report` and `lat diff` as people and scripts use them.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn lat(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("lat").expect("the program is built with its tests");
    command.current_dir(dir).args(["--threads", "1", "--quiet"]);
    command
}

/// Checks that bad input ends with exit code 2 and a sentence that contains the text.
fn refused(dir: &Path, args: &[&str], text: &str) {
    let assert = lat(dir).args(args).assert().code(2);
    assert.stderr(contains(text).and(contains("panicked").not()));
}

fn profiled(dir: &Path, out: &str, more: &[&str]) {
    let fixed = ["profile", "--device", "fake", "--space", "nasbench201", "--out", out];
    lat(dir).args(fixed).args(more).assert().success();
}

fn page(dir: &Path, path: &str) -> String {
    let html = std::fs::read_to_string(dir.join(path)).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for foreign in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!html.contains(foreign), "{path} needs {foreign}");
    }
    html
}

fn json(dir: &Path, path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(dir.join(path)).unwrap()).unwrap()
}

#[test]
fn a_profile_run_becomes_a_page_with_its_held_out_rows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    profiled(dir, "runs/profile-x", &["--samples", "120"]);
    lat(dir).args(["report", "runs/profile-x"]).assert().success();
    let html = page(dir, "runs/profile-x/report.html");
    assert!(html.contains("VALID: ") && html.contains("There is no predictor for this run"));
    lat(dir).args(["train", "--data", "runs/profile-x"]).assert().success();
    std::fs::create_dir(dir.join("pages")).unwrap();
    lat(dir).args(["report", "runs/profile-x", "--out", "pages/x.html"]).assert().success().stdout(
        contains("predictor runs/predictor-x-latency_ms.lat").and(contains("pages/x.html")),
    );
    assert!(page(dir, "pages/x.html").contains("the 24 architectures that training left out"));
    // If the draw is a different one, it is not known which rows were left out; here all are new.
    profiled(dir, "other", &["--samples", "60", "--seed", "7"]);
    lat(dir).args(["report", "other"]).assert().success();
    assert!(page(dir, "other/report.html").contains("this flatters it"));
}

#[test]
fn a_search_and_a_folder_of_searches_become_pages() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    profiled(dir, "runs/profile-x", &["--samples", "60"]);
    lat(dir).args(["train", "--data", "runs/profile-x", "--out", "x.lat"]).assert().success();
    let search = |lambda: &str, out: &str| {
        let fixed = ["search", "--space", "nasbench201", "--dataset", "digits", "--epochs", "1"];
        let sizes = ["--batch", "256", "--channels", "4", "--layers", "3"];
        let own = ["--predictor", "x.lat", "--lambda", lambda, "--out", out];
        lat(dir).args(fixed).args(sizes).args(own).assert().success();
    };
    search("0", "all/a");
    search("0.5", "all/b");
    lat(dir).args(["report", "all/b"]).assert().success().stdout(contains("1 epochs"));
    let html = page(dir, "all/b/report.html");
    let found = json(dir, "all/b/search.json");
    let architecture = found["architecture"].as_str().unwrap();
    assert!(html.contains(architecture) && html.contains("Entropy of the choices"));
    lat(dir).args(["report", "all"]).assert().success().stdout(contains("2 searches"));
    let html = page(dir, "all/report.html");
    assert!(html.contains("Pareto front") && html.contains("lambda 0.5 on latency_ms"));
    std::fs::write(dir.join("all/a/search.json"), "{\"space\": 3}").unwrap();
    let told = contains("1 search, ").and(contains("1 not shown"));
    lat(dir).args(["report", "all"]).assert().success().stdout(told);
    assert!(page(dir, "all/report.html").contains("the search.json of a search at all/a"));
    for command in [&["report", "all/a"][..], &["evaluate", "--arch", "all/a/search.json"]] {
        refused(dir, command, "expected the search.json of a search at all/a/search.json, found: ");
    }
}

/// The addresses of a page's links, each a file beside it.
fn links(dir: &Path, page: &str) -> Vec<String> {
    let html = std::fs::read_to_string(dir.join(page)).unwrap();
    let folder = Path::new(page).parent().unwrap();
    let parts = html.split("href=\"").skip(1);
    let links = parts.map(|rest| rest.split_once('"').unwrap().0.replace("%20", " "));
    links.map(|link| folder.join(link).display().to_string()).collect()
}

#[test]
fn a_whole_folder_is_one_page_that_leads_to_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    profiled(dir, "runs/profile-x", &["--samples", "60"]);
    lat(dir).arg("train").assert().success();
    let sizes = ["--batch", "256", "--channels", "4", "--layers", "3", "--epochs", "1"];
    let fixed = ["search", "--space", "nasbench201", "--dataset", "digits", "--lambda", "0.5"];
    let found = ["--finalists", "8", "--out", "runs/several/s"];
    lat(dir).args(fixed).args(sizes).args(found).assert().success();
    // The path is cut: node 1 has no input, but leads to the output.
    let cut = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|";
    let found = std::fs::read_to_string(dir.join("runs/several/s/search.json")).unwrap();
    let mut record: Value = serde_json::from_str(&found).unwrap();
    record["architecture"] = cut.into();
    std::fs::create_dir(dir.join("runs/cut")).unwrap();
    std::fs::write(dir.join("runs/cut/search.json"), record.to_string()).unwrap();
    std::fs::write(dir.join("runs/other.lat"), "no predictor").unwrap();
    std::fs::create_dir(dir.join("runs/begun")).unwrap();
    std::fs::write(dir.join("runs/begun/checkpoint.safetensors"), "").unwrap();
    let counts = contains("1 profile, 1 predictor, 2 searches, 0 evaluations in runs; 2 not shown");
    lat(dir).arg("report").assert().success().stdout(counts);
    let html = page(dir, "runs/report.html");
    for text in ["no path from input to output)", "front of the whole space", "VALID", "other.lat"]
    {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("run the same command again to go on"), "of what is not finished");
    std::fs::rename(dir.join("runs"), dir.join("moved away")).unwrap();
    let mut pages = links(dir, "moved away/report.html");
    pages.sort();
    pages.dedup();
    assert_eq!(pages.len(), 4, "{pages:?}");
    for path in &pages {
        assert!(dir.join(path).is_file(), "{path}");
        page(dir, path);
        let back = links(dir, path);
        assert!(back[0].ends_with("/../report.html"), "{back:?}");
        assert!(back.iter().all(|link| dir.join(link).is_file()), "{back:?}");
    }
    let of = |name: &str| pages.iter().find(|page| page.contains(name)).unwrap();
    // The links lead back step by step to what each result was made from.
    assert!(links(dir, of("several-s"))[1].ends_with("predictor-x-latency_ms.lat.html"));
    assert!(links(dir, of("predictor-x"))[1].ends_with("profile-x.html"));
    assert!(page(dir, of("predictor-x")).contains("architectures that training left out"));
    assert!(page(dir, of("cut.html")).contains("Cell type cell: no path from input to output"));
}

#[test]
fn folders_without_results_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    refused(dir, &["report", "nothing"], "expected a folder of results at nothing, found none");
    std::fs::create_dir(dir.join("empty")).unwrap();
    refused(dir, &["report", "empty"], "expected results in empty or its folders");
    refused(dir, &["report"], "expected a folder of results at runs, found none");
    profiled(dir, "run", &["--samples", "20"]);
    refused(dir, &["report", "run", "--predictor", "no.lat"], "no.lat");
    std::fs::write(dir.join("run/rows.jsonl"), "").unwrap();
    refused(dir, &["report", "run"], "run/rows.jsonl is damaged");
    // Without the list of finished files, it counts as a run that has just begun.
    std::fs::remove_file(dir.join("run/manifest.json")).unwrap();
    refused(dir, &["report", "run"], "expected rows of measurements in run, found none");
    refused(dir, &["diff", "run", "run"], "expected rows of measurements in run, found none");
    std::fs::write(dir.join("run/run.json"), "{").unwrap();
    refused(dir, &["report", "run"], "run.json: expected the header of a run");
    refused(dir, &["diff", "empty", "run"], "does not exist; expected the folder of a profile run");
}

#[test]
fn the_same_run_twice_is_the_same_and_other_networks_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    profiled(dir, "a", &["--samples", "60"]);
    lat(dir)
        .args(["diff", "a", "a", "--json", "same.json"])
        .assert()
        .success()
        .stdout(contains("64 SAME, 0 FASTER, 0 SLOWER, 0 AMBIGUOUS").and(contains("1.0000")));
    let same = json(dir, "same.json");
    assert_eq!((&same["same"], &same["ratio"]), (&64.into(), &1.0.into()));
    assert_eq!(same["pairs"].as_array().unwrap().len(), 64);
    profiled(dir, "b", &["--samples", "60", "--seed", "1"]);
    lat(dir)
        .args(["diff", "a", "b"])
        .assert()
        .success()
        .stdout(contains("seed").and(contains("SAME")));
    profiled(dir, "wide", &["--samples", "20", "--channels", "32"]);
    refused(dir, &["diff", "a", "wide"], "expected two runs of one skeleton, found C=16");
    profiled(dir, "batch", &["--samples", "20", "--batch", "8"]);
    refused(dir, &["diff", "a", "batch"], "expected two runs of one batch, found 1 and 8");
}
