//! How well two lists of figures agree on an order of architectures: rank correlations with their uncertainty.

use lat_predictor::{kendall, spearman};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Number of resamples behind an interval: its ends are then known to about a hundredth of its width.
const RESAMPLES: usize = 2000;
/// Smallest number of architectures whose order has a meaning.
pub const FEWEST: usize = 3;

/// A rank correlation, from -1 to 1, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The correlation over all architectures; 0 if either list is constant.
    pub value: f64,
    /// 2.5th percentile of the resamples; None if no resample has an order.
    pub low: Option<f64>,
    /// 97.5th percentile of the resamples.
    pub high: Option<f64>,
}

/// How well two lists agree on an order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Kendall's tau-b, which counts pairs and corrects for ties.
    pub kendall: Correlation,
    /// Spearman's rho on average ranks.
    pub spearman: Correlation,
}

impl Agreement {
    /// Compares two lists of equal length, with finite numbers and at least [`FEWEST`] entries. The intervals are percentile
    /// bootstraps: rows are drawn with replacement 2000 times, by the seed. Draws in which either list is constant have no order and
    /// are left out (Efron and Tibshirani 1993, chapter 13). A row that is drawn twice and out of order weighs more, so close to 1
    /// the interval of rho may lie just below the value.
    pub fn of(found: &[f64], truth: &[f64], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..RESAMPLES {
            let rows: Vec<usize> =
                (0..found.len()).map(|_| rng.gen_range(0..found.len())).collect();
            let of = |list: &[f64]| rows.iter().map(|&row| list[row]).collect::<Vec<f64>>();
            let (found, truth) = (of(found), of(truth));
            if is_constant(&found) || is_constant(&truth) {
                continue;
            }
            drawn[0].push(kendall(&truth, &found));
            drawn[1].push(spearman(&truth, &found));
        }
        let [taus, rhos] = drawn;
        Self {
            kendall: Correlation::of(kendall(truth, found), taus),
            spearman: Correlation::of(spearman(truth, found), rhos),
        }
    }
}

impl Correlation {
    fn of(value: f64, mut drawn: Vec<f64>) -> Self {
        drawn.sort_by(f64::total_cmp);
        Self { value, low: percentile(&drawn, 0.025), high: percentile(&drawn, 0.975) }
    }
}

fn is_constant(list: &[f64]) -> bool {
    list.iter().all(|value| *value == list[0])
}

/// A percentile of sorted numbers, interpolated between neighbours; None if there are none.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share * last as f64;
    let below = at as usize;
    let above = sorted[(below + 1).min(last)];
    Some(sorted[below] + (at - below as f64) * (above - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_value_and_narrows_with_more_architectures() {
        let lists = |n: usize| {
            let truth: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let found = truth.iter().map(|t| t + 0.5 * n as f64 * (2.7 * t).sin());
            (found.collect::<Vec<f64>>(), truth)
        };
        let width = |n: usize| {
            let (found, truth) = lists(n);
            let Agreement { kendall, spearman } = Agreement::of(&found, &truth, 1);
            for found in [kendall, spearman] {
                let (low, high) = (found.low.unwrap(), found.high.unwrap());
                assert!(low <= found.value && found.value <= high && high <= 1.0, "{found:?}");
            }
            kendall.high.unwrap() - kendall.low.unwrap()
        };
        assert!(width(200) < 0.5 * width(20));
        let (found, truth) = lists(8);
        assert_eq!(Agreement::of(&found, &truth, 1), Agreement::of(&found, &truth, 1));
        assert_ne!(Agreement::of(&found, &truth, 1), Agreement::of(&found, &truth, 2));
        // Neighbours are swapped: 4 of 28 pairs are in the wrong order.
        let swapped: Vec<f64> = (0..8).map(|i| f64::from(i ^ 1)).collect();
        assert!((Agreement::of(&swapped, &truth, 1).kendall.value - 20.0 / 28.0).abs() < 1e-12);
    }

    #[test]
    fn lists_without_an_order_have_no_interval() {
        let found = Agreement::of(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], 0);
        assert_eq!(found.kendall, Correlation { value: 0.0, low: None, high: None });
        assert_eq!(found.spearman, found.kendall);
        let found = Agreement::of(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0], 0).kendall;
        assert_eq!((found.value, found.low, found.high), (-1.0, Some(-1.0), Some(-1.0)));
    }

    #[test]
    fn percentiles_are_interpolated() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[4.0], 0.975), Some(4.0));
        assert_eq!(percentile(&[0.0, 10.0, 20.0], 0.25), Some(5.0));
    }
}
