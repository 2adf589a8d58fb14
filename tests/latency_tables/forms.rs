//! `lat profile --per-op`, `lat export --per-op` and the commands that read their tables, as scripts use them.

use std::collections::BTreeSet;
use std::path::Path;

use lat_space::find_space;
use predicates::str::contains;

use super::{expected, folder, tables};
use crate::cli::lat;

fn run(dir: &Path, line: &str) -> assert_cmd::assert::Assert {
    lat(dir).args(line.split(' ')).assert()
}

/// The milliseconds that `lat predict` prints, one per line.
fn predicted(dir: &Path, line: &str, texts: &[String]) -> Vec<f64> {
    std::fs::write(dir.join("texts"), texts.join("\n")).unwrap();
    let found = run(dir, &format!("predict {line} --file texts")).success();
    let out = String::from_utf8(found.get_output().stdout.clone()).unwrap();
    let ms = |line: &str| line.split(" ms\t").next().unwrap().parse().unwrap();
    out.lines().map(ms).collect()
}

fn drawn(id: &str, text: impl Fn(&str) -> bool) -> Vec<String> {
    let space = find_space(id).unwrap();
    let all = (0..2000).map(|i| lat_space::architecture_at(space.as_ref(), 3, i).unwrap());
    all.map(|a| space.format(&a)).filter(|t| text(t)).take(10).collect()
}

#[test]
fn rows_of_once_for_all_are_measured_written_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let profile = "profile --device fake --space ofa-w12 --preset imagenet --per-op";
    run(dir, &format!("{profile} --sizes 160,224 --out ops")).success();
    run(dir, "export --per-op ops --out tables").success().stdout(contains("2 files"));
    for (i, size) in [(0, 160), (4, 224)] {
        let path = dir.join(format!("tables/{size}_lookup_table.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# ") && text.contains("batch 1") && text.contains("median"),
            "{text}"
        );
        assert!(
            text.contains("\n  count: ")
                && text.contains("\n  mean: ")
                && text.contains("\n  std: ")
        );
        let found = lat_data::read_block_tables(&[path]).unwrap();
        let names: BTreeSet<_> = found[0].rows.keys().collect();
        // Exactly the names of the published table.
        assert_eq!(names, tables("ofa")[i].rows.keys().collect());
    }
    // A size without a table is named in an error; architectures of the other sizes are priced.
    let texts = drawn("ofa-w12", |text| text.contains("[160]") || text.contains("[224]"));
    let own = predicted(dir, "--per-op ops", &texts);
    let tables = predicted(dir, "--space ofa-w12 --per-op tables", &texts);
    let files = "--per-op tables/160_lookup_table.yaml --per-op tables/224_lookup_table.yaml";
    assert_eq!(predicted(dir, &format!("--space ofa-w12 {files}"), &texts), tables);
    assert_eq!((own.len(), tables.len()), (10, 10));
    // The published form splits a feature mix into two rows, each with the fake device's launch, and has no row for a resize.
    for ((own, table), text) in own.iter().zip(&tables).zip(&texts) {
        assert!((own - table).abs() < 0.5 && *own > 1.0, "{text}: {own} {table}");
    }
    let other = drawn("ofa-w12", |text| text.contains("[192]")).remove(0);
    let arch = ["predict", "--space", "ofa-w12", "--per-op", "tables", &other];
    lat(dir).args(arch).assert().code(2).stderr(contains("images of 192 pixels"));
    run(dir, &format!("{profile} --sizes 161 --out no")).code(2).stderr(contains("found 161"));
    run(dir, "predict --per-op tables x").code(2).stderr(contains("--space"));
}

#[test]
fn proxyless_rows_are_measured_written_and_searched_with() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, "profile --device fake --space proxyless --preset imagenet --per-op --out ops")
        .success();
    run(dir, "export --per-op ops --out mine.yaml").success().stdout(contains("70 rows in a file"));
    let text = std::fs::read_to_string(dir.join("mine.yaml")).unwrap();
    assert!(text.contains("\n  var: "), "{text}");
    let found = lat_data::read_block_tables(&[dir.join("mine.yaml")]).unwrap();
    let names: BTreeSet<_> = found[0].rows.keys().collect();
    assert_eq!(names, tables("proxyless.yaml")[0].rows.keys().collect());
    let texts = drawn("proxyless", |_| true);
    let own = predicted(dir, "--per-op ops", &texts);
    let table = predicted(dir, "--space proxyless --per-op mine.yaml", &texts);
    assert!(
        own.iter().zip(&table).all(|(own, table)| (own - table).abs() < 2e-6),
        "{own:?} {table:?}"
    );

    // The published table used as a cost.
    let published = folder().join("proxyless.yaml");
    std::fs::copy(&published, dir.join("mobile_trim.yaml")).unwrap();
    let networks = expected()["proxyless networks"].as_array().unwrap().clone();
    let texts: Vec<String> =
        networks.iter().map(|n| n["text"].as_str().unwrap().to_owned()).collect();
    let found = predicted(dir, "--space proxyless --per-op mobile_trim.yaml --json p.json", &texts);
    for (found, network) in found.iter().zip(&networks) {
        assert!((found / network["ms"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    }
    let search = "search --space proxyless --method random --preset quick --dataset digits --images 200 --channels 4 --epochs 1 --finalists 8";
    run(dir, &format!("{search} --per-op mobile_trim.yaml --target-ms 90 --out s"))
        .success()
        .stdout(contains("70 rows of mobile_trim.yaml, added up"));
    let record = std::fs::read_to_string(dir.join("s/search.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let text = record["architecture"].as_str().unwrap().to_owned();
    let ms = predicted(dir, "--space proxyless --per-op mobile_trim.yaml", &[text])[0];
    assert!(ms <= 90.0 && ms > 29.0, "{ms}");
    let error = format!("{search} --per-op mobile_trim.yaml --target-ms 20 --out t");
    run(dir, &error).code(2).stderr(contains("29.6"));
}

#[test]
fn rows_of_hw_nas_bench_are_measured_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, "profile --device fake --space fbnet-hwnas --preset imagenet --per-op --out ops")
        .success();
    run(dir, "export --per-op ops").success().stdout(contains("112 rows"));
    let texts = drawn("fbnet-hwnas", |_| true);
    let own = predicted(dir, "--per-op ops", &texts);
    let table = "--space fbnet-hwnas --per-op ops/latency-table.json";
    let table = predicted(dir, table, &texts);
    // A search may use such a table too: it descends the expected cost.
    let search = "search --space fbnet-hwnas --method gdas --preset quick --dataset digits --images 200 --channels 4 --epochs 1";
    let search = format!("{search} --finalists 8 --per-op ops/latency-table.json --out s");
    run(dir, &search).success().stdout(contains("112 rows of ops/latency-table.json, added up"));
    // The pool and the linear classifier each have a launch.
    assert!(
        own.iter().zip(&table).all(|(own, table)| (table - own - 0.1).abs() < 0.02),
        "{own:?} {table:?}"
    );
}

#[test]
fn what_cannot_be_written_so_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, "profile --device fake --space nasbench201 --per-op --out cells").success();
    run(dir, "export --per-op cells").code(2).stderr(contains("one of nasbench201"));
    run(dir, "export --per-op no").code(2).stderr(contains("lat profile --per-op"));
    run(dir, "export --per-op cells --format onnx").code(2);
    run(dir, "export").code(2).stderr(contains("--format"));
    run(dir, "profile --device fake --space ofa-proxyless --per-op --out narrow").success();
    run(dir, "export --per-op narrow").code(2).stderr(contains("no row for"));
    // Measured by an earlier version, without deviations.
    run(dir, "profile --device fake --space proxyless --per-op --out old").success();
    let file = dir.join("old/operations.json");
    let text = std::fs::read_to_string(&file).unwrap().replace("\"sd_ms\"", "\"other\"");
    std::fs::write(&file, text).unwrap();
    run(dir, "export --per-op old").code(2).stderr(contains("measure it again"));
    run(dir, "profile --device fake --sizes 160 --samples 5").code(2).stderr(contains("--per-op"));
}

#[test]
fn a_published_table_is_judged_on_a_profile_of_the_same_networks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let profile = "profile --device fake --space proxyless";
    run(dir, &format!("{profile} --samples 60 --out p")).success();
    run(dir, &format!("{profile} --per-op --out ops")).success();
    run(dir, "export --per-op ops --out mine.yaml").success();
    run(dir, "train --data p --per-op mine.yaml --out p.lat")
        .success()
        .stdout(contains("operations, added up"));
    let published = folder().join("proxyless.yaml");
    std::fs::copy(published, dir.join("mobile_trim.yaml")).unwrap();
    run(dir, "train --data p --per-op mobile_trim.yaml --out q.lat")
        .code(2)
        .stderr(contains("skeleton"));
}
