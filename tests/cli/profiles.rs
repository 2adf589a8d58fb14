//! `lat profile`: rows that exist are kept, and missing rows are measured.

use predicates::str::contains;

use super::{lat, profiled, refused};

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
    // The state after a crash: not sealed.
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
