//! `scripts/slurm-profile` on a SLURM that runs jobs on this machine, such as one with a single node. Otherwise the test says why
//! it does not run.

use std::path::Path;
use std::process::Command;

use lat_data::{Role, read_run};

/// The reason why no job can run here; None if jobs can run.
fn absent() -> Option<String> {
    let nodes = match Command::new("sinfo").args(["--noheader", "--format=%a %T"]).output() {
        Err(_) => return Some("no SLURM (sinfo is not there)".into()),
        Ok(output) if !output.status.success() => {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Some(format!("SLURM does not answer ({told})"));
        }
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
    };
    let works =
        |line: &str| line.starts_with("up ") && (line.contains("idle") || line.contains("mixed"));
    (!nodes.lines().any(works)).then(|| "SLURM has no idle node".into())
}

#[test]
fn an_array_job_measures_shards_that_merge() {
    if let Some(why) = absent() {
        #[expect(clippy::print_stdout, reason = "a test that did not run says so")]
        {
            println!("skipped: {why}");
        }
        return;
    }
    // A folder that the nodes can see too.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    submit(dir.path(), "1-3", &[]);
    // A task that is submitted again by itself finds its shard finished.
    submit(dir.path(), "2", &[("LAT_SHARDS", "3")]);
    let runs: Vec<_> = (1..=3)
        .map(|i| format!("runs/profile-nasbench201-fake-c16-l3-r8-b1-seed0-shard{i}of3"))
        .collect();
    let merge = ["merge", "all"].map(str::to_owned).into_iter().chain(runs);
    assert_cmd::Command::cargo_bin("lat")
        .unwrap()
        .current_dir(dir.path())
        .args(merge)
        .assert()
        .success();
    let (_, rows) = read_run(&dir.path().join("all")).unwrap();
    assert_eq!(rows.iter().filter(|row| row.role == Role::Sample).count(), 60);
}

fn submit(dir: &Path, array: &str, environment: &[(&str, &str)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm-profile");
    let output = Command::new("sbatch")
        .current_dir(dir)
        .envs(environment.iter().copied())
        .env("LAT", assert_cmd::cargo::cargo_bin("lat"))
        .args(["--wait", "--time=5", &format!("--array={array}")])
        .arg(script)
        .args(["--device", "fake", "--space", "nasbench201", "--samples", "60"])
        .output()
        .unwrap();
    let told: String = std::fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .collect();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{told}");
}
