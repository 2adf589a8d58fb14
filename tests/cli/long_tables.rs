//! Tables of any length: the memory that a command needs does not grow with them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use polars::prelude::{Column, DataFrame};
use polars_io::parquet::write::ParquetWriter;

use super::{lat, profiled};

const FEW: usize = 80_000;
const MANY: usize = 1_000_000;

fn text(i: usize) -> String {
    let ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
    let op = |k: u32| ops[i / 5usize.pow(k) % 5];
    format!("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|", op(0), op(1), op(2), op(3), op(4), op(5))
}

fn write_csv(path: &Path, n: usize) {
    let lines: String = (0..n).map(|i| format!("{},{i}\n", text(i % 15_625))).collect();
    fs::write(path, format!("arch,id\n{lines}")).unwrap();
}

fn write_parquet(path: &Path, n: usize) {
    let texts: Vec<String> = (0..n).map(|i| text(i % 15_625)).collect();
    let ids: Vec<i64> = (0..n as i64).collect();
    let columns = vec![Column::new("arch".into(), &texts), Column::new("id".into(), ids)];
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    let file = fs::File::create(path).unwrap();
    ParquetWriter::new(file).with_row_group_size(Some(100_000)).finish(&mut frame).unwrap();
}

/// The peak memory of `lat predict` before its last lines, MiB, and the lines.
fn peak_mib(dir: &Path, file: &str, n: usize) -> f64 {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("lat"))
        .args(["--quiet", "--threads", "2", "predict", "--predictor", "p.lat", "--file", file])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The rest is more than fits into the pipe, so the program is still waiting to write it.
    let n_before = n - 20_000;
    assert_eq!(lines.by_ref().take(n_before).map_while(Result::ok).count(), n_before);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(lines.map_while(Result::ok).count(), 20_000);
    assert!(child.wait().unwrap().success());
    kib / 1024.0
}

#[test]
fn a_million_architectures_of_a_table_are_priced_in_the_memory_of_a_few() {
    let dir = profiled("nasbench201", 60);
    let dir = dir.path();
    lat(dir).args(["train", "--out", "p.lat"]).assert().success();
    write_csv(&dir.join("few.csv"), FEW);
    write_csv(&dir.join("many.csv"), MANY);
    write_parquet(&dir.join("few.parquet"), FEW);
    write_parquet(&dir.join("many.parquet"), MANY);
    for ending in ["csv", "parquet"] {
        let few = peak_mib(dir, &format!("few.{ending}"), FEW);
        let many = peak_mib(dir, &format!("many.{ending}"), MANY);
        // The texts alone are 70 MiB.
        assert!(many < few + 40.0, "{ending}: {few:.0} MiB for few, {many:.0} MiB for many");
    }
}
