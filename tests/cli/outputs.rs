//! Where commands write: never over an input or a run's own files. Links are followed, and pipes are written directly.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Command;

use predicates::str::contains;

use super::{folder, lat, refused};

const ARCHITECTURE: &str =
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";

/// A folder with a run of the fake device in `run`, and its predictor in `p.lat`.
fn trained() -> tempfile::TempDir {
    let dir = folder();
    let profile = "profile --device fake --space nasbench201 --samples 60 --out run";
    lat(dir.path()).args(profile.split(' ')).assert().success();
    lat(dir.path()).args("train --data run --out p.lat".split(' ')).assert().success();
    dir
}

fn bytes(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap()
}

#[test]
fn inputs_and_files_of_runs_are_never_written_over() {
    let dir = trained();
    let dir = dir.path();
    symlink("p.lat", dir.join("link.lat")).unwrap();
    fs::copy(dir.join("run/measurements.parquet"), dir.join("t.parquet")).unwrap();
    fs::write(dir.join("a.txt"), ARCHITECTURE).unwrap();
    fs::write(dir.join("model.pt"), "module").unwrap();
    let predict = ["predict", "--predictor", "p.lat"];
    let train = ["train", "--space", "nasbench201", "--data"];
    let cases: [(Vec<&str>, &str); 13] = [
        ([&predict[..], &["--json", "p.lat", ARCHITECTURE]].concat(), "p.lat"),
        ([&predict[..], &["--json", "link.lat", ARCHITECTURE]].concat(), "p.lat"),
        ([&predict[..], &["--file", "a.txt", "--json", "a.txt"]].concat(), "a.txt"),
        (
            [&train[..], &["t.parquet", "--out", "q.lat", "--json", "t.parquet"]].concat(),
            "t.parquet",
        ),
        ([&train[..], &["t.parquet", "--out", "t.parquet"]].concat(), "t.parquet"),
        (
            [&train[..], &["run", "--out", "run/measurements.parquet"]].concat(),
            "run/measurements.parquet",
        ),
        ([&train[..], &["run", "--out", "q.lat", "--json", "q.lat"]].concat(), "p.lat"),
        (vec!["report", "run", "--out", "run/rows.jsonl"], "run/rows.jsonl"),
        (vec!["merge", "m", "run", "--json", "run/rows.jsonl"], "run/rows.jsonl"),
        (vec!["diff", "run", "run", "--json", "run/manifest.json"], "run/manifest.json"),
        (vec!["doctor", "--device", "cpu", "--json", "run/run.json"], "run/run.json"),
        (vec!["time", "model.pt", "--input", "1", "--json", "model.pt"], "model.pt"),
        (vec!["export", "--format", "onnx", "--predictor", "p.lat", "--out", "link.lat"], "p.lat"),
    ];
    for (args, at_stake) in cases {
        let before = bytes(dir, at_stake);
        refused(dir, &args, &["to name a file of its own to write to", "name another"]);
        assert_eq!(bytes(dir, at_stake), before, "{args:?}");
    }
    let profile =
        "profile --device fake --space nasbench201 --samples 60 --out new --json new/rows.jsonl";
    let profile: Vec<&str> = profile.split(' ').collect();
    refused(dir, &profile, &["a file of a profile run"]);
    assert!(!dir.join("new").exists() && !dir.join("m").exists() && !dir.join("q.lat").exists());
}

#[test]
fn a_predictor_that_is_found_and_not_named_is_an_input_too() {
    let dir = trained();
    let dir = dir.path();
    fs::create_dir(dir.join("runs")).unwrap();
    let found = "runs/predictor-nasbench201-x-latency_ms.lat";
    fs::rename(dir.join("p.lat"), dir.join(found)).unwrap();
    let before = bytes(dir, found);
    let search =
        ["search", "--space", "nasbench201", "--epochs", "1", "--out", "s", "--json", found];
    for args in [
        &["predict", "--json", found, ARCHITECTURE][..],
        &["report", "run", "--out", found],
        &["export", "--format", "onnx", "--out", found],
        &["front", "--json", found],
        &search,
    ] {
        refused(dir, args, &["which this command reads"]);
        assert_eq!(bytes(dir, found), before, "{args:?}");
    }
    assert!(!dir.join("s").exists());
}

#[test]
fn links_are_followed_and_pipes_written_into() {
    let dir = trained();
    let dir = dir.path();
    fs::create_dir(dir.join("far")).unwrap();
    for (name, target) in
        [("predictions", "far/p.json"), ("figures", "far/f.json"), ("out", "far/q.lat")]
    {
        symlink(target, dir.join(name)).unwrap();
    }
    let predict = |json: &str| {
        lat(dir).args(["predict", "--predictor", "p.lat", "--json", json, ARCHITECTURE]).assert()
    };
    predict("predictions").success();
    let train = "train --data run --out out --json figures";
    lat(dir).args(train.split(' ')).assert().success();
    for name in ["predictions", "figures", "out"] {
        assert!(fs::symlink_metadata(dir.join(name)).unwrap().is_symlink(), "{name}");
    }
    for name in ["p.json", "f.json", "q.lat"] {
        assert!(!bytes(&dir.join("far"), name).is_empty(), "{name}");
    }

    let pipe = dir.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut text = String::new();
            fs::File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
            text
        }
    });
    predict("pipe").success();
    let text = reader.join().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_array(), "{text}");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn standard_output_takes_the_json_behind_the_lines_also_where_it_is_a_file() {
    let dir = trained();
    let program = assert_cmd::cargo::cargo_bin("lat");
    let line = format!(
        "'{}' -q predict --predictor p.lat --json /dev/stdout '{ARCHITECTURE}' > all.txt",
        program.display()
    );
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", &line]).current_dir(dir.path()).status().unwrap();
    assert!(status.success());
    let text = String::from_utf8(bytes(dir.path(), "all.txt")).unwrap();
    assert!(text.starts_with("0.") && text.contains("ms\t") && text.ends_with("]\n"), "{text}");
}

#[test]
fn a_folder_that_is_not_there_is_no_place_for_a_file() {
    let dir = trained();
    for args in [
        vec!["train", "--data", "run", "--out", "typo/p.lat"],
        vec!["report", "run", "--out", "typo/page.html"],
        vec!["predict", "--predictor", "p.lat", "--json", "typo/p.json", ARCHITECTURE],
    ] {
        refused(dir.path(), &args, &["found no folder typo", "make it, or correct the path"]);
        assert!(!dir.path().join("typo").exists(), "{args:?}");
    }
    lat(dir.path())
        .args(["predict", "--predictor", "p.lat", "--json", "run", ARCHITECTURE])
        .assert()
        .code(2)
        .stderr(contains("found the folder run"));
}
