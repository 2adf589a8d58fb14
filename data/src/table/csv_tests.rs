//! Tests of CSV tables in the forms in which people have them.

use std::fs;
use std::io::Write;

use super::*;

/// Reads a table with this name and text.
fn read(name: &str, text: &str) -> Result<LatencyTable, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    LatencyTable::load(&path, Some("fbnet"), "latency_ms")
}

fn rows(table: &LatencyTable) -> Vec<(&str, f64)> {
    table.rows.iter().map(|row| (row.architecture.as_str(), row.value)).collect()
}

const EXPECTED: [(&str, f64); 2] = [("0012", 1.5), ("0013", 2.5)];

#[test]
fn one_table_in_many_forms_is_one() {
    for (name, text) in [
        ("t.csv", "arch,latency_ms\n0012,1.5\n0013,2.5\n"),
        ("t.csv", "arch,latency_ms\n\n0012,1.5\n\n\n0013,2.5\n\n"),
        ("t.csv", "\n\narch,latency_ms\n0012,1.5\n0013,2.5\n"),
        ("t.csv", "arch;latency_ms\n0012;1.5\n0013;2.5\n"),
        ("t.csv", "arch\tlatency_ms\n0012\t1.5\n0013\t2.5\n"),
        ("t.TSV", "arch\tlatency_ms\n0012\t1.5\n0013\t2.5\n"),
        ("t.csv", "# by hand\n# on a Pi\narch,latency_ms\n0012,1.5\n# later\n0013,2.5\n"),
        ("t.csv", "Architecture , latency_ms\n0012, 1.5\n 0013, 2.5\n"),
        ("t.csv", "\u{feff}arch,latency_ms\r\n0012,1.5\r\n0013,2.5\r\n"),
        ("t.csv", "arch,cellstr,latency_ms\n1,0012,1.5\n2,0013,2.5\n"),
    ] {
        let table = read(name, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(rows(&table), EXPECTED, "{text}");
    }
}

#[test]
fn a_packed_table_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv.gz");
    let file = fs::File::create(&path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(b"arch,latency_ms\n0012,1.5\n0013,2.5\n").unwrap();
    packed.finish().unwrap();
    let table = LatencyTable::load(&path, Some("fbnet"), "latency_ms").unwrap();
    assert_eq!(rows(&table), EXPECTED);
    fs::write(&path, "arch,latency_ms\n").unwrap();
    assert!(LatencyTable::load(&path, Some("fbnet"), "latency_ms").is_err(), "not packed at all");
    fs::rename(&path, dir.path().join("t.gz")).unwrap();
    let error = LatencyTable::load(&dir.path().join("t.gz"), Some("fbnet"), "latency_ms");
    assert!(error.unwrap_err().to_string().contains(".csv.gz"));
}

#[test]
fn what_is_wrong_with_a_cell_or_a_name_is_said() {
    let error = |text: &str| read("t.csv", text).unwrap_err().to_string();
    for (text, reason) in [
        (
            "arch,latency_ms\n0012,1.5 ms\n",
            "'1.5 ms' in row 1; leave the unit to the column's name",
        ),
        (
            "arch,latency_ms\n0012,1.5\narch,latency_ms\n",
            "row 2; that is the line of names once more",
        ),
        ("'arch','latency_ms'\n0012,1.5\n", "single quotes"),
        ("arch,latency_ms\n0012,\"1,500.5\"\n", "'1,500.5' in row 1"),
        // Rows are numbered as in the file, empty lines included.
        ("arch,latency_ms\n\n\n0012,x\n", "'x' in row 3"),
    ] {
        let found = error(text);
        assert!(found.contains(reason), "{text}: {found}");
    }
    for missing in ["NA", "N/A", "-", "", "null"] {
        let text = format!("arch,latency_ms\n0012,1.5\n0013,{missing}\n");
        let found = error(&text);
        assert!(found.contains("1 of 2 values") && found.contains("row 2"), "{missing}: {found}");
    }
}
