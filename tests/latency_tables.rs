//! Latency tables of whole blocks in published forms: sums as the official readers compute them, and the user's own tables in
//! these forms.

mod forms;
mod refused;

use std::path::{Path, PathBuf};

use lat_data::{BlockFile, read_block_tables};
use lat_predictor::{CostModel, PieceCosts};
use lat_space::{SearchSpace, find_space};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::setup;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/latency_tables")
}

fn tables(name: &str) -> Vec<BlockFile> {
    read_block_tables(&[folder().join(name)]).unwrap()
}

fn costs(space: &dyn SearchSpace, files: &[BlockFile]) -> PieceCosts {
    PieceCosts::of_tables(space, "latency_ms", files).unwrap()
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

/// Rows of numbers, without nulls.
fn rows(value: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| row.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn networks_cost_what_the_official_readers_say() {
    for (id, name, key, n) in [
        ("ofa-w12", "ofa", "ofa networks", 30),
        ("proxyless", "proxyless.yaml", "proxyless networks", 10),
    ] {
        let space = find_space(id).unwrap();
        let costs = costs(space.as_ref(), &tables(name));
        let networks = expected()[key].as_array().unwrap().clone();
        assert_eq!(networks.len(), n);
        for network in networks {
            let text = network["text"].as_str().unwrap();
            let found = costs.cost(&space.parse(text).unwrap()).unwrap();
            let ms = network["ms"].as_f64().unwrap();
            // Some of the official sums use 32-bit floats.
            assert!((found / ms - 1.0).abs() < 1e-6, "{text}: {found} {ms}");
        }
    }
}

#[test]
fn the_expectation_of_proxyless_and_its_gradient_are_the_official_ones() {
    setup::ready();
    let space = find_space("proxyless").unwrap();
    let table = costs(space.as_ref(), &tables("proxyless.yaml")).table(space.as_ref()).unwrap();
    let expected = &expected()["proxyless expectation"];
    let alphas: Vec<Tensor> = rows(&expected["alphas"])
        .iter()
        .map(|row| Tensor::from_slice(row).to_kind(Kind::Float).set_requires_grad(true))
        .collect();
    let gates: Vec<Tensor> = alphas.iter().map(|a| a.softmax(-1, Kind::Float)).collect();
    let cost = table.relaxed(&Tensor::cat(&gates, 0)).unwrap();
    let ms = expected["ms"].as_f64().unwrap();
    assert!((cost.double_value(&[]) / ms - 1.0).abs() < 1e-6, "{cost:?} {ms}");
    cost.backward();
    let gradient = rows(&expected["gradient"]);
    assert_eq!(gradient.len(), alphas.len());
    for (expected, alpha) in gradient.iter().zip(&alphas) {
        let error = alpha.grad().to_kind(Kind::Double) - Tensor::from_slice(expected);
        let error = error.abs().max().double_value(&[]);
        assert!(error < 1e-5, "{error} {expected:?}");
    }
}

/// There are no gates for probabilities of kernel and expansion together, but the expected cost is linear in each block's. So it
/// is the cost of one kind, plus the change that each other kind of each block makes.
#[test]
fn the_expectation_of_once_for_all_is_the_sum_over_blocks_and_depths() {
    setup::ready();
    let space = find_space("ofa-w12").unwrap();
    let (expected, table) = (expected(), whole(space.as_ref()));
    let expected = &expected["ofa expectation"];
    let (p, depth) = (rows(&expected["kernel_expand"]), rows(&expected["depth"]));
    for (size, choice) in [("160", 8), ("192", 16), ("224", 24)] {
        let cost = |kinds: &[usize]| {
            let gates = gates(space.as_ref(), choice, &depth, kinds);
            table.relaxed(&Tensor::from_slice(&gates)).unwrap().double_value(&[])
        };
        let base = cost(&[0; 20]);
        let mut found = base;
        for (block, p) in p.iter().enumerate() {
            for (kind, p) in p.iter().enumerate() {
                let mut kinds = [0; 20];
                kinds[block] = kind;
                found += p * (cost(&kinds) - base);
            }
        }
        let ms = expected["ms"][size].as_f64().unwrap();
        assert!((found / ms - 1.0).abs() < 1e-5, "{size}: {found} {ms}");
    }
}

/// The cost for all image sizes. Sizes without a table cost 1 ms per row, and are not chosen.
fn whole(space: &dyn SearchSpace) -> lat_predictor::TableCost {
    let mut files = tables("ofa");
    let skeleton = *costs(space, &files).skeleton();
    let rows = space.table_form().unwrap().rows(&space.graph(&skeleton)).unwrap();
    for size in (128..=224).step_by(4).filter(|size| ![160, 176, 192, 208, 224].contains(size)) {
        let of_size = rows.iter().filter(|row| row.size == size);
        files.push(BlockFile {
            path: format!("{size}.yaml").into(),
            rows: of_size.map(|row| (row.name.clone(), 1.0)).collect(),
            checksum: String::new(),
        });
    }
    costs(space, &files).table(space).unwrap()
}

/// Gates for one image size, probabilities of depths, and one kind of kernel and expansion per block.
fn gates(space: &dyn SearchSpace, size: usize, depth: &[Vec<f64>], kinds: &[usize]) -> Vec<f32> {
    let one_hot = |n: usize, at: usize| (0..n).map(move |i| f32::from(u8::from(i == at)));
    let mut gates: Vec<f32> = one_hot(25, size).collect();
    gates.extend(depth.iter().flatten().map(|&p| p as f32));
    gates.extend(kinds.iter().flat_map(|kind| one_hot(3, kind / 3)));
    gates.extend(kinds.iter().flat_map(|kind| one_hot(3, kind % 3)));
    assert_eq!(gates.len(), space.decisions().iter().map(|d| d.choices.len()).sum::<usize>());
    gates
}

/// Gates drawn at random: the cost of the average gates is the average over all architectures, weighted by their probabilities.
#[test]
fn the_expectation_is_the_enumeration() {
    setup::ready();
    let space = find_space("ofa-w12").unwrap();
    let (table, depth) = (whole(space.as_ref()), rows(&expected()["ofa expectation"]["depth"]));
    // All stages except the last have one kind and depth. The last one is enumerated: depths, and kernels of its four blocks.
    let fixed: Vec<Vec<f64>> = vec![vec![0.0, 1.0, 0.0]; 4];
    let (kernels, last) = ([0.2, 0.5, 0.3], &depth[4]);
    let all = |last: &[f64]| [fixed.clone(), vec![last.to_vec()]].concat();
    let mut mean = gates(space.as_ref(), 24, &all(last), &[4; 20]);
    let n_before = 25 + 15 + 3 * 16;
    for (i, gate) in mean[n_before..n_before + 12].iter_mut().enumerate() {
        *gate = kernels[i % 3] as f32;
    }
    let found = table.relaxed(&Tensor::from_slice(&mean)).unwrap().double_value(&[]);
    let mut expected = 0.0;
    for (d, p_depth) in last.iter().enumerate() {
        for number in 0..81usize {
            let choice = |block: u32| number / 3usize.pow(block) % 3;
            let mut kinds = [4; 20];
            (0..4).for_each(|b| kinds[16 + b as usize] = 3 * choice(b) + 1);
            let one = (0..3).map(|i| f64::from(u8::from(i == d))).collect::<Vec<_>>();
            let gates = gates(space.as_ref(), 24, &all(&one), &kinds);
            let chance: f64 = (0..4).map(|b| kernels[choice(b)]).product();
            let cost = table.relaxed(&Tensor::from_slice(&gates)).unwrap().double_value(&[]);
            expected += p_depth * chance * cost;
        }
    }
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn gates_of_one_architecture_cost_what_it_costs() {
    setup::ready();
    let space = find_space("ofa-w12").unwrap();
    let (table, files) = (whole(space.as_ref()), tables("ofa"));
    let costs = costs(space.as_ref(), &files);
    for network in expected()["ofa networks"].as_array().unwrap().iter().take(8) {
        let architecture = space.parse(network["text"].as_str().unwrap()).unwrap();
        let gates = Tensor::from_slice(&architecture.gates(space.decisions()));
        let relaxed = table.relaxed(&gates).unwrap().double_value(&[]);
        let ms = network["ms"].as_f64().unwrap();
        assert!((relaxed / ms - 1.0).abs() < 1e-6, "{relaxed} {ms}");
        assert!((table.cost(&architecture).unwrap() / ms - 1.0).abs() < 1e-6);
        assert!((costs.cost(&architecture).unwrap() / ms - 1.0).abs() < 1e-6);
    }
}
