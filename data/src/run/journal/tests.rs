//! Tests of [`super::Journal`]: crashes, damage, resuming.

use std::fs::{self, OpenOptions};

use tempfile::TempDir;

use super::*;
use crate::run::folder::HEADER_FILE;
use crate::run::manifest::MANIFEST_FILE;
use crate::run::measurement::tests::{failed, header, measurement};
use crate::{LatencyTable, Mode, Role, read_run};

fn sample(index: u64) -> Measurement {
    measurement(index, Role::Sample, 1.0 + index as f64)
}

/// A folder with a run of `n` rows.
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
    // What a failed write leaves behind if shortening the file fails too.
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
    // Rows whose header is lost do not belong to a known run.
    let lost = run_of(1);
    fs::remove_file(lost.path().join(HEADER_FILE)).unwrap();
    let error = Journal::open(lost.path(), &header()).unwrap_err().to_string();
    assert!(error.contains("found rows.jsonl without it"), "{error}");
    assert!(!lost.path().join(HEADER_FILE).exists());
    let error = read_run(lost.path()).unwrap_err();
    assert!(matches!(error, DataError::Missing { .. }), "{error}");
}

/// A header and a row as format version 1 wrote them.
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
    for field in new.chain(["peak_memory_mib", "peak_rss_mib", "energy_mj"]) {
        row_v1.as_object_mut().unwrap().remove(field).unwrap();
    }
    let json = row_v1.to_string();
    let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    fs::write(dir.path().join(HEADER_FILE), header_v1.to_string()).unwrap();
    fs::write(dir.path().join(ROWS_FILE), line).unwrap();
    fs::remove_file(dir.path().join(MANIFEST_FILE)).unwrap();
    let (header, rows) = read_run(dir.path()).unwrap();
    assert_eq!((header.point.mode, header.shard.as_deref()), (Mode::Eager, None));
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

/// The files of a sealed run of three rows.
fn sealed_run() -> (TempDir, Vec<PathBuf>) {
    let dir = run_of(3);
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    journal.expect(Wanted { rows: 3, samples: 3 }).unwrap();
    journal.seal().unwrap();
    let names = [HEADER_FILE, ROWS_FILE, TABLE_FILE, MANIFEST_FILE];
    let files = names.iter().map(|name| dir.path().join(name)).collect();
    (dir, files)
}

#[test]
fn every_flipped_byte_of_a_sealed_run_is_named_and_never_read_as_data() {
    let (dir, files) = sealed_run();
    let whole = LatencyTable::load(dir.path(), None, "latency_ms").unwrap();
    for path in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let good = fs::read(path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(path, bytes).unwrap();
            let from_rows = read_run(dir.path());
            let from_table = LatencyTable::load(dir.path(), None, "latency_ms");
            let refused = |error: &DataError| error.to_string().contains(name);
            match name {
                TABLE_FILE => assert!(refused(&from_table.unwrap_err()), "{name} {at}"),
                MANIFEST_FILE => {
                    // A changed blank has no effect; every other change is rejected.
                    assert!(from_table.as_ref().map_or_else(refused, |t| *t == whole), "{at}");
                    assert!(from_rows.map_or_else(|e| refused(&e), |r| r.1.len() == 3), "{at}");
                }
                _ => assert!(refused(&from_rows.unwrap_err()), "{name} {at}"),
            }
        }
        fs::write(path, good).unwrap();
    }
    Journal::open(dir.path(), &header()).unwrap();
}

#[test]
fn a_sealed_journal_cut_anywhere_is_named_and_its_remedy_works() {
    let (dir, files) = sealed_run();
    let good = fs::read(&files[1]).unwrap();
    for cut in 0..good.len() {
        fs::write(&files[1], &good[..cut]).unwrap();
        let errors =
            [Journal::open(dir.path(), &header()).unwrap_err(), read_run(dir.path()).unwrap_err()];
        for error in errors {
            assert!(
                error.to_string().contains("rows.jsonl is damaged: expected 3 rows"),
                "{error}"
            );
        }
        assert_eq!(fs::read(&files[1]).unwrap().len(), cut, "nothing is changed");
    }
    let second = good.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    fs::write(&files[1], &good[..second]).unwrap();
    fs::remove_file(&files[3]).unwrap();
    let mut journal = Journal::open(dir.path(), &header()).unwrap();
    assert!(journal.recovered().unwrap().contains("manifest.json was not there"));
    assert_eq!(journal.rows(), [sample(0)]);
    (1..3).for_each(|index| journal.append(&sample(index)).unwrap());
    assert_eq!(fs::read(&files[1]).unwrap(), good);
}

#[test]
fn a_damaged_table_is_made_anew_from_the_rows_and_said_so() {
    let (dir, files) = sealed_run();
    let good = fs::read(&files[2]).unwrap();
    for damage in [&good[..good.len() / 2], b"PAR1"] {
        fs::write(&files[2], damage).unwrap();
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        let said = journal.recovered().unwrap();
        assert!(said.contains("measurements.parquet is damaged: expected 3 rows"), "{said}");
        assert!(!journal.is_sealed());
        journal.seal().unwrap();
        assert_eq!(fs::read(&files[2]).unwrap(), good);
    }
    // A table that no manifest lists is not read.
    fs::remove_file(&files[3]).unwrap();
    fs::write(&files[2], b"PAR1").unwrap();
    assert_eq!(LatencyTable::load(dir.path(), None, "latency_ms").unwrap().rows.len(), 3);
    fs::remove_file(&files[1]).unwrap();
    let error = LatencyTable::load(dir.path(), None, "latency_ms").unwrap_err().to_string();
    assert!(error.contains("found neither"), "{error}");
}

/// Tests each state in which a crash between two steps of sealing or unsealing can leave a folder.
#[test]
fn a_crash_between_the_steps_of_sealing_leaves_a_run_that_goes_on() {
    let (dir, files) = sealed_run();
    let table = fs::read(&files[2]).unwrap();
    for with_old_table in [false, true] {
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        unlist(dir.path(), &mut journal.manifest).unwrap();
        drop(journal);
        if !with_old_table {
            fs::remove_file(&files[2]).unwrap();
        }
        assert_eq!(LatencyTable::load(dir.path(), None, "latency_ms").unwrap().rows.len(), 3);
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        assert_eq!((journal.recovered(), journal.rows().len()), (None, 3));
        assert!(!journal.is_sealed());
        journal.seal().unwrap();
        assert_eq!(fs::read(&files[2]).unwrap(), table);
    }
    // A crash between the manifest and the header of a new run.
    let begun = tempfile::tempdir().unwrap();
    drop(Journal::open(begun.path(), &header()).unwrap());
    fs::remove_file(begun.path().join(HEADER_FILE)).unwrap();
    fs::remove_file(begun.path().join(ROWS_FILE)).unwrap();
    let journal = Journal::open(begun.path(), &header()).unwrap();
    assert_eq!((journal.recovered(), journal.rows().len()), (None, 0));
}
