//! Which crate may depend on which: compares the manifests and the sources with the drawing in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use lat::methods::METHODS;
use lat_space::SPACES;
use serde_json::Value;

/// For each crate those of our crates that it depends on.
const ARROWS: [(&str, &[&str]); 8] = [
    ("lat-space", &[]),
    ("lat-data", &["lat-space"]),
    ("lat-kernels", &[]),
    ("lat-nn", &["lat-kernels", "lat-space"]),
    ("lat-device", &["lat-nn"]),
    ("lat-profiler", &["lat-data", "lat-device", "lat-nn", "lat-space"]),
    ("lat-predictor", &["lat-data", "lat-space"]),
    (
        "lat",
        &[
            "lat-data",
            "lat-device",
            "lat-kernels",
            "lat-nn",
            "lat-predictor",
            "lat-profiler",
            "lat-space",
        ],
    ),
];
/// Crates that use libtorch, crates that call the GPU's driver directly, and crates with unsafe code.
const WITH_TORCH: [&str; 6] =
    ["lat", "lat-device", "lat-kernels", "lat-nn", "lat-predictor", "lat-profiler"];
const WITH_CUDA: [&str; 1] = ["lat-device"];
const UNSAFE: [&str; 2] = ["lat-device", "lat-kernels"];

/// For each crate its folder and everything that its manifest names, including dependencies of tests and build scripts.
fn packages() -> BTreeMap<String, (PathBuf, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let package = |package: &Value| {
        let folder = PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_owned();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        (text(&package["name"]), (folder, dependencies.map(|d| text(&d["name"])).collect()))
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn arrows_between_crates_are_those_drawn() {
    let ours = packages();
    let found: BTreeMap<&str, BTreeSet<&str>> = ours
        .iter()
        .map(|(name, (_, dependencies))| {
            let arrows = dependencies.iter().filter(|d| ours.contains_key(*d));
            (name.as_str(), arrows.map(String::as_str).collect())
        })
        .collect();
    let drawn = ARROWS.iter().map(|(name, to)| (*name, to.iter().copied().collect()));
    assert_eq!(found, drawn.collect());
}

#[test]
fn only_the_crates_named_use_libtorch_and_cuda() {
    let of = |names: &[&str]| -> BTreeSet<String> {
        let packages = packages().into_iter();
        let uses =
            |dependencies: &BTreeSet<String>| names.iter().any(|n| dependencies.contains(*n));
        packages.filter(|(_, (_, d))| uses(d)).map(|(name, _)| name).collect()
    };
    assert_eq!(of(&["tch", "torch-sys"]), WITH_TORCH.map(str::to_owned).into());
    assert_eq!(of(&["cudarc", "nvml-wrapper"]), WITH_CUDA.map(str::to_owned).into());
}

#[test]
fn only_the_crates_named_have_unsafe_code_and_name_cudarc() {
    let (mut unsafe_ones, mut users) = (BTreeSet::new(), BTreeSet::new());
    for (name, (folder, _)) in packages() {
        let mut n_files = 0;
        for file in rust_files(&folder.join("src")) {
            n_files += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            let has = |what: &str, found: &mut BTreeSet<String>| {
                if words(&text).any(|word| word == what) {
                    found.insert(name.clone());
                }
            };
            has("unsafe", &mut unsafe_ones);
            has("cudarc", &mut users);
        }
        assert!(n_files > 0, "{name} has no sources in {}", folder.display());
    }
    assert_eq!(unsafe_ones, UNSAFE.map(str::to_owned).into());
    assert_eq!(users, WITH_CUDA.map(str::to_owned).into());
}

/// In a folder with many files these lines show the way.
#[test]
fn every_file_opens_with_a_line_that_says_what_it_holds() {
    let mut n_files = 0;
    for (_, (folder, _)) in packages() {
        let folders = ["src", "tests", "examples"].map(|name| folder.join(name));
        let there = folders.iter().filter(|folder| folder.is_dir());
        for file in there.flat_map(|folder| rust_files(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let said = text.lines().next().and_then(|line| line.strip_prefix("//! "));
            let is_said = said.is_some_and(|line| !line.trim().is_empty());
            assert!(is_said, "expected {} to open with a //! line", file.display());
            n_files += 1;
        }
    }
    assert!(n_files > 300, "{n_files}");
}

/// Only one file replaces results.
#[test]
fn only_one_file_gives_files_their_names() {
    assert_eq!(users(&["fs::rename(", ".persist("]), ["data/src/durable/whole_file/mod.rs"]);
    assert_eq!(users(&[".append(true)"]), ["src/cli/search/events.rs", "src/cli/search/log.rs"]);
}

#[test]
fn only_the_command_line_prints_and_reads_flags() {
    let prints = ["print!(", "println!(", "dbg!(", "env::args", "clap::Args", "clap::Parser"];
    let others = users(&prints).into_iter().filter(|file| !file.starts_with("src/cli/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn only_one_crate_builds_layers() {
    let layers = ["nn::conv2d(", "nn::linear(", "nn::batch_norm2d(", "nn::conv("];
    let others = users(&layers).into_iter().filter(|file| !file.starts_with("nn/src/"));
    assert_eq!(others.collect::<Vec<_>>(), ["profiler/src/alone/op_bench.rs"]);
}

#[test]
fn only_one_crate_reads_tables_runs_and_images() {
    let readers = ["polars::", "image::", "flate2::"];
    let names = ["\"run.json\"", "\"rows.jsonl\"", "\"measurements.parquet\"", "\"manifest.json\""];
    let outside = |what: &[&str]| -> Vec<String> {
        users(what).into_iter().filter(|file| !file.starts_with("data/src/")).collect()
    };
    assert_eq!(outside(&readers), Vec::<String>::new());
    assert_eq!(outside(&names), ["src/cli/written.rs"]);
}

/// Defaults of flags are exempt.
#[test]
fn no_code_asks_which_space_or_method_it_has() {
    let spaces = SPACES.iter().map(|build| build().id().to_owned());
    let methods = METHODS.iter().map(|method| method.name.to_owned());
    let quoted: Vec<String> = spaces.chain(methods).map(|id| format!("\"{id}\"")).collect();
    let homes = ["space/src/", "src/methods/", "data/src/accuracy/"];
    let is_home = |file: &str| homes.iter().any(|home| file.starts_with(home));
    for (file, code) in sources().into_iter().filter(|(file, _)| !is_home(file)) {
        for line in code.lines().filter(|line| !line.contains("default_value")) {
            let named = quoted.iter().find(|id| line.contains(id.as_str()));
            assert_eq!(named, None, "{file}: {line}");
        }
    }
}

/// Decisions say what a choice is and which nodes an edge joins. (Shards, weights and archives also have slashes in their names.)
#[test]
fn only_one_crate_reads_the_names_of_choices_and_decisions() {
    let outside = |what: &[&str]| -> Vec<String> {
        users(what).into_iter().filter(|file| !file.starts_with("space/src/")).collect()
    };
    let choices = ["\"skip_connect\"", "_pool_", "= \"none\"", "\"none\" =>"];
    assert_eq!(outside(&choices), Vec::<String>::new());
    assert_eq!(outside(&["split('-')", "split_once('-')"]), Vec::<String>::new());
    let others = [
        "data/src/run/shard.rs",
        "nn/src/graph_net.rs",
        "predictor/src/export/torchscript.rs",
        "profiler/src/alone/module_file.rs",
    ];
    assert_eq!(outside(&["split('/')", "split_once('/')"]), others);
}

/// Paths of the files whose code contains one of these texts.
fn users(what: &[&str]) -> Vec<String> {
    let uses = |code: &str| what.iter().any(|what| code.contains(what));
    sources().into_iter().filter(|(_, code)| uses(code)).map(|(file, _)| file).collect()
}

/// The path of every source file, and its code without comments and tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeMap::new();
    for (_, (folder, _)) in packages() {
        for path in rust_files(&folder.join("src")) {
            let file = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if file.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests come last, and their module always has this name.
            let lines = text.lines().take_while(|line| !line.ends_with("mod tests {"));
            let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
            all.insert(file, lines.map(|line| format!("{line}\n")).collect());
        }
    }
    assert!(all.len() > 300, "{} source files", all.len());
    all
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The words of the code, without anything after `//`. (`unsafe_code` and `unsafe` are different words.)
fn words(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
}
