//! Searches that several processes share: the results equal those of one process; and what happens if a process is gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lat::batches::{Images, epoch_rng};
use lat::methods::{Batch, Batches, Context, Options, Preset, find_method};
use lat::supernet::{CellSupernet, Ranks, Supernet};
use lat_device::{Launch, ProcessGroup};
use lat_space::{NasBench201, SearchSpace, find_space};
use tch::{Device, Kind, Tensor};

use crate::setup;
use crate::toy::{digits, skeleton};

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

/// Runs this search with two processes.
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

/// The largest difference between the networks and architecture parameters of two checkpoints, and where it is.
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

const CELLS: [&str; 6] = ["--space", "nasbench201", "--channels", "4", "--layers", "3"];

// In single precision. Two searches differ by as much as one differs from itself with another number of threads.
#[test]
fn the_program_by_two_processes_does_what_it_does_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [&CELLS[..], &["--method", "darts", "--epochs", "1", "--batch", "32"]].concat();
    assert_done(&search(dir.path(), "one", &flags).output().unwrap());
    let two = by_two(dir.path(), "two", &[&flags[..], &["--sync-bn"]].concat());
    two.iter().for_each(assert_done);
    assert!(two[1].stdout.is_empty(), "the first alone prints: {}", text(&two[1].stdout));
    let one = tensors(dir.path(), "one");
    let (gap, place) = difference(&one, &tensors(dir.path(), "two"));
    assert!(gap <= 2e-5, "{place} differs by {gap}");
    // If each process has its own batch norm, the result is a different one.
    by_two(dir.path(), "apart", &flags).iter().for_each(assert_done);
    assert!(difference(&one, &tensors(dir.path(), "apart")).0 > 1e-3);
}

const ROLE: &str = "LAT_TEST_RANK";
const STEPS: usize = 20;

/// Weights, statistics and architecture parameters after some steps in double precision, on whole batches or on a rank's shares.
fn trained(
    method: &str,
    space: &dyn SearchSpace,
    ranks: Option<&Ranks>,
) -> BTreeMap<String, Tensor> {
    let _held = setup::exclusive();
    let options: Options = match method {
        // The same images and entries must be left out at random.
        "attentivenas" => toml::toml! { draws = 50
        dropout = 0.3 },
        _ => Options::new(),
    };
    let mut method = find_method(method).unwrap().build(Preset::Quick, &options, space, 1).unwrap();
    tch::manual_seed(1);
    let graph = space.graph(&skeleton(space));
    let net = CellSupernet::new(graph, method.mixed_op().as_ref(), Device::Cpu).unwrap();
    method.initialise(space, &net);
    for mut tensor in net.weights().variables().into_values() {
        let double = tch::no_grad(|| tensor.to_kind(Kind::Double));
        tensor.set_data(&double);
    }
    method.begin(&net);
    let parallel = ranks.map(|ranks| ranks.over(&net));
    let seen: &dyn Supernet = parallel.as_ref().map_or(&net, |parallel| parallel);
    let images = Images::training(digits(), Device::Cpu);
    let mut rng = epoch_rng(1, 0);
    for step in 0..STEPS {
        let mut batch = |first: usize| {
            let indices: Vec<usize> = (0..16).map(|i| (first + 16 * step + i) % 64).collect();
            let batch = images.batch(&indices, &mut rng);
            let batch = Batch { images: batch.images.to_kind(Kind::Double), ..batch };
            ranks.map_or_else(
                || Batch { images: batch.images.shallow_clone(), labels: batch.labels.copy() },
                |ranks| ranks.share(&batch),
            )
        };
        let batches = Batches { train: batch(0), valid: batch(32) };
        let progress = step as f64 / STEPS as f64;
        let mut cx = Context { space, net: seen, objective: None, progress, rng: &mut rng };
        method.step(&mut cx, &batches).unwrap();
    }
    let of_net = net.weights().variables().into_iter().map(|(name, t)| (format!("net.{name}"), t));
    let of_method = method.state().into_iter().map(|(name, t)| (format!("method.{name}"), t));
    of_net.chain(of_method).collect()
}

/// Runs this test again as rank 1, and compares both ranks with a single process.
fn assert_equal_to_one(test: &str, method: &str, space: &dyn SearchSpace) {
    setup::ready();
    let role = std::env::var(ROLE).ok();
    let port = role.clone().unwrap_or_else(free_port);
    let child = role.is_none().then(|| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("ranks::{test}"), "--exact"]).env(ROLE, &port);
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    let launch = Launch {
        rank: i32::from(child.is_none()),
        size: 2,
        local_rank: 0,
        host: "127.0.0.1".into(),
        port: port.parse().unwrap(),
        has_store: false,
        attempt: "0".into(),
    };
    let group = ProcessGroup::join(launch, Duration::from_secs(120)).unwrap();
    let two = trained(method, space, Some(&Ranks::new(group, true)));
    let Some(mut child) = child else { return };
    assert!(child.wait().unwrap().success());
    let one = trained(method, space, None);
    let (gap, place) = difference(&one, &two);
    assert!(gap <= 1e-6, "{place} differs by {gap}");
    let moved = one.iter().filter(|(name, _)| name.contains("momentum"));
    assert!(moved.map(|(_, t)| t.abs().max().double_value(&[])).fold(0.0, f64::max) > 1e-2);
}

#[test]
fn darts_by_two_processes_is_darts_by_one() {
    assert_equal_to_one("darts_by_two_processes_is_darts_by_one", "darts", &NasBench201::new());
}

#[test]
fn gdas_by_two_processes_is_gdas_by_one() {
    assert_equal_to_one("gdas_by_two_processes_is_gdas_by_one", "gdas", &NasBench201::new());
}

#[test]
fn attentivenas_by_two_processes_is_attentivenas_by_one() {
    let test = "attentivenas_by_two_processes_is_attentivenas_by_one";
    assert_equal_to_one(test, "attentivenas", find_space("nasbench-macro").unwrap().as_ref());
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
