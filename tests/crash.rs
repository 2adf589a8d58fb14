//! A profile that is killed, runs out of disk space, or whose folder disappears or is damaged: no committed row is lost or
//! doubled, and every damage is named.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lat_data::{Measurement, Role, read_run};
use predicates::prelude::*;
use predicates::str::contains;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The arguments of a profile of the fake device into `run`, with real time for each row.
fn profile(samples: u64, pause_ms: u64) -> Vec<String> {
    let text = format!(
        "--threads 1 --quiet profile --device fake --space nasbench201 --samples {samples} --out run \
         --fake-fault pause-ms={pause_ms}"
    );
    text.split(' ').map(str::to_owned).collect()
}

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("lat")
}

fn start(dir: &Path, args: &[String]) -> Child {
    let mut command = Command::new(program());
    command.current_dir(dir).args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn finish(dir: &Path, args: &[String]) -> assert_cmd::assert::Assert {
    assert_cmd::Command::new(program()).current_dir(dir).args(args).assert()
}

/// The rows in a run folder; none if the run has not begun.
fn committed(run: &Path) -> Vec<Measurement> {
    if run.join("run.json").exists() { read_run(run).unwrap().1 } else { Vec::new() }
}

/// Checks that the rows of a run begin with those that were there before, unchanged. (A NaN equals itself here.)
pub(crate) fn assert_begins_with(rows: &[Measurement], before: &[Measurement]) {
    assert!(rows.len() >= before.len(), "{} rows after {}", rows.len(), before.len());
    for (row, old) in rows.iter().zip(before) {
        assert_eq!(serde_json::to_value(row).unwrap(), serde_json::to_value(old).unwrap());
    }
}

fn identities(rows: &[Measurement]) -> Vec<(Role, u64, u32)> {
    rows.iter().map(Measurement::identity).collect()
}

fn assert_whole(rows: &[Measurement], samples: u64) {
    let distinct: HashSet<_> = identities(rows).into_iter().collect();
    assert_eq!(distinct.len(), rows.len(), "a row is there twice");
    let mut found: Vec<u64> =
        rows.iter().filter(|row| row.role == Role::Sample).map(|row| row.index).collect();
    found.sort_unstable();
    assert_eq!(found, (0..samples).collect::<Vec<_>>());
}

/// Milliseconds per row in tests that interfere with a run in the middle. The run must not be finished before a test on a busy
/// machine gets that far.
const SLOW: u64 = 60;

fn wait_for_rows(run: &Path, n: usize) {
    let begin = Instant::now();
    while committed(run).len() < n {
        assert!(begin.elapsed() < Duration::from_secs(300), "no {n} rows after five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::print_stdout, reason = "a test that did not run says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

#[test]
fn fifty_kills_at_random_moments_lose_and_double_no_row() {
    const SAMPLES: u64 = 120;
    let args = profile(SAMPLES, 2);
    let mut rng = ChaCha8Rng::seed_from_u64(50);
    let mut dir = tempfile::tempdir().unwrap();
    let (mut n_between_rows, mut n_finished) = (0, 0);
    for kill in 0..50 {
        let run = dir.path().join("run");
        let before = committed(&run);
        let mut child = start(dir.path(), &args);
        // Half of the kills come at any moment after the start, the others while rows are written and the table is sealed.
        if kill % 2 == 0 {
            std::thread::sleep(Duration::from_millis(rng.gen_range(0..800)));
        } else {
            while committed(&run).len() <= before.len() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(rng.gen_range(0..400)));
        }
        let seen = committed(&run);
        child.kill().unwrap();
        let had_finished = child.wait().unwrap().success();
        let after = committed(&run);
        assert_begins_with(&seen, &before);
        assert_begins_with(&after, &seen);
        n_between_rows += usize::from(!had_finished && after.len() > before.len());
        if had_finished {
            assert_whole(&after, SAMPLES);
            n_finished += 1;
            dir = tempfile::tempdir().unwrap();
        }
    }
    finish(dir.path(), &args).success();
    let rows = committed(&dir.path().join("run"));
    assert_whole(&rows, SAMPLES);
    let straight = tempfile::tempdir().unwrap();
    finish(straight.path(), &args).success();
    assert_eq!(identities(&rows), identities(&committed(&straight.path().join("run"))));
    assert!(n_between_rows >= 5, "{n_between_rows} kills while rows came, {n_finished} too late");
}

/// A limit on the size of files simulates a full disk: it needs no mount, and a write fails in the middle of a row in the same
/// way.
#[test]
fn a_row_that_finds_no_room_is_not_there_and_the_run_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run) = (profile(40, 0), dir.path().join("run"));
    limited(dir.path(), &args, 20)
        .code(1)
        .stderr(contains("could not add a row").and(contains("rows before it are safe")));
    let before = committed(&run);
    assert!(before.len() > 3, "{} rows", before.len());
    finish(dir.path(), &args).success();
    let rows = committed(&run);
    assert_begins_with(&rows, &before);
    assert_whole(&rows, 40);

    // There is room for everything except the table.
    std::fs::remove_file(run.join("measurements.parquet")).unwrap();
    std::fs::remove_file(run.join("manifest.json")).unwrap();
    limited(dir.path(), &args, 2).code(1).stderr(contains("measurements.parquet"));
    let left: HashSet<String> = std::fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = [".lock", "doctor.json", "manifest.json", "rows.jsonl", "run.json"];
    assert_eq!(left, expected.map(String::from).into());
    assert_begins_with(&committed(&run), &rows);
    finish(dir.path(), &args).success();
}

/// Runs the program with a limit on the size of files, in blocks of 512 bytes.
fn limited(dir: &Path, args: &[String], blocks: u32) -> assert_cmd::assert::Assert {
    // The signal of this limit would end the program. If it is ignored, the write fails as on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    assert_cmd::Command::new("sh")
        .current_dir(dir)
        .arg("-c")
        .arg(script)
        .arg(program())
        .args(args)
        .assert()
}

#[test]
fn a_file_system_that_fills_up_keeps_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skipped("no file system can be mounted here");
    }
    let args = profile(100, 0);
    let full = finish(dir.path(), &args).code(1);
    let rows = committed(&dir.path().join("run")).len();
    let grown =
        Command::new("mount").args(["-o", "remount,size=1m"]).arg(dir.path()).status().unwrap();
    assert!(grown.success());
    finish(dir.path(), &args).success();
    let after = committed(&dir.path().join("run"));
    Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    full.stderr(contains(format!("the {rows} rows before it are safe")));
    assert!(rows > 10, "{rows} rows");
    assert_whole(&after, 100);
}

#[test]
fn a_folder_that_becomes_a_file_midway_costs_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run, moved) = (profile(60, 0), dir.path().join("run"), dir.path().join("moved"));
    let child = start(dir.path(), &profile(60, SLOW));
    wait_for_rows(&run, 5);
    std::fs::rename(&run, &moved).unwrap();
    std::fs::write(&run, "a file where the folder was").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("run was removed, moved or replaced while this run wrote"), "{told}");
    std::fs::remove_file(&run).unwrap();
    std::fs::rename(&moved, &run).unwrap();
    let before = committed(&run);
    finish(dir.path(), &args).success();
    let rows = committed(&run);
    assert_begins_with(&rows, &before);
    assert_whole(&rows, 60);
}

#[test]
fn a_folder_that_becomes_read_only_midway_costs_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run) = (profile(60, 0), dir.path().join("run"));
    let child = start(dir.path(), &profile(60, SLOW));
    wait_for_rows(&run, 5);
    // Root ignores permissions, but not an immutable folder, if the file system supports that.
    let change = |how: &str| {
        let folder = Command::new("chattr").arg(how).arg(&run).output();
        folder.is_ok_and(|output| output.status.success())
    };
    let is_read_only = change("+i");
    let output = child.wait_with_output().unwrap();
    if !is_read_only {
        return skipped("no folder can be made immutable here");
    }
    assert!(change("-i"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("could not write") && told.contains("measurements.parquet"), "{told}");
    let before = committed(&run);
    finish(dir.path(), &args).success();
    assert_begins_with(&committed(&run), &before);
    assert_whole(&committed(&run), 60);
}

#[test]
fn a_second_profile_of_the_same_folder_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run) = (profile(60, 0), dir.path().join("run"));
    // So slow that it cannot end while the second process waits for the folder.
    let mut first = start(dir.path(), &profile(60, 1000));
    wait_for_rows(&run, 1);
    finish(dir.path(), &args)
        .code(2)
        .stderr(contains("run is in use: another process is writing this run"));
    let before = committed(&run);
    assert!(first.try_wait().unwrap().is_none(), "the first one ended");
    wait_for_rows(&run, before.len() + 1);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_begins_with(&committed(&run), &before);
    finish(dir.path(), &args).success();
    assert_whole(&committed(&run), 60);
}

#[test]
fn a_folder_that_is_removed_under_a_profile_ends_it_and_is_not_begun_anew() {
    for moved in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let child = start(dir.path(), &profile(300, SLOW));
        wait_for_rows(&run, 3);
        match moved {
            true => std::fs::rename(&run, dir.path().join("elsewhere")).unwrap(),
            // A file may be created in it between emptying and removing it.
            false => while std::fs::remove_dir_all(&run).is_err() {},
        }
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("run was removed, moved or replaced while this run wrote"), "{told}");
        assert!(!run.exists(), "it is begun anew");
        if moved {
            assert!(committed(&dir.path().join("elsewhere")).len() < 300);
        }
    }
}

#[test]
fn each_listed_file_that_is_damaged_or_gone_is_named_by_whoever_reads_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    finish(dir.path(), &profile(60, 0)).success();
    let train = ["train", "--data", "run", "--out", "p.lat"].map(String::from);
    for name in ["doctor.json", "run.json"] {
        let path = run.join(name);
        let good = damage(&path, 20, false);
        for content in [Some(std::fs::read(&path).unwrap()), Some(Vec::new()), None] {
            match &content {
                Some(content) => std::fs::write(&path, content).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            finish(dir.path(), &train).code(2).stderr(contains(format!("run/{name}")));
            if content.is_some() || name == "doctor.json" {
                finish(dir.path(), &profile(60, 0)).code(2).stderr(contains(format!("run/{name}")));
            }
        }
        std::fs::write(&path, good).unwrap();
    }
    finish(dir.path(), &train).success();
}

/// Flips one bit of a file, or cuts its end off. Returns the original content.
fn damage(path: &Path, at: usize, cut: bool) -> Vec<u8> {
    let good = std::fs::read(path).unwrap();
    let mut bytes = good.clone();
    bytes[at] ^= 2;
    std::fs::write(path, if cut { &good[..at] } else { &bytes }).unwrap();
    good
}

#[test]
fn damage_to_a_finished_run_is_named_and_never_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run) = (profile(40, 0), dir.path().join("run"));
    finish(dir.path(), &args).success();
    let whole = committed(&run);
    let train: Vec<String> =
        "--threads 1 train --data run --out p.lat".split(' ').map(str::to_owned).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for cut in [false, true] {
        for name in ["rows.jsonl", "run.json"] {
            let at = rng.gen_range(1..std::fs::metadata(run.join(name)).unwrap().len() as usize);
            let good = damage(&run.join(name), at, cut);
            finish(dir.path(), &args).code(2).stderr(contains(name).and(contains("expected")));
            std::fs::write(run.join(name), good).unwrap();
        }
        let table = run.join("measurements.parquet");
        let at = rng.gen_range(1..std::fs::metadata(&table).unwrap().len() as usize);
        let good = damage(&table, at, cut);
        finish(dir.path(), &train).code(2).stderr(contains("measurements.parquet is damaged"));
        // The rows are complete, so the same command repairs the table, and says so even with --quiet.
        finish(dir.path(), &args).success().stderr(contains("measurements.parquet is damaged"));
        assert_eq!(std::fs::read(&table).unwrap(), good);
        let manifest = run.join("manifest.json");
        let good = damage(&manifest, 20, cut);
        finish(dir.path(), &train).code(2).stderr(contains("manifest.json"));
        finish(dir.path(), &args).code(2).stderr(contains("manifest.json"));
        std::fs::write(&manifest, good).unwrap();
    }
    finish(dir.path(), &train).success();
    let after = committed(&run);
    assert_begins_with(&after, &whole);
    assert_eq!(after.len(), whole.len());
}

#[test]
fn damage_to_an_unfinished_run_is_named_and_a_cut_row_is_measured_again() {
    let dir = tempfile::tempdir().unwrap();
    let (args, run) = (profile(60, 0), dir.path().join("run"));
    let mut child = start(dir.path(), &profile(60, SLOW));
    wait_for_rows(&run, 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = run.join("rows.jsonl");
    let (rows, length) = (committed(&run), std::fs::read(&journal).unwrap().len());
    // The position may be anywhere in a line: in its checksum, in its row or at its end.
    for at in [40, length / 2, length - 30] {
        let good = damage(&journal, at, false);
        finish(dir.path(), &args)
            .code(2)
            .stderr(contains("rows.jsonl is damaged: expected").and(contains("checksum")));
        std::fs::write(&journal, good).unwrap();
    }
    damage(&journal, length - 30, true);
    finish(dir.path(), &args).success().stderr(
        contains("bytes of an unfinished row")
            .and(contains(format!("{} rows are kept", rows.len() - 1))),
    );
    let after = committed(&run);
    assert_begins_with(&after, &rows[..rows.len() - 1]);
    assert_whole(&after, 60);
}
