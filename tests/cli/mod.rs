//! The command line as scripts use it: exit codes, sentences, files. One behaviour per test.

mod accuracies;
mod counts;
mod extractions;
mod goals;
mod limits;
mod long_tables;
mod newest;
mod outputs;
mod predictions;
mod profiles;
mod resumptions;
mod spellings;

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

pub(crate) fn lat(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("lat").expect("the program is built with its tests");
    command.current_dir(dir).args(["--threads", "1", "--quiet"]);
    command
}

/// A search of one epoch into the folder `s`.
const SEARCH: [&str; 11] = [
    "search",
    "--space",
    "nasbench201",
    "--method",
    "darts",
    "--lambda",
    "0",
    "--epochs",
    "1",
    "--out",
    "s",
];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A folder with a finished run of the fake device, and a predictor beside it.
fn profiled(space: &str, samples: u32) -> tempfile::TempDir {
    let dir = folder();
    let samples = samples.to_string();
    lat(dir.path())
        .args(["profile", "--device", "fake", "--space", space, "--samples", &samples])
        .assert()
        .success();
    dir
}

#[test]
fn baselines_come_on_request_and_figures_as_json() {
    let dir = profiled("nasbench201", 120);
    let figures = |flags: &[&str]| -> Vec<serde_json::Value> {
        let args = ["train", "--out", "p.lat", "--json", "figures.json"];
        lat(dir.path()).args(args).args(flags).assert().success();
        let text = std::fs::read_to_string(dir.path().join("figures.json")).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all["regressors"].as_array().unwrap().clone()
    };
    let plain = figures(&[]);
    assert_eq!(plain.len(), 3);
    for row in &plain {
        assert!(row["mape"].is_f64() && row["validation_error"].is_f64(), "{row}");
        assert_eq!(
            row["coverage_90"].is_f64(),
            row["chosen"] == true && row["regressor"] == "structured"
        );
    }
    assert_eq!(figures(&["--compare"]).len(), lat_predictor::REGRESSORS.len());
}

/// Checks that bad input ends with exit code 2, one sentence that contains each of the texts, and nothing on standard output.
pub(crate) fn refused(dir: &Path, args: &[&str], texts: &[&str]) {
    let mut assert = lat(dir).args(args).assert().code(2);
    for text in texts {
        assert = assert.stderr(contains(*text));
    }
    assert.stderr(contains("panicked").not());
}

#[test]
fn the_three_commands_work_in_sequence_in_an_empty_folder() {
    let dir = profiled("darts", 200);
    lat(dir.path()).arg("train").assert().success().stdout(
        contains("runs/profile-darts-fake")
            .and(contains("noise floor"))
            .and(contains("linear-counts")),
    );
    lat(dir.path())
        .args([
            "search",
            "--lambda",
            "0.1",
            "--epochs",
            "1",
            "--batch",
            "256",
            "--channels",
            "8",
            "--layers",
            "3",
        ])
        .assert()
        .success()
        .stdout(
            contains("predictor runs/predictor-darts-fake")
                .and(contains("Genotype(normal=["))
                .and(contains("measured")),
        );
}

#[test]
fn unknown_names_are_told_which_there_are() {
    let dir = folder();
    refused(
        dir.path(),
        &["profile", "--space", "dart"],
        &["unknown search space 'dart'", "darts, darts-frc, nasbench201"],
    );
    for command in [&["search"] as &[&str], &["profile"], &["count", "--arch", "k=3"]] {
        let arguments = [command, &["--space", "mine.toml"]].concat();
        refused(dir.path(), &arguments, &["mine.toml: a declared space has no networks"]);
    }
    refused(dir.path(), &["profile", "--device", "tpu"], &["found 'tpu'", "cpu"]);
    refused(dir.path(), &["profile", "--device", "cuda:7"], &["cuda:7"]);
    refused(
        dir.path(),
        &["search", "--method", "darts2"],
        &["unknown method 'darts2'", "pc-darts"],
    );
    refused(dir.path(), &["search", "--dataset", "imagenet"], &["imagenet", "digits"]);
    refused(dir.path(), &["search", "--lamda", "1"], &["--lamda"]);
    refused(dir.path(), &["search", "--set", "alpha=1"], &["alpha", "alpha_lr"]);
    refused(dir.path(), &["profile", "--preset", "huge"], &["huge", "quick"]);
    assert!(!dir.path().join("runs").exists(), "nothing is written");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let dir = folder();
    refused(dir.path(), &["search", "--lambda", "-1"], &["--lambda", "-1"]);
    refused(dir.path(), &["search", "--lambda", "NaN"], &["--lambda", "NaN"]);
    refused(dir.path(), &["search", "--target-ms", "-3"], &["--target-ms"]);
    refused(dir.path(), &["profile", "--device", "fake", "--samples", "0"], &["samples", "0"]);
    refused(
        dir.path(),
        &["profile", "--device", "fake", "--space", "nasbench201", "--samples", "15626"],
        &["15625", "15626"],
    );
    refused(dir.path(), &["profile", "--device", "fake", "--channels", "7"], &["channels", "7"]);
    assert!(!dir.path().join("runs").exists(), "nothing is written");
}

#[test]
fn commands_without_their_input_say_what_to_run_first() {
    let dir = folder();
    refused(dir.path(), &["train"], &["lat profile"]);
    refused(dir.path(), &["search", "--lambda", "0.1"], &["lat train"]);
    refused(dir.path(), &["predict", "x"], &["lat train"]);
    refused(dir.path(), &["train", "--data", "nowhere"], &["nowhere"]);
    refused(dir.path(), &["evaluate", "--arch", "hello"], &["found 'hello'"]);
}

#[test]
fn tables_that_are_none_are_refused() {
    let dir = folder();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.csv", "x,y\n1,2\n");
    write(
        "nan.csv",
        "architecture,latency_ms\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,NaN\n",
    );
    write(
        "negative.csv",
        "architecture,latency_ms\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,-1\n",
    );
    write("b.parquet", "no parquet");
    let train = |file: &'static str| ["train", "--space", "nasbench201", "--data", file];
    refused(dir.path(), &train("a.csv"), &["a.csv", "architecture"]);
    refused(dir.path(), &train("nan.csv"), &["nan.csv", "latency_ms"]);
    refused(dir.path(), &train("negative.csv"), &["negative.csv", "latency_ms"]);
    refused(dir.path(), &train("b.parquet"), &["b.parquet"]);
}

#[test]
fn an_unreadable_architecture_is_named_by_its_row_in_its_file() {
    let dir = folder();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let good = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
    // Row 2 repeats an architecture, row 3 is from another device, row 4 failed.
    write(
        "t.csv",
        &format!(
            "architecture,latency_ms,device,status\n{good},1,x,\n{good},2,x,\n{good},3,y,\n{good},4,x,failed\n|nun~0|,5,x,\n"
        ),
    );
    let train = ["train", "--space", "nasbench201", "--where", "device=x", "--data"];
    refused(dir.path(), &[&train[..], &["t.csv"]].concat(), &["t.csv, row 5: ", "|nun~0|"]);
    write("values.csv", "id,latency_ms,device\n7,1,x\n8,2,x\n");
    write("texts.csv", &format!("id,arch\n1,{good}\n8,|nun~0|\n7,{good}\n"));
    let joined = [&train[..], &["values.csv", "--architectures", "texts.csv"]].concat();
    refused(dir.path(), &joined, &["texts.csv, row 2: ", "|nun~0|"]);
    // If a list has a wrong row, the error names its line.
    write("list", &format!("{good}\n\n|nun~0|\n"));
    write("ok.csv", &format!("architecture,latency_ms\n{good},1\n"));
    let listed = ["train", "--space", "nasbench201", "--data", "ok.csv", "--test-rows", "list"];
    refused(dir.path(), &listed, &["list, line 3: ", "|nun~0|"]);
}

#[test]
fn a_data_set_cut_short_is_named() {
    let dir = folder();
    std::fs::write(dir.path().join("data_batch_1.bin"), vec![0; 3073 * 3 - 1]).unwrap();
    std::fs::write(dir.path().join("test_batch.bin"), vec![0; 3073]).unwrap();
    refused(
        dir.path(),
        &["search", "--lambda", "0", "--dataset", "cifar10", "--data-dir", "."],
        &["data_batch_1.bin", "3073"],
    );
}

#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let dir = folder();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    refused(
        dir.path(),
        &["profile", "--device", "fake", "--samples", "30", "--out", "file/run"],
        &["file/run"],
    );
    refused(dir.path(), &["search", "--lambda", "0", "--out", "file/run"], &["file/run"]);
}

#[test]
fn a_finished_search_is_not_run_again_and_other_settings_are_refused() {
    let dir = folder();
    let args = SEARCH;
    let first = lat(dir.path()).args(args).assert().success().get_output().stdout.clone();
    let again = lat(dir.path()).args(args).assert().success().get_output().stdout.clone();
    let architecture = |out: &[u8]| {
        String::from_utf8_lossy(out).lines().find(|l| l.starts_with('|')).map(str::to_owned)
    };
    assert_eq!(architecture(&first), architecture(&again));
    refused(dir.path(), &[&args[..], &["--seed", "5"]].concat(), &["seed", "--out"]);
}

#[test]
fn evaluate_reads_the_result_of_a_search() {
    let dir = folder();
    lat(dir.path()).args(SEARCH).assert().success();
    lat(dir.path())
        .args(["evaluate", "--arch", "s/search.json", "--epochs", "1", "--json", "e.json"])
        .assert()
        .success()
        .stdout(
            contains("test accuracy").and(contains("parameters")).and(contains("ms per image")),
        );
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("e.json")).unwrap()).unwrap();
    assert!(
        result["latency_ms"].as_f64().unwrap() > 0.0
            && result["test_accuracy"].as_f64().unwrap() > 0.0
    );
}

#[test]
fn the_columns_of_a_table_are_listed_with_their_values() {
    let dir = profiled("nasbench201", 30);
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("t.csv", "arch,device,latency_ms\nx,a,1\ny,b,2\nz,b,3\n");
    let list = ["list", "columns", "t.csv"];
    lat(dir.path()).args(list).assert().success().stdout(contains("a (1), b (2)"));
    let json = ["--where", "device=b", "--json", "c.json"];
    lat(dir.path()).args(list).args(json).assert().success();
    let found: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(found[1]["name"], "device");
    assert_eq!(found[1]["values"], serde_json::json!([{ "value": "b", "rows": 2 }]));
    let run = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let run = run.to_str().unwrap();
    lat(dir.path()).args(["list", "columns", run]).assert().success().stdout(contains("role"));
    lat(dir.path()).arg("list").assert().success().stdout(contains("lat list methods"));
    refused(dir.path(), &["list", "columns"], &["found none", "lat list columns"]);
    refused(dir.path(), &["list", "spaces", "t.csv"], &["found t.csv"]);
    refused(dir.path(), &["list", "columns", "no.csv"], &["no.csv"]);
    refused(dir.path(), &["list", "columns", "t.csv", "--where", "device=c"], &["'c'", "'a', 'b'"]);
    refused(dir.path(), &[&list[..], &["--json", "t.csv"]].concat(), &["--json", "t.csv"]);
}

#[test]
fn lat_alone_says_the_three_commands_what_there_is_and_what_comes_next() {
    let dir = folder();
    let said = || {
        let assert = lat(dir.path()).assert().code(2);
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let first = said();
    for text in ["profile --", "lat train", "lat search --", "--lambda 0.1", "no ./runs here"] {
        assert!(first.contains(text), "{text}: {first}");
    }
    assert!(first.contains("Next: lat ") && first.contains("--samples"), "{first}");
    let fixed = ["profile", "--device", "fake", "--space", "nasbench201", "--samples", "40"];
    lat(dir.path()).args(fixed).assert().success();
    let profiled = said();
    assert!(profiled.contains("1 profile: runs/profile-nasbench201-fake"), "{profiled}");
    assert!(profiled.contains("no predictor") && profiled.contains("Next: lat train\n"));
    lat(dir.path()).arg("train").assert().success();
    std::fs::write(dir.path().join("runs/other.lat"), "no predictor").unwrap();
    let trained = said();
    assert!(trained.contains("1 predictor: runs/predictor-nasbench201"), "{trained}");
    assert!(trained.contains("1 more cannot be read"), "{trained}");
    assert!(trained.contains("Next: lat search --lambda 0.1 --space nasbench201\n"), "{trained}");
}

#[test]
fn the_help_groups_the_commands_and_each_has_its_own() {
    let dir = folder();
    let assert = lat(dir.path()).arg("--help").assert().success();
    let help = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
    let order = [
        "\nMeasure:\n  profile",
        "\nLearn:\n  train",
        "\nSearch:\n  search",
        "\nLook:\n  report",
        "\nOther:",
        "\nOptions:",
    ];
    assert!(order.map(place).is_sorted(), "{help}");
    lat(dir.path()).args(["help", "rank"]).assert().success().stdout(contains("Example: lat rank"));
    let completions = lat(dir.path()).args(["completions", "bash"]).assert().success();
    completions.stdout(contains("lat__subcmd__rank").or(contains("lat__rank")));
    lat(dir.path()).arg("searches").assert().code(2).stderr(contains("search"));
}

#[test]
fn lists_help_completions_and_the_man_page_are_printed() {
    let dir = folder();
    for (what, name) in [
        ("spaces", "darts"),
        ("spaces", "ofa-w12"),
        ("methods", "pc-darts"),
        ("devices", "cpu"),
        ("datasets", "digits"),
        ("benchmarks", "NAS-Bench-201"),
        ("probes", "latency_ms"),
    ] {
        lat(dir.path()).args(["list", what]).assert().success().stdout(contains(name));
    }
    for command in
        ["profile", "merge", "train", "predict", "search", "front", "evaluate", "extract", "rank"]
    {
        lat(dir.path())
            .args([command, "--help"])
            .assert()
            .success()
            .stdout(contains("Example: lat"));
    }
    lat(dir.path()).args(["completions", "bash"]).assert().success().stdout(contains("lat"));
    lat(dir.path()).arg("man").assert().success().stdout(contains(".TH"));
}
