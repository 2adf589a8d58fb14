//! Tests of runs on the fake device.

use lat_space::{architecture_at, find_skeleton, find_space};

use super::*;
use crate::{DeviceSpec, FakeTestbed, fake_latency_ms};

fn space() -> Box<dyn SearchSpace> {
    find_space("darts").unwrap()
}

fn options(samples: u64) -> ProfileOptions {
    let skeleton = find_skeleton(space().as_ref(), "quick").unwrap();
    let defaults = ProfileOptions::new(skeleton, DeviceSpec::Fake);
    ProfileOptions { samples, seed: 5, anchors_every: 20, ..defaults }
}

/// Runs on the testbed, and interrupts after this many new rows.
fn measure(
    bed: &mut FakeTestbed,
    options: &ProfileOptions,
    rows: &mut Vec<Measurement>,
    interrupt_after: usize,
) -> Result<Verdict, ProfileError> {
    let stop = AtomicBool::new(interrupt_after == 0);
    let mut left = interrupt_after;
    let mut on_event = |event: Event<'_>| {
        if let Event::Row { .. } = event {
            left -= 1;
            stop.store(left == 0, Ordering::Relaxed);
        }
    };
    run_on(bed, space().as_ref(), options, rows, &mut on_event, &stop)
}

fn straight(options: &ProfileOptions) -> (Vec<Measurement>, Verdict) {
    let mut rows = Vec::new();
    let mut bed = FakeTestbed::new(options.seed, options.batch);
    let verdict = measure(&mut bed, options, &mut rows, usize::MAX).unwrap();
    (rows, verdict)
}

/// The part of the rows that must be the same however often a run was interrupted.
fn identity(rows: &[Measurement]) -> Vec<(Role, u64, String, u32)> {
    // Virtual time starts again with each testbed, so its differences are rounded differently in the last bits.
    let latency = |row: &Measurement| format!("{:.9}", row.latency_ms);
    rows.iter().map(|row| (row.role, row.index, latency(row), row.n_runs)).collect()
}

#[test]
fn the_fake_devices_truth_is_recovered_within_its_noise() {
    let options = options(200);
    let (rows, verdict) = straight(&options);
    assert!(verdict.valid, "{}", verdict.text);
    assert_eq!(verdict.n_pairs, 10);
    assert!(verdict.noise_floor.unwrap() < 0.01 && verdict.drift.unwrap() < 0.01);
    assert_eq!((verdict.done, verdict.total), (rows.len() as u64, 200 + 10 + 11 * 4));
    let graph = space().graph(&options.skeleton);
    let samples: Vec<_> = rows.iter().filter(|r| r.role == Role::Sample).collect();
    assert_eq!(samples.len(), 200);
    for (i, row) in samples.into_iter().enumerate() {
        let architecture = architecture_at(space().as_ref(), options.seed, i as u64).unwrap();
        assert_eq!(row.architecture, space().format(&architecture));
        let truth_ms = fake_latency_ms(&graph.derive(&architecture).without_auxiliary(), 1);
        let error = row.latency_ms / truth_ms - 1.0;
        // Five standard errors of the median of ten runs: 5 * 1.25 * 1 % / sqrt(10).
        assert!(error.abs() < 0.02, "row {i}: {} ms, truth {truth_ms} ms", row.latency_ms);
    }
}

#[test]
fn resuming_after_any_number_of_rows_equals_the_straight_run() {
    let options = options(30);
    let (whole, _) = straight(&options);
    for first in 0..=whole.len() {
        let mut rows = Vec::new();
        let mut bed = FakeTestbed::new(options.seed, options.batch);
        let verdict = measure(&mut bed, &options, &mut rows, first).unwrap();
        assert_eq!(rows.len(), first);
        assert_eq!(verdict.valid, first == whole.len(), "{}", verdict.text);
        let mut bed = FakeTestbed::new(options.seed, options.batch);
        let verdict = measure(&mut bed, &options, &mut rows, usize::MAX).unwrap();
        assert_eq!(identity(&rows), identity(&whole), "interrupted after {first} rows");
        assert!(verdict.valid, "{}", verdict.text);
    }
}

#[test]
fn a_finished_run_does_nothing_more() {
    let options = options(30);
    let (mut rows, first) = straight(&options);
    let before = rows.clone();
    let mut bed = FakeTestbed::new(options.seed, options.batch);
    let again = measure(&mut bed, &options, &mut rows, usize::MAX).unwrap();
    assert_eq!(rows.len(), before.len());
    assert!(bed.clock().get() <= 0.0, "not even a heat-soak");
    assert_eq!(again.noise_floor, first.noise_floor);
    assert_eq!((again.done, again.rows_per_s, again.soak_flat), (again.total, 0.0, None));
}

#[test]
fn more_samples_go_on_from_fewer() {
    let (mut rows, _) = straight(&options(30));
    let mut bed = FakeTestbed::new(5, 1);
    measure(&mut bed, &options(60), &mut rows, usize::MAX).unwrap();
    let mut samples: Vec<u64> =
        rows.iter().filter(|r| r.role == Role::Sample).map(|r| r.index).collect();
    samples.sort_unstable();
    assert_eq!(samples, (0..60).collect::<Vec<_>>());
}

#[test]
fn an_interrupt_keeps_the_rows_and_says_how_to_go_on() {
    let mut rows = Vec::new();
    let verdict = measure(&mut FakeTestbed::new(5, 1), &options(50), &mut rows, 7).unwrap();
    assert_eq!((rows.len(), verdict.done), (7, 7));
    assert!(verdict.text.contains("only 7 of 76 rows are measured"), "{}", verdict.text);
}

#[test]
fn a_failure_is_a_row_and_the_run_goes_on() {
    let mut bed = FakeTestbed::new(5, 1);
    bed.faults.failing.extend([3, 17]);
    let mut rows = Vec::new();
    let verdict = measure(&mut bed, &options(100), &mut rows, usize::MAX).unwrap();
    let failed: Vec<_> = rows.iter().filter(|row| row.status == Status::Failed).collect();
    assert_eq!(failed.iter().map(|row| row.index).collect::<Vec<_>>(), [3, 17]);
    assert_eq!(failed[0].reason, "the fake device was told to fail at sample 3");
    assert!(failed[0].latency_ms.is_nan() && !failed[0].architecture.is_empty());
    assert!(verdict.valid, "{}", verdict.text);
    assert!((verdict.share(Status::Failed) - 2.0 / rows.len() as f64).abs() < 1e-12);
}

/// A card that always throttles has a level of its own. If a card begins to throttle, its rows are marked. Neither leads to an
/// empty run (nvbench issue 231).
#[test]
fn a_card_that_throttles_all_the_time_or_from_some_moment_on_finishes_with_rows() {
    for (throttled, marked) in [(0..200u64, false), (50..200, true)] {
        let mut bed = FakeTestbed::new(5, 1);
        bed.faults.throttled.extend(throttled.clone());
        let mut rows = Vec::new();
        let verdict = measure(&mut bed, &options(200), &mut rows, usize::MAX).unwrap();
        assert_eq!(verdict.done, verdict.total);
        assert!(rows.iter().all(|row| row.latency_ms > 0.0 && row.clock_mhz.is_some()));
        let of = |row: &Measurement| row.role == Role::Sample && throttled.contains(&row.index);
        let first = rows.iter().filter(|row| of(row)).take(10);
        let n_marked = first.filter(|row| row.status == Status::Throttled).count();
        assert_eq!(n_marked, if marked { 10 } else { 0 }, "from sample {}", throttled.start);
    }
}

#[test]
fn five_failures_in_a_row_stop_the_run_and_keep_its_rows() {
    let mut bed = FakeTestbed::new(5, 1);
    bed.faults.failing.extend([2, 3, 4, 5, 30, 31, 32, 33, 34, 35]);
    let options = ProfileOptions { repeat_fraction: 0.0, ..options(100) };
    let mut rows = Vec::new();
    let error = measure(&mut bed, &options, &mut rows, usize::MAX).unwrap_err();
    assert!(matches!(error, ProfileError::TooManyFailures { count: 5, .. }), "{error}");
    assert_eq!(rows.last().map(|row| row.index), Some(34));
}

#[test]
fn a_lost_device_ends_the_run_without_a_row_and_the_next_task_is_the_one_at_fault() {
    let mut bed = FakeTestbed::new(5, 1);
    bed.faults.losing.insert(7);
    let options = ProfileOptions { shard: lat_data::Shard::new(2, 3), ..options(30) };
    let mut rows = Vec::new();
    let error = measure(&mut bed, &options, &mut rows, usize::MAX).unwrap_err();
    assert!(matches!(&error, ProfileError::DeviceLost { .. }), "{error}");
    assert!(crate::is_sticky(&error.to_string()) && rows.iter().all(|row| row.index != 7));
    let next = next_task(space().as_ref(), &options, &rows).unwrap();
    assert_eq!((next.role, next.index), (Role::Sample, 7));
    rows.push(crate::lost_row(space().as_ref(), &options, next, 0, 3, "lost").unwrap());
    let verdict = measure(&mut bed, &options, &mut rows, usize::MAX).unwrap();
    assert_eq!((verdict.done, verdict.total), (rows.len() as u64, rows.len() as u64));
    assert_eq!(next_task(space().as_ref(), &options, &rows), None);
}

#[test]
fn drift_and_lasting_noise_make_the_verdict_invalid() {
    let mut bed = FakeTestbed::new(5, 1);
    bed.faults.drift_per_hour = 60.0;
    let mut rows = Vec::new();
    let verdict = measure(&mut bed, &options(200), &mut rows, usize::MAX).unwrap();
    assert!(verdict.drift.unwrap() > 0.05, "{}", verdict.text);
    assert!(verdict.text.starts_with("INVALID because") && verdict.text.contains("anchors"));

    let mut bed = FakeTestbed::new(5, 1);
    bed.faults.row_noise = 0.2;
    let verdict = measure(&mut bed, &options(200), &mut Vec::new(), usize::MAX).unwrap();
    assert!(verdict.noise_floor.unwrap() > 0.05, "{}", verdict.text);
    assert!(verdict.text.contains("measured twice differs by"), "{}", verdict.text);
}

#[test]
fn rows_of_another_seed_are_refused() {
    let (mut rows, _) = straight(&options(10));
    let other = ProfileOptions { seed: 6, ..options(10) };
    let error = measure(&mut FakeTestbed::new(6, 1), &other, &mut rows, usize::MAX).unwrap_err();
    assert!(matches!(error, ProfileError::ForeignRow { .. }), "{error}");
}

#[test]
fn the_cpu_measures_a_short_run() {
    let space = find_space("nasbench201").unwrap();
    let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
    let options = ProfileOptions {
        samples: 10,
        soak_s: 0.0,
        max_ms: 20.0,
        ..ProfileOptions::new(skeleton, DeviceSpec::Cpu)
    };
    let mut rows: Vec<Measurement> = Vec::new();
    let mut events = Vec::new();
    let stop = AtomicBool::new(false);
    let mut on_event = |event: Event<'_>| {
        if let Event::Row { done, total, .. } = event {
            events.push((done, total));
        }
    };
    let verdict = run(space.as_ref(), &options, &mut rows, &mut on_event, &stop).unwrap();
    assert_eq!(rows.len(), 10 + 2 + 8);
    assert_eq!(events, (1..=20).map(|done| (done, 20)).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.latency_ms > 0.0), "{}", verdict.text);
    assert!(verdict.busy_share > 0.3 && verdict.busy_share <= 1.0, "{}", verdict.text);
    assert!(verdict.rows_per_s > 0.0);
}

#[test]
fn a_journal_on_disk_resumes_as_memory_does() {
    let dir = std::env::temp_dir().join(format!("lat-profiler-journal-{}", std::process::id()));
    let options = options(30);
    let header = crate::header(space().as_ref(), &options);
    let (whole, _) = straight(&options);
    for stop_after in [9, usize::MAX] {
        let mut journal = lat_data::Journal::open(&dir, &header).unwrap();
        let (stop, mut left) = (AtomicBool::new(false), stop_after);
        let mut on_event = |event: Event<'_>| {
            if let Event::Row { .. } = event {
                left -= 1;
                stop.store(left == 0, Ordering::Relaxed);
            }
        };
        run(space().as_ref(), &options, &mut journal, &mut on_event, &stop).unwrap();
    }
    let (_, rows) = lat_data::read_run(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(identity(&rows), identity(&whole));
}
