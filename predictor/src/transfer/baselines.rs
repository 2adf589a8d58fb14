//! Simple ways to use sources, to compare with: regressions on the sources' predictions.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::cholesky::Cholesky;
use super::{Sources, TRANSFER, check_samples};
use crate::{PredictError, Samples};

/// Number of penalties of the ridge to choose from: 1e-3 to 1e3 in steps of half a decade.
const N_PENALTIES: i32 = 13;

/// A simple way to use sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Ridge regression on all sources' standardised predictions; the penalty is chosen by leaving out each sample in turn.
    Ridge,
    /// The single source that fits best when each sample is left out in turn, with a factor and an offset.
    BestSource,
}

impl Baseline {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ridge => "ridge-on-sources",
            Self::BestSource => "best source, rescaled",
        }
    }
}

impl Sources<'_> {
    /// Costs of gates `[n, n_gates]` by a baseline learnt from the samples; each at least half of the smallest sample.
    ///
    /// # Errors
    /// The errors of [`Sources::transfer`].
    pub fn baseline(
        &self,
        baseline: Baseline,
        samples: &Samples,
        gates: ArrayView2<f32>,
    ) -> Result<Array1<f64>, PredictError> {
        check_samples(samples)?;
        let (x, y) = (self.scores(samples)?, &samples.values);
        let line = match baseline {
            Baseline::Ridge => ridge(&x, y),
            Baseline::BestSource => best_source(&x, y),
        };
        let line = line.ok_or_else(|| PredictError::Fit {
            name: TRANSFER,
            reason: "the predictions of the sources are not finite".to_owned(),
        })?;
        let floor = y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let predicted = self.scores_of(gates)?.dot(&line.weights) + line.constant;
        Ok(predicted.mapv(|p| p.max(floor)))
    }
}

/// A linear fit, and its mean squared error on rows left out in turn.
struct Line {
    weights: Array1<f64>,
    constant: f64,
    error: f64,
}

fn ridge(x: &Array2<f64>, y: &Array1<f64>) -> Option<Line> {
    let penalties = (0..N_PENALTIES).map(|i| 10f64.powf(-3.0 + f64::from(i) / 2.0));
    let lines = penalties.map(|penalty| line(x, y, penalty)).collect::<Option<Vec<_>>>()?;
    lines.into_iter().min_by(|a, b| a.error.total_cmp(&b.error))
}

fn best_source(x: &Array2<f64>, y: &Array1<f64>) -> Option<Line> {
    let lines = (0..x.ncols()).map(|k| {
        let one = x.column(k).insert_axis(Axis(1)).to_owned();
        line(&one, y, 1e-9).map(|l| (k, l))
    });
    let lines = lines.collect::<Option<Vec<_>>>()?;
    let (k, best) = lines.into_iter().min_by(|(_, a), (_, b)| a.error.total_cmp(&b.error))?;
    let mut weights = Array1::zeros(x.ncols());
    weights[k] = best.weights[0];
    Some(Line { weights, ..best })
}

/// Minimises `|y - constant - x w|^2 + penalty |w|^2`; its error follows in closed form from the hat matrix.
fn line(x: &Array2<f64>, y: &Array1<f64>, penalty: f64) -> Option<Line> {
    let n = y.len() as f64;
    let means = x.sum_axis(Axis(0)) / n;
    let mean = y.sum() / n;
    let centred = x - &means;
    let mut system = centred.t().dot(&centred);
    system.diag_mut().mapv_inplace(|v| v + penalty);
    let factor = Cholesky::of(&system)?;
    let weights = factor.solve(&centred.t().dot(&(y - mean)));
    let mut error = 0.0;
    for (row, y) in centred.rows().into_iter().zip(y) {
        let row = row.to_owned();
        let leverage = 1.0 / n + row.dot(&factor.solve(&row));
        error += ((y - mean - row.dot(&weights)) / (1.0 - leverage).max(1e-6)).powi(2) / n;
    }
    Some(Line { constant: mean - means.dot(&weights), weights, error })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn errors_are_those_of_leaving_rows_out() {
        let x = array![[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [3.5, 0.0], [4.0, 2.0]];
        let y = array![1.0, 2.5, 2.0, 5.0, 4.0];
        let all: Vec<usize> = (0..5).collect();
        let mut expected = 0.0;
        for left_out in 0..5 {
            let kept: Vec<usize> = all.iter().copied().filter(|&i| i != left_out).collect();
            let fit = line(&x.select(Axis(0), &kept), &y.select(Axis(0), &kept), 1e-9).unwrap();
            let predicted = fit.constant + x.row(left_out).dot(&fit.weights);
            expected += (predicted - y[left_out]).powi(2) / 5.0;
        }
        assert!((line(&x, &y, 1e-9).unwrap().error / expected - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_source_that_fits_is_chosen() {
        let x = array![[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [3.5, 0.0]];
        let y = x.column(0).mapv(|x| 3.0 + 2.0 * x);
        let best = best_source(&x, &y).unwrap();
        assert!((best.weights - array![2.0, 0.0]).iter().all(|e| e.abs() < 1e-6));
        assert!((best.constant - 3.0).abs() < 1e-6);
    }
}
