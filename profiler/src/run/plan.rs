//! Estimates the hours and bytes that a run will need.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lat_data::{Measurement, median};
use lat_space::SearchSpace;

use super::{run, schedule};
use crate::{ProfileError, ProfileOptions};

/// An estimate of a run, from measurements of a few architectures.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Rows of the run: samples, anchors and repeats.
    pub rows: u64,
    /// Number of architectures measured for the estimate.
    pub n_pilot: u64,
    /// Average time per row on the host, in seconds.
    pub seconds_per_row: f64,
    /// Time of the whole run in hours, including the longest possible heat-soak.
    pub hours: f64,
    /// Size of the rows as text, one JSON line each.
    pub bytes: u64,
    /// Median latency of the architectures, milliseconds per batch.
    pub latency_ms: f64,
    /// Latency of the fastest and the slowest of these architectures, milliseconds per batch.
    pub latency_range_ms: (f64, f64),
    /// Share of the time that is spent inside warm-up and timed runs.
    pub busy_share: f64,
}

/// Measures the first `n_pilot` architectures of the run (20 are enough) and extrapolates.
///
/// # Errors
/// The errors of [`run`], and [`ProfileError::Option`] if `n_pilot` is 0.
pub fn plan(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    n_pilot: u64,
) -> Result<Plan, ProfileError> {
    options.check_run(space)?;
    if n_pilot == 0 {
        let (expected, found) = ("at least 1", n_pilot.to_string());
        return Err(ProfileError::Option { name: "the number of pilot samples", expected, found });
    }
    let samples = n_pilot.min(options.samples);
    let (anchors_every, repeat_fraction, soak_s) = (0, 0.0, 0.0);
    // A row of a shard costs as much as any other, so the first samples are measured.
    let shard = None;
    let pilot = ProfileOptions {
        samples,
        anchors_every,
        repeat_fraction,
        soak_s,
        shard,
        ..options.clone()
    };
    let mut rows: Vec<Measurement> = Vec::new();
    let begin = Instant::now();
    let verdict = run(space, &pilot, &mut rows, &mut |_| (), &AtomicBool::new(false))?;
    let seconds_per_row = begin.elapsed().as_secs_f64() / samples as f64;
    let n_rows = schedule(space, options).len() as u64;
    let latencies = || rows.iter().map(|row| row.latency_ms).filter(|ms| ms.is_finite());
    Ok(Plan {
        rows: n_rows,
        n_pilot: samples,
        seconds_per_row,
        hours: (n_rows as f64 * seconds_per_row + options.soak_s) / 3600.0,
        bytes: (mean_bytes(&rows) * n_rows as f64) as u64,
        latency_ms: median(latencies()).unwrap_or(f64::NAN),
        latency_range_ms: (
            latencies().fold(f64::INFINITY, f64::min),
            latencies().fold(f64::NEG_INFINITY, f64::max),
        ),
        busy_share: verdict.busy_share,
    })
}

/// Average length of a row's JSON line, including the end of line.
fn mean_bytes(rows: &[Measurement]) -> f64 {
    let length = |row| serde_json::to_string(row).map_or(0, |line: String| line.len() + 1);
    rows.iter().map(length).sum::<usize>() as f64 / rows.len() as f64
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_secs((self.hours * 3600.0).ceil() as u64);
        let (low, high) = self.latency_range_ms;
        write!(
            f,
            "about {} for {} rows at {:.3} s each, {:.1} MB; latency {:.3} ms ({low:.3} to {high:.3} ms) from {} pilot samples",
            humantime::format_duration(time),
            self.rows,
            self.seconds_per_row,
            self.bytes as f64 / 1e6,
            self.latency_ms,
            self.n_pilot
        )
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::DeviceSpec;

    #[test]
    fn extrapolates_from_the_pilot() {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let mut options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        options.samples = 100_000;
        let plan = plan(space.as_ref(), &options, 20).unwrap();
        assert_eq!((plan.rows, plan.n_pilot), (100_000 + 2_000 + 4 * 1001, 20));
        let hours = (plan.rows as f64 * plan.seconds_per_row + 5.0) / 3600.0;
        assert!(plan.seconds_per_row > 0.0 && (plan.hours - hours).abs() < 1e-9);
        let per_row = plan.bytes / plan.rows;
        assert!((500..2000).contains(&per_row), "{per_row} bytes per row");
        let (low, high) = plan.latency_range_ms;
        assert!(low < plan.latency_ms && plan.latency_ms < high);
        assert!(plan.to_string().contains("106004 rows"), "{plan}");
    }

    #[test]
    fn no_more_pilots_than_samples_and_at_least_one() {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options =
            ProfileOptions { samples: 3, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        assert_eq!(plan(space.as_ref(), &options, 20).unwrap().n_pilot, 3);
        let error = plan(space.as_ref(), &options, 0).unwrap_err().to_string();
        assert!(error.contains("pilot samples to be at least 1, found 0"));
    }
}
