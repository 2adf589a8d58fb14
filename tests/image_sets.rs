//! Image sets that are part of the program: loops over the table that name no set.

use lat_data::DATASETS;
use predicates::str::contains;

use crate::cli::lat;

#[test]
fn every_embedded_set_can_be_searched_at_another_size() {
    let fixed = ["search", "--space", "nasbench201", "--method", "darts", "--lambda", "0"];
    let size = ["--resolution", "16", "--channels", "8", "--epochs", "1", "--images", "200"];
    for entry in DATASETS.iter().filter(|entry| !entry.needs_dir()) {
        let dir = tempfile::tempdir().unwrap();
        let rest = ["--target", "params", "--device", "cpu", "--out", "s"];
        lat(dir.path())
            .args(fixed)
            .args(size)
            .args(rest)
            .args(["--dataset", entry.name])
            .assert()
            .success()
            .stdout(contains("(part of the program): 200 training and"))
            .stdout(contains("test images of 16x16"));
        let text = std::fs::read_to_string(dir.path().join("s/search.json")).unwrap();
        let result: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(result["dataset"], format!("{}-200", entry.name));
        assert_eq!(result["skeleton"]["resolution"], 16, "{}", entry.name);
        assert_eq!(result["skeleton"]["channels"], 8, "{}", entry.name);
        assert!(result["log"][0]["train_loss"].as_f64().unwrap() > 0.0, "{}", entry.name);
    }
}

#[test]
fn every_set_is_listed_with_its_source_and_named_in_the_help() {
    let dir = tempfile::tempdir().unwrap();
    for entry in DATASETS {
        let list = lat(dir.path()).args(["list", "datasets"]).assert().success();
        list.stdout(contains(entry.name)).stdout(contains(entry.source));
        for command in ["search", "evaluate"] {
            let help = lat(dir.path()).args([command, "--help"]).assert().success();
            help.stdout(contains(entry.name));
        }
    }
}
