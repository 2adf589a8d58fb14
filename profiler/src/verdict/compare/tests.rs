//! Tests of comparing two runs.

use lat_space::{find_skeleton, find_space};

use super::*;
use crate::row::blank;
use crate::{DeviceSpec, ProfileOptions, Task, header, run};

/// A row whose interval and quartiles are `rel` to either side of the median.
fn row(role: Role, index: u64, latency_ms: f64, rel: f64) -> Measurement {
    Measurement {
        architecture: format!("a{index}"),
        status: Status::Converged,
        latency_ms,
        latency_ci_low_ms: latency_ms * (1.0 - rel),
        latency_ci_high_ms: latency_ms * (1.0 + rel),
        latency_q1_ms: latency_ms * (1.0 - rel),
        latency_q3_ms: latency_ms * (1.0 + rel),
        ..blank(Task { role, index, occurrence: 0 })
    }
}

fn fake_header() -> RunHeader {
    let space = find_space("nasbench201").unwrap();
    let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
    header(space.as_ref(), &ProfileOptions::new(skeleton, DeviceSpec::Fake))
}

fn compared(a: &[Measurement], b: &[Measurement]) -> Comparison {
    let header = fake_header();
    compare((&header, a), (&header, b)).unwrap()
}

/// The change of one row from 1 ms to `b_ms`, both with intervals and quartiles `rel` wide.
fn change(b_ms: f64, rel: f64) -> Change {
    let [a, b] = [1.0, b_ms].map(|ms| vec![row(Role::Sample, 0, ms, rel)]);
    compared(&a, &b).pairs[0].change
}

#[test]
fn each_judgement_has_its_case() {
    assert_eq!(change(1.004, 0.003), Change::Same);
    assert_eq!(change(0.97, 0.01), Change::Faster);
    assert_eq!(change(1.03, 0.01), Change::Slower);
    assert_eq!(change(1.01, 0.01), Change::Ambiguous, "1 % with intervals that overlap");
    assert_eq!(
        change(1.0, 0.04),
        Change::Ambiguous,
        "equal medians of unsteady runs prove nothing"
    );
    assert_eq!(change(1.003, 0.001), Change::Ambiguous, "apart, but by less than anyone cares for");
    assert_eq!(change(1.5, f64::NAN), Change::Ambiguous, "no interval");
}

#[test]
fn what_the_runs_own_noise_reaches_is_no_change() {
    let with_repeat = |ms: f64, again: f64| {
        vec![row(Role::Sample, 0, ms, 0.001), row(Role::Sample, 1, 2.0, 0.001), {
            row(Role::Repeat, 1, again, 0.001)
        }]
    };
    let (a, b) = (with_repeat(1.0, 2.0), with_repeat(1.03, 2.04));
    let comparison = compared(&a, &b);
    // Run A shows no noise, run B 0.04 / 2.02; the bound is 2.055 times that.
    assert_eq!(comparison.noise_a, Some(0.0));
    assert!((comparison.noise_allowance - 2.0548 * 0.04 / 2.02).abs() < 1e-4);
    assert_eq!(comparison.pairs[0].change, Change::Ambiguous, "3 % within a noise of 4 %");
    let b = with_repeat(1.05, 2.04);
    assert_eq!(compared(&a, &b).pairs[0].change, Change::Slower);
}

#[test]
fn a_restarts_noise_counts_where_it_is_larger() {
    let mut rows = vec![row(Role::Sample, 0, 1.0, 0.001), row(Role::Repeat, 0, 1.01, 0.001)];
    let quiet = compared(&rows, &rows).noise_a.unwrap();
    rows.push(row(Role::Fresh, 0, 1.1, 0.001));
    assert!(compared(&rows, &rows).noise_a.unwrap() > 5.0 * quiet);
}

#[test]
fn failed_and_replaced_rows_do_not_count_and_several_give_their_median() {
    let failed = Measurement { status: Status::Failed, ..row(Role::Sample, 9, f64::NAN, 0.0) };
    let replaced = row(Role::Sample, 1, 50.0, 0.01);
    let again = Measurement { attempt: 1, ..row(Role::Sample, 1, 2.0, 0.01) };
    let round = |n: u32, ms| Measurement { occurrence: n, ..row(Role::Anchor, 7, ms, 0.01) };
    let a = vec![failed, replaced, again, round(0, 3.0), round(1, 5.0), round(2, 3.2)];
    let comparison = compared(&a, &a);
    let a_ms: Vec<f64> = comparison.pairs.iter().map(|pair| pair.a_ms).collect();
    assert_eq!(a_ms, [2.0, 3.2]);
}

#[test]
fn different_networks_are_refused_and_so_is_nothing_in_common() {
    let (a, mut b) = (fake_header(), fake_header());
    let rows = |index| vec![row(Role::Sample, index, 1.0, 0.01)];
    let (one, two) = (rows(1), rows(2));
    let error = compare((&a, &one), (&b, &two)).unwrap_err().to_string();
    assert!(error.contains("found none among 1 of the first and 1 of the second"), "{error}");
    b.batch = 64;
    let error = compare((&a, &one), (&b, &one)).unwrap_err().to_string();
    assert!(error.contains("two runs of one batch, found 1 and 64"), "{error}");
}

#[test]
fn versions_devices_and_the_reference_are_named() {
    let (a, mut b) = (fake_header(), fake_header());
    b.device_name = "Card B".into();
    b.versions.push("driver 570".into());
    b.reference_ms = Some(0.5);
    let rows = vec![row(Role::Sample, 1, 1.0, 0.01)];
    let differences = compare((&a, &rows), (&b, &rows)).unwrap().differences;
    let names: Vec<&str> = differences.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, ["device name", "reference network", "versions"]);
    assert_eq!((differences[2].1.as_str(), differences[2].2.as_str()), ("", "driver 570"));
}

#[test]
fn runs_of_two_seeds_are_compared_by_their_anchors_and_shared_samples() {
    let space = find_space("nasbench201").unwrap();
    let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
    let measured = |seed| {
        let mut options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        (options.samples, options.seed) = (60, seed);
        let mut rows: Vec<Measurement> = Vec::new();
        let stop = std::sync::atomic::AtomicBool::new(false);
        run(space.as_ref(), &options, &mut rows, &mut |_| (), &stop).unwrap();
        (header(space.as_ref(), &options), rows)
    };
    let (a, b) = (measured(0), measured(1));
    let comparison = compare((&a.0, &a.1), (&b.0, &b.1)).unwrap();
    assert!(comparison.pairs.len() >= 4 && comparison.only_a > 40);
    assert!((comparison.ratio - 1.0).abs() < 0.02, "{}", comparison.ratio);
    assert_eq!(comparison.count(Change::Slower) + comparison.count(Change::Faster), 0);
    // The same run, twice as slow: every row shows it.
    let mut slow = a.1.clone();
    for row in &mut slow {
        for ms in [&mut row.latency_ms, &mut row.latency_ci_low_ms, &mut row.latency_ci_high_ms] {
            *ms *= 2.0;
        }
    }
    let comparison = compare((&a.0, &a.1), (&a.0, &slow)).unwrap();
    assert_eq!(comparison.count(Change::Slower), comparison.pairs.len());
    assert!((comparison.ratio - 2.0).abs() < 1e-12);
    let (low, high) = comparison.ratio_interval.unwrap();
    assert!(low <= 2.0 && 2.0 <= high);
    assert_eq!(comparison.changed().len(), comparison.pairs.len());
}

/// Runs of 2000 samples whose measurements have errors of 2 % (normal), 300 of them measured again. The intervals are much
/// narrower than these errors; the noise floor exists for this case.
#[test]
fn noise_makes_no_more_than_one_row_in_twenty_a_change() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut measured = |scale: f64| -> Vec<Measurement> {
        let mut error =
            || 1.0 + 0.02 * ((0..12).map(|_| rng.gen_range(0.0..1.0)).sum::<f64>() - 6.0);
        let mut rows: Vec<Measurement> =
            (0..2000).map(|i| row(Role::Sample, i, scale * error(), 0.001)).collect();
        rows.extend((0..300).map(|i| row(Role::Repeat, i, scale * error(), 0.001)));
        rows
    };
    let (a, same, slower) = (measured(1.0), measured(1.0), measured(1.1));
    let changed = compared(&a, &same).changed().len();
    assert!((20..=120).contains(&changed), "{changed} of 2000 though nothing changed");
    let comparison = compared(&a, &slower);
    assert_eq!(comparison.count(Change::Faster), 0);
    assert!(comparison.count(Change::Slower) > 1800, "{}", comparison.count(Change::Slower));
    let (low, high) = comparison.ratio_interval.unwrap();
    assert!(low < 1.1 && 1.1 < high && high - low < 0.01, "{low} {high}");
}
