//! Tests of joining shards.

use tempfile::TempDir;

use super::*;
use crate::run::manifest::Wanted;
use crate::run::measurement::tests::{header, measurement};
use crate::{Journal, LatencyTable, read_run};

const SAMPLES: u64 = 10;

/// A finished shard on a device that takes `slowness` times the true 1 + index milliseconds, with two anchors in two rounds.
fn shard(root: &Path, index: u32, slowness: f64, change: impl Fn(&mut RunHeader)) -> PathBuf {
    let part = Shard::new(index, 2).unwrap();
    let dir = root.join(format!("shard-{index}"));
    let mut header =
        RunHeader { shard: Some(part.to_string()), device: format!("cuda:{index}"), ..header() };
    change(&mut header);
    let mut journal = Journal::open(&dir, &header).unwrap();
    let samples: Vec<u64> = part.samples(SAMPLES).collect();
    journal.expect(Wanted { rows: samples.len() as u64, samples: SAMPLES }).unwrap();
    for round in 0..2 {
        for anchor in 0..2 {
            let ms = slowness * (5.0 + anchor as f64);
            let row = measurement(anchor, Role::Anchor, ms);
            let architecture = format!("|anchor~{anchor}|");
            journal.append(&Measurement { occurrence: round, architecture, ..row }).unwrap();
        }
    }
    for sample in samples {
        let ms = slowness * (1.0 + sample as f64);
        journal.append(&measurement(sample, Role::Sample, ms)).unwrap();
    }
    journal.seal().unwrap();
    dir
}

fn two(root: &TempDir) -> [PathBuf; 2] {
    [shard(root.path(), 1, 1.0, |_| ()), shard(root.path(), 2, 1.5, |_| ())]
}

fn refused(out: &Path, shards: &[PathBuf], options: MergeOptions) -> String {
    let error = merge(out, shards, options).unwrap_err().to_string();
    assert!(!out.join(TABLE_FILE).exists(), "{error}");
    error
}

#[test]
fn devices_are_scaled_to_one_another_and_the_table_loads() {
    let root = tempfile::tempdir().unwrap();
    let shards = two(&root);
    let out = root.path().join("out");
    let merged = merge(&out, &shards, MergeOptions::default()).unwrap();
    assert_eq!((merged.rows, merged.lacking.len()), (SAMPLES + 8, 0));
    let table = LatencyTable::load(&out, None, "latency_ms").unwrap();
    let samples = table.rows.iter().filter(|row| row.architecture.starts_with("|nor"));
    let mut n_samples = 0;
    for row in samples {
        let index: f64 = row.architecture[14..15].parse().unwrap();
        // The anchors' pooled medians lie between the devices: 1.25 times the faster one's.
        assert!((row.value / (1.25 * (1.0 + index)) - 1.0).abs() < 1e-9, "{row:?}");
        n_samples += 1;
    }
    assert_eq!(n_samples, SAMPLES);
    let header = table.header.unwrap();
    assert_eq!((header.device.as_str(), header.shard), ("cuda:1", None));
    assert_eq!(merged.header.device, "cuda:1,cuda:2");
    let (_, rows) = read_run(&out).unwrap();
    assert_eq!(rows.len() as u64, merged.rows);
    let rounds = |anchor| rows.iter().filter(move |r| r.role == Role::Anchor && r.index == anchor);
    let mut rounds: Vec<u32> = rounds(1).map(|row| row.occurrence).collect();
    rounds.sort_unstable();
    assert_eq!(rounds, [0, 1, 2, 3]);
    // The order of the arguments has no effect, and a merge may be repeated.
    let bytes = fs::read(out.join(TABLE_FILE)).unwrap();
    let [a, b] = shards;
    merge(&out, &[b, a], MergeOptions::default()).unwrap();
    assert_eq!(fs::read(out.join(TABLE_FILE)).unwrap(), bytes);
}

#[test]
fn missing_and_unfinished_shards_are_named_and_partial_takes_them() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let shards = two(&root);
    let error = refused(&out, &shards[..1], MergeOptions::default());
    assert!(error.contains("no folder of shards 2/2") && error.contains("--partial"), "{error}");
    // The last row was lost before the run was sealed.
    fs::remove_file(shards[1].join("manifest.json")).unwrap();
    let rows = fs::read_to_string(shards[1].join(ROWS_FILE)).unwrap();
    let cut: String = rows.lines().take(7).flat_map(|line| [line, "\n"]).collect();
    fs::write(shards[1].join(ROWS_FILE), cut).unwrap();
    let error = refused(&out, &shards, MergeOptions::default());
    assert!(
        error.contains("3 of an unknown number of rows beside the anchors of shard 2/2, which lacks samples 7, 9 ("),
        "{error}"
    );
    let partial = MergeOptions { partial: true, mixed: false };
    let merged = merge(&out, &shards, partial).unwrap();
    assert_eq!((merged.rows, merged.lacking.len()), (SAMPLES + 8 - 2, 1));
    let merged = merge(&out, &shards[1..], partial).unwrap();
    assert_eq!((merged.rows, merged.lacking.len()), (7, 2));
}

#[test]
fn shards_of_other_runs_and_rows_twice_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let first = shard(root.path(), 1, 1.0, |_| ());
    let other = shard(root.path(), 2, 1.0, |header| header.batch = 7);
    let error = refused(&out, &[first.clone(), other], MergeOptions::default());
    assert!(error.contains("batch '32'") && error.ends_with("found batch '7'"), "{error}");
    let copy = root.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&first).unwrap().flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let error = refused(&out, &[first.clone(), copy], MergeOptions::default());
    assert!(error.contains("anchor 0, occurrence 0 is in"), "{error}");
    let whole = shard(&root.path().join("w"), 1, 1.0, |header| header.shard = None);
    let error = refused(&out, &[whole], MergeOptions::default());
    assert!(error.contains("lat profile --shard I/N") && error.contains("'all'"), "{error}");
    let error = refused(&out, &[], MergeOptions::default());
    assert!(error.contains("at least one shard"), "{error}");
    // Measured runs are never replaced.
    let before = fs::read(first.join(ROWS_FILE)).unwrap();
    let partial = MergeOptions { partial: true, mixed: false };
    let error = merge(&first, std::slice::from_ref(&first), partial).unwrap_err().to_string();
    assert!(error.contains("a run that was measured there"), "{error}");
    assert_eq!(fs::read(first.join(ROWS_FILE)).unwrap(), before);
}

#[test]
fn several_models_are_refused_or_joined_as_measured_for_no_one_to_learn_from_together() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let shards = [
        shard(root.path(), 1, 1.0, |_| ()),
        shard(root.path(), 2, 1.5, |header| header.device_name = "Card B".into()),
    ];
    let error = refused(&out, &shards, MergeOptions::default());
    assert!(error.contains("Card A") && error.contains("Card B") && error.contains("--mixed"));
    let mixed = MergeOptions { partial: false, mixed: true };
    let merged = merge(&out, &shards, mixed).unwrap();
    assert!(merged.shards.iter().all(|shard| shard.scale.is_none()));
    let (_, rows) = read_run(&out).unwrap();
    let sample = rows.iter().find(|row| row.role == Role::Sample && row.index == 3).unwrap();
    assert!((sample.latency_ms - 1.5 * 4.0).abs() < 1e-12);
    let error = LatencyTable::load(&out, None, "latency_ms").unwrap_err();
    assert!(
        matches!(&error, DataError::Mixed { column, .. } if column == "device_name"),
        "{error}"
    );
}

#[test]
fn a_shard_without_anchors_or_with_damage_is_named() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let shards = two(&root);
    let table = fs::read(shards[1].join(TABLE_FILE)).unwrap();
    let mut bytes = table.clone();
    bytes[table.len() / 2] ^= 8;
    fs::write(shards[1].join(TABLE_FILE), bytes).unwrap();
    let error = refused(&out, &shards, MergeOptions::default());
    assert!(error.contains("shard-2/measurements.parquet is damaged"), "{error}");
    fs::write(shards[1].join(TABLE_FILE), table).unwrap();
    fs::remove_dir_all(&shards[0]).unwrap();
    let header = RunHeader { shard: Some("1/2".into()), ..header() };
    drop(Journal::open(&shards[0], &header).unwrap());
    let error = refused(&out, &shards, MergeOptions { partial: true, mixed: false });
    assert!(error.contains("measured anchors") && error.contains("shard-1"), "{error}");
}
