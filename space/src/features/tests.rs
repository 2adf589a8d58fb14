//! Tests of features.

use super::*;
use crate::{Darts, NasBench201, architecture_at};

fn feature(map: &FeatureMap, gates: &[f32], name: &str, group: &str) -> f32 {
    let values = map.values(gates, 1);
    let found =
        map.features.iter().find(|f| f.name == name && map.groups[usize::from(f.group)] == group);
    values[found.unwrap_or_else(|| panic!("no feature {name} in {group}")).value as usize]
}

#[test]
fn live_counts_leave_out_dead_ends() {
    let space = NasBench201::new();
    let map = FeatureMap::structured(&space);
    assert!(map.is_sound());
    // Edge 0-1 leads nowhere, since 1-2 and 1-3 are cut; 0-2 and 2-3 are the only path.
    let text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|nor_conv_3x3~2|";
    let gates = space.parse(text).unwrap().gates(space.decisions());
    let at = |name: &str, group: &str| feature(&map, &gates, name, group);
    assert_eq!(at("live*cell/0-1=nor_conv_3x3", "live"), 0.0);
    assert_eq!(at("live*cell/2-3=nor_conv_3x3", "live"), 1.0);
    assert_eq!(at("live*cell/0-1=nor_conv_3x3", "live-counts"), 1.0);
    assert_eq!(at("cell:cell/0-1=nor_conv_3x3", "counts"), 2.0);
    assert_eq!(at("reach", "reach"), 1.0);
}

#[test]
fn reach_is_right_for_every_cell() {
    let space = NasBench201::new();
    let map = FeatureMap::structured(&space);
    let reach = map.features.iter().position(|f| f.name == "reach").unwrap();
    for index in 0..15_625 {
        let architecture = crate::SearchSpace::at(&space, index);
        let gates = architecture.gates(space.decisions());
        let cut = |e: usize| architecture.choices[e].contains(0);
        let two = !cut(1) || !(cut(0) || cut(2));
        let joined = !cut(3) || !(cut(0) || cut(4)) || (two && !cut(5));
        let expected = if joined { 1.0 } else { 0.0 };
        assert_eq!(map.encode(&gates)[reach], expected);
    }
}

#[test]
fn kept_features_have_the_values_they_had() {
    let space = Darts::new();
    let map = FeatureMap::structured(&space);
    let gates = architecture_at(&space, 3, 5).unwrap().gates(space.decisions());
    let all = map.encode(&gates);
    let kept: Vec<usize> = (0..map.len()).step_by(17).collect();
    let small = map.keep(&kept);
    assert!(small.is_sound() && small.n_values() < map.n_values());
    let expected: Vec<f32> = kept.iter().map(|&f| all[f]).collect();
    assert_eq!(small.encode(&gates), expected);
}

#[test]
fn soft_products_of_different_decisions_are_mean_values() {
    // For independent decisions the value at the average gates is the average over all architectures.
    let space = NasBench201::new();
    let map = FeatureMap::structured(&space);
    let mean_gates = vec![0.2f32; 30];
    let soft = map.encode(&mean_gates);
    let mut mean = vec![0.0f64; map.len()];
    for index in 0..15_625 {
        let gates = crate::SearchSpace::at(&space, index).gates(space.decisions());
        mean.iter_mut().zip(map.encode(&gates)).for_each(|(m, v)| *m += f64::from(v) / 15_625.0);
    }
    for (feature, (mean, soft)) in map.features.iter().zip(mean.iter().zip(&soft)) {
        assert!((mean - f64::from(*soft)).abs() < 1e-4, "{}", feature.name);
    }
}

#[test]
fn an_encoding_is_a_map_with_sums_alone() {
    let space = Darts::new();
    let gates = architecture_at(&space, 1, 2).unwrap().gates(space.decisions());
    for encoding in [space.encoding(), space.counts_encoding()] {
        let sums = encoding.features.iter().map(|(_, sum)| sum.iter().map(|&g| gates[g]).sum());
        assert_eq!(FeatureMap::of_encoding(&encoding).encode(&gates), sums.collect::<Vec<f32>>());
    }
}

#[test]
fn maps_that_read_ahead_are_not_sound() {
    let space = NasBench201::new();
    let mut map = FeatureMap::of_encoding(&space.counts_encoding());
    assert!(map.is_sound());
    map.levels.push(Level::Products(vec![(0, 4000)]));
    assert!(!map.is_sound());
}

#[test]
fn work_is_counted_where_counts_do_not_tell_it() {
    let space = Darts::new();
    let map = FeatureMap::structured(&space);
    let work = crate::Space::work(&space).unwrap();
    let largest = work.iter().flatten().map(|w| w.multiply_adds).fold(0.0, f64::max);
    for i in 0..5 {
        let architecture = architecture_at(&space, 1, i).unwrap();
        let chosen = architecture.choices.iter().zip(&work);
        let chosen = chosen.flat_map(|(set, work)| set.iter().map(|c| work[c].multiply_adds));
        let expected = (chosen.sum::<f64>() / largest) as f32;
        let gates = architecture.gates(space.decisions());
        let found = |name: &str| feature(&map, &gates, name, "multiply-adds");
        assert!((found("multiply-adds") - expected).abs() < 1e-4 * expected);
        let cells = found("multiply-adds:normal") + found("multiply-adds:reduce");
        assert!((cells - expected).abs() < 1e-4 * expected);
    }
    let map = FeatureMap::structured(&NasBench201::new());
    assert!(!map.groups.iter().any(|group| group == "multiply-adds"));
}
