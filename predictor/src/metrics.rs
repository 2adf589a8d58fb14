//! Errors of predictions, and the smallest error that is possible.

use std::cmp::Ordering;

use lat_data::COSTS;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::PredictError;
use crate::model::scale::Standard;

/// Errors of predictions on one set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of rows.
    pub n: usize,
    /// Mean absolute error in the target's unit.
    pub mae: f64,
    /// Root mean squared error in the target's unit.
    pub rmse: f64,
    /// Average of `|predicted - truth| / truth`, percent.
    pub mape: f64,
    /// Share of rows whose relative error is at most 5 %, percent.
    pub within_5: f64,
    /// Share of rows whose relative error is at most 10 %, percent.
    pub within_10: f64,
    /// Kendall's tau-b, -1 to 1; 0 if either side is constant, because a constant ranks nothing.
    pub kendall: f64,
    /// Spearman's rho on average ranks, -1 to 1; 0 if either side is constant.
    pub spearman: f64,
}

impl Metrics {
    /// Compares predictions with the truth, row by row.
    ///
    /// # Errors
    /// [`PredictError::TooFew`] if there are no rows, [`PredictError::Width`] if the lengths differ, [`PredictError::NotFinite`],
    /// [`PredictError::NotPositive`] or [`PredictError::Size`] if a value has no relative error.
    pub fn of(truth: &[f64], predicted: &[f64]) -> Result<Self, PredictError> {
        let n = truth.len();
        if n == 0 {
            return Err(PredictError::TooFew { what: "rows to compare", needed: 1, found: 0 });
        }
        if predicted.len() != n {
            let found = predicted.len();
            return Err(PredictError::Width { what: "predictions", expected: n, found });
        }
        check_positive(truth.iter().copied())?;
        check_finite("predictions", predicted.iter().copied())?;
        let absolute: Vec<f64> = truth.iter().zip(predicted).map(|(t, p)| (p - t).abs()).collect();
        let relative: Vec<f64> = absolute.iter().zip(truth).map(|(e, t)| 100.0 * e / t).collect();
        let within =
            |limit: f64| 100.0 * relative.iter().filter(|&&e| e <= limit).count() as f64 / n as f64;
        Ok(Self {
            n,
            mae: mean(&absolute),
            rmse: absolute.iter().map(|e| e * e / n as f64).sum::<f64>().sqrt(),
            mape: mean(&relative),
            within_5: within(5.0),
            within_10: within(10.0),
            kendall: kendall(truth, predicted),
            spearman: spearman(truth, predicted),
        })
    }
}

/// The MAPE in percent that a perfect predictor would still show, from pairs of measurements of one architecture each.
///
/// Let both measurements of a pair be `t (1 + e1)` and `t (1 + e2)` with independent normal errors of the same small spread. Then
/// `|a - b|` over the pair's mean is `|e1 - e2|`, which on average is `sqrt(2)` times the average of `|e1|`. A perfect predictor
/// gives `t` and is compared with one measurement only, so its error is on average that of `|e1|`: the pairs' average divided by
/// `sqrt(2)`. A predictor well below this floor was probably tested on rows that it was trained on. None if there are fewer than
/// 5 usable pairs.
pub fn noise_floor(pairs: &[(f64, f64)]) -> Option<f64> {
    let usable = |x: f64| x.is_finite() && x > 0.0;
    let relative: Vec<f64> = pairs
        .iter()
        .filter(|(a, b)| usable(*a) && usable(*b))
        .map(|(a, b)| (a - b).abs() / f64::midpoint(*a, *b))
        .collect();
    (relative.len() >= 5).then(|| 100.0 * mean(&relative) / std::f64::consts::SQRT_2)
}

/// Checks that all values are finite; the error names the first that is not.
pub(crate) fn check_finite(
    what: &'static str,
    values: impl Iterator<Item = f64>,
) -> Result<(), PredictError> {
    match values.enumerate().find(|(_, v)| !v.is_finite()) {
        Some((row, found)) => Err(PredictError::NotFinite { what, row, found }),
        None => Ok(()),
    }
}

/// Checks that all targets are numbers above zero, and neither too small nor too large to compute with; the error names the first
/// that is not.
pub(crate) fn check_positive(
    values: impl Iterator<Item = f64> + Clone,
) -> Result<(), PredictError> {
    check_finite("targets", values.clone())?;
    match values.enumerate().find(|(_, v)| !(COSTS.0..=COSTS.1).contains(v)) {
        Some((row, found)) if found <= 0.0 => Err(PredictError::NotPositive { row, found }),
        Some((row, found)) => Err(PredictError::Size { row, found }),
        None => Ok(()),
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Kendall's tau-b, -1 to 1; 0 if either side is constant. The lists must have the same length.
pub fn kendall(truth: &[f64], predicted: &[f64]) -> f64 {
    let order = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or(Ordering::Equal);
    match kendalls::tau_b_with_comparator(truth, predicted, order) {
        Ok((tau, _)) if tau.is_finite() => tau,
        _ => 0.0,
    }
}

/// Spearman's rho on average ranks, -1 to 1; 0 if either side is constant. The lists must have the same length.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

/// Ranks from 1; equal values share their average rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]) == Ordering::Equal) {
        let shared = start as f64 + (tied.len() + 1) as f64 / 2.0;
        for &row in tied {
            ranks[row] = shared;
        }
        start += tied.len();
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let mut sums = [0.0; 3];
    for (a, b) in a.iter().zip(b) {
        let (da, db) = (a - mean_a, b - mean_b);
        sums[0] += da * db;
        sums[1] += da * da;
        sums[2] += db * db;
    }
    if sums[1] * sums[2] > 0.0 { sums[0] / (sums[1] * sums[2]).sqrt() } else { 0.0 }
}

/// `|predicted - y| / y` of standardised predictions, each at most 1. Otherwise a few networks that the runtime reduces to
/// nothing, with errors of 100,000 %, would outweigh all others.
pub(crate) fn relative_errors(
    y: ArrayView1<f64>,
    z: &Array1<f64>,
    standard: &Standard,
    floor: f64,
) -> Vec<f64> {
    let error = |(y, z): (&f64, &f64)| ((standard.invert(*z).max(floor) - y).abs() / y).min(1.0);
    y.iter().zip(z).map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn metrics_are_those_computed_by_hand() {
        // Relative errors 4, 10, 0 and 50 %.
        let m = Metrics::of(&[1.0, 2.0, 4.0, 8.0], &[1.04, 1.8, 4.0, 12.0]).unwrap();
        assert_eq!(m.n, 4);
        close(m.mae, (0.04 + 0.2 + 4.0) / 4.0);
        close(m.mape, 16.0);
        close(m.within_5, 50.0);
        close(m.within_10, 75.0);
        close(m.rmse, ((0.0016 + 0.04 + 16.0) / 4.0f64).sqrt());
        close(m.kendall, 1.0);
        close(m.spearman, 1.0);
    }

    #[test]
    fn rank_correlations_with_ties_are_those_computed_by_hand() {
        // Predicted 2, 1, 3, 3: the pair (1,2) is discordant, four are concordant, one is tied: tau-b = 3 / sqrt(6 * 5).
        let m = Metrics::of(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 3.0]).unwrap();
        close(m.kendall, 3.0 / 30.0f64.sqrt());
        // Ranks 1 2 3 4 against 2 1 3.5 3.5: covariance 3.5, squares 5 and 4.5.
        close(m.spearman, 3.5 / (5.0f64 * 4.5).sqrt());
    }

    #[test]
    fn a_constant_predictor_ranks_nothing() {
        let m = Metrics::of(&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]).unwrap();
        assert_eq!((m.kendall, m.spearman), (0.0, 0.0));
        let one = Metrics::of(&[1.0], &[2.0]).unwrap();
        assert_eq!((one.kendall, one.mape), (0.0, 100.0));
    }

    #[test]
    fn floor_is_the_pairs_mean_over_root_two() {
        let pairs = [(0.99, 1.01); 5];
        close(noise_floor(&pairs).unwrap(), 2.0 / std::f64::consts::SQRT_2);
        assert_eq!(noise_floor(&pairs[..4]), None);
        assert_eq!(noise_floor(&[(f64::NAN, 1.0); 9]), None);
    }

    #[test]
    fn floor_is_what_a_perfect_predictor_shows() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        // The sum of 12 uniform numbers is nearly normal.
        let mut noise = || (0..12).map(|_| rng.r#gen::<f64>()).sum::<f64>() - 6.0;
        let truth: Vec<f64> = (0..20_000).map(|i| 5.0 + f64::from(i) / 1e3).collect();
        let mut measure = |t: &f64| t * (1.0 + 0.03 * noise());
        let first: Vec<f64> = truth.iter().map(&mut measure).collect();
        let second: Vec<f64> = truth.iter().map(&mut measure).collect();
        let pairs: Vec<_> = first.iter().copied().zip(second).collect();
        let shown = Metrics::of(&first, &truth).unwrap().mape;
        assert!((noise_floor(&pairs).unwrap() / shown - 1.0).abs() < 0.03);
    }

    #[test]
    fn values_without_relative_error_are_refused() {
        let message = |t: &[f64], p: &[f64]| Metrics::of(t, p).unwrap_err().to_string();
        assert!(message(&[], &[]).contains("at least 1 rows to compare, found 0"));
        assert!(message(&[1.0], &[1.0, 2.0]).contains("expected 1 predictions, found 2"));
        assert!(message(&[1.0, 0.0], &[1.0, 1.0]).contains("found 0 in row 1"));
        assert!(message(&[1.0], &[f64::NAN]).contains("finite predictions, found NaN in row 0"));
    }
}
