//! How the device's speed changed during a run, found from the anchors: the same few architectures, measured again and again.

use std::collections::BTreeMap;

use lat_data::{Measurement, Role, Status, median, superseded};

/// Number of rounds whose median replaces each level, so that single disturbed rounds do not count; and the number of rounds from
/// which on this is done.
const WINDOW: usize = 3;
const ROUNDS_TO_SMOOTH: usize = 5;
/// A round counts as drifted if its distance from the run's level exceeds this share, and this many of its standard errors.
const DRIFTED: f64 = 0.05;
const ERRORS: f64 = 3.0;
/// Ratio of the standard deviation to the median absolute deviation of normal numbers.
const MAD_TO_SD: f64 = 1.4826;
/// Ratio of the standard error of the median of a few normal numbers to that of their mean.
const MEDIAN_TO_MEAN: f64 = 1.2533;

/// Levels of a run's rounds of anchors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Levels {
    /// For each round in the order of time: position of its last row, and the median over the anchors of latency / that anchor's
    /// median over all rounds.
    rounds: Vec<(usize, f64)>,
    /// Standard error of a level, from the differences between the anchors of a round.
    error: f64,
}

impl Levels {
    /// The levels in a run's rows; None if there are fewer than two rounds.
    pub(crate) fn of(rows: &[Measurement]) -> Option<Self> {
        let anchors = || {
            let rows = rows.iter().enumerate();
            rows.filter(|(_, row)| row.role == Role::Anchor && row.status != Status::Failed)
        };
        let mut series: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (_, row) in anchors() {
            series.entry(row.index).or_default().push(row.latency_ms);
        }
        let medians: BTreeMap<u64, f64> =
            series.into_iter().filter_map(|(index, all)| Some((index, median(all)?))).collect();
        let mut rounds: BTreeMap<u32, (usize, Vec<f64>)> = BTreeMap::new();
        for (position, row) in anchors() {
            let round = rounds.entry(row.occurrence).or_default();
            *round = (position.max(round.0), std::mem::take(&mut round.1));
            round.1.push(row.latency_ms / medians[&row.index]);
        }
        if rounds.len() < 2 {
            return None;
        }
        let error = standard_error(rounds.values().map(|(_, ratios)| ratios.as_slice()));
        let level = |(position, ratios): (usize, Vec<f64>)| Some((position, median(ratios)?));
        let mut rounds: Vec<(usize, f64)> = rounds.into_values().filter_map(level).collect();
        rounds.sort_by_key(|(position, _)| *position);
        Some(Self { rounds, error })
    }

    /// How far the highest level is above the lowest, beyond what noise would show if all levels were steady. Single disturbed
    /// rounds do not count if there are enough rounds to recognise them.
    pub(crate) fn drift(&self) -> f64 {
        let levels: Vec<f64> = self.rounds.iter().map(|(_, level)| *level).collect();
        let smooth: Vec<f64> = match levels.len() {
            n if n < ROUNDS_TO_SMOOTH => levels,
            _ => levels.windows(WINDOW).filter_map(|w| median(w.iter().copied())).collect(),
        };
        let (low, high) = smooth.iter().fold((f64::MAX, 0.0f64), |(l, h), &x| (l.min(x), h.max(x)));
        (high / low - 1.0 - self.error * range_of_normals(smooth.len())).max(0.0)
    }

    /// Standard deviation of the levels beyond that of their own noise: the error that drift adds to a row.
    pub(crate) fn spread(&self) -> f64 {
        let n = self.rounds.len() as f64;
        let mean = self.rounds.iter().map(|(_, level)| level).sum::<f64>() / n;
        let squares = self.rounds.iter().map(|(_, level)| (level - mean).powi(2)).sum::<f64>();
        (squares / (n - 1.0) - self.error.powi(2)).max(0.0).sqrt()
    }

    /// Marks rows that were measured while the device was off its level: those between two rounds of which at least one is off.
    fn drifted(&self, n_rows: usize) -> Vec<bool> {
        let limit = DRIFTED.max(ERRORS * self.error);
        let is_off = |level: f64| (level - 1.0).abs() > limit;
        let mut drifted = vec![false; n_rows];
        for pair in self.rounds.windows(2) {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            if is_off(before) || is_off(after) {
                drifted[from..=to].fill(true);
            }
        }
        drifted
    }
}

/// Positions of the rows of samples and repeats that lie in a drifting stretch and should be measured again.
pub(crate) fn to_measure_again(rows: &[Measurement]) -> Vec<usize> {
    let Some(levels) = Levels::of(rows) else { return Vec::new() };
    let (drifted, superseded) = (levels.drifted(rows.len()), superseded(rows));
    let is_due = |position: &usize| {
        let row = &rows[*position];
        let has_latency = row.role != Role::Anchor && row.status != Status::Failed;
        drifted[*position] && !superseded[*position] && has_latency
    };
    (0..rows.len()).filter(is_due).collect()
}

/// Standard error of the median of a round, from the deviations within all rounds.
fn standard_error<'a>(rounds: impl Iterator<Item = &'a [f64]>) -> f64 {
    let (mut deviations, mut n_rounds) = (Vec::new(), 0usize);
    for ratios in rounds {
        let Some(level) = median(ratios.iter().copied()) else { continue };
        n_rounds += 1;
        deviations.extend(ratios.iter().map(|ratio| (ratio - level).abs()));
    }
    let per_round = deviations.len() as f64 / n_rounds.max(1) as f64;
    let sd = MAD_TO_SD * median(deviations).unwrap_or(0.0);
    MEDIAN_TO_MEAN * sd / per_round.max(1.0).sqrt()
}

/// Expected range of `n` standard normal numbers, by Blom's approximation of the largest (1958).
fn range_of_normals(n: usize) -> f64 {
    let n = n as f64;
    2.0 * normal_quantile((n - 0.375) / (n + 0.25))
}

/// Quantile of the standard normal distribution for p from 1/2 to 1, to 4.5e-4 (Abramowitz and Stegun 26.2.23).
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::row::blank;

    fn row(role: Role, index: u64, occurrence: u32, latency_ms: f64) -> Measurement {
        let blank = blank(Task { role, index, occurrence });
        Measurement { latency_ms, status: Status::Converged, ..blank }
    }

    /// Rounds of four anchors at these levels, with ten samples after each except the last.
    fn run(levels: &[f64]) -> Vec<Measurement> {
        let mut rows = Vec::new();
        for (round, level) in (0..).zip(levels) {
            let anchor = |i: u64| row(Role::Anchor, i, round, level * (i + 1) as f64);
            rows.extend((0..4).map(anchor));
            if (round as usize) + 1 < levels.len() {
                let first = u64::from(round) * 10;
                rows.extend((first..first + 10).map(|i| row(Role::Sample, i, 0, *level)));
            }
        }
        rows
    }

    fn drift(levels: &[f64]) -> f64 {
        Levels::of(&run(levels)).unwrap().drift()
    }

    #[test]
    fn drift_is_seen_and_one_disturbed_round_is_not_drift() {
        assert!((drift(&[1.0, 1.1]) - 0.1).abs() < 1e-9);
        let slow: Vec<f64> = (0..10).map(|i| 1.0 + 0.01 * f64::from(i)).collect();
        assert!((drift(&slow) - 0.07 / 1.01).abs() < 1e-9);
        assert!(drift(&[1.0, 1.0, 1.3, 1.0, 1.0, 1.0]).abs() < 1e-9);
        assert_eq!(Levels::of(&run(&[1.0])), None);
    }

    #[test]
    fn noise_alone_is_hardly_any_drift() {
        // Four anchors per round, each with 3 % of noise. Without the correction, the range of ten levels would be 6 %.
        let mut work = crate::FakeWorkload::new(std::rc::Rc::default(), 1.0, [3; 32]);
        let mut rows = Vec::new();
        for round in 0..10 {
            for i in 0..4 {
                rows.push(row(Role::Anchor, i, round, 1.0 + 0.03 * work.normal()));
            }
        }
        let levels = Levels::of(&rows).unwrap();
        assert!(levels.drift() < 0.02, "{}", levels.drift());
        assert!(levels.spread() < 0.015, "{}", levels.spread());
    }

    #[test]
    fn a_stretch_off_the_level_is_named_once_and_not_after_it_was_measured_again() {
        let mut rows = run(&[1.0, 1.0, 1.0, 1.2, 1.0, 1.0, 1.0]);
        let due = to_measure_again(&rows);
        let indices: Vec<u64> = due.iter().map(|&position| rows[position].index).collect();
        assert_eq!(indices, (20..40).collect::<Vec<_>>(), "both sides of the bad round");
        rows.extend(
            due.into_iter()
                .map(|p| Measurement { attempt: 1, ..rows[p].clone() })
                .collect::<Vec<_>>(),
        );
        rows.extend((0..4).map(|i| row(Role::Anchor, i, 7, (i + 1) as f64)));
        assert_eq!(to_measure_again(&rows), Vec::<usize>::new());
    }

    #[test]
    fn ranges_are_those_of_tables() {
        for (n, range) in [(2, 1.128), (5, 2.326), (10, 3.078), (100, 5.015)] {
            assert!(
                (range_of_normals(n) / range - 1.0).abs() < 0.05,
                "{n}: {}",
                range_of_normals(n)
            );
        }
    }
}
