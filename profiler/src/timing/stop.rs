//! Decides when a series of runs is long enough.

use super::summary::{median_interval, quantile, rel_half_width};

/// Decides when a series has enough values.
pub trait StopRule {
    /// Forgets the series and begins a new one.
    fn reset(&mut self);

    /// Takes the next value; `wall_ms` are the milliseconds by the clock since the series began, however they were spent. Returns
    /// true if there are enough values.
    fn push(&mut self, sample: f64, wall_ms: f64) -> bool;
}

/// Stops when the median is known well enough, or when its time is over. For values in milliseconds.
///
/// The median is known well enough after at least `min_runs` runs and `min_ms` of timed runs, if the 95 % order-statistic
/// interval of the median is within `rel_half_width` to either side. Time is over after `max_runs` runs; or after `cap_ms`, if
/// there are `min_runs` runs; or, for networks so slow that `min_runs` of them take long, after `slow_ms`, if there are
/// [`MedianInterval::FEWEST`] runs.
///
/// Checking the interval after each run makes it a little too narrow. The noise floor from repeats does not have this error.
#[derive(Debug, Clone)]
pub struct MedianInterval {
    /// Half-width asked for, relative to the median: 0.01.
    pub rel_half_width: f64,
    /// The fewest runs: 10.
    pub min_runs: usize,
    /// The most runs: 1000.
    pub max_runs: usize,
    /// The fewest milliseconds of timed runs, so that runs within one time slice of the system's scheduler are not taken for the
    /// truth: 10.
    pub min_ms: f64,
    /// Milliseconds of timed runs after which `min_runs` are enough: 80.
    pub cap_ms: f64,
    /// Milliseconds of timed runs after which [`MedianInterval::FEWEST`] runs are enough: 1000.
    pub slow_ms: f64,
    /// Milliseconds by the clock after which [`MedianInterval::FEWEST`] runs are enough; after [`MedianInterval::OVERTIME`] times
    /// as many a single run is enough. Infinite by default.
    pub wall_ms: f64,
    sorted: Vec<f64>,
    total_ms: f64,
}

impl MedianInterval {
    /// The fewest runs for which a 95 % interval of the median exists.
    pub const FEWEST: usize = 6;
    /// See [`MedianInterval::wall_ms`].
    pub const OVERTIME: f64 = 5.0;

    /// The rule with this cap and the defaults above.
    pub fn with_cap(cap_ms: f64) -> Self {
        Self {
            rel_half_width: 0.01,
            min_runs: 10,
            max_runs: 1000,
            min_ms: cap_ms.min(10.0),
            cap_ms,
            slow_ms: cap_ms.max(1000.0),
            wall_ms: f64::INFINITY,
            sorted: Vec::new(),
            total_ms: 0.0,
        }
    }

    fn is_narrow(&self) -> bool {
        median_interval(&self.sorted).is_some_and(|interval| {
            rel_half_width(quantile(&self.sorted, 0.5), interval) <= self.rel_half_width
        })
    }
}

impl StopRule for MedianInterval {
    fn reset(&mut self) {
        self.sorted.clear();
        self.total_ms = 0.0;
    }

    fn push(&mut self, sample: f64, wall_ms: f64) -> bool {
        let place = self.sorted.partition_point(|&v| v < sample);
        self.sorted.insert(place, sample);
        self.total_ms += sample;
        let n = self.sorted.len();
        let is_late = self.total_ms >= self.slow_ms || wall_ms >= self.wall_ms;
        if n >= self.max_runs
            || (n >= Self::FEWEST && is_late)
            || wall_ms >= Self::OVERTIME * self.wall_ms
        {
            return true;
        }
        n >= self.min_runs
            && (self.total_ms >= self.cap_ms || (self.total_ms >= self.min_ms && self.is_narrow()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes runs until the rule stops, at most 10 000. Returns their number.
    fn runs(rule: &mut MedianInterval, value: impl Fn(usize) -> f64) -> usize {
        rule.reset();
        (0..10_000).find(|&i| rule.push(value(i), 0.0)).expect("the rule stops") + 1
    }

    #[test]
    fn a_steady_series_stops_at_the_fewest_runs() {
        assert_eq!(runs(&mut MedianInterval::with_cap(80.0), |_| 2.0), 10);
    }

    #[test]
    fn short_runs_go_on_until_the_least_time() {
        assert_eq!(runs(&mut MedianInterval::with_cap(80.0), |_| 0.25), 40);
        assert_eq!(runs(&mut MedianInterval::with_cap(80.0), |_| 1e-4), 1000);
    }

    #[test]
    fn a_wide_series_runs_to_the_cap() {
        let n = runs(&mut MedianInterval::with_cap(80.0), |i| 1.0 + 0.5 * (i % 2) as f64);
        assert_eq!(n, 64);
    }

    #[test]
    fn a_mildly_wide_series_stops_in_between() {
        // Uniform over +-3 %: the interval's ranks are within 1 % of the median once they are within a sixth of all ranks.
        let n = runs(&mut MedianInterval::with_cap(80.0), |i| {
            1.0 + 0.06 * ((i * 37 % 101) as f64 / 100.0 - 0.5)
        });
        assert!((20..60).contains(&n), "{n}");
    }

    #[test]
    fn slow_networks_need_ten_runs_up_to_a_second_and_six_beyond() {
        let mut rule = MedianInterval::with_cap(80.0);
        assert_eq!(runs(&mut rule, |i| 50.0 + 20.0 * (i % 2) as f64), 10);
        assert_eq!(runs(&mut rule, |_| 125.0), 8);
        assert_eq!(runs(&mut rule, |_| 3000.0), 6);
    }

    #[test]
    fn the_clock_ends_a_series_that_mostly_waits() {
        let mut rule = MedianInterval { wall_ms: 50.0, ..MedianInterval::with_cap(80.0) };
        // No two runs are equal. Each takes this long including everything around it.
        let mut runs = |each_ms: f64| {
            rule.reset();
            (1..100).find(|&i| rule.push(0.02 * f64::from(i), each_ms * f64::from(i)))
        };
        assert_eq!(runs(2.0), Some(25));
        assert_eq!(runs(45.0), Some(6), "below six there is no interval");
        assert_eq!(runs(300.0), Some(1), "far beyond it");
    }

    #[test]
    fn reset_forgets() {
        let mut rule = MedianInterval::with_cap(80.0);
        let first = runs(&mut rule, |i| 1.0 + 0.5 * (i % 2) as f64);
        assert_eq!(runs(&mut rule, |i| 1.0 + 0.5 * (i % 2) as f64), first);
    }
}
