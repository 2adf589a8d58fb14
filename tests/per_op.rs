//! Tables of operations measured alone: made, judged on whole networks, searched with, refused where they do not fit.

use predicates::prelude::*;
use predicates::str::contains;

use crate::cli::lat;

#[test]
fn a_table_of_operations_is_measured_judged_and_searched_with() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| lat(dir.path()).args(line.split(' ')).assert();
    let profile = "profile --device fake --space nasbench201";
    run(&format!("{profile} --per-op --out ops")).success().stdout(contains("14 operations"));
    let csv = std::fs::read_to_string(dir.path().join("ops/operations.csv")).unwrap();
    assert!(csv.starts_with("operation,places,latency_ms") && csv.contains("classifier"), "{csv}");

    run(&format!("{profile} --samples 60 --out p")).success();
    run("train --data p --per-op ops --json t.json --out p.lat")
        .success()
        .stdout(contains("operations, added up"));
    let json = std::fs::read_to_string(dir.path().join("t.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let figure = |key: &str| json["operations"][key]["mape"].as_f64().unwrap();
    // The fake device's launch of 0.1 ms stands in each operation and once in a network: a sum is far off, a scaled one less.
    assert!(figure("sum") > 100.0 && figure("scaled") < 20.0, "{json}");
    assert!(json["operations"]["factor"].as_f64().unwrap() < 0.5, "{json}");

    let search = "search --space nasbench201 --dataset digits --images 200 --channels 4 --epochs 1";
    run(&format!("{search} --per-op ops --method gdas"))
        .success()
        .stdout(contains("operations of ops, added up").and(contains("measured 0.")));

    run("profile --device fake --space darts --per-op --out darts").success();
    run(&format!("{search} --per-op darts")).code(2).stderr(contains("one of darts"));
    run(&format!("{search} --per-op p")).code(2).stderr(contains("lat profile --per-op"));
    run(&format!("{search} --per-op ops --risk 1")).code(2).stderr(contains("--risk"));
    run(&format!("{profile} --per-op --samples 5")).code(2).stderr(contains("--samples"));
    run(&format!("{profile} --batch 8 --per-op --out eight")).success();
    run("train --data p --per-op eight").code(2).stderr(contains("batch"));
}
