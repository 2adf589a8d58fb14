//! Tables of operations measured by themselves: they are made, judged on whole networks, used in a search, and rejected if they
//! do not fit.

use lat_predictor::{CostModel, PieceCosts};
use lat_profiler::{DeviceSpec, ProfileOptions, fake_latency_ms, measure_ops};
use lat_space::{Node, Op, Piece, SPACES, Step, VARIANTS, architecture_at};
use predicates::prelude::*;
use predicates::str::contains;

use crate::cli::lat;
use crate::{setup, toy};

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
    // The fake device's launch of 0.1 ms is part of each operation, but only once in a network. So a sum is far off, and a scaled
    // one less.
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

#[test]
fn the_rows_of_a_table_are_json_too() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| lat(dir.path()).args(line.split(' ')).assert();
    let profile = "profile --device fake --space nasbench201 --per-op --out ops --json";
    // In the folder that the table gets, which is not there yet.
    run(&format!("{profile} ops/rows.json")).success();
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(dir.path().join(name)).unwrap()).unwrap()
    };
    let rows = read("ops/rows.json");
    assert_eq!(rows.as_array().map(Vec::len), Some(14), "{rows}");
    assert!(rows[0]["key"].is_string() && rows[0]["latency_ms"].as_f64().unwrap() > 0.0, "{rows}");
    assert_eq!(rows, read("ops/operations.json")["operations"]);
    run(&format!("{profile} ops/operations.json"))
        .code(2)
        .stderr(contains("--json").and(contains("table of operations")));
}

#[test]
fn sums_of_a_table_are_the_networks_with_a_launch_per_operation() {
    // The constant time of the fake device: once per network, and so once per operation by itself.
    const LAUNCH_MS: f64 = 0.1;
    setup::ready();
    for space in SPACES.iter().chain(VARIANTS).map(|build| build()) {
        let skeleton = toy::skeleton(space.as_ref());
        let options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        let rows = measure_ops(space.as_ref(), &options, &[], &mut |_, _| ()).unwrap();
        let of = |piece: &Piece| {
            let key = piece.key();
            rows.iter().find(|row| row.key == key).map(|row| row.latency_ms)
        };
        let costs = PieceCosts::look_up(space.as_ref(), &skeleton, "latency_ms", &of).unwrap();
        let table = costs.table(space.as_ref()).unwrap();
        let graph = space.graph(&skeleton);
        for i in 0..20 {
            let architecture = architecture_at(space.as_ref(), 1, i).unwrap();
            let derived = graph.derive(&architecture);
            let is_run =
                |node: &&Node| matches!(node.step, Step::Fixed { op, .. } if op.op != Op::Identity);
            let launches = derived.nodes.iter().filter(is_run).count();
            let expected = fake_latency_ms(&derived, options.batch) + LAUNCH_MS * launches as f64;
            let found = table.cost(&architecture).unwrap();
            let text = space.format(&architecture);
            assert!((found / expected - 1.0).abs() < 0.01, "{text}: {found} {expected}");
            let alone = costs.cost(&architecture).unwrap();
            assert!((alone / found - 1.0).abs() < 1e-9, "{text}: {alone} {found}");
        }
    }
}
