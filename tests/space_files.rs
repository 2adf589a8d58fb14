//! Spaces that files declare: from a table measured elsewhere to predictions.

use std::fs;
use std::path::Path;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::cli::{lat, refused};

const SPACE: &str = r#"
id = "stage"
[[decision]]
name = "resolution"
values = { from = 128, to = 224, step = 32 }
scale = true
[[decision]]
name = "depth"
values = [2, 3]
[[decision]]
name = "k{0..2}"
values = [3, 5, 7]
block = "block{i}"
present = "depth > {i}"
[[decision]]
name = "op"
choices = ["conv", "pool"]
codes = [0, 1]
"#;

/// For each architecture the values of its decisions: resolution, depth, three kernels, operation.
fn architectures() -> Vec<[u32; 6]> {
    let mut all = Vec::new();
    for number in 0..4 * 2 * 27 * 2 {
        let digit = |radix: u32, below: u32| number / below % radix;
        let kernel = |below| [3, 5, 7][digit(3, below) as usize];
        let resolution = 128 + 32 * digit(4, 54);
        all.push([resolution, 2 + digit(2, 216), kernel(1), kernel(3), kernel(9), digit(2, 27)]);
    }
    all
}

/// The kernels of existing blocks cost in proportion to their area, all times the resolution's area.
fn latency_ms([resolution, depth, k0, k1, k2, op]: [u32; 6]) -> f64 {
    let k2 = if depth > 2 { k2 * k2 } else { 0 };
    let area = f64::from(resolution * resolution) / 1e4;
    area * f64::from(k0 * k0 + k1 * k1 + k2 + 20 - 10 * op) / 50.0
}

fn columns_row(a: [u32; 6]) -> String {
    a.map(|cell| cell.to_string()).join(",")
}

fn text(a: [u32; 6]) -> String {
    let [resolution, depth, k0, k1, k2, op] = a;
    let op = ["conv", "pool"][op as usize];
    format!("resolution={resolution},depth={depth},k0={k0},k1={k1},k2={k2},op={op}")
}

/// A folder with the space's file and a good table: with columns, with texts, and in two files.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: Vec<String>| {
        fs::write(dir.path().join(name), lines.join("\n") + "\n").unwrap();
    };
    fs::write(dir.path().join("space.toml"), SPACE).unwrap();
    let table = |head: &str, line: &dyn Fn([u32; 6], usize) -> String| {
        let rows = architectures().into_iter().enumerate().map(|(i, a)| line(a, i));
        std::iter::once(head.to_owned()).chain(rows).collect()
    };
    let columns = "resolution,depth,k0,k1,k2,op";
    write(
        "columns.csv",
        table(&format!("{columns},latency_ms"), &|a, _| {
            format!("{},{}", columns_row(a), latency_ms(a))
        }),
    );
    write(
        "texts.csv",
        table("arch,latency_ms", &|a, _| format!("\"{}\",{}", text(a), latency_ms(a))),
    );
    write("archs.csv", table(&format!("id,{columns}"), &|a, i| format!("{i},{}", columns_row(a))));
    write(
        "measured.csv",
        table("id,device,latency_ms", &|a, i| format!("{i},x,{}\n{i},y,{}", latency_ms(a), 5.0)),
    );
    dir
}

const TRAIN: [&str; 4] = ["train", "--space-file", "space.toml", "--data"];

/// Trains a linear predictor, which is quick, and returns its file's content.
fn trained(dir: &Path, args: &[&str], out: &str) -> Vec<u8> {
    lat(dir)
        .args(TRAIN)
        .args(args)
        .args(["--regressor", "linear", "--out", out])
        .assert()
        .success()
        .stdout(contains("architectures of stage"));
    fs::read(dir.join(out)).unwrap()
}

#[test]
fn columns_texts_and_two_files_give_the_same_predictor() {
    let dir = folder();
    let columns = trained(dir.path(), &["columns.csv"], "columns.lat");
    assert_eq!(trained(dir.path(), &["texts.csv"], "texts.lat"), columns);
    let joined = ["measured.csv", "--architectures", "archs.csv", "--where", "device=x"];
    assert_eq!(trained(dir.path(), &joined, "joined.lat"), columns);
}

#[test]
fn a_predictor_needs_no_space_file_and_reads_texts_and_tables() {
    let dir = folder();
    trained(dir.path(), &["columns.csv"], "p.lat");
    fs::remove_file(dir.path().join("space.toml")).unwrap();
    let all: Vec<String> = architectures().into_iter().map(text).collect();
    fs::write(dir.path().join("texts.txt"), all.join("\n")).unwrap();
    let costs = |file: &str| {
        let output = lat(dir.path())
            .args(["predict", "--predictor", "p.lat", "--file", file])
            .assert()
            .success();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let cost = |line: &str| line.split('\t').next().unwrap().to_owned();
        text.lines().map(cost).collect::<Vec<_>>()
    };
    let from_texts = costs("texts.txt");
    assert_eq!(from_texts.len(), 432);
    assert_eq!(costs("columns.csv"), from_texts);
    assert_eq!(costs("archs.csv"), from_texts);
    let unknown = ["predict", "--predictor", "p.lat", "resolution=100"];
    refused(dir.path(), &unknown, &["for 'resolution' one of 128, 160, 192, 224", "'100'"]);
    let search = ["search", "--space", "nasbench201", "--predictor", "p.lat"];
    refused(dir.path(), &search, &["space 'stage'", "has no networks to search"]);
}

#[test]
fn bad_tables_are_refused_with_column_row_and_choice() {
    let dir = folder();
    let head = "resolution,depth,k0,k1,k2,op,latency_ms\n";
    let good = "128,2,3,3,3,0,1.5\n160,2,3,3,3,0,2\n";
    for (rows, texts) in [
        ("128,2,3,9,3,0,1\n", &["column 'k1'", "one of 3, 5, 7", "found '9' in row 3"][..]),
        ("128,2,3,,3,0,1\n", &["column 'k1'", "found nothing in row 3"]),
        ("128,2,3,5,3,dil,1\n", &["column 'op'", "one of conv, pool", "'dil' in row 3"]),
        ("128,2,3,5,3,0,NaN\n", &["'latency_ms'", "1 of 3 values", "first in row 3 (NaN)"]),
        ("128,2,3,5,3,0,0\n", &["'latency_ms'", "1 of 3 values", "first in row 3 (0)"]),
        ("128,2,3,5,3,0,fast\n", &["'latency_ms'", "'fast' in row 3"]),
    ] {
        fs::write(dir.path().join("bad.csv"), format!("{head}{good}{rows}")).unwrap();
        refused(dir.path(), &[&TRAIN[..], &["bad.csv"]].concat(), texts);
    }
    fs::write(dir.path().join("bad.csv"), "resolution,depth,k0,op,latency_ms\n128,2,3,0,1\n")
        .unwrap();
    let texts = ["a column per decision of space 'stage'", "no column 'k1', 'k2'"];
    refused(dir.path(), &[&TRAIN[..], &["bad.csv"]].concat(), &texts);
    let args = [&TRAIN[..], &["columns.csv", "--target", "energy_mj"]].concat();
    refused(dir.path(), &args, &["a column 'energy_mj'", "latency_ms"]);
    let args = [&TRAIN[..], &["measured.csv", "--architectures", "archs.csv"]].concat();
    refused(dir.path(), &args, &["mixed values of column 'device': 'x', 'y'"]);
    let args = [&args[..], &["--where", "device=z"]].concat();
    refused(dir.path(), &args, &["no row has device = 'z'", "'x', 'y'"]);
}

#[test]
fn duplicates_are_said_and_averaged_only_when_told() {
    let dir = folder();
    let mut table = fs::read_to_string(dir.path().join("columns.csv")).unwrap();
    // The first architecture has two blocks, so the third kernel does not matter.
    table += "128,2,3,3,7,0,9.5\n";
    fs::write(dir.path().join("twice.csv"), table).unwrap();
    let train = |more: &[&str], text: &str| {
        let mut command = lat(dir.path());
        command.args(TRAIN).args(["twice.csv", "--regressor", "linear"]).args(more);
        command.assert().success().stdout(contains(text));
    };
    train(&[], "in row 433: resolution=128,depth=2,k0=3,k1=3,op=conv); the first of each counts");
    train(&["--average-duplicates"], "their means were taken");
}

#[test]
fn bad_space_files_are_refused_with_file_and_place() {
    let dir = folder();
    let train = [&TRAIN[..], &["columns.csv"]].concat();
    for (from, to, texts) in [
        ("values = [2, 3]", "values = [2, 3", &["space.toml", "line "][..]),
        ("values = [2, 3]", "value = [2, 3]", &["line 9", "unknown field `value`"]),
        ("values = [2, 3]", "values = []", &["'depth', key `values`", "an empty list"]),
        ("depth > {i}", "deep > {i}", &["'k0', key `present`", "found 'deep'"]),
        ("name = \"depth\"", "name = \"op\"", &["each decision once", "'op' twice"]),
    ] {
        fs::write(dir.path().join("space.toml"), SPACE.replace(from, to)).unwrap();
        refused(dir.path(), &train, texts);
    }
    fs::remove_file(dir.path().join("space.toml")).unwrap();
    refused(dir.path(), &train, &["expected a space file (TOML) at space.toml"]);
    refused(dir.path(), &train[..3], &["--data"]);
    refused(dir.path(), &[&train[..], &["--space", "darts"]].concat(), &["--space"]);
}

#[test]
fn the_space_files_that_ship_with_the_project_are_read() {
    let spaces = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/spaces");
    let mut n = 0;
    for entry in fs::read_dir(spaces).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        lat_space::DeclaredSpace::read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        n += 1;
    }
    assert_eq!(n, 4);
}

const OPERATORS: &str = r#"
id = "operators"
[[decision]]
name = "batch"
number = { from = 1, to = 64 }
[[decision]]
name = "length"
number = { from = 1, to = 4096 }
[[decision]]
name = "kind"
choices = ["full", "window"]
"#;

/// A table of an operator at sizes that no list of choices could contain. The first rows were measured on a busy device.
fn operators() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = "batch,length,kind,latency_ms\n".to_owned();
    // Numbers that look drawn at random, the same in every run.
    let mut state = 1_u64;
    let mut below = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as u32
    };
    for row in 0..600_u32 {
        let (batch, length) = (1 + below(64), 1 + below(4096));
        let kind = ["full", "window"][below(2) as usize];
        let work = f64::from(batch)
            * f64::from(length)
            * if kind == "full" { f64::from(length) } else { 128.0 };
        let busy = if row < 40 { 10.0 } else { 1.0 };
        csv += &format!("{batch},{length},{kind},{}\n", busy * (0.01 + 1e-7 * work));
    }
    fs::write(dir.path().join("operators.csv"), csv).unwrap();
    fs::write(dir.path().join("operators.toml"), OPERATORS).unwrap();
    dir
}

#[test]
fn operators_of_any_size_are_learnt_and_a_busy_beginning_is_left_out() {
    let dir = operators();
    let train =
        ["train", "--space-file", "operators.toml", "--data", "operators.csv", "--json", "m.json"];
    lat(dir.path())
        .args(train)
        .args(["--out", "p.lat"])
        .assert()
        .success()
        .stdout(contains("40 of 600 rows lie about").and(contains("between rows 1 and 40")));
    let metrics: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("m.json")).unwrap()).unwrap();
    let structured = metrics["regressors"].as_array().unwrap().last().unwrap();
    assert!(structured["mape"].as_f64().unwrap() < 20.0, "{structured}");
    let text = "batch=7,length=1500.5,kind=full";
    let found = lat(dir.path()).args(["predict", "--predictor", "p.lat", text]).output().unwrap();
    let line = String::from_utf8(found.stdout).unwrap();
    let cost: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    assert!((cost / 1.586 - 1.0).abs() < 0.3, "{line}");
    refused(
        dir.path(),
        &["predict", "--predictor", "p.lat", "batch=65,length=1,kind=full"],
        &["a number from 1 to 64"],
    );
    let kept =
        lat(dir.path()).args(train).args(["--out", "k.lat", "--keep-disturbed"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&kept.stdout).contains("lie about"), "{kept:?}");
}
