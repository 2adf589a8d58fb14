//! `lat bench`: steps of searches, timed.

use predicates::str::contains;

use crate::cli::{lat, refused};

const SMALL: [&str; 8] = ["--channels", "4", "--layers", "3", "--resolution", "8", "--batch", "8"];

#[test]
fn steps_of_methods_are_timed_each_in_a_process_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    lat(dir.path())
        .args(["bench", "--space", "nasbench201", "--method", "darts,random", "--device", "cpu"])
        .args(SMALL)
        .args(["--steps", "3", "--warm-up", "1", "--json", "b.json"])
        .assert()
        .success()
        .stdout(contains("images/s"));
    let text = std::fs::read_to_string(dir.path().join("b.json")).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{answer}");
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert_eq!(row["steps_ms"].as_array().unwrap().len(), 3);
        assert_eq!(row["skeleton"]["channels"], 4);
        let images = number("images_per_s") * number("step_ms") / 1e3;
        assert!((images / 8.0 - 1.0).abs() < 1e-9, "{answer}");
        assert!(number("peak_memory_mib") > 1.0 && number("processor_ms") > 0.0, "{answer}");
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().count() == 1, "nothing else is written");
}

#[test]
fn what_cannot_be_timed_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["bench", "--device", "fake"] as &[&str], "found fake"),
        (&["bench", "--method", "dart"], "dart"),
        (&["bench", "--space", "darts", "--method", "ofa", "--device", "cpu"], "ofa"),
        (&["bench", "--steps", "0"], "--steps"),
        (&["bench", "--batch", "0"], "--batch"),
        (
            &["bench", "--space", "nasbench201", "--resolution", "1", "--device", "cpu"],
            "resolution",
        ),
    ] {
        refused(dir.path(), args, &[expected]);
    }
}
