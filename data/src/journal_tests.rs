use std::fs;

use tempfile::TempDir;

use super::*;
use crate::LatencyTable;
use crate::measurement::tests::{failed, header, measurement};

fn sample(index: u64) -> Measurement {
    measurement(index, Role::Sample, 1.0 + index as f64)
}

/// A folder with a run of this many rows.
fn run_of(n: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    (0..n).for_each(|index| journal.append(&sample(index)).unwrap());
    dir
}

#[test]
fn rows_survive_and_a_second_open_goes_on() {
    let dir = run_of(2);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    assert_eq!(journal.rows(), [sample(0), sample(1)]);
    assert_eq!(journal.recovered(), None);
    journal.append(&sample(2)).unwrap();
    let (read_header, rows) = read_run(dir.path()).unwrap();
    assert_eq!(read_header, header());
    assert_eq!(rows, [sample(0), sample(1), sample(2)]);
}

#[test]
fn a_last_row_torn_at_any_byte_is_removed_and_measured_again() {
    let dir = run_of(2);
    let path = dir.path().join(ROWS_FILE);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(read_run(dir.path()).unwrap().1, [sample(0)], "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), whole[..cut], "reading must not write");
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        assert_eq!(journal.recovered().is_some(), cut > first, "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), whole[..first]);
        journal.append(&sample(1)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_damaged_row_in_the_middle_is_an_error_and_nothing_is_changed() {
    let dir = run_of(3);
    let path = dir.path().join(ROWS_FILE);
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 30;
    bytes[second] ^= 4;
    fs::write(&path, &bytes).unwrap();
    for error in
        [Journal::open(dir.path(), &header()).unwrap_err(), read_run(dir.path()).unwrap_err()]
    {
        assert!(matches!(error, DataError::Damaged { line: 2, .. }), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn another_run_in_the_folder_is_refused_with_both_values() {
    let dir = run_of(1);
    let mut other = header();
    other.batch = 64;
    let error = Journal::open(dir.path(), &other).unwrap_err().to_string();
    let expected = "holds a run with batch '32', but '64' is asked for; choose another --out, \
         or the same settings to resume it";
    assert!(error.ends_with(expected), "{error}");
    other = header();
    other.versions = vec!["lat 0.2.0".to_owned()];
    let journal = Journal::open(dir.path(), &other).unwrap();
    assert_eq!(journal.header().versions, header().versions);
}

#[test]
fn two_writers_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let first = Journal::open(dir.path(), &header()).unwrap();
    let error = Journal::open(dir.path(), &header()).unwrap_err();
    assert!(matches!(&error, DataError::Locked { dir: found } if found == dir.path()), "{error}");
    drop(first);
    Journal::open(dir.path(), &header()).unwrap();
}

#[test]
fn a_full_disk_keeps_the_rows_and_later_rows_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    if cfg!(target_os = "linux") {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut journal.file, full);
        let error = journal.append(&sample(0)).unwrap_err();
        assert!(matches!(&error, DataError::Append { safe_rows: 0, .. }), "{error}");
        assert!(error.to_string().contains("the 0 rows before it are safe"), "{error}");
        assert!(journal.rows().is_empty());
        journal.file = file;
    }
    journal.append(&sample(1)).unwrap();
    // What a failed write leaves when even shortening the file fails.
    let path = dir.path().join(ROWS_FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"0123abcd {\"ind");
    fs::write(&path, &bytes).unwrap();
    journal.append(&sample(2)).unwrap();
    assert_eq!(read_run(dir.path()).unwrap().1, [sample(1), sample(2)]);
}

#[test]
fn a_sealed_run_loads_as_a_table_from_the_folder_and_from_the_file_alone() {
    let dir = run_of(2);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    journal.append(&measurement(0, Role::Repeat, 1.25)).unwrap();
    journal.append(&failed(7)).unwrap();
    let from_rows = LatencyTable::load(dir.path(), None, "latency_ms").unwrap();
    assert!(!journal.is_sealed());
    let sealed = journal.seal().unwrap();
    assert!(journal.is_sealed());
    let from_folder = LatencyTable::load(dir.path(), None, "latency_ms").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.parquet");
    fs::copy(&sealed, &copy).unwrap();
    let from_file = LatencyTable::load(&copy, Some("nasbench201"), "latency_ms").unwrap();
    for table in [&from_rows, &from_folder, &from_file] {
        assert_eq!(table.space, "nasbench201");
        assert_eq!(table.header, Some(header()));
        assert_eq!(table.skipped, 1);
        assert_eq!(table.repeats, [(1.0, 1.25)]);
        let rows: Vec<_> = table.rows.iter().map(|r| (r.architecture.as_str(), r.value)).collect();
        assert_eq!(rows, [("|nor_conv_3x3~0|", 1.0), ("|nor_conv_3x3~1|", 2.0)]);
    }
    assert_eq!(from_folder.source, sealed);
    let params = LatencyTable::load(&copy, None, "params").unwrap();
    assert_eq!(params.rows.iter().map(|r| r.value).collect::<Vec<_>>(), [1000.0, 1001.0]);
}

#[test]
fn a_row_after_sealing_makes_the_run_unfinished_again() {
    let dir = run_of(1);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    let sealed = journal.seal().unwrap();
    drop(journal);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    assert!(journal.is_sealed());
    journal.append(&sample(1)).unwrap();
    assert!(!sealed.exists());
    assert_eq!(LatencyTable::load(dir.path(), None, "latency_ms").unwrap().rows.len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(&file.join("run"), &header()).unwrap_err().to_string();
    assert!(error.starts_with("could not create the run folder"), "{error}");
    // Rows whose header is lost belong to no known run.
    let lost = run_of(1);
    fs::remove_file(lost.path().join(HEADER_FILE)).unwrap();
    let error = Journal::open(lost.path(), &header()).unwrap_err().to_string();
    assert!(error.contains("found rows.jsonl without it"), "{error}");
    assert!(!lost.path().join(HEADER_FILE).exists());
    let error = read_run(lost.path()).unwrap_err();
    assert!(matches!(error, DataError::Missing { .. }), "{error}");
}

/// The header and a row as format version 1 wrote them.
#[test]
fn a_run_of_the_format_before_is_read() {
    let dir = run_of(0);
    let mut header_v1 = serde_json::to_value(header()).unwrap();
    let mut row_v1 = serde_json::to_value(sample(7)).unwrap();
    for field in ["mode", "channels_last", "cold", "shard"] {
        header_v1.as_object_mut().unwrap().remove(field).unwrap();
    }
    header_v1["version"] = 1.into();
    let new = ["occurrence", "attempt", "latency_eager_ms", "latency_graph_ms", "launch_bound"];
    let new = new.into_iter().chain(["latency_p90_ms", "latency_p99_ms", "n_discarded"]);
    for field in new.chain(["peak_memory_mib", "energy_mj"]) {
        row_v1.as_object_mut().unwrap().remove(field).unwrap();
    }
    let json = row_v1.to_string();
    let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    fs::write(dir.path().join(HEADER_FILE), header_v1.to_string()).unwrap();
    fs::write(dir.path().join(ROWS_FILE), line).unwrap();
    let (header, rows) = read_run(dir.path()).unwrap();
    assert_eq!((header.mode.as_str(), header.shard.as_deref()), ("eager", None));
    assert!(rows[0].latency_graph_ms.is_nan() && rows[0].launch_bound.is_none());
    assert_eq!((rows[0].index, rows[0].latency_ms), (7, sample(7).latency_ms));
    let table = LatencyTable::load(dir.path(), None, "latency_ms").unwrap();
    assert_eq!((table.rows.len(), table.header.unwrap().version), (1, 1));
}

#[test]
fn anchors_of_the_format_before_are_numbered_by_their_order() {
    let old = RunHeader { version: 1, ..header() };
    let anchor = |index| measurement(index, Role::Anchor, 1.0);
    let mut rows = vec![anchor(0), anchor(1), sample(0), anchor(0), anchor(1), anchor(0)];
    let rounds = |rows: &[Measurement]| rows.iter().map(|row| row.occurrence).collect::<Vec<_>>();
    number_rounds(&header(), &mut rows);
    assert_eq!(rounds(&rows), [0; 6], "rows of this version number themselves");
    number_rounds(&old, &mut rows);
    assert_eq!(rounds(&rows), [0, 0, 0, 1, 1, 2]);
}

#[test]
fn a_column_that_some_rows_lack_is_read_from_the_others() {
    let dir = run_of(3);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    journal.append(&Measurement { energy_mj: None, ..sample(3) }).unwrap();
    let table = LatencyTable::load(dir.path(), None, "energy_mj").unwrap();
    assert_eq!((table.rows.len(), table.skipped), (3, 1));
    assert_eq!(journal.rows()[0].target("energy_mj"), Some(33.0));
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    journal.append(&Measurement { energy_mj: None, ..sample(0) }).unwrap();
    let error = LatencyTable::load(dir.path(), None, "energy_mj").unwrap_err().to_string();
    assert!(error.contains("this run did not measure it"), "{error}");
}

#[test]
fn a_row_measured_again_replaces_the_one_before_in_the_table_and_not_in_the_journal() {
    let dir = run_of(2);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    journal.append(&Measurement { attempt: 1, latency_ms: 9.0, ..sample(1) }).unwrap();
    journal.seal().unwrap();
    assert_eq!(journal.rows().len(), 3);
    let table = LatencyTable::load(dir.path(), None, "latency_ms").unwrap();
    let values: Vec<f64> = table.rows.iter().map(|row| row.value).collect();
    assert_eq!((values, table.skipped), (vec![1.0, 9.0], 1));
    assert!(table.repeats.is_empty(), "a second attempt is no repeat");
}
