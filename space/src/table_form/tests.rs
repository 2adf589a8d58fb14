//! Compares names of rows with those of the published tables: `proxylessnas/mobile_trim.yaml` and
//! `ofa/note10/{160,192}_lookup_table.yaml` of <https://github.com/han-cai/files>, and what `fbnet_get_metrics` of HW-NAS-Bench
//! asks for over its nine uniform networks.

use std::collections::BTreeSet;

use super::*;
use crate::{find_skeleton, find_space};

/// The names for one size of the image, of the paper's network.
fn names(id: &str, size: u16) -> BTreeSet<String> {
    let space = find_space(id).unwrap();
    let graph = space.graph(&find_skeleton(space.as_ref(), "imagenet").unwrap());
    let rows = space.table_form().unwrap().rows(&graph).unwrap();
    rows.into_iter().filter(|row| row.size == size).map(|row| row.name).collect()
}

/// The names of a published table, one per line.
fn published(file: &str) -> BTreeSet<String> {
    file.lines().map(str::to_owned).collect()
}

#[test]
fn the_rows_of_proxyless_are_the_published_ones() {
    let all = published(include_str!("proxyless_rows.txt"));
    // The first block's other two kernels, which no network of the space has.
    let unasked = |name: &&String| name.contains("expand:1-") && !name.contains("kernel:3");
    assert_eq!((all.len(), all.iter().filter(unasked).count()), (72, 2));
    let asked: BTreeSet<String> = all.iter().filter(|name| !unasked(name)).cloned().collect();
    assert_eq!(names("proxyless", 224), asked);
}

#[test]
fn the_rows_of_once_for_all_are_the_published_ones_at_each_size() {
    let all = published(include_str!("ofa_rows.txt"));
    for size in [160, 192] {
        let first = format!("Conv-input:{size}x{size}x3-output:{0}x{0}x24", size / 2);
        let found = names("ofa-w12", size);
        assert_eq!(found.len(), 96);
        assert!(found.contains(&first));
        let missing: Vec<_> = found.difference(&all).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    assert_eq!(names("ofa-w12", 160).union(&names("ofa-w12", 192)).count(), all.len());
    for size in [176, 208, 224] {
        assert_eq!(names("ofa-w12", size).len(), 96);
    }
}

#[test]
fn the_rows_of_fbnet_are_those_that_hw_nas_bench_asks_for() {
    let all = published(include_str!("hwnas_rows.txt"));
    assert_eq!(all.len(), 112);
    assert_eq!(names("fbnet-hwnas", 224), all);
}

#[test]
fn a_form_is_told_by_a_row_and_has_no_row_for_the_blocks_of_others() {
    for form in TableForm::ALL {
        let id = ["proxyless", "ofa-w12", "fbnet-hwnas"][form as usize];
        let told: BTreeSet<&str> = names(id, 224)
            .iter()
            .filter_map(|name| TableForm::of_row(name))
            .map(TableForm::name)
            .collect();
        assert_eq!(told, [form.name()].into());
    }
    let fbnet = find_space("fbnet").unwrap();
    assert_eq!(fbnet.table_form(), None);
    let graph = fbnet.graph(&find_skeleton(fbnet.as_ref(), "imagenet").unwrap());
    for form in TableForm::ALL {
        let error = form.rows(&graph).unwrap_err().to_string();
        assert!(error.contains(form.name()) && error.contains("conv_bn_relu"), "{error}");
    }
}

#[test]
fn an_expansion_that_is_no_whole_number_has_no_row_in_proxyless_form() {
    let space = find_space("ofa-proxyless").unwrap();
    assert_eq!(names("ofa-proxyless", 224).len(), 3 + 1 + 11 * 9);
    let narrow = find_skeleton(space.as_ref(), "quick").unwrap();
    let error = TableForm::Proxyless.rows(&space.graph(&narrow)).unwrap_err().to_string();
    assert!(error.contains("whole"), "{error}");
}
