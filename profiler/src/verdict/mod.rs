//! Judges the quality of a run's numbers, in words (like `MLPerf` `LoadGen`: VALID, or INVALID for a reason, with advice).

mod compare;
pub(crate) mod drift;

use std::collections::HashMap;

use lat_data::{Measurement, Role, Status, median, superseded};

pub use compare::{Change, Comparison, RATIO_MEANT, RowPair, compare};
use drift::Levels;

/// Limits beyond which a run is invalid, as shares.
const MOST_FAILED: f64 = 0.05;
const MOST_UNSTEADY: f64 = 0.20;
const MOST_NOISE: f64 = 0.05;
const MOST_DRIFT: f64 = 0.05;

/// The result of a heat-soak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Soak {
    /// Seconds it took.
    pub(crate) seconds: f64,
    /// Whether the latency had stopped moving.
    pub(crate) flat: bool,
}

/// The judgement over all rows of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the numbers are good enough to train on.
    pub valid: bool,
    /// The judgement in words, with advice.
    pub text: String,
    /// Number of rows measured, including those of earlier runs.
    pub done: u64,
    /// Number of rows wanted.
    pub total: u64,
    /// Share of each status among the rows; only statuses that occur.
    pub shares: Vec<(Status, f64)>,
    /// Median over the repeated samples of |first - second| / mean; None if there are none.
    pub noise_floor: Option<f64>,
    /// Number of pairs from which the noise floor is computed.
    pub n_pairs: usize,
    /// Median of |first - second| / mean over the samples that a new process measured again; None if there are none.
    pub fresh_noise: Option<f64>,
    /// Number of pairs from which this is computed.
    pub n_fresh_pairs: usize,
    /// Largest relative change of the anchors' latency over the run, beyond what their noise explains. None if they were measured
    /// fewer than two times.
    pub drift: Option<f64>,
    /// Standard deviation of that change: the error that drift adds to a row.
    pub drift_spread: Option<f64>,
    /// Number of rows that a later attempt replaces.
    pub n_superseded: u64,
    /// Share of the time that is spent inside warm-up and timed runs, over all rows.
    pub busy_share: f64,
    /// Rows measured per second of the host's time, including the heat-soak; 0 if there was nothing left to do.
    pub rows_per_s: f64,
    /// Seconds of heat-soak on the device's clock.
    pub soak_s: f64,
    /// Whether the latency had stopped moving at the end of the heat-soak; None if there was none.
    pub soak_flat: Option<bool>,
}

impl Verdict {
    /// The verdict on these rows; `total` rows were wanted.
    pub(crate) fn of(rows: &[Measurement], done: u64, total: u64, soak: Option<Soak>) -> Self {
        let superseded = superseded(rows);
        let kept = rows.iter().zip(&superseded).filter(|(_, superseded)| !**superseded);
        let kept: Vec<Measurement> = kept.map(|(row, _)| row.clone()).collect();
        let pairs = pair_differences(&kept, Role::Repeat);
        let fresh = pair_differences(&kept, Role::Fresh);
        let levels = Levels::of(rows);
        let (timed_s, wall_s) =
            rows.iter().fold((0.0, 0.0), |(t, w), row| (t + row.timed_s, w + row.wall_s));
        let mut verdict = Self {
            valid: false,
            text: String::new(),
            done,
            total,
            shares: shares(&kept),
            n_superseded: (rows.len() - kept.len()) as u64,
            noise_floor: median(pairs.iter().copied()),
            n_pairs: pairs.len(),
            fresh_noise: median(fresh.iter().copied()),
            n_fresh_pairs: fresh.len(),
            drift: levels.as_ref().map(Levels::drift),
            drift_spread: levels.as_ref().map(Levels::spread),
            busy_share: if wall_s > 0.0 { timed_s / wall_s } else { 0.0 },
            rows_per_s: 0.0,
            soak_s: soak.map_or(0.0, |s| s.seconds),
            soak_flat: soak.map(|s| s.flat),
        };
        let faults = verdict.faults(&kept);
        verdict.valid = faults.is_empty();
        verdict.text = if verdict.valid {
            format!("VALID: {}.", verdict.facts())
        } else {
            format!("INVALID because {}. ({}.)", faults.join("; and "), verdict.facts())
        };
        verdict
    }

    /// The verdict on the rows of a recorded run, of which `total` were wanted; for reading it again after the run. The heat-soak
    /// is not recorded.
    pub fn of_rows(rows: &[Measurement], total: u64) -> Self {
        let done = superseded(rows).into_iter().filter(|superseded| !superseded).count();
        Self::of(rows, done as u64, total, None)
    }

    /// Share of the rows with this status.
    pub fn share(&self, status: Status) -> f64 {
        self.shares.iter().find(|(s, _)| *s == status).map_or(0.0, |(_, share)| *share)
    }

    fn faults(&self, rows: &[Measurement]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.done < self.total {
            faults.push(format!(
                "only {} of {} rows are measured: run the same command again to go on",
                self.done, self.total
            ));
        }
        let failed = self.share(Status::Failed);
        if failed > MOST_FAILED {
            let last = rows.iter().rev().find(|row| row.status == Status::Failed);
            let reason = last.map_or("", |row| row.reason.as_str());
            faults.push(format!(
                "{} of the rows failed (limit 5 %), the last one with \"{reason}\": mend that, or take a smaller batch or skeleton",
                percent(failed)
            ));
        }
        let unsteady = self.share(Status::Noisy) + self.share(Status::Throttled);
        if unsteady > MOST_UNSTEADY {
            faults.push(format!(
                "{} of the rows are noisy or throttled (limit 20 %): end other programs on the device, raise the time cap per architecture, or on a GPU take the host's launches out of the time with --mode graph",
                percent(unsteady)
            ));
        }
        if let Some(noise) = self.noise_floor.filter(|&noise| noise > MOST_NOISE) {
            faults.push(format!(
                "the same architecture measured twice differs by {} (limit 5 %): end other programs on the device, lock its clocks, or raise the batch",
                percent(noise)
            ));
        }
        if let Some(fresh) = self.fresh_noise.filter(|&fresh| fresh > MOST_NOISE) {
            faults.push(format!(
                "the same architecture measured by a fresh process differs by {} (limit 5 %): a restart changes what is measured (algorithms, memory layout, clocks); lock the clocks, end other programs, and measure again",
                percent(fresh)
            ));
        }
        if let Some(drift) = self.drift.filter(|&drift| drift > MOST_DRIFT) {
            faults.push(format!(
                "the anchors' latency moved by {} during the run (limit 5 %): lock the device's clocks or cool it, end other programs, and measure again",
                percent(drift)
            ));
        }
        faults
    }

    fn facts(&self) -> String {
        let noise = match self.noise_floor {
            Some(noise) => format!("noise floor {} from {} pairs", percent(noise), self.n_pairs),
            None => "no noise floor, since no sample was measured twice".into(),
        };
        let drift = match self.drift {
            Some(drift) => format!("drift {}", percent(drift)),
            None => "drift unknown, since no anchor was measured twice".into(),
        };
        let fresh = match self.fresh_noise {
            Some(fresh) => format!(" ({} after a restart)", percent(fresh)),
            None => String::new(),
        };
        let again = match self.n_superseded {
            0 => String::new(),
            n => format!(", {n} measured again"),
        };
        let soak = match self.soak_flat {
            Some(false) => ", the device was not steady after its heat-soak",
            _ => "",
        };
        format!(
            "{} of {} rows{again}, {} converged, {noise}{fresh}, {drift}, {} of the time inside runs{soak}",
            self.done,
            self.total,
            percent(self.share(Status::Converged)),
            percent(self.busy_share)
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn shares(rows: &[Measurement]) -> Vec<(Status, f64)> {
    let all = [Status::Converged, Status::Capped, Status::Noisy, Status::Throttled, Status::Failed];
    let share = |status| {
        let n = rows.iter().filter(|row| row.status == status).count();
        (status, n as f64 / rows.len() as f64)
    };
    all.into_iter().map(share).filter(|(_, share)| *share > 0.0).collect()
}

/// |a - b| / mean for each sample that was measured again.
pub(crate) fn pair_differences<'a>(
    rows: impl IntoIterator<Item = &'a Measurement>,
    again: Role,
) -> Vec<f64> {
    let rows: Vec<&Measurement> = rows.into_iter().filter(|r| r.status != Status::Failed).collect();
    let of = |role| rows.iter().filter(move |r| r.role == role);
    let samples: HashMap<u64, f64> =
        of(Role::Sample).map(|row| (row.index, row.latency_ms)).collect();
    of(again)
        .filter_map(|again| {
            let first_ms = samples.get(&again.index)?;
            Some((first_ms - again.latency_ms).abs() / f64::midpoint(*first_ms, again.latency_ms))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::row::blank;

    fn row(role: Role, index: u64, latency_ms: f64) -> Measurement {
        let status = Status::Converged;
        let blank = blank(Task { role, index, occurrence: 0 });
        Measurement { latency_ms, status, timed_s: 0.09, wall_s: 0.1, ..blank }
    }

    fn anchors(rounds: &[f64]) -> Vec<Measurement> {
        let anchor = |round: u32, i: u32, level: f64| Measurement {
            occurrence: round,
            ..row(Role::Anchor, i.into(), level * f64::from(i + 1))
        };
        let round = |(round, level)| (0..4).map(move |i| anchor(round, i, level));
        (0..).zip(rounds.iter().copied()).flat_map(round).collect()
    }

    #[test]
    fn steady_rows_are_valid_and_the_text_says_why() {
        let mut rows = anchors(&[1.0, 1.01, 1.0]);
        rows.extend([row(Role::Sample, 0, 2.0), row(Role::Repeat, 0, 2.02)]);
        let verdict = Verdict::of(&rows, 14, 14, None);
        assert!(verdict.valid, "{}", verdict.text);
        assert_eq!(
            verdict.text,
            "VALID: 14 of 14 rows, 100.0 % converged, noise floor 1.0 % from 1 pairs, drift 1.0 %, 90.0 % of the time inside runs."
        );
        assert!((verdict.noise_floor.unwrap() - 0.02 / 2.01).abs() < 1e-12);
    }

    #[test]
    fn drift_and_a_restart_that_changes_things_are_faults() {
        let verdict = Verdict::of(&anchors(&[1.0, 1.1]), 8, 8, None);
        assert!(!verdict.valid && verdict.text.contains("moved by 10.0 %"), "{}", verdict.text);
        let mut rows = anchors(&[1.0, 1.0]);
        rows.extend([row(Role::Sample, 0, 2.0), row(Role::Fresh, 0, 2.2)]);
        let text = Verdict::of(&rows, 10, 10, None).text;
        assert!(text.contains("by a fresh process differs by 9.5 %"), "{text}");
    }

    #[test]
    fn of_rows_measured_again_the_last_attempt_counts() {
        let failed = Measurement { status: Status::Failed, ..row(Role::Sample, 0, f64::NAN) };
        let again = Measurement { attempt: 1, ..row(Role::Sample, 0, 1.0) };
        let verdict = Verdict::of(&[failed, again], 1, 1, None);
        assert!(verdict.valid && verdict.text.contains("1 of 1 rows, 1 measured again"));
    }

    #[test]
    fn each_fault_makes_it_invalid_with_a_remedy() {
        let rows = |n: u64, status| -> Vec<Measurement> {
            let good = (n..10).map(|i| row(Role::Sample, i, 1.0));
            let bad = (0..n).map(|i| Measurement {
                status,
                reason: "no room".into(),
                ..row(Role::Sample, i, 1.0)
            });
            good.chain(bad).collect()
        };
        let text = |rows: &[Measurement]| Verdict::of(rows, 10, 10, None).text;
        assert!(text(&rows(1, Status::Failed)).contains("10.0 % of the rows failed"));
        assert!(text(&rows(1, Status::Failed)).contains("\"no room\""));
        assert!(text(&rows(3, Status::Noisy)).contains("30.0 % of the rows are noisy"));
        assert!(text(&rows(2, Status::Throttled)).starts_with("VALID"));
        let unfinished = Verdict::of(&rows(0, Status::Noisy), 10, 12, None);
        assert!(!unfinished.valid && unfinished.text.contains("only 10 of 12 rows"));
        let mut noisy = rows(0, Status::Noisy);
        noisy.push(row(Role::Repeat, 3, 1.2));
        assert!(text(&noisy).contains("differs by 18.2 %"), "{}", text(&noisy));
    }

    #[test]
    fn recorded_rows_give_the_verdict_again_without_what_was_replaced() {
        let mut rows = anchors(&[1.0, 1.01]);
        let replaced = Measurement { status: Status::Failed, ..row(Role::Sample, 0, f64::NAN) };
        rows.push(replaced);
        rows.push(Measurement { attempt: 1, ..row(Role::Sample, 0, 2.0) });
        for (place, row) in rows.iter_mut().enumerate() {
            row.occurrence = if place < 8 { place as u32 / 4 } else { 0 };
        }
        let verdict = Verdict::of_rows(&rows, 9);
        assert!(verdict.valid && verdict.done == 9, "{}", verdict.text);
        assert!(!Verdict::of_rows(&rows, 10).valid);
    }

    #[test]
    fn no_rows_is_no_crash() {
        let verdict = Verdict::of(&[], 0, 5, None);
        assert!(!verdict.valid && verdict.shares.is_empty() && verdict.busy_share == 0.0);
    }
}
