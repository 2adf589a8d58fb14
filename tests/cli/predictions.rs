//! `lat predict`, and predictors in searches.

use predicates::prelude::*;
use predicates::str::contains;

use super::{folder, lat, profiled, refused};

#[test]
fn a_predictor_of_another_space_or_column_is_refused() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path()).args(["train", "--out", "p.lat"]).assert().success();
    refused(
        dir.path(),
        &["search", "--space", "darts", "--predictor", "p.lat", "--lambda", "1"],
        &["darts", "nasbench201"],
    );
    refused(
        dir.path(),
        &["search", "--space", "nasbench201", "--predictor", "p.lat", "--target", "energy_mj"],
        &["energy_mj", "latency_ms"],
    );
    let bytes = std::fs::read(dir.path().join("p.lat")).unwrap();
    std::fs::write(dir.path().join("cut.lat"), &bytes[..bytes.len() / 2]).unwrap();
    refused(dir.path(), &["predict", "--predictor", "cut.lat", "x"], &["cut.lat"]);
}

#[test]
fn predict_prices_texts_and_files_alike() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path()).args(["train", "--out", "p.lat"]).assert().success();
    let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";
    let direct = lat(dir.path()).args(["predict", "--predictor", "p.lat", text]).assert().success();
    std::fs::write(dir.path().join("list"), format!("{text}\n{text}\n")).unwrap();
    let listed = lat(dir.path())
        .args(["predict", "--predictor", "p.lat", "--file", "list"])
        .assert()
        .success();
    let direct = String::from_utf8(direct.get_output().stdout.clone()).unwrap();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert_eq!(listed, direct.repeat(2));
    assert!(direct.contains(" ms\t|nor_conv"), "{direct}");
}

#[test]
fn predict_keeps_the_order_of_a_long_file_and_tells_deviations() {
    let dir = profiled("nasbench201", 60);
    lat(dir.path())
        .args(["train", "--regressor", "structured", "--out", "p.lat"])
        .assert()
        .success();
    let ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
    let text = |i: usize| {
        let op = |k: u32| ops[i / 5usize.pow(k) % 5];
        format!("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|none~2|", op(0), op(1), op(2), op(3), op(4))
    };
    let texts: Vec<String> = (0..3000).map(text).collect();
    std::fs::write(dir.path().join("list"), texts.join("\n\n")).unwrap();
    let lines = |flags: &[&str]| {
        let mut command = lat(dir.path());
        command.args(["predict", "--predictor", "p.lat", "--file", "list"]).args(flags);
        let output = command.assert().success().get_output().stdout.clone();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = lines(&["--json", "all.json"]);
    assert!(plain.iter().map(|l| l.split('\t').nth(1).unwrap()).eq(texts.iter()));
    // With deviations, sums are computed in another order, which may change the last digit.
    let ms = |line: &String| line.split(' ').next().unwrap().parse::<f64>().unwrap();
    let bare = lines(&["--threads", "1"]);
    assert_eq!(bare.len(), plain.len());
    assert!(bare.iter().zip(&plain).all(|(a, b)| (ms(a) / ms(b) - 1.0).abs() < 1e-5));
    assert_eq!(bare, lines(&["--threads", "3"]));
    let with_sd = lines(&["--sd", "--threads", "3"]);
    let fields: Vec<&str> = with_sd[7].split('\t').collect();
    assert!(fields[1].ends_with(" ms") && fields[2].ends_with("-data"), "{fields:?}");
    // Published accuracies of three data sets follow the text.
    assert_eq!((fields.len(), fields[3]), (7, texts[7].as_str()));
    let json = std::fs::read_to_string(dir.path().join("all.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let number = |i: usize, key: &str| json[i][key].as_f64().unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3000);
    assert_eq!(json[2999]["architecture"], texts[2999]);
    assert!(number(9, "low") < number(9, "value") && number(9, "value") < number(9, "high"));
    assert!(number(9, "sd") > 0.0 && json[9]["off_data"].is_boolean());

    let mut broken = texts.clone();
    broken[1400] = "|none~0|".into();
    std::fs::write(dir.path().join("broken"), broken.join("\n")).unwrap();
    lat(dir.path())
        .args(["predict", "--predictor", "p.lat", "--file", "broken", "--json", "no.json"])
        .assert()
        .code(2)
        .stderr(contains("architecture 1401: ").and(contains("|none~0|")));
    assert!(!dir.path().join("no.json").exists());
}

#[test]
fn a_risk_needs_a_predictor_and_a_number() {
    let dir = folder();
    let search = ["search", "--space", "nasbench201", "--risk"];
    let risk = |more: &[&'static str]| [&search[..], more].concat();
    refused(dir.path(), &risk(&["-1"]), &["--risk", "at least 0, found -1"]);
    refused(dir.path(), &risk(&["nan"]), &["--risk", "at least 0, found NaN"]);
    refused(dir.path(), &risk(&["1", "--target", "params"]), &["found params, which is counted"]);
}
