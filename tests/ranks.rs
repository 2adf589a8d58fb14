//! Searches that several processes share: equal to those of one, and what happens where one is gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tch::{Kind, Tensor};

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// A search of digits on a tiny skeleton.
fn search(dir: &Path, out: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lat"));
    command.current_dir(dir).args(["--threads", "1", "--quiet", "search", "--lambda", "0"]);
    command.args(["--dataset", "digits", "--finalists", "1", "--no-diagnostics", "--out", out]);
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn as_rank(mut command: Command, rank: u32, port: &str) -> Command {
    let place = [("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port)];
    command.envs(place).env("RANK", rank.to_string());
    command
}

/// The same search by two processes.
fn by_two(dir: &Path, out: &str, flags: &[&str]) -> [Output; 2] {
    let port = free_port();
    let start = |rank| as_rank(search(dir, out, flags), rank, &port).spawn().unwrap();
    [0, 1].map(start).map(|child| child.wait_with_output().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Weights, statistics and state of a search's checkpoint.
fn tensors(dir: &Path, out: &str) -> BTreeMap<String, Tensor> {
    let file = dir.join(out).join("checkpoint.safetensors");
    Tensor::read_safetensors(file).unwrap().into_iter().collect()
}

/// By how much two checkpoints differ at most in their networks and architecture parameters, and where.
fn difference(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>) -> (f64, String) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let is_learnt = |name: &str| name.starts_with("net.") || name == "method.alpha";
    let learnt = a.iter().filter(|(name, _)| is_learnt(name));
    let of = |(name, a): (&String, &Tensor)| {
        let gap = (a.to_kind(Kind::Double) - b[name].to_kind(Kind::Double)).abs();
        (if gap.numel() == 0 { 0.0 } else { gap.max().double_value(&[]) }, name.clone())
    };
    learnt.map(of).max_by(|x, y| x.0.total_cmp(&y.0)).unwrap()
}

/// Weights and alpha of two processes against those of one after an epoch of about 20 steps.
fn assert_equal_to_one(flags: &[&str], most: f64) {
    let dir = tempfile::tempdir().unwrap();
    let flags = [flags, &["--epochs", "1", "--batch", "32"]].concat();
    let one = search(dir.path(), "one", &flags).output().unwrap();
    assert_done(&one);
    let synchronised = [&flags[..], &["--sync-bn"]].concat();
    let two = by_two(dir.path(), "two", &synchronised);
    two.iter().for_each(assert_done);
    assert!(two[1].stdout.is_empty(), "the first alone prints: {}", text(&two[1].stdout));
    let (a, b) = (tensors(dir.path(), "one"), tensors(dir.path(), "two"));
    let (gap, place) = difference(&a, &b);
    assert!(gap <= most, "{place} differs by {gap}");
    // What is equal is no untrained network: one of another seed is far away.
    let other = search(dir.path(), "other", &[&flags[..], &["--seed", "1"]].concat());
    assert_done(&{ other }.output().unwrap());
    assert!(difference(&a, &tensors(dir.path(), "other")).0 > 1e3 * most);
}

const CELLS: [&str; 6] = ["--space", "nasbench201", "--channels", "4", "--layers", "3"];

#[test]
fn darts_by_two_processes_is_darts_by_one() {
    assert_equal_to_one(&[&CELLS[..], &["--method", "darts"]].concat(), 1e-6);
}

#[test]
fn gdas_by_two_processes_is_gdas_by_one() {
    assert_equal_to_one(&[&CELLS[..], &["--method", "gdas"]].concat(), 1e-6);
}

#[test]
fn attentivenas_by_two_processes_is_attentivenas_by_one() {
    let flags = ["--space", "attentivenas", "--channels", "4", "--method", "attentivenas"];
    assert_equal_to_one(
        &[&flags[..], &["--ending", "finalists", "--set", "draws=50"]].concat(),
        1e-6,
    );
}

#[test]
fn a_killed_rank_ends_the_other_and_the_search_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [&CELLS[..], &["--method", "gdas", "--epochs", "4", "--batch", "32"]].concat();
    let flags = [&flags[..], &["--sync-bn", "--rank-timeout", "60"]].concat();
    by_two(dir.path(), "straight", &flags).iter().for_each(assert_done);
    let port = free_port();
    let start = |rank| as_rank(search(dir.path(), "s", &flags), rank, &port).spawn().unwrap();
    let (first, mut second) = (start(0), start(1));
    let begin = Instant::now();
    while !dir.path().join("s/checkpoint.safetensors").exists() {
        assert!(begin.elapsed() < Duration::from_secs(300), "no epoch after five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    second.kill().unwrap();
    second.wait().unwrap();
    let first = first.wait_with_output().unwrap();
    let told = text(&first.stderr);
    assert_eq!(first.status.code(), Some(1), "{told}");
    assert!(told.contains("expected all 2 ranks to answer within 60 s"), "{told}");
    assert!(!told.contains("panicked") && told.lines().count() == 1, "{told}");
    by_two(dir.path(), "s", &flags).iter().for_each(assert_done);
    let (gap, place) = difference(&tensors(dir.path(), "straight"), &tensors(dir.path(), "s"));
    assert_eq!(gap, 0.0, "{place}");
}

#[test]
fn a_rank_without_peers_gives_up_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [&CELLS[..], &["--rank-timeout", "2"]].concat();
    let alone = as_rank(search(dir.path(), "s", &flags), 0, &free_port()).output().unwrap();
    let told = text(&alone.stderr);
    assert_eq!(alone.status.code(), Some(1), "{told}");
    assert!(told.contains("expected all 2 ranks to answer within 2 s"), "{told}");
    assert!(told.contains("check that all of them were started"), "{told}");
    assert!(!dir.path().join("s").exists(), "nothing is written");
}

#[test]
fn what_ranks_cannot_do_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |outputs: &[Output], expected: &str| {
        for output in outputs {
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(expected), "{told}");
        }
    };
    let odd = [&CELLS[..], &["--method", "darts", "--batch", "33"]].concat();
    refused(&by_two(dir.path(), "s", &odd), "set --batch to a multiple of 2");
    let queue = ["--space", "pinas", "--channels", "4", "--method", "pi-nas", "--epochs", "2"];
    refused(&by_two(dir.path(), "s", &queue), "search with one process");
    refused(&by_two(dir.path(), "s", &["--seeds", "2"]), "start a search per seed");
    refused(&[search(dir.path(), "s", &["--sync-bn"]).output().unwrap()], "--sync-bn");
    let mut unnamed = search(dir.path(), "s", &[]);
    refused(&[unnamed.env("WORLD_SIZE", "2").output().unwrap()], "RANK");
}
