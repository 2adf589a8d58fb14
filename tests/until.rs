//! `lat profile --until`: rounds, their choice of samples, their end, and that an interrupted run continues with the same
//! samples.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lat_data::{Measurement, Role, Round, Rounds, read_run};
use predicates::prelude::*;
use predicates::str::contains;

use super::cli::{lat, refused};

/// Flags for a run on the fake device into the folder `run`.
fn until(goal: &str, more: &str) -> Vec<String> {
    let text = format!("profile --device fake --space nasbench201 --out run {more}");
    let flags = text.split_whitespace().map(str::to_owned);
    flags.chain(["--until".to_owned(), goal.to_owned()]).collect()
}

fn measured(dir: &Path) -> (Rounds, Vec<Measurement>) {
    let run = dir.join("run");
    (Rounds::read(&run).unwrap().unwrap(), read_run(&run).unwrap().1)
}

fn samples(rows: &[Measurement]) -> Vec<u64> {
    rows.iter().filter(|row| row.role == Role::Sample).map(|row| row.index).collect()
}

#[test]
fn a_goal_is_reached_and_the_run_trains_reports_and_compares_as_any() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path())
        .args(until("mape<0.25%", "--json ending.json"))
        .assert()
        .success()
        .stdout(contains("goal of 0.25 % reached; validation MAPE").and(contains("VALID: ")));
    let (rounds, rows) = measured(dir.path());
    let numbers: Vec<u64> = rounds.rounds.iter().flat_map(lat_data::Round::samples).collect();
    assert_eq!(samples(&rows), numbers);
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
    assert!(rounds.rounds.len() > 1 && rounds.n_chosen() > rounds.n_samples() / 4);
    let last = rounds.rounds.last().unwrap().judgement.unwrap();
    assert!(last.mape + 1.645 * last.standard_error < 0.25, "{last:?}");
    let json = std::fs::read_to_string(dir.path().join("ending.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["until"]["reached"], true);
    assert_eq!(json["until"]["samples"], numbers.len());
    assert!(rows.iter().any(|row| row.role == Role::Fresh) && json["valid"] == true);
    for command in ["train --data run --regressor linear", "report run", "diff run run"] {
        lat(dir.path()).args(command.split(' ')).assert().success();
    }
    // A whole run is not a shard, here as elsewhere.
    refused(dir.path(), &["merge", "whole", "run"], &["expected one shard of a run"]);
    // The same command finds that everything is done, a stricter goal continues the run, and a run of another kind is rejected.
    lat(dir.path()).args(until("mape<0.25%", "")).assert().success();
    assert_eq!(measured(dir.path()).1.len(), rows.len());
    lat(dir.path()).args(until("mape<0.01%", "--samples 130")).assert().success();
    assert!(samples(&measured(dir.path()).1).starts_with(&numbers));
    let plain = "profile --device fake --space nasbench201 --out run --samples 30";
    let plain: Vec<&str> = plain.split(' ').collect();
    refused(dir.path(), &plain, &["found one of --until: go on with --until"]);
}

#[test]
fn a_cap_ends_it_and_more_samples_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for cap in [30, 40] {
        lat(dir.path())
            .args(until("mape<0.01%", &format!("--samples {cap}")))
            .assert()
            .success()
            .stdout(contains("not reached with as many samples as --samples allows"))
            .stdout(contains(format!("{cap} samples, ")));
        assert_eq!(samples(&measured(dir.path()).1).len(), cap);
    }
    lat(dir.path()).args(until("mape<1%", "--samples 5 --seed 3 --out few")).assert().success();
}

#[test]
fn a_goal_below_the_noise_is_called_out_of_reach() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path()).args(until("mape<0.02%", "--samples 3000")).assert().success().stdout(
        contains("goal of 0.02 % out of reach: measurements repeat to")
            .and(contains("which no number of samples lowers")),
    );
    assert!(samples(&measured(dir.path()).1).len() < 3000);
}

#[test]
fn progress_of_each_round_is_told_on_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::cargo_bin("lat").unwrap();
    command.current_dir(dir.path()).args(["--threads", "1"]);
    command.args(until("mape<0.01%", "--samples 34")).assert().success().stderr(
        contains("round 1: 24 samples, 0 of them chosen; validation MAPE")
            .and(contains("round 2: 34 samples, 7 of them chosen")),
    );
}

#[test]
fn what_does_not_go_with_a_goal_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    for (goal, more, text) in [
        ("mape<3", "", "expected a goal like 'mape<3%', found 'mape<3'"),
        ("rmse<3%", "", "expected a goal like 'mape<3%'"),
        ("mape<0%", "", "above 0 and below 100 %"),
        ("mape<3%", "--shard 1/2", "expected one device and one process with --until"),
        ("mape<3%", "--device fake,fake", "found several devices"),
        ("mape<3%", "--supervise", "found --supervise"),
        ("mape<3%", "--plan", "is not known before they are measured"),
        ("mape<3%", "--energy 0.1", "expected --samples with --energy"),
        ("mape<3%", "--samples 20000", "at most 15625 samples"),
    ] {
        let flags = until(goal, more);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        refused(dir.path(), &flags, &[text]);
    }
    assert!(!dir.path().join("run").exists());
    let plain = "profile --device fake --space nasbench201 --out run --samples 20";
    lat(dir.path()).args(plain.split(' ')).assert().success();
    let flags = until("mape<3%", "");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    refused(dir.path(), &flags, &["whose samples are the first in order: go on without --until"]);
}

#[test]
fn damaged_rounds_are_named() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path()).args(until("mape<1%", "--samples 24")).assert().success();
    let path = dir.path().join("run/rounds.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("23", "29", 1)).unwrap();
    let flags = until("mape<1%", "--samples 24");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    refused(dir.path(), &flags, &["rounds.json", "a damaged one"]);
}

fn start(dir: &Path, flags: &[String]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lat"));
    command.current_dir(dir).args(["--threads", "1", "--quiet"]).args(flags);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn n_rows(dir: &Path) -> usize {
    let run = dir.join("run");
    if run.join("run.json").exists() { read_run(&run).unwrap().1.len() } else { 0 }
}

#[test]
fn a_run_killed_in_any_round_goes_on_as_if_it_had_not_been() {
    let flags = until("mape<0.01%", "--samples 66 --fake-fault pause-ms=5");
    let straight = tempfile::tempdir().unwrap();
    lat(straight.path()).args(&flags).assert().success();
    let (rounds, rows) = measured(straight.path());
    let dir = tempfile::tempdir().unwrap();
    for rows in [1, 20, 40, 47, 70] {
        let mut child = start(dir.path(), &flags);
        let begin = Instant::now();
        while n_rows(dir.path()) < rows {
            assert!(
                begin.elapsed() < Duration::from_secs(300),
                "no {rows} rows after five minutes"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    lat(dir.path()).args(&flags).assert().success();
    let (again, all) = measured(dir.path());
    // The last digits of an error depend on where its numbers lie in memory.
    let coarse = |rounds: &Rounds| -> Vec<_> {
        let round = |round: &Round| {
            let mape = round.judgement.map(|judgement| (judgement.mape * 1e6).round());
            (round.random.clone(), round.chosen.clone(), mape)
        };
        rounds.rounds.iter().map(round).collect()
    };
    assert_eq!(coarse(&again), coarse(&rounds));
    let of = |rows: &[Measurement]| -> Vec<_> {
        rows.iter().map(|row| (row.identity(), (row.latency_ms * 1e9).round())).collect()
    };
    assert_eq!(of(&all), of(&rows));
}
