//! Tests of reading tables.

use std::fs;

use polars::prelude::{Column, DataFrame};
use tempfile::TempDir;

use super::*;
use crate::run::frame;

fn csv(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.csv");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn parquet(columns: Vec<Column>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.parquet");
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    frame::write_parquet(&mut fs::File::create(&path).unwrap(), &mut frame).unwrap();
    (dir, path)
}

fn load(path: &Path) -> Result<LatencyTable, DataError> {
    LatencyTable::load(path, Some("fbnet"), "latency_ms")
}

/// The error message without the path at its beginning.
fn message(path: &Path) -> String {
    let text = load(path).unwrap_err().to_string();
    text.replace(path.to_str().unwrap(), "T")
}

fn rows(table: &LatencyTable) -> Vec<(&str, f64)> {
    table.rows.iter().map(|row| (row.architecture.as_str(), row.value)).collect()
}

#[test]
fn a_csv_table_keeps_leading_zeros_and_quoted_commas() {
    let (_dir, path) = csv("arch,latency_ms,device\n0012,1.5,a\n\"x,y\",2,a\n0012,1.75,a\n");
    let table = load(&path).unwrap();
    assert_eq!(rows(&table), [("0012", 1.5), ("x,y", 2.0)]);
    assert_eq!(table.repeats, [(1.5, 1.75)]);
    assert_eq!((table.space.as_str(), table.skipped, &table.header), ("fbnet", 0, &None));
}

#[test]
fn a_foreign_parquet_table_may_hold_integers_and_failed_rows() {
    let (_dir, path) = parquet(vec![
        Column::new("arch_str".into(), ["a", "b", "a", "c"]),
        Column::new("latency_ms".into(), [Some(3_i32), None, Some(4), Some(5)]),
        Column::new("status".into(), ["converged", "failed", "capped", "ok"]),
        Column::new("batch".into(), [32_i64; 4]),
        Column::new("note".into(), ["1", "2", "3", "4"]),
    ]);
    let table = load(&path).unwrap();
    assert_eq!(rows(&table), [("a", 3.0), ("c", 5.0)]);
    assert_eq!((&table.repeats[..], table.skipped), (&[(3.0, 4.0)][..], 1));
}

#[test]
fn several_devices_are_refused_and_named() {
    let (_dir, path) = csv("arch,latency_ms,device\na,1,card x\nb,2,card y\nc,3,card x\n");
    let expected = "T: refuse mixed values of column 'device': 'card x', 'card y'; \
         expected one value: filter the table first";
    assert_eq!(message(&path), expected);
    let (_dir, path) = parquet(vec![
        Column::new("arch".into(), (0..40).map(|i| i.to_string()).collect::<Vec<_>>()),
        Column::new("latency_ms".into(), vec![1.0; 40]),
        Column::new("batch".into(), (0..40).collect::<Vec<i64>>()),
    ]);
    assert!(message(&path).contains("'28', '29', and 10 more;"), "{}", message(&path));
}

#[test]
fn tables_without_the_columns_are_refused_with_those_found() {
    let (_dir, path) = csv("name,latency_ms\na,1\n");
    let expected = "T: expected a latency table with a column architecture or arch_str or cellstr or arch, or --text-column with the \
         name of another; found columns name, latency_ms";
    assert_eq!(message(&path), expected);
    let (_dir, path) =
        parquet(vec![Column::new("x".into(), [1.0]), Column::new("y".into(), ["a"])]);
    assert!(message(&path).ends_with("found columns x, y"), "{}", message(&path));
    let (_dir, path) = csv("arch,time,note,energy_mj\n11,1,x,2.5\n");
    let expected = "T: expected a column 'latency_ms' of numbers; \
         found columns of numbers time, energy_mj";
    assert_eq!(message(&path), expected);
    let (_dir, path) =
        parquet(vec![Column::new("arch".into(), ["a"]), Column::new("latency_us".into(), [1.0])]);
    assert!(message(&path).ends_with("found columns of numbers latency_us"), "{}", message(&path));
}

#[test]
fn values_that_no_measurement_has_are_counted() {
    let (_dir, path) = csv("arch,latency_ms\na,1\nb,0\nc,-1\nd,NaN\ne,inf\nf,\ng,2\n");
    let expected = "T: 5 of 7 values of column 'latency_ms' are missing, not finite or out of range, \
         the first in row 2 (0); expected positive numbers (1e-15 to 1e15): remove or repair these rows";
    assert_eq!(message(&path), expected);
    let (_dir, path) = parquet(vec![
        Column::new("arch".into(), ["a", "b"]),
        Column::new("latency_ms".into(), [Some(1.0), None]),
    ]);
    assert!(message(&path).contains("1 of 2 values"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,1\nb,2\nc,1e300\n");
    assert!(message(&path).contains("the first in row 3 (1e300)"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,1\nb\n");
    assert!(message(&path).lines().count() == 1, "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,1\nb,2,3\n");
    assert!(message(&path).ends_with("more fields than defined in 'Schema'"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,1\nb,fast\n");
    assert!(message(&path).ends_with("found 'fast' in row 2"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms,latency_ms\na,1,2\n");
    assert!(message(&path).contains("expected one column 'latency_ms'; found several"));
    let (_dir, path) = csv("arch,latency_ms,note,note\na,1,x,y\n");
    assert_eq!(load(&path).unwrap().rows.len(), 1, "nobody asks for a note");
    let (_dir, path) = csv("arch,latency_ms\ra,1\rb,2\r");
    assert!(message(&path).contains("carriage returns alone"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,slow\n");
    assert!(message(&path).ends_with("found 'slow' in row 1"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms\na,1\n,2\n");
    let expected = "T: expected an architecture in each row; found none in row 2";
    assert_eq!(message(&path), expected);
}

#[test]
fn tables_without_rows_are_refused() {
    let (_dir, path) = csv("arch,latency_ms\n");
    assert_eq!(message(&path), "T: expected rows of measurements; found none");
    let (_dir, path) = parquet(vec![
        Column::new("arch".into(), Vec::<String>::new()),
        Column::new("latency_ms".into(), Vec::<f64>::new()),
    ]);
    assert_eq!(message(&path), "T: expected rows of measurements; found none");
    let (_dir, path) = csv("arch,latency_ms,status\na,,failed\nb,,failed\n");
    assert_eq!(message(&path), "T: expected rows of measurements; found 2 rows that all failed");
    let (_dir, path) = csv("");
    assert!(
        message(&path).starts_with("T: expected a comma-separated table"),
        "{}",
        message(&path)
    );
}

#[test]
fn what_is_no_table_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["no.parquet", "no.csv", "no.txt"] {
        let path = dir.path().join(name);
        assert!(matches!(load(&path), Err(DataError::Missing { .. })), "{name}");
    }
    let path = dir.path().join("bad.parquet");
    for bytes in [&b""[..], b"PAR1", b"no parquet at all, but long enough to have a footer PAR1"] {
        fs::write(&path, bytes).unwrap();
        assert!(message(&path).starts_with("T: expected a Parquet table"), "{}", message(&path));
    }
    fs::remove_file(&path).unwrap();
    let path = dir.path().join("rows.txt");
    fs::write(&path, "arch,latency_ms\na,1\n").unwrap();
    assert!(message(&path).contains("ends in .parquet, .csv"), "{}", message(&path));
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("run.json does not exist"), "{error}");
}

#[test]
fn a_damaged_parquet_file_never_panics() {
    let (_dir, path) = parquet(vec![
        Column::new("arch".into(), ["a", "b"]),
        Column::new("latency_ms".into(), [1.0, 2.0]),
    ]);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).unwrap();
        refused += usize::from(load(&path).is_err());
    }
    assert!(refused > whole.len() / 4, "{refused} of {}", whole.len());
}

#[test]
fn the_space_and_the_unit_must_agree() {
    let (_dir, path) = csv("arch,latency_ms,space\na,1,darts\n");
    assert_eq!(LatencyTable::load(&path, None, "latency_ms").unwrap().space, "darts");
    let expected = "T: expected architectures of space 'fbnet'; found those of 'darts'";
    assert_eq!(message(&path), expected);
    let (_dir, path) = csv("arch,latency_ms\na,1\n");
    let error = LatencyTable::load(&path, None, "latency_ms").unwrap_err().to_string();
    assert!(error.contains("the search space named by --space"), "{error}");
    let (_dir, path) = csv("arch,latency_ms,unit\na,1,us\n");
    assert!(message(&path).ends_with("found unit 'us'"), "{}", message(&path));
    let (_dir, path) = csv("arch,latency_ms,unit\na,1,ms\n");
    assert_eq!(rows(&load(&path).unwrap()), [("a", 1.0)]);
}

#[test]
fn architectures_stand_in_a_column_that_is_named_or_the_only_one_that_parses() {
    let text = |other: &str| {
        let cell = |i: usize| {
            format!(
                "|none~0|+|none~0|none~1|+|none~0|skip_connect~1|nor_conv_{0}x{0}~2|",
                1 + 2 * (i % 2)
            )
        };
        let rows: Vec<String> = (0..2)
            .map(|i| format!("{i},m{i},{},{},{}", cell(i), other.replace('#', &cell(1 - i)), i + 1))
            .collect();
        format!("id,model,genotype,other,latency_ms\n{}\n", rows.join("\n"))
    };
    let (_dir, path) = csv(&text("x"));
    let table = LatencyTable::load(&path, Some("nasbench201"), "latency_ms").unwrap();
    assert!(table.rows[1].architecture.contains("3x3") && table.rows[1].value == 2.0, "{table:?}");
    // Two columns can be parsed, so the user must say which is meant.
    let (_dir, path) = csv(&text("#"));
    let request =
        TableRequest { space: Some("nasbench201"), ..TableRequest::new(&path, "latency_ms") };
    assert!(LatencyTable::read(&request).unwrap_err().to_string().contains("--text-column"));
    let named = |name| LatencyTable::read(&TableRequest { text_column: Some(name), ..request });
    assert!(named("genotype").unwrap().rows[0].architecture.contains("1x1"));
    assert!(named("other").unwrap().rows[0].architecture.contains("3x3"));
    let error = named("genotypes").unwrap_err().to_string();
    assert!(error.contains("genotypes") && error.contains("genotype, other"), "{error}");
}

#[test]
fn a_file_without_a_line_of_names_is_recognised() {
    let (_dir, path) = csv("112x112x16-56x56x24,5.6\n112x112x16-56x56x25,5.7\n");
    assert!(message(&path).contains("without a line of names?"), "{}", message(&path));
}

#[test]
fn values_that_are_far_apart_give_their_lower_median() {
    let (_dir, path) = csv("arch,latency_ms\na,2321\nb,100\na,180\nb,110\nc,5\nc,60\nc,6\n");
    let table = LatencyTable::load(&path, Some("x"), "latency_ms").unwrap();
    let values: Vec<f64> = table.rows.iter().map(|row| row.value).collect();
    assert_eq!(values, [180.0, 100.0, 6.0]);
}

/// Reads a table of `assets/parquet-forms`, which `scripts/parquet_forms.py` wrote.
fn form(name: &str) -> Result<LatencyTable, DataError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/parquet-forms").join(name);
    LatencyTable::load(&path, Some("nasbench201"), "latency_ms")
}

#[test]
fn parquet_is_read_as_pandas_spark_and_duckdb_write_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/parquet-forms");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names.iter().filter(|name| *name != "hive") {
        let table = form(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut rows: Vec<(f64, &str)> =
            table.rows.iter().map(|row| (row.value, &row.architecture[..])).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1.0, 2.0, 3.0], "{name}");
        assert!(
            rows[0].1.contains("skip_connect") && rows[2].1.contains("3x3"),
            "{name}: {rows:?}"
        );
    }
}

#[test]
fn names_of_folders_tell_columns() {
    let error = form("hive").unwrap_err().to_string();
    assert!(error.contains("'a', 'b'"), "{error}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/parquet-forms/hive");
    let filters = ["device=b".parse().unwrap()];
    let request = TableRequest {
        space: Some("nasbench201"),
        filters: &filters,
        ..TableRequest::new(&path, "latency_ms")
    };
    assert_eq!(LatencyTable::read(&request).unwrap().rows.len(), 2);
}
