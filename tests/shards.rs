//! One run on several devices and machines: shards, workers, interruptions, and the merge.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lat_data::{LatencyTable, Measurement, Role, Status, read_run};
use predicates::prelude::*;
use predicates::str::contains;

use crate::crash::assert_begins_with;

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("lat")
}

/// Runs a command line whose arguments contain no spaces.
fn lat(dir: &Path, line: &str) -> assert_cmd::assert::Assert {
    let mut command = assert_cmd::Command::new(program());
    command.current_dir(dir).args(["--threads", "1", "--quiet"]).args(line.split(' ')).assert()
}

fn start(dir: &Path, line: &str) -> Child {
    let mut command = Command::new(program());
    command.current_dir(dir).args(["--threads", "1", "--quiet"]).args(line.split(' '));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

const PROFILE: &str = "profile --space nasbench201 --samples 60";

/// Numbers of the samples in a run folder, ascending.
fn samples(run: &Path) -> Vec<u64> {
    let rows = read_run(run).unwrap().1;
    let mut found: Vec<u64> =
        rows.iter().filter(|row| row.role == Role::Sample).map(|row| row.index).collect();
    found.sort_unstable();
    found
}

fn wait_for_rows(run: &Path, n: usize) {
    let begin = Instant::now();
    while !run.join("run.json").exists() || read_run(run).unwrap().1.len() < n {
        assert!(begin.elapsed() < Duration::from_secs(300), "no {n} rows after five minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(name: &str, process: &Child) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
fn shards_merge_into_the_whole_run_and_are_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path(), &format!("{PROFILE} --device fake")).success();
    for i in 1..=3 {
        lat(dir.path(), &format!("{PROFILE} --device fake --shard {i}/3")).success();
    }
    let run = "profile-nasbench201-fake-c16-l3-r8-b1-seed0";
    let runs = dir.path().join("runs");
    let shard = |i| format!("runs/{run}-shard{i}of3");
    lat(dir.path(), &format!("merge all {} {}", shard(1), shard(3)))
        .code(2)
        .stderr(contains("no folder of shards 2/3").and(contains("--partial")));
    lat(dir.path(), &format!("merge all {} {} {}", shard(3), shard(1), shard(2)))
        .success()
        .stdout(contains("1.0000").and(contains("all: ")));
    let all = dir.path().join("all");
    assert_eq!(samples(&all), (0..60).collect::<Vec<_>>());
    let value = |dir: &Path| -> Vec<(String, String)> {
        let table = LatencyTable::load(dir, None, "latency_ms").unwrap();
        // The fake device's noise depends on the row only, so the whole run and its shards agree up to the clock's rounding.
        let text = |row: lat_data::TableRow| (row.architecture, format!("{:.9}", row.value));
        let mut rows: Vec<_> = table.rows.into_iter().map(text).collect();
        rows.sort();
        rows
    };
    assert_eq!(value(&all), value(&runs.join(run)));
    lat(dir.path(), "train --data all --out p.lat").success().stdout(contains("64 architectures"));
    // Without --data the whole run is used, not the newer shards.
    lat(dir.path(), "train --out q.lat").success().stdout(contains(format!("from runs/{run}:")));
}

#[test]
fn a_process_per_device_gives_what_one_device_gives() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{PROFILE} --device fake,fake --json v.json");
    lat(dir.path(), &line).success().stdout(contains("worker-1 (fake): VALID"));
    let run = dir.path().join("runs/profile-nasbench201-fake+fake-c16-l3-r8-b1-seed0");
    assert_eq!(samples(&run), (0..60).collect::<Vec<_>>());
    let verdict: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("v.json")).unwrap()).unwrap();
    assert_eq!(verdict["valid"], true);
    assert_eq!(verdict["rows"], read_run(&run).unwrap().1.len());
    assert_eq!(verdict["workers"].as_array().unwrap().len(), 2);
    // A second time: nothing is left to do, and the result is the same.
    let table = std::fs::read(run.join("measurements.parquet")).unwrap();
    lat(dir.path(), &line).success();
    assert_eq!(std::fs::read(run.join("measurements.parquet")).unwrap(), table);
    lat(dir.path(), "train").success().stdout(contains("fake+fake"));
}

#[test]
fn an_architecture_that_ends_its_process_fails_after_three_tries_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "--fake-fault abort=17,lose=20,lose=22 --out run";
    lat(dir.path(), &format!("{PROFILE} --device fake,fake {faults}"))
        .success()
        .stderr(contains("sample 17, try 3 of 3").and(contains("sample 22, try 3 of 3")));
    let run = dir.path().join("run");
    assert_eq!(samples(&run), (0..60).collect::<Vec<_>>());
    let rows = read_run(&run).unwrap().1;
    let failed: Vec<&Measurement> = rows.iter().filter(|r| r.status == Status::Failed).collect();
    assert_eq!(failed.iter().map(|row| row.index).collect::<Vec<_>>(), [20, 22, 17]);
    // A single device is supervised in the same way, if asked for.
    lat(dir.path(), &format!("{PROFILE} --device fake --supervise --fake-fault lose=9 --out one"))
        .success()
        .stderr(contains("worker-0 (fake): its process ended at sample 9, try 3 of 3"));
    assert_eq!(samples(&dir.path().join("one")), (0..60).collect::<Vec<_>>());
    for row in &failed {
        let reason = if row.index == 17 { "SIGABRT" } else { "illegal memory access" };
        assert!(row.reason.starts_with("ended the process that measured it 3 times"), "{row:?}");
        assert!(row.reason.contains(reason) && row.attempt == 2, "{row:?}");
    }
}

/// Rows are measured again if the anchors were off their level. All rows exist by then, so only the process itself can tell at
/// which of them it ended.
#[test]
fn an_architecture_that_ends_its_process_when_it_is_measured_again_is_the_one_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    // Rounds of anchors come before samples 0, 100 and so on. If round 3 is off, samples 200 to 399 are measured again.
    let faults = "--fake-fault slow-round=3,abort-again=250 --supervise --out run";
    lat(dir.path(), &format!("profile --space nasbench201 --samples 600 --device fake {faults}"))
        .success()
        .stderr(contains("its process ended at sample 250, try 3 of 3").and(contains("SIGABRT")));
    let run = dir.path().join("run");
    let rows = read_run(&run).unwrap().1;
    let failed: Vec<&Measurement> = rows.iter().filter(|r| r.status == Status::Failed).collect();
    assert_eq!(failed.iter().map(|row| row.index).collect::<Vec<_>>(), [250]);
    assert_eq!(failed[0].attempt, 2);
    assert!(failed[0].reason.starts_with("ended the process that measured it 3 times"));
    // The other rows of the stretch were measured again, each once; nothing is lost.
    let again = |index| rows.iter().filter(move |r| r.role == Role::Sample && r.index == index);
    for index in (200..400).filter(|index| *index != 250) {
        let attempts: Vec<u32> = again(index).map(|row| row.attempt).collect();
        assert_eq!(attempts, [0, 1], "sample {index}");
    }
    assert_eq!(again(199).count() + again(400).count(), 2);
}

#[test]
fn a_device_on_which_nothing_works_is_given_up_and_the_other_finishes_its_part() {
    let dir = tempfile::tempdir().unwrap();
    // The first samples of the first worker.
    let faults = (0..6).map(|i| format!("abort={}", 2 * i)).collect::<Vec<_>>().join(",");
    lat(dir.path(), &format!("{PROFILE} --device fake,fake --fake-fault {faults} --out run"))
        .code(1)
        .stderr(contains("worker-0 (fake): 5 architectures in a row ended its process"));
    let second = samples(&dir.path().join("run/worker-1"));
    assert_eq!(second, (0..30).map(|i| 2 * i + 1).collect::<Vec<_>>());
    assert!(!dir.path().join("run/run.json").exists(), "half a run is not merged");
}

#[test]
fn a_scheduler_s_sigterm_seals_what_there_is_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let one = format!("{PROFILE} --device fake --out one");
    let two = format!("{PROFILE} --device fake,fake --out two");
    for (line, run) in [(one, "one"), (two, "two/worker-1")] {
        // Slow enough that the run is not finished even if the test has to wait.
        let child = start(dir.path(), &format!("{line} --fake-fault pause-ms=100"));
        let run = dir.path().join(run);
        wait_for_rows(&run, 8);
        signal("-TERM", &child);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("asked to stop") && said.contains("run the same command"), "{said}");
        let table = LatencyTable::load(&run, None, "latency_ms").unwrap();
        assert_eq!(table.source, run.join("measurements.parquet"));
        let before = read_run(&run).unwrap().1;
        lat(dir.path(), &line).success();
        let after = read_run(&run).unwrap().1;
        assert_begins_with(&after, &before);
        assert!(before.len() < after.len(), "{} rows: not stopped midway", before.len());
    }
    assert_eq!(samples(&dir.path().join("one")), (0..60).collect::<Vec<_>>());
    assert_eq!(samples(&dir.path().join("two")), (0..60).collect::<Vec<_>>());
}

#[test]
fn workers_whose_parent_is_killed_stop_and_ctrl_c_is_130() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{PROFILE} --device fake,fake --fake-fault pause-ms=100 --out run");
    for (name, code) in [("-KILL", None), ("-INT", Some(130))] {
        let child = start(dir.path(), &line);
        let worker = dir.path().join("run/worker-0");
        let before = if worker.exists() { read_run(&worker).unwrap().1.len() } else { 0 };
        wait_for_rows(&worker, before + 3);
        signal(name, &child);
        // All workers have the parent's pipe as standard error, so it ends when the last of them has ended.
        assert_eq!(child.wait_with_output().unwrap().status.code(), code, "{name}");
    }
    let begin = Instant::now();
    let whole = format!("{PROFILE} --device fake,fake --out run");
    // A worker that was still measuring a row releases the folder after it.
    while !assert_cmd::Command::new(program())
        .current_dir(dir.path())
        .args(["--threads", "1", "--quiet"])
        .args(whole.split(' '))
        .output()
        .unwrap()
        .status
        .success()
    {
        assert!(begin.elapsed() < Duration::from_secs(300), "workers still hold the folder");
    }
    assert_eq!(samples(&dir.path().join("run")), (0..60).collect::<Vec<_>>());
}

#[test]
fn shards_and_devices_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, text) in [
        ("--device fake --shard 3/2", "expected a shard I/N"),
        ("--device fake --shard 0/2", "expected a shard I/N"),
        ("--device fake --shard 1/61", "at most that of samples, found 61"),
        ("--device fake,cpu", "several GPUs"),
        ("--device cpu,cpu", "several GPUs"),
        ("--device cuda:97,cuda:98", "cuda:97"),
        ("--device fake --fake-fault explode", "abort=N"),
        ("--device cpu --fake-fault abort=1", "expected --device fake"),
    ] {
        lat(dir.path(), &format!("{PROFILE} {arguments}")).code(2).stderr(contains(text));
    }
    lat(dir.path(), "merge out nowhere").code(2).stderr(contains("nowhere"));
    assert!(!dir.path().join("runs").exists() && !dir.path().join("out").exists());
    lat(dir.path(), &format!("{PROFILE} --device fake --out whole")).success();
    lat(dir.path(), "merge out whole").code(2).stderr(contains("--shard I/N"));
    lat(dir.path(), &format!("{PROFILE} --device fake,fake --out whole"))
        .code(2)
        .stderr(contains("a run that was measured there"));
}
