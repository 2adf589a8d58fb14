//! The command line as scripts see it: exit codes, sentences, files. One behaviour per test.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

pub(crate) fn lat(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("lat").expect("the program is built with its tests");
    command.current_dir(dir).args(["--threads", "1", "--quiet"]);
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A finished run of the fake device with a predictor beside it.
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
        assert_eq!(row["coverage_90"].is_f64(), row["chosen"] == true && row["regressor"] == "mlp");
    }
    assert_eq!(figures(&["--compare"]).len(), lat_predictor::REGRESSORS.len());
}

/// Bad input: exit code 2, one sentence that holds each of the texts, nothing on standard output.
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
fn a_second_profile_of_the_same_settings_says_that_all_is_done() {
    let dir = profiled("nasbench201", 30);
    let rows = || {
        std::fs::read_to_string(
            dir.path().join("runs/profile-nasbench201-fake-c16-l3-r8-b1-seed0/rows.jsonl"),
        )
        .unwrap()
    };
    let before = rows();
    lat(dir.path())
        .args(["profile", "--device", "fake", "--space", "nasbench201", "--samples", "30"])
        .assert()
        .success();
    assert_eq!(rows(), before);
}

#[test]
fn a_torn_last_row_is_measured_again() {
    let dir = profiled("nasbench201", 30);
    let run = dir.path().join("runs/profile-nasbench201-fake-c16-l3-r8-b1-seed0");
    let rows = std::fs::read(run.join("rows.jsonl")).unwrap();
    std::fs::write(run.join("rows.jsonl"), &rows[..rows.len() - 40]).unwrap();
    // As a crash leaves it: not sealed.
    std::fs::remove_file(run.join("manifest.json")).unwrap();
    std::fs::remove_file(run.join("measurements.parquet")).unwrap();
    lat(dir.path())
        .args(["profile", "--device", "fake", "--space", "nasbench201", "--samples", "30"])
        .assert()
        .success();
    let again = std::fs::read(run.join("rows.jsonl")).unwrap();
    let lines = |bytes: &[u8]| bytes.iter().filter(|&&b| b == b'\n').count();
    assert_eq!(lines(&again), lines(&rows));
}

/// The rows of a run folder as JSON.
fn rows(dir: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("rows.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap())
        .collect()
}

#[test]
fn a_fresh_process_repeats_some_rows_and_every_row_has_its_operating_point_and_targets() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path())
        .args(["profile", "--device", "fake", "--space", "nasbench201", "--samples", "100"])
        .args(["--mode", "both", "--energy", "0.2"])
        .assert()
        .success()
        .stdout(contains("after a restart"));
    let run = dir.path().join("runs/profile-nasbench201-fake-c16-l3-r8-b1-both-seed0");
    let rows = rows(&run);
    let fresh: Vec<_> = rows.iter().filter(|row| row["role"] == "fresh").collect();
    assert_eq!(fresh.len(), 5);
    assert_eq!(rows.iter().filter(|row| row["energy_mj"].is_number()).count(), 20);
    for row in &rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"));
        assert!(number("latency_eager_ms") > number("latency_graph_ms"));
        assert_eq!(number("latency_ms").to_bits(), number("latency_graph_ms").to_bits());
        assert_eq!(
            row["launch_bound"].as_bool().unwrap(),
            number("latency_eager_ms") > 1.25 * number("latency_graph_ms")
        );
        assert!(number("peak_memory_mib") > 0.0);
    }
    for target in ["latency_graph_ms", "peak_memory_mib", "energy_mj", "params"] {
        let train = ["train", "--target", target, "--out", "p.lat"];
        lat(dir.path()).args(train).assert().success().stdout(contains(target));
    }
}

#[test]
fn an_operating_point_that_the_device_has_not_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--device", "cpu", "--mode", "graph"], &["eager on a CPU", "found graph"]),
        (&["--device", "cpu", "--precision", "tf32"], &["fp32, fp16 or bf16", "found tf32"]),
        (&["--device", "fake", "--precision", "bf16"], &["fp32 on the fake device"]),
        (&["--device", "fake", "--cold"], &["fake device", "found cold"]),
        (&["--device", "fake", "--mode", "fast"], &["'fast'", "eager, graph, both"]),
        (&["--device", "fake", "--energy", "2"], &["energies", "found 2"]),
    ];
    for (flags, parts) in cases {
        let command = [&["profile", "--samples", "3"], flags].concat();
        refused(dir.path(), &command, parts);
        assert!(!dir.path().join("runs").exists(), "{flags:?}");
    }
}

#[test]
fn killing_a_profile_loses_no_committed_row() {
    let dir = folder();
    let run = dir.path().join("run");
    let args = [
        "profile",
        "--device",
        "cpu",
        "--space",
        "nasbench201",
        "--samples",
        "40",
        "--max-ms",
        "20",
        "--out",
        "run",
    ];
    let mut kept = 0;
    for pause_ms in [9000, 10_000] {
        let program = assert_cmd::cargo::cargo_bin("lat");
        let mut child = std::process::Command::new(program)
            .current_dir(dir.path())
            .args(["--threads", "1", "--quiet"])
            .args(args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let rows = if run.exists() { lat_data::read_run(&run).map_or(0, |r| r.1.len()) } else { 0 };
        assert!(rows >= kept, "{rows} rows after the kill, {kept} before");
        kept = rows;
    }
    lat(dir.path()).args(args).assert().success();
    let (_, rows) = lat_data::read_run(&run).unwrap();
    let mut samples: Vec<u64> =
        rows.iter().filter(|r| r.role == lat_data::Role::Sample).map(|r| r.index).collect();
    samples.sort_unstable();
    assert_eq!(samples, (0..40).collect::<Vec<u64>>());
}

#[test]
fn a_run_of_other_settings_is_not_touched() {
    let dir = profiled("nasbench201", 30);
    let out = "runs/profile-nasbench201-fake-c16-l3-r8-b1-seed0";
    let profile = |extra: &[&'static str]| {
        [
            &[
                "profile",
                "--device",
                "fake",
                "--space",
                "nasbench201",
                "--samples",
                "30",
                "--out",
                out,
            ],
            extra,
        ]
        .concat()
    };
    refused(dir.path(), &profile(&["--seed", "1"]), &["seed", "--out"]);
    refused(dir.path(), &profile(&["--batch", "2"]), &["batch"]);
    refused(
        dir.path(),
        &["profile", "--device", "fake", "--samples", "30", "--out", out],
        &["space"],
    );
    refused(
        dir.path(),
        &["profile", "--device", "cpu", "--space", "nasbench201", "--samples", "30", "--out", out],
        &["device"],
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
fn a_predictor_of_another_space_or_column_is_refused() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path()).args(["train", "--out", "p.lat"]).assert().success();
    refused(
        dir.path(),
        &["search", "--space", "darts", "--predictor", "p.lat", "--lambda", "1"],
        &["darts", "nasbench201"],
    );
    refused(
        dir.path(),
        &["search", "--space", "nasbench201", "--predictor", "p.lat", "--target", "energy_mj"],
        &["energy_mj", "latency_ms"],
    );
    let bytes = std::fs::read(dir.path().join("p.lat")).unwrap();
    std::fs::write(dir.path().join("cut.lat"), &bytes[..bytes.len() / 2]).unwrap();
    refused(dir.path(), &["predict", "--predictor", "cut.lat", "x"], &["cut.lat"]);
}

#[test]
fn predict_prices_texts_and_files_alike() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path()).args(["train", "--out", "p.lat"]).assert().success();
    let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";
    let direct = lat(dir.path()).args(["predict", "--predictor", "p.lat", text]).assert().success();
    std::fs::write(dir.path().join("list"), format!("{text}\n{text}\n")).unwrap();
    let listed = lat(dir.path())
        .args(["predict", "--predictor", "p.lat", "--file", "list"])
        .assert()
        .success();
    let direct = String::from_utf8(direct.get_output().stdout.clone()).unwrap();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert_eq!(listed, direct.repeat(2));
    assert!(direct.contains(" ms\t|nor_conv"), "{direct}");
}

#[test]
fn predict_keeps_the_order_of_a_long_file_and_tells_deviations() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path()).args(["train", "--regressor", "mlp", "--out", "p.lat"]).assert().success();
    let ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
    let text = |i: usize| {
        let op = |k: u32| ops[i / 5usize.pow(k) % 5];
        format!("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|none~2|", op(0), op(1), op(2), op(3), op(4))
    };
    let texts: Vec<String> = (0..3000).map(text).collect();
    std::fs::write(dir.path().join("list"), texts.join("\n\n")).unwrap();
    let lines = |flags: &[&str]| {
        let mut command = lat(dir.path());
        command.args(["predict", "--predictor", "p.lat", "--file", "list"]).args(flags);
        let output = command.assert().success().get_output().stdout.clone();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = lines(&["--json", "all.json"]);
    assert!(plain.iter().map(|l| l.split('\t').nth(1).unwrap()).eq(texts.iter()));
    // With deviations sums are taken in another order, which the last digit may show.
    let ms = |line: &String| line.split(' ').next().unwrap().parse::<f64>().unwrap();
    let bare = lines(&["--threads", "1"]);
    assert_eq!(bare.len(), plain.len());
    assert!(bare.iter().zip(&plain).all(|(a, b)| (ms(a) / ms(b) - 1.0).abs() < 1e-5));
    assert_eq!(bare, lines(&["--threads", "3"]));
    let with_sd = lines(&["--sd", "--threads", "3"]);
    let fields: Vec<&str> = with_sd[7].split('\t').collect();
    assert!(fields[1].ends_with(" ms") && fields[2].ends_with("-data"), "{fields:?}");
    assert_eq!((fields.len(), fields[3]), (4, texts[7].as_str()));
    let json = std::fs::read_to_string(dir.path().join("all.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let number = |i: usize, key: &str| json[i][key].as_f64().unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3000);
    assert_eq!(json[2999]["architecture"], texts[2999]);
    assert!(number(9, "low") < number(9, "value") && number(9, "value") < number(9, "high"));
    assert!(number(9, "sd") > 0.0 && json[9]["off_data"].is_boolean());

    let mut broken = texts.clone();
    broken[1400] = "|none~0|".into();
    std::fs::write(dir.path().join("broken"), broken.join("\n")).unwrap();
    lat(dir.path())
        .args(["predict", "--predictor", "p.lat", "--file", "broken", "--json", "no.json"])
        .assert()
        .code(2)
        .stderr(contains("architecture 1401: ").and(contains("|none~0|")));
    assert!(!dir.path().join("no.json").exists());
}

#[test]
fn a_risk_needs_a_predictor_and_a_number() {
    let dir = folder();
    let search = ["search", "--space", "nasbench201", "--risk"];
    let risk = |more: &[&'static str]| [&search[..], more].concat();
    refused(dir.path(), &risk(&["-1"]), &["--risk", "at least 0, found -1"]);
    refused(dir.path(), &risk(&["nan"]), &["--risk", "at least 0, found NaN"]);
    refused(dir.path(), &risk(&["1", "--target", "params"]), &["found params, which is counted"]);
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
    let args = [
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
    let search = [
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
    lat(dir.path()).args(search).assert().success();
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
fn lists_help_completions_and_the_man_page_are_printed() {
    let dir = folder();
    for (what, name) in [
        ("spaces", "darts"),
        ("methods", "pc-darts"),
        ("devices", "cpu"),
        ("datasets", "digits"),
        ("probes", "latency_ms"),
    ] {
        lat(dir.path()).args(["list", what]).assert().success().stdout(contains(name));
    }
    for command in ["profile", "merge", "train", "predict", "search", "evaluate"] {
        lat(dir.path())
            .args([command, "--help"])
            .assert()
            .success()
            .stdout(contains("Example: lat"));
    }
    lat(dir.path()).args(["completions", "bash"]).assert().success().stdout(contains("lat"));
    lat(dir.path()).arg("man").assert().success().stdout(contains(".TH"));
}
