//! What a search or an evaluation may continue from: its own folder, if no other process writes it, with the cost model and the
//! images with which it began.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lat::checkpoint::Checkpoint;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use super::{folder, lat, refused};

const SEARCH: &str = "search --space nasbench201 --method gdas --dataset digits --images 200 --channels 4 --layers 3";

fn search(more: &str) -> Vec<String> {
    format!("{SEARCH} {more}").split(' ').map(str::to_owned).collect()
}

fn found(dir: &Path, args: &[String]) -> assert_cmd::assert::Assert {
    lat(dir).args(args).assert()
}

fn refuses(dir: &Path, args: &[String], texts: &[&str]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    refused(dir, &args, texts);
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Two predictors of the fake device, `one.lat` and `eight.lat`, named after their batch size.
fn predictors() -> tempfile::TempDir {
    let dir = folder();
    for (name, batch) in [("one", "1"), ("eight", "8")] {
        let run = format!(
            "profile --device fake --space nasbench201 --samples 60 --batch {batch} --out {name}"
        );
        lat(dir.path()).args(run.split(' ')).assert().success();
        let train = format!("train --data {name} --out {name}.lat");
        lat(dir.path()).args(train.split(' ')).assert().success();
    }
    dir
}

#[test]
fn another_cost_model_does_not_go_on_in_a_folder() {
    let dir = predictors();
    let dir = dir.path();
    let with = |predictor: &str, more: &str| {
        search(&format!("--predictor {predictor} --epochs 1 --out s {more}"))
    };
    found(dir, &with("one.lat", "--lambda 0.1")).success();
    let before = fs::read(dir.join("s/search.json")).unwrap();
    let texts = [
        "latency_ms of predictor one.lat with checksum",
        "this one has latency_ms of predictor eight.lat",
    ];
    refuses(dir, &with("eight.lat", "--lambda 0.1"), &texts);
    assert_eq!(fs::read(dir.join("s/search.json")).unwrap(), before);
    // The same predictor under another name counts as the same.
    fs::copy(dir.join("one.lat"), dir.join("copy.lat")).unwrap();
    found(dir, &with("copy.lat", "--lambda 0.1")).success();

    // If the steps do not depend on the cost, the results still do.
    let free = |cost: &str, out: &str| search(&format!("--lambda 0 --epochs 1 {cost} --out {out}"));
    found(dir, &free("--target params", "free")).success();
    refuses(dir, &free("--predictor one.lat", "free"), &["params, counted", "predictor one.lat"]);

    // A checkpoint copied into a folder of its own may be used with any cost, but from then on only with this one.
    for out in ["far", "near"] {
        fs::create_dir(dir.join(out)).unwrap();
        let file = "checkpoint.safetensors";
        fs::copy(dir.join("free").join(file), dir.join(out).join(file)).unwrap();
    }
    found(dir, &free("--predictor one.lat", "far")).success();
    let log = &json(&dir.join("far/search.json"))["log"];
    assert!(log[0]["derived_cost"].is_null() && log[0]["train_loss"].is_f64(), "{log}");
    refuses(
        dir,
        &free("--predictor eight.lat", "far"),
        &["predictor one.lat", "predictor eight.lat"],
    );
    found(dir, &free("--predictor one.lat", "far")).success();
    // The same if its log has already begun.
    fs::write(dir.join("near/log.jsonl"), "{}\n").unwrap();
    refuses(dir, &free("--predictor one.lat", "near"), &["params, counted"]);
}

#[test]
fn other_operations_and_other_images_do_not_go_on_in_a_folder() {
    let dir = folder();
    let dir = dir.path();
    let per_op =
        "profile --device fake --space nasbench201 --per-op --channels 4 --layers 3 --out ops";
    lat(dir).args(per_op.split(' ')).assert().success();
    let args = search("--per-op ops --epochs 1 --lambda 0.1 --out s");
    found(dir, &args).success();
    let table = dir.join("ops/operations.json");
    let text = fs::read_to_string(&table).unwrap();
    fs::write(&table, text.replacen("\"latency_ms\": 0.", "\"latency_ms\": 1.", 1)).unwrap();
    refuses(dir, &args, &["latency_ms of operations of ops with checksum"]);

    // Two classes with two colours; later one image is changed.
    for (class, colour) in [("a", 0), ("b", 200)] {
        for part in ["train", "test"] {
            let place = dir.join("images").join(part).join(class);
            fs::create_dir_all(&place).unwrap();
            for i in 0..16 {
                write_image(&place.join(format!("{i}.png")), colour + i);
            }
        }
    }
    let args = "search --space nasbench201 --method gdas --dataset folder --data-dir images --channels 4 --layers 3 --batch 8 \
                --target params --lambda 0.1 --epochs 1 --out i";
    let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
    found(dir, &args).success();
    write_image(&dir.join("images/train/a/0.png"), 99);
    refuses(dir, &args, &["belongs to a search with content of the data set"]);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_left_as_it_is() {
    let dir = folder();
    let dir = dir.path();
    let args = search("--target params --lambda 0 --epochs 1 --out s");
    found(dir, &args).success();
    let file = dir.join("s/checkpoint.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    // Flips the second highest bit of a weight's last byte, which gives another finite number.
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    fs::write(&file, &bytes).unwrap();
    refuses(dir, &args, &["it is damaged", "restore it from a copy, or delete it to start over"]);
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

/// Changes the label of a finished run's checkpoint, as if other processes had written it.
fn relabel(path: &Path, change: impl Fn(&mut Value)) {
    let saved = Checkpoint::load(path).unwrap();
    let mut label: Value = serde_json::from_str(&saved.label).unwrap();
    change(&mut label);
    Checkpoint::save(path, &label.to_string(), saved.tensors.into_iter().collect()).unwrap();
}

#[test]
fn what_a_resumed_run_took_counts_all_its_processes() {
    let dir = folder();
    let dir = dir.path();
    let search = search("--target params --epochs 2 --out s");
    let mut evaluate: Vec<String> =
        "evaluate --dataset digits --images 200 --epochs 1 --out e --arch"
            .split(' ')
            .map(str::to_owned)
            .collect();
    evaluate.push("s/search.json".to_owned());
    for (args, result, checkpoint) in [
        (search, "s/search.json", "s/checkpoint.safetensors"),
        (evaluate, "e/evaluation.json", "e/checkpoint.safetensors"),
    ] {
        let (result, checkpoint) = (dir.join(result), dir.join(checkpoint));
        let again = |change: &dyn Fn(&mut Value)| -> Value {
            relabel(&checkpoint, change);
            found(dir, &args).success();
            json(&result)
        };
        found(dir, &args).success();
        let first = json(&result)["seconds"].as_f64().unwrap();
        let saved = serde_json::from_str::<Value>(&Checkpoint::load(&checkpoint).unwrap().label);
        let kept = saved.unwrap()["spent"]["seconds"].as_f64().unwrap();
        assert!(0.0 < kept && kept <= first, "{kept} of {first}");
        let longer = again(&|label| {
            label["spent"] = serde_json::json!({ "seconds": 5000.0, "peak_memory_mib": 1e6 });
        });
        assert!((5000.0..6000.0).contains(&longer["seconds"].as_f64().unwrap()), "{longer}");
        if result.ends_with("search.json") {
            assert_eq!(longer["peak_memory_mib"], 1e6);
        }
        // Checkpoints of older programs contain the time that each epoch took.
        let older = again(&|label| {
            label.as_object_mut().unwrap().remove("spent");
            label["epochs"][0]["seconds"] = 7000.0.into();
        });
        assert!((7000.0..8000.0).contains(&older["seconds"].as_f64().unwrap()), "{older}");
    }
}

/// An image of 8x8 pixels in one grey.
fn write_image(path: &Path, grey: u8) {
    image::GrayImage::from_pixel(8, 8, image::Luma([grey])).save(path).unwrap();
}

fn start(dir: &Path, args: &[String]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lat"));
    command.current_dir(dir).args(["--threads", "1", "--quiet"]).args(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(300),
            "no {} after five minutes",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_folder_in_which_a_search_or_an_evaluation_runs_is_no_other_ones() {
    let dir = folder();
    let dir = dir.path();
    let architecture = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";
    let mut evaluate: Vec<String> =
        "evaluate --dataset digits --images 200 --epochs 500 --out e --arch"
            .split(' ')
            .map(str::to_owned)
            .collect();
    evaluate.push(architecture.to_owned());
    let search = search("--target params --epochs 500 --out s");
    for (args, out) in [(search, "s"), (evaluate, "e")] {
        let mut first = start(dir, &args);
        wait_for(&dir.join(out).join("checkpoint.safetensors"));
        let again: Vec<&str> = args.iter().map(String::as_str).collect();
        lat(dir).args(&again).args(["--seed", "1"]).assert().code(2).stderr(
            contains(format!("{out} is in use: another process is writing this run"))
                .and(contains("panicked").not()),
        );
        first.kill().unwrap();
        first.wait().unwrap();
        // The lock ends when its process ends.
        lat(dir)
            .args(&again)
            .args(["--seed", "1"])
            .assert()
            .code(2)
            .stderr(contains("with seed 0"));
    }
}
