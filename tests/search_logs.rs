//! The logs that a search leaves beside its result, and the flags that select what is recorded.

use crate::cli::lat;

#[test]
fn a_search_leaves_logs_and_several_seeds_a_spread() {
    let dir = tempfile::tempdir().unwrap();
    let search = ["search", "--space", "nasbench201", "--target", "params", "--device", "cpu"];
    let size = ["--dataset", "digits", "--images", "200", "--channels", "4", "--epochs", "2"];
    let run = |more: &[&str]| lat(dir.path()).args(search).args(size).args(more).assert();
    let flags = ["--seeds", "2", "--out", "s", "--hessian-every", "2", "--json", "s.json"];
    run(&flags).success().stdout(predicates::str::contains("mean ± sd"));
    let summary = std::fs::read_to_string(dir.path().join("s.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["seeds"].as_array().unwrap().len(), 2);
    assert_eq!(summary["predicted"]["n"], 2);
    assert!(summary["valid_accuracy"]["sd"].as_f64().unwrap() >= 0.0);
    for seed in ["seed0", "seed1"] {
        let folder = dir.path().join("s").join(seed);
        let lines = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!((lines("log.jsonl").lines().count(), lines("log.csv").lines().count()), (2, 3));
        let last: serde_json::Value =
            serde_json::from_str(lines("log.jsonl").lines().last().unwrap()).unwrap();
        assert!(last["diagnostics"]["hessian_eigenvalue"].is_number(), "{last}");
        assert_eq!(last["probabilities"].as_array().unwrap().len(), 6);
        let names = std::fs::read_dir(&folder).unwrap().flatten().map(|e| e.file_name());
        assert!(names.into_iter().any(|n| n.to_string_lossy().contains("tfevents")));
    }
    for watch in [["--hessian-every", "1"], ["--stop-on-collapse", "--verbose"]] {
        let flags = [&["--no-diagnostics"], &watch[..]].concat();
        run(&flags).code(2).stderr(predicates::str::contains("--no-diagnostics"));
    }
}
