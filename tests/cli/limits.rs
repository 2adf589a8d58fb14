//! Numbers out of range, endless files, texts that control a terminal, and programs that do not end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lat_space::{NasBench201, Space, architecture_at};
use predicates::prelude::*;
use predicates::str::contains;

use super::{folder, lat, refused};

const ARCHITECTURE: &str =
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";

fn search<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let search = "search --space nasbench201 --method darts --dataset digits --target params --epochs 1 --out s";
    search.split(' ').chain(more.iter().copied()).collect()
}

#[test]
fn numbers_that_overflow_are_refused_and_named() {
    let dir = folder();
    for (more, texts) in [
        (
            vec!["--seed", "18446744073709551615", "--seeds", "2"],
            ["found 2 from --seed", "18446744073709551615"],
        ),
        (vec!["--lambda", "1e308"], ["--lambda of at most 1000000", "found 1e308"]),
        (vec!["--lambda", "inf"], ["--lambda of at most", "found inf"]),
        (vec!["--target-ms", "1e308"], ["--target-ms of at most", "found 1e308"]),
        (
            vec!["--set", "alpha_lr=nan"],
            ["expected alpha_lr to be a number of at least 0", "found nan"],
        ),
        (vec!["--set", "lr=-1"], ["expected lr to be a number of at least 0", "found -1"]),
        (vec!["--set", "alpha_lr=-1"], ["alpha_lr", "found -1"]),
        (vec!["--set", "momentum=5"], ["momentum to be a number from 0 to below 1", "found 5"]),
    ] {
        refused(dir.path(), &search(&more), &texts);
        assert!(!dir.path().join("s").exists(), "{more:?}");
    }
    let risk = ["search", "--space", "nasbench201", "--risk", "1e300"];
    refused(dir.path(), &risk, &["--risk of at most 1000", "found 1e300"]);
    let samples = ["profile", "--device", "fake", "--samples", "1000000000000000"];
    refused(dir.path(), &samples, &["at most 100 million"]);
}

#[test]
fn the_largest_seeds_are_seeds() {
    let dir = folder();
    for seed in ["18446744073709551615", "9223372036854775807"] {
        let more = ["--images", "130", "--channels", "4", "--layers", "3", "--seed", seed];
        lat(dir.path()).args(search(&more)).assert().success();
        fs::remove_dir_all(dir.path().join("s")).unwrap();
    }
}

#[test]
fn endless_files_are_refused() {
    let dir = folder();
    let at = |more: &[&str], text: &str| refused(dir.path(), more, &[text]);
    at(&["predict", "--predictor", "/dev/zero", ARCHITECTURE], "found a longer one");
    at(&["evaluate", "--arch", "/dev/zero", "--space", "nasbench201"], "");
    at(&["train", "--data", "t.csv", "--space-file", "/dev/zero"], "found a longer one");
}

#[test]
fn names_in_files_do_not_steer_the_terminal() {
    let dir = folder();
    let space = NasBench201::new();
    // A column's name whose end would clear the screen.
    let column = "latency_\u{1b}[2J";
    let rows = (0..60).map(|i| {
        let architecture = space.format(&architecture_at(&space, 0, i).unwrap());
        format!("{architecture},{}\n", 1.0 + (i % 7) as f64)
    });
    let text = format!("architecture,{column}\n{}", rows.collect::<String>());
    fs::write(dir.path().join("t.csv"), text).unwrap();
    let train =
        ["train", "--space", "nasbench201", "--data", "t.csv", "--out", "p.lat", "--target"];
    let quiet = || contains("\u{1b}").not();
    lat(dir.path()).args(train).arg(column).assert().success().stdout(quiet());
    let predict = ["predict", "--predictor", "p.lat", "--sd", ARCHITECTURE];
    lat(dir.path())
        .args(predict)
        .assert()
        .success()
        .stdout(quiet().and(contains("unit unknown\t")));
    lat(dir.path()).args(train).arg("no\u{1b}[2J").assert().code(2).stderr(quiet());
}

/// Waits until a file exists.
fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no {}", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_first_ctrl_c_ends_a_command_that_keeps_nothing() {
    let dir = folder();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let profile = "profile --device fake --space nasbench201 --samples 60 --out run";
    lat(dir.path()).args(profile.split(' ')).assert().success();
    lat(dir.path()).args("train --data run --out p.lat".split(' ')).assert().success();
    // It reads a pipe that never ends.
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lat"));
    command.current_dir(dir.path()).args([
        "predict",
        "--predictor",
        "p.lat",
        "--json",
        "out.json",
        "--file",
        "-",
    ]);
    let child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&dir.path().join(".out.json.tmp"));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.as_str()), (Some(130), "lat: interrupted\n"));
    assert!(!dir.path().join("out.json").exists());
}

#[test]
fn a_limit_on_the_size_of_files_is_told_and_is_no_bad_input() {
    let dir = folder();
    let program = assert_cmd::cargo::cargo_bin("lat");
    let search = search(&["--images", "130", "--channels", "4", "--layers", "3"]).join(" ");
    let line = format!("ulimit -f 4; exec '{}' -q {search}", program.display());
    let mut shell = assert_cmd::Command::new("bash");
    let told = contains("could not write s/checkpoint.safetensors").and(contains("File too large"));
    shell.args(["-c", &line]).current_dir(dir.path()).assert().code(1).stderr(told);
    let left: Vec<_> =
        fs::read_dir(dir.path().join("s")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with("tmp")), "{left:?}");
}

#[test]
fn a_full_disk_is_no_bad_input_in_any_command() {
    let dir = folder();
    let profile = "profile --device fake --space nasbench201 --samples 60 --out run";
    lat(dir.path()).args(profile.split(' ')).assert().success();
    lat(dir.path()).args("train --data run --out p.lat".split(' ')).assert().success();
    let program = assert_cmd::cargo::cargo_bin("lat");
    // There is no room at all, but existing files can be read.
    for args in [
        "train --data run --out q.lat".to_owned(),
        "report run --out q.html".to_owned(),
        "export --format onnx --predictor p.lat --out q.onnx".to_owned(),
        "export --format torchscript --predictor p.lat --out q.pt".to_owned(),
        format!("predict --predictor p.lat --json q.json '{ARCHITECTURE}'"),
        "diff run run --json q.json".to_owned(),
        "profile --device fake --space nasbench201 --samples 60 --out new".to_owned(),
    ] {
        let line = format!("ulimit -f 0; exec '{}' -q {args}", program.display());
        let mut shell = assert_cmd::Command::new("bash");
        let told = contains("File too large (os error 27)").count(1);
        shell.args(["-c", &line]).current_dir(dir.path()).assert().code(1).stderr(told);
        let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains('q')).collect();
        assert!(left.is_empty(), "{args}: {left:?}");
    }
}

#[test]
fn an_empty_argument_is_no_architecture() {
    let dir = folder();
    let profile = "profile --device fake --space nasbench201 --samples 60 --out run";
    lat(dir.path()).args(profile.split(' ')).assert().success();
    lat(dir.path()).args("train --data run --out p.lat".split(' ')).assert().success();
    let predict = ["predict", "--predictor", "p.lat", ARCHITECTURE, ""];
    refused(dir.path(), &predict, &["expected an architecture text, found argument 2 empty"]);
}

#[test]
fn the_help_says_that_a_module_is_a_program() {
    let dir = folder();
    lat(dir.path())
        .args(["time", "--help"])
        .assert()
        .stdout(contains("only modules that you trust"));
}
