//! Gaussian processes on the sources' predictions and the features, averaged by their evidence and blended with non-negative
//! least squares.

use lat_data::median;
use ndarray::{Array1, Array2, Axis};

use super::cholesky::Cholesky;
use super::{nnls, pick};
use crate::PredictError;
use crate::metrics::mean;

/// Variances of the correction to average over, relative to that of the sources' part.
const CORRECTIONS: [f64; 4] = [0.0, 1e-3, 1e-2, 1e-1];
/// Variances of the noise to average over, relative to that of the sources' part.
const NOISES: [f64; 4] = [1e-3, 1e-2, 0.1, 0.3];
/// Variance of the constant; it is wide.
const CONSTANT: f64 = 10.0;
/// The standard deviation of what other sources may add to the leading ones.
const ASIDE: f64 = 0.3;
/// The noise of cheap architectures is at least this share of a typical one's.
const LEAST_NOISE: f64 = 0.1;
/// Penalty of the non-negative part, per row and source.
const PENALTY: f64 = 0.1;
/// Up to this number of samples the non-negative part has all the weight; with more samples, this number over theirs.
const NON_NEGATIVE: f64 = 2.5;

/// The data about the samples, without their costs.
#[derive(Debug)]
pub(super) struct Rows {
    /// Standardised predictions of the sources, `[n, k]`.
    pub(super) scores: Array2<f64>,
    /// Covariance of the correction, `[n, n]`; its diagonal is 1 on average over the space.
    pub(super) correction: Array2<f64>,
    /// Standard deviation, over the space, of the sources' average score.
    pub(super) mean_spread: f64,
}

impl Rows {
    pub(super) fn select(&self, rows: &[usize]) -> Self {
        Self {
            scores: pick(&self.scores, rows),
            correction: pick(&self.correction, rows).select(Axis(1), rows),
            ..*self
        }
    }
}

/// A prediction in the costs' unit: `constant + scores . by_source + correction with the samples . by_row`.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) constant: f64,
    pub(super) by_source: Array1<f64>,
    pub(super) by_row: Array1<f64>,
}

/// A belief about the sources' factors: their covariance `[k, k]` and the logarithm of its prior probability.
struct Belief {
    covariance: Array2<f64>,
    log_prior: f64,
}

/// One of the processes, fitted: its evidence and `A^-1 z`.
struct Fitted {
    belief: usize,
    correction: f64,
    log_evidence: f64,
    alpha: Array1<f64>,
}

pub(super) fn fit(rows: &Rows, y: &[f64]) -> Result<Weights, PredictError> {
    let (centre, spread) = (median(y.iter().copied()).unwrap_or_default(), deviation(y));
    let z: Array1<f64> = y.iter().map(|y| (y - centre) / spread).collect();
    let noise = noise_shape(y, centre);
    let beliefs = beliefs(rows.scores.ncols(), rows.mean_spread);
    let mut all = Vec::new();
    for (b, belief) in beliefs.iter().enumerate() {
        let by_sources = rows.scores.dot(&belief.covariance).dot(&rows.scores.t()) + CONSTANT;
        for correction in CORRECTIONS {
            let signal = &by_sources + &(&rows.correction * correction);
            let fitted = NOISES.map(|s| solve(&signal, &(&noise * s), &z));
            all.extend(fitted.into_iter().flatten().map(|(log_evidence, alpha)| Fitted {
                belief: b,
                correction,
                log_evidence: log_evidence + belief.log_prior,
                alpha,
            }));
        }
    }
    let averaged = average(&all, &beliefs, rows).ok_or_else(|| PredictError::Fit {
        name: super::TRANSFER,
        reason: "the covariance of the samples is not positive; are they all alike?".to_owned(),
    })?;
    let scaled = Weights {
        constant: centre + spread * averaged.constant,
        by_source: averaged.by_source * spread,
        by_row: averaged.by_row * spread,
    };
    Ok(blend(scaled, rows, y, spread))
}

/// The beliefs: `{mean}`, `{all}`, `{mean, some of all}`, and each source alone and with some of all. If there is one source, it
/// is the mean.
fn beliefs(k: usize, mean_spread: f64) -> Vec<Belief> {
    let leading = Array2::from_elem((k, k), (k as f64 * mean_spread).powi(-2));
    let all = Array2::<f64>::eye(k) / k as f64;
    let some = &all * ASIDE.powi(2);
    let even = |covariance| Belief { covariance, log_prior: 0.0 };
    if k == 1 {
        return vec![even(leading)];
    }
    let mut beliefs = vec![even(leading.clone()), even(all), even(leading + &some)];
    for source in 0..k {
        let mut one = Array2::<f64>::zeros((k, k));
        one[[source, source]] = 1.0;
        for covariance in [one.clone(), one + &some] {
            beliefs.push(Belief { covariance, log_prior: -(k as f64).ln() });
        }
    }
    beliefs
}

/// Evidence and `A^-1 z`; the scale is integrated out under an inverse gamma prior (1, 1/2).
fn solve(signal: &Array2<f64>, noise: &Array1<f64>, z: &Array1<f64>) -> Option<(f64, Array1<f64>)> {
    let mut covariance = signal.clone();
    covariance.diag_mut().zip_mut_with(noise, |a, n| *a += n);
    let factor = Cholesky::of(&covariance)?;
    let alpha = factor.solve(z);
    let shape = z.len() as f64 / 2.0 + 1.0;
    let log_evidence = -factor.half_log_determinant() - shape * (z.dot(&alpha) / 2.0 + 0.5).ln();
    log_evidence.is_finite().then_some((log_evidence, alpha))
}

/// The average of the processes, each weighted by its evidence.
fn average(all: &[Fitted], beliefs: &[Belief], rows: &Rows) -> Option<Weights> {
    let largest = all.iter().map(|f| f.log_evidence).reduce(f64::max)?;
    let total: f64 = all.iter().map(|f| (f.log_evidence - largest).exp()).sum();
    let n = rows.scores.nrows();
    let mut by_belief = vec![Array1::<f64>::zeros(n); beliefs.len()];
    let (mut by_row, mut constant) = (Array1::<f64>::zeros(n), 0.0);
    for fitted in all {
        let share = (fitted.log_evidence - largest).exp() / total;
        by_belief[fitted.belief].scaled_add(share, &fitted.alpha);
        by_row.scaled_add(share * fitted.correction, &fitted.alpha);
        constant += share * CONSTANT * fitted.alpha.sum();
    }
    let factors = |(belief, alpha): (&Belief, &Array1<f64>)| {
        belief.covariance.dot(&rows.scores.t().dot(alpha))
    };
    let zeros = Array1::zeros(rows.scores.ncols());
    let by_source = beliefs.iter().zip(&by_belief).map(factors).fold(zeros, |sum, f| sum + f);
    Some(Weights { constant, by_source, by_row })
}

/// Mixes in the non-negative combination of the sources: fully with few samples, less and less with more.
fn blend(mixture: Weights, rows: &Rows, y: &[f64], spread: f64) -> Weights {
    let (n, k) = rows.scores.dim();
    if k == 1 {
        return mixture;
    }
    let share = (NON_NEGATIVE / n as f64).min(1.0);
    let centre = mean(y);
    let means = rows.scores.sum_axis(Axis(0)) / n as f64;
    let target: Array1<f64> = y.iter().map(|y| (y - centre) / spread).collect();
    let ridge = PENALTY * n as f64 / k as f64;
    let factors = nnls::solve(&(&rows.scores - &means), &target, ridge) * spread;
    let constant = centre - means.dot(&factors);
    Weights {
        constant: (1.0 - share) * mixture.constant + share * constant,
        by_source: mixture.by_source * (1.0 - share) + factors * share,
        by_row: mixture.by_row * (1.0 - share),
    }
}

/// Relative noise variance of each row, in proportion to its cost, with geometric mean 1.
fn noise_shape(y: &[f64], typical: f64) -> Array1<f64> {
    let shape: Array1<f64> = y.iter().map(|y| (y / typical).max(LEAST_NOISE)).collect();
    let mean = shape.mapv(f64::ln).sum() / y.len() as f64;
    shape / mean.exp()
}

/// Standard deviation; if all values are equal, a tiny share of their size.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    square.sqrt().max(1e-9 * mean)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn one_source_of_two_rows_is_the_mean_of_sixteen_fits_by_hand() {
        let rows = Rows {
            scores: array![[-1.0], [1.0]],
            correction: array![[1.0, 0.5], [0.5, 1.0]],
            mean_spread: 1.0,
        };
        // Median 2, deviation 1, so z = (-1, 1); noise in proportion to 1/2 and 3/2.
        let weights = fit(&rows, &[1.0, 3.0]).unwrap();
        let shape = [0.5 / 0.75f64.sqrt(), 1.5 / 0.75f64.sqrt()];
        let (mut total, mut slope, mut constant) = (0.0, 0.0, 0.0);
        for c in [0.0, 1e-3, 1e-2, 0.1] {
            for s in [1e-3, 1e-2, 0.1, 0.3] {
                let (a, b, d) = (11.0 + c + s * shape[0], 9.0 + c / 2.0, 11.0 + c + s * shape[1]);
                let determinant: f64 = a * d - b * b;
                let alpha = [(-d - b) / determinant, (b + a) / determinant];
                let quadratic: f64 = alpha[1] - alpha[0];
                let t = determinant.powf(-0.5) * (quadratic / 2.0 + 0.5).powi(-2);
                total += t;
                slope += t * (alpha[1] - alpha[0]);
                constant += t * 10.0 * (alpha[0] + alpha[1]);
            }
        }
        assert!((weights.by_source[0] - slope / total).abs() < 1e-9);
        assert!((weights.constant - 2.0 - constant / total).abs() < 1e-9);
    }

    #[test]
    fn two_sources_take_the_one_that_fits() {
        let x: Vec<f64> = (0..12).map(|i| f64::from(i * 7 % 12) / 4.0 - 1.4).collect();
        let other: Vec<f64> = (0..12).map(|i| f64::from(i * 5 % 12) / 4.0 - 1.4).collect();
        let scores = Array2::from_shape_fn((12, 2), |(i, k)| if k == 0 { x[i] } else { other[i] });
        let rows = Rows { scores, correction: Array2::eye(12), mean_spread: 0.8 };
        let y: Vec<f64> = x.iter().map(|x| 5.0 + 2.0 * x).collect();
        let Weights { by_source, constant, .. } = fit(&rows, &y).unwrap();
        assert!((by_source[0] - 2.0).abs() < 0.15 && by_source[1].abs() < 0.15, "{by_source}");
        assert!((constant - 5.0).abs() < 0.1);
    }
}
