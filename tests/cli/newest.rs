//! Which profile and predictor a command uses if none is named: those that fit by their content, and the newest of these.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;

use super::{folder, lat, refused};

fn profile_and_train(dir: &Path, space: &str, more: &str) {
    let profile = format!("profile --device fake --space {space} --samples 60{more}");
    lat(dir).args(profile.split(' ')).assert().success();
    let train = format!("train --space {space}");
    lat(dir).args(train.split(' ')).assert().success();
}

const SEARCH: &str = "search --space nasbench201 --method gdas --dataset digits --images 200 --channels 4 --layers 3 --epochs 1";

#[test]
fn a_space_whose_name_is_the_beginning_of_another_one_gets_its_own_files() {
    let dir = folder();
    let dir = dir.path();
    profile_and_train(dir, "darts", "");
    profile_and_train(dir, "darts-frc", "");
    let train = ["train", "--space", "darts", "--out", "p.lat"];
    lat(dir).args(train).assert().success().stdout(contains("runs/profile-darts-fake"));
    let search = "search --epochs 1 --images 200 --batch 64 --channels 4 --layers 3";
    lat(dir)
        .args(search.split(' '))
        .assert()
        .success()
        .stdout(contains("predictor runs/predictor-darts-fake"));
    let search = format!("{search} --space darts-frc");
    lat(dir)
        .args(search.split(' '))
        .assert()
        .success()
        .stdout(contains("predictor runs/predictor-darts-frc-fake"));
}

#[test]
fn files_of_any_name_are_known_by_what_they_say() {
    let dir = folder();
    let dir = dir.path();
    profile_and_train(dir, "nasbench201", "");
    let runs = dir.join("runs");
    let the_only = |start: &str| {
        let entries = fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start))
            .collect::<Vec<_>>()
            .remove(0)
    };
    fs::rename(the_only("profile-"), runs.join("mine")).unwrap();
    fs::rename(the_only("predictor-"), runs.join("own.lat")).unwrap();
    // The newest file, but not a predictor.
    fs::write(runs.join("predictor-nasbench201-x-latency_ms.lat"), "torn").unwrap();
    let train = ["train", "--space", "nasbench201", "--out", "p.lat"];
    lat(dir).args(train).assert().success().stdout(contains("latency_ms from runs/mine"));
    lat(dir).args(SEARCH.split(' ')).assert().success().stdout(contains("predictor runs/own.lat"));
    // If nothing fits, the message names the files that could not be read.
    fs::remove_file(runs.join("own.lat")).unwrap();
    let args: Vec<&str> = SEARCH.split(' ').collect();
    refused(dir, &args, &["for nasbench201", "but one that cannot be read", "lat train"]);
}

#[test]
fn a_search_after_another_training_begins_anew_in_a_folder_of_its_own() {
    let dir = folder();
    let dir = dir.path();
    profile_and_train(dir, "nasbench201", "");
    let searched = || -> usize {
        lat(dir).args(SEARCH.split(' ')).assert().success();
        let entries = fs::read_dir(dir.join("runs")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("search-")).count()
    };
    assert_eq!(searched(), 1);
    // The same search is found and continued.
    assert_eq!(searched(), 1);
    lat(dir).args(["train", "--seed", "3"]).assert().success();
    assert_eq!(searched(), 2);
    // A folder that was named by the user still belongs to its search.
    let named = format!("{SEARCH} --out s");
    lat(dir).args(named.split(' ')).assert().success();
    lat(dir).args(["train", "--seed", "4"]).assert().success();
    lat(dir)
        .args(named.split(' '))
        .assert()
        .code(2)
        .stderr(contains("with checksum").and(contains("panicked").not()));
}
