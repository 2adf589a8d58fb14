//! The summary of a series of runs: median, interval, quantiles, status.

use lat_data::Status;

/// If the half-width of the interval, relative to the median, exceeds this, a capped measurement counts as noisy.
const NOISY_REL: f64 = 0.05;
/// Limit for the ratio of median to fastest run. Above it, and above it times the same ratio of the clock's readings, the
/// correction made the spread.
const MADE_SPREAD: f64 = 3.0;
/// `MLPerf` `LoadGen` gives a 90th percentile from this number of runs on, allowing one slow query at 99 % confidence.
const FEWEST_FOR_P90: usize = 64;
/// This is the number of runs that it needs for a 99th percentile.
const FEWEST_FOR_P99: usize = 662;
/// Probability left out on each side of the interval.
const TAIL: f64 = 0.025;

/// Summary of a series of runs, without assuming any distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub n: usize,
    /// Median.
    pub median: f64,
    /// Median absolute deviation from the median, not scaled to a standard deviation.
    pub mad: f64,
    /// Lower quartile (linear between neighbours).
    pub q1: f64,
    /// Upper quartile.
    pub q3: f64,
    /// Smallest value.
    pub min: f64,
    /// Lower end of the 95 % interval of the median; NaN for fewer than six values.
    pub ci_low: f64,
    /// Upper end of that interval; NaN for fewer than six values.
    pub ci_high: f64,
    /// 90th percentile; NaN for fewer than 64 values.
    pub p90: f64,
    /// 99th percentile; NaN for fewer than 662 values.
    pub p99: f64,
}

impl Summary {
    /// Summary of the values in any order. None if there are no values or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5);
        let mut deviations: Vec<f64> = sorted.iter().map(|v| (v - median).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        let (ci_low, ci_high) = median_interval(&sorted).unwrap_or((f64::NAN, f64::NAN));
        Some(Self {
            n: sorted.len(),
            median,
            mad: quantile(&deviations, 0.5),
            q1: quantile(&sorted, 0.25),
            q3: quantile(&sorted, 0.75),
            min: sorted[0],
            ci_low,
            ci_high,
            p90: tail(&sorted, 0.9, FEWEST_FOR_P90),
            p99: tail(&sorted, 0.99, FEWEST_FOR_P99),
        })
    }

    /// Distance of the interval's farther end from the median, relative to the median; infinite if there is no interval.
    pub fn rel_half_width(&self) -> f64 {
        rel_half_width(self.median, (self.ci_low, self.ci_high))
    }

    /// [`Status::Converged`] if the interval is within `rel` to either side, [`Status::Capped`] if within 5 %, else
    /// [`Status::Noisy`].
    pub fn status(&self, rel: f64) -> Status {
        match self.rel_half_width() {
            width if width <= rel => Status::Converged,
            width if width <= NOISY_REL => Status::Capped,
            _ => Status::Noisy,
        }
    }
}

/// Whether corrected values spread much more than the clock's readings (`raw_ms`). Then the correction made the spread, and the
/// interval of their median is meaningless.
pub(crate) fn is_spread_by_correction(corrected: &Summary, raw_ms: &[f64]) -> bool {
    let Some(raw) = Summary::of(raw_ms) else { return false };
    let below = |summary: &Summary| summary.median / summary.min;
    below(corrected) > MADE_SPREAD && below(corrected) > MADE_SPREAD * below(&raw)
}

/// Quantile `p` if there are at least `fewest` values, else NaN.
fn tail(sorted: &[f64], p: f64, fewest: usize) -> f64 {
    if sorted.len() < fewest { f64::NAN } else { quantile(sorted, p) }
}

/// Quantile `p` of ascending values, linear between neighbours (type 7 of Hyndman and Fan 1996).
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The interval of ascending values that contains their distribution's median with at least 95 % probability.
pub(crate) fn median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let rank = lower_rank(sorted.len())?;
    Some((sorted[rank - 1], sorted[sorted.len() - rank]))
}

/// See [`Summary::rel_half_width`].
pub(crate) fn rel_half_width(median: f64, (low, high): (f64, f64)) -> f64 {
    let width = (high - median).max(median - low) / median;
    if width.is_finite() { width } else { f64::INFINITY }
}

/// The largest rank r (from 1) with P(Binomial(n, 1/2) < r) <= 2.5 %: the r-th smallest and r-th largest of n values then bound
/// the median with at least 95 % (David and Nagaraja, Order Statistics, section 7.1). None if there are fewer than six values.
fn lower_rank(n: usize) -> Option<usize> {
    // Beyond n = 1022, 2^-n is not a normal number. The normal approximation is within one rank there.
    if n > 1000 {
        let n = n as f64;
        return Some((n / 2.0 + 0.5 - 0.98 * n.sqrt()).floor() as usize);
    }
    let mut probability = 0.5f64.powi(n as i32);
    let mut cumulative = 0.0;
    let mut rank = 0;
    for k in 0..=n / 2 {
        cumulative += probability;
        if cumulative > TAIL {
            break;
        }
        rank = k + 1;
        probability *= (n - k) as f64 / (k + 1) as f64;
    }
    (rank > 0).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics, table of sign-test intervals at 95 %.
        let known = [(5, None), (6, Some(1)), (9, Some(2)), (10, Some(2)), (15, Some(4))];
        for (n, rank) in known.into_iter().chain([(20, Some(6)), (25, Some(8)), (100, Some(40))]) {
            assert_eq!(lower_rank(n), rank, "n = {n}");
        }
        let (exact, approximate) = (lower_rank(1000).unwrap(), lower_rank(1001).unwrap());
        assert!(approximate.abs_diff(exact) <= 1, "{exact} {approximate}");
    }

    #[test]
    fn summary_of_ten_values() {
        let s = Summary::of(&[10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0]).unwrap();
        assert_eq!((s.n, s.median, s.mad, s.min), (10, 5.5, 2.5, 1.0));
        assert_eq!((s.q1, s.q3), (3.25, 7.75));
        assert_eq!((s.ci_low, s.ci_high), (2.0, 9.0));
    }

    #[test]
    fn outliers_do_not_move_the_median_nor_get_lost() {
        let mut values = vec![1.0; 19];
        values.push(1000.0);
        let s = Summary::of(&values).unwrap();
        assert_eq!((s.n, s.median, s.mad, s.ci_high), (20, 1.0, 0.0, 1.0));
    }

    #[test]
    fn status_follows_the_interval() {
        let spread = |d: f64| {
            let values: Vec<f64> = (0..20).map(|i| 1.0 + d * (f64::from(i) - 9.5) / 4.5).collect();
            Summary::of(&values).unwrap().status(0.01)
        };
        assert_eq!(spread(0.009), Status::Converged);
        assert_eq!(spread(0.03), Status::Capped);
        assert_eq!(spread(0.08), Status::Noisy);
    }

    #[test]
    fn a_fastest_run_that_only_the_correction_made_is_seen() {
        let summary = |least: f64| {
            let mut values = vec![1.0; 20];
            values[7] = least;
            Summary::of(&values).unwrap()
        };
        let steady = [2.0; 20];
        assert!(is_spread_by_correction(&summary(1.0 / 400.0), &steady));
        assert!(!is_spread_by_correction(&summary(0.5), &steady));
        let as_spread: Vec<f64> = (0..20).map(|i| if i == 7 { 0.005 } else { 2.0 }).collect();
        assert!(!is_spread_by_correction(&summary(1.0 / 400.0), &as_spread));
        assert!(!is_spread_by_correction(&summary(1.0 / 400.0), &[]), "nothing was corrected");
    }

    #[test]
    fn nothing_to_say_about_nothing_or_nan() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        let few = Summary::of(&[1.0, 1.0]).unwrap();
        assert_eq!(few.status(0.01), Status::Noisy, "two equal values prove nothing");
    }

    #[test]
    fn the_interval_holds_the_median_as_often_as_it_says() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let inside = (0..2000)
            .filter(|_| {
                let values: Vec<f64> = (0..15).map(|_| rng.gen_range(0.0..1.0f64)).collect();
                let s = Summary::of(&values).unwrap();
                s.ci_low <= 0.5 && 0.5 <= s.ci_high
            })
            .count();
        // 1 - 2 P(Binomial(15, 1/2) <= 3) = 96.5 %, standard error 0.4 %.
        assert!((1905..=1955).contains(&inside), "{inside} of 2000");
    }
}
