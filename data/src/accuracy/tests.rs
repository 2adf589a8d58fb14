//! Tests of properties that all benchmarks have, and of tables made elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use lat_space::{NasBench201, Space, find_space};

use super::*;

const A: &str = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
const B: &str = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|";
const C: &str = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|";

#[test]
fn every_benchmark_is_of_a_space_there_is_and_within_its_range() {
    for entry in BENCHMARKS {
        let table = entry.load().unwrap();
        let space = find_space(entry.space).unwrap();
        assert_eq!(table.space, space.id());
        assert!(table.source.starts_with(entry.name) && !entry.source.is_empty());
        assert_eq!(table.len() as u128, space.size(), "{}: all architectures", entry.name);
        for (text, values) in table.rows() {
            assert_eq!(space.format(&space.parse(text).unwrap()), text);
            assert!(values.iter().all(|value| (0.0..=100.0).contains(value)), "{text}");
        }
        for (i, column) in table.columns.iter().enumerate() {
            assert_eq!(table.find_column(Some(&column.name)).unwrap(), i);
            assert_eq!(table.find_column(Some(&column.label.to_lowercase())).unwrap(), i);
        }
        assert!(published_accuracies(entry.space).unwrap().is_some());
    }
    let mut spaces: Vec<_> = BENCHMARKS.iter().map(|entry| entry.space).collect();
    spaces.dedup();
    assert_eq!(spaces.len(), BENCHMARKS.len(), "one per space");
    assert!(published_accuracies("darts").unwrap().is_none());
}

#[test]
fn an_architecture_prints_and_saves_its_accuracies() {
    let space = NasBench201::new();
    let table = published_accuracies("nasbench201").unwrap().unwrap();
    let own = table.of(&space, &space.parse(A).unwrap()).unwrap();
    let line = "published accuracy (NAS-Bench-201, 200 epochs): CIFAR-10 10.00 %, CIFAR-100 1.00 %, ImageNet16-120 0.83 %";
    assert_eq!(own.to_string(), line);
    let json =
        r#"{"cifar10_test_acc":10.0,"cifar100_test_acc":1.0,"imagenet16_120_test_acc":0.8333}"#;
    assert_eq!(serde_json::to_string(&own).unwrap(), json);
    let error = table.find_column(Some("svhn")).unwrap_err().to_string();
    assert!(error.contains("'svhn'") && error.contains("cifar10_test_acc, cifar100"), "{error}");
}

/// Writes this text as a CSV file and reads it.
fn read(text: &str, columns: &[&str]) -> Result<AccuracyTable, String> {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("a.csv");
    fs::write(&path, text).unwrap();
    read_file(&path, columns, None)
}

fn read_file(
    path: &Path,
    columns: &[&str],
    unit: Option<AccuracyUnit>,
) -> Result<AccuracyTable, String> {
    let columns: Vec<String> = columns.iter().map(|&c| c.to_owned()).collect();
    let request = AccuracyRequest { path, columns: &columns, unit };
    AccuracyTable::read(&request, &NasBench201::new()).map_err(|error| error.to_string())
}

#[test]
fn columns_named_so_are_read_and_others_on_request() {
    let text = format!("arch,latency_ms,Test_Acc,top5,note_acc\n{A},1,10,50,x\n{B},2,93.2,99,y\n");
    let table = read(&text, &[]).unwrap();
    assert_eq!(table.columns.len(), 1);
    assert_eq!(table.accuracies(B), Some(&[93.2][..]));
    assert_eq!((table.len(), table.best(0), table.accuracies(C)), (2, Some(1), None));
    assert_eq!(read(&text, &["top5"]).unwrap().accuracies(A), Some(&[50.0][..]));
    let error = read(&text, &["top1"]).unwrap_err();
    assert!(error.contains("expected a column 'top1'; found columns arch, latency_ms"), "{error}");
    let error = read(&format!("arch,ms\n{A},1\n"), &[]).unwrap_err();
    assert!(
        error.contains("contains 'acc'") && error.contains("found columns arch, ms"),
        "{error}"
    );
}

#[test]
fn texts_are_keyed_as_the_space_writes_them() {
    let table = read(&format!("architecture,acc\n  {A} ,10\n"), &[]).unwrap();
    assert_eq!(table.accuracies(A), Some(&[10.0][..]));
}

#[test]
fn fractions_become_percent_and_it_is_said() {
    let table = read(&format!("arch,acc\n{A},0.1\n{B},0.9391\n"), &[]).unwrap();
    assert_eq!(table.accuracies(B), Some(&[93.91][..]));
    assert!(table.notes[0].contains("column 'acc'") && table.notes[0].contains("by 100"));
    let table = read(&format!("arch,acc\n{A},0.8333\n{B},47.3\n"), &[]).unwrap();
    assert_eq!(table.accuracies(A), Some(&[0.8333][..]));
    assert!(table.notes.is_empty());
}

#[test]
fn the_unit_can_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, format!("arch,acc\n{A},0.1\n{B},76\n")).unwrap();
    let error = read_file(&path, &[], None).unwrap_err();
    assert!(error.contains("0.1 in row 1 beside 76 in row 2"), "{error}");
    let table = read_file(&path, &[], Some(AccuracyUnit::Percent)).unwrap();
    assert_eq!(table.accuracies(A), Some(&[0.1][..]));
    let error = read_file(&path, &[], Some(AccuracyUnit::Fraction)).unwrap_err();
    assert!(error.contains("from 0 to 1 in column 'acc'; found 76 in row 2"), "{error}");
}

#[test]
fn values_that_are_no_accuracies_are_refused_with_their_row() {
    for (value, found) in
        [("NaN", "none"), ("", "none"), ("-1", "-1"), ("100.5", "100.5"), ("inf", "inf")]
    {
        let error = read(&format!("arch,acc\n{A},10\n{B},{value}\n"), &[]).unwrap_err();
        let text = format!("in column 'acc'; found {found} in row 2");
        assert!(error.contains(&text) && error.contains("from 0 to 100 %"), "{error}");
    }
    let error = read(&format!("arch,acc\n{A},10\n{B},high\n"), &[]).unwrap_err();
    assert!(error.contains("'high' in row 2"), "{error}");
    let error = read("arch,acc\n", &[]).unwrap_err();
    assert!(error.contains("expected rows of accuracies; found none"), "{error}");
}

#[test]
fn duplicates_may_agree_and_must_not_disagree() {
    let table = read(&format!("arch,acc\n{A},10\n{B},20\n{A},10.0\n"), &[]).unwrap();
    assert_eq!(table.len(), 2);
    let error = read(&format!("arch,acc\n{B},20\n{A},10\n{A},11.5\n"), &[]).unwrap_err();
    assert!(
        error.contains(&format!("10 in row 2 and 11.5 in row 3 of column 'acc' for {A}")),
        "{error}"
    );
}

#[test]
fn tables_of_other_spaces_are_refused() {
    let error = read(&format!("arch,mean_acc\n{A},10\n02012100,89.2\n"), &[]).unwrap_err();
    assert!(error.contains("row 2: not an architecture of nasbench201"), "{error}");
    let error = read(&format!("arch,space,acc\n{A},darts,10\n"), &[]).unwrap_err();
    assert!(error.contains("of space 'nasbench201'; found those of 'darts'"), "{error}");
}
