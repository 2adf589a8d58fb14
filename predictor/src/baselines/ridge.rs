//! Ridge regression in closed form, its penalty chosen by cross-validation.
//!
//! One-hot columns are collinear, so the penalty is always above zero and the normal equations are regular. linfa's least squares
//! solves them. Their size does not depend on the number of rows, so 80,000 rows are as quick to validate as 300.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::PredictError;
use crate::folds::Folds;

/// A fitted ridge: `weights . x + intercept`.
#[derive(Debug, Clone)]
pub(crate) struct Ridge {
    /// One weight per column.
    pub(crate) weights: Array1<f64>,
    /// Prediction for the all-zero code.
    pub(crate) intercept: f64,
    /// For each training row the prediction of a fit without the row's fold.
    pub(crate) held_out: Array1<f64>,
}

/// The sums over rows that a ridge is solved from.
#[derive(Debug, Clone)]
struct Moments {
    n: f64,
    x: Array1<f64>,
    y: f64,
    xx: Array2<f64>,
    xy: Array1<f64>,
}

impl Moments {
    fn of(x: &Array2<f64>, y: ArrayView1<f64>) -> Self {
        Self {
            n: x.nrows() as f64,
            x: x.sum_axis(Axis(0)),
            y: y.sum(),
            xx: x.t().dot(x),
            xy: x.t().dot(&y),
        }
    }

    fn combine(&self, other: &Self, sign: f64) -> Self {
        Self {
            n: self.n + sign * other.n,
            x: &self.x + &(sign * &other.x),
            y: self.y + sign * other.y,
            xx: &self.xx + &(sign * &other.xx),
            xy: &self.xy + &(sign * &other.xy),
        }
    }

    /// Weights and intercept of `min |y - Xw|^2 + penalty * n * |w|^2` on centred data.
    fn solve(&self, penalty: f64) -> Result<Solution, PredictError> {
        let mean = &self.x / self.n;
        let column = mean.view().insert_axis(Axis(1));
        let mut system = &self.xx - &(column.dot(&column.t()) * self.n);
        let target = &self.xy - &(&mean * self.y);
        system.diag_mut().mapv_inplace(|v| v + penalty * self.n);
        // Householder steps walk down columns, which is three times faster if they are contiguous.
        let system = system.t().as_standard_layout().into_owned().reversed_axes();
        let fit = LinearRegression::new().with_intercept(false).fit(&Dataset::new(system, target));
        let fit = fit.map_err(|e| PredictError::Fit { name: "ridge", reason: e.to_string() })?;
        let weights = fit.params().clone();
        let intercept = self.y / self.n - weights.dot(&mean);
        Ok(Solution { weights, intercept })
    }
}

struct Solution {
    weights: Array1<f64>,
    intercept: f64,
}

/// Fits with the penalty per row whose held-out predictions have the least `loss`. Among penalties within one percent of the
/// least loss, the first one wins.
pub(crate) fn fit(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    penalties: &[f64],
    folds: &Folds,
    loss: &dyn Fn(&Array1<f64>) -> f64,
) -> Result<Ridge, PredictError> {
    let parts: Vec<Moments> = (0..folds.len())
        .map(|f| {
            Moments::of(&rows(x, folds.held_out(f)), y.select(Axis(0), folds.held_out(f)).view())
        })
        .collect();
    let whole = parts[1..].iter().fold(parts[0].clone(), |sum, part| sum.combine(part, 1.0));
    let solve = |fold: usize| {
        let kept = whole.combine(&parts[fold], -1.0);
        penalties.iter().map(|&penalty| kept.solve(penalty)).collect::<Result<Vec<_>, _>>()
    };
    let solutions = (0..folds.len()).map(solve).collect::<Result<Vec<_>, _>>()?;
    let held_out = held_out(x, folds, &solutions);
    let losses: Vec<f64> = held_out.columns().into_iter().map(|c| loss(&c.to_owned())).collect();
    let best = earliest_near_least(&losses, 0.01);
    let Solution { weights, intercept } = whole.solve(penalties[best])?;
    Ok(Ridge { weights, intercept, held_out: held_out.column(best).to_owned() })
}

/// For each row and penalty the prediction of the fit without the row's fold, `[n_rows, n_penalties]`.
fn held_out(x: ArrayView2<f32>, folds: &Folds, solutions: &[Vec<Solution>]) -> Array2<f64> {
    let mut all = Array2::zeros((x.nrows(), solutions[0].len()));
    for (fold, solutions) in solutions.iter().enumerate() {
        let codes = rows(x, folds.held_out(fold));
        let views: Vec<_> = solutions.iter().map(|s| s.weights.view()).collect();
        let weights = ndarray::stack(Axis(1), &views).expect("solutions have one length");
        let intercepts: Array1<f64> = solutions.iter().map(|s| s.intercept).collect();
        let predictions = codes.dot(&weights) + &intercepts;
        for (&row, values) in folds.held_out(fold).iter().zip(predictions.rows()) {
            all.row_mut(row).assign(&values);
        }
    }
    all
}

/// The first index whose loss is at most `1 + slack` times the least loss.
pub(crate) fn earliest_near_least(losses: &[f64], slack: f64) -> usize {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    losses.iter().position(|&l| l <= least * (1.0 + slack)).unwrap_or(0)
}

fn rows(x: ArrayView2<f32>, rows: &[usize]) -> Array2<f64> {
    x.select(Axis(0), rows).mapv(f64::from)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const PLAIN: [f64; 1] = [0.5];

    fn squared(y: &Array1<f64>) -> impl Fn(&Array1<f64>) -> f64 {
        let y = y.clone();
        move |p| (p - &y).mapv(|e| e * e).sum()
    }

    #[test]
    fn one_column_has_the_textbook_solution() {
        // Centred x: -1.5 -0.5 0.5 1.5, scatter 5, covariance with y 10: w = 10 / (5 + 0.5 * 4).
        let x = array![[0.0f32], [1.0], [2.0], [3.0]];
        let y = array![1.0, 3.0, 5.0, 7.0];
        let fit = fit(x.view(), y.view(), &PLAIN, &Folds::new(4, 2, 0), &squared(&y)).unwrap();
        assert!((fit.weights[0] - 10.0 / 7.0).abs() < 1e-12);
        assert!((fit.intercept - (4.0 - 1.5 * 10.0 / 7.0)).abs() < 1e-12);
    }

    #[test]
    fn held_out_rows_are_predicted_without_their_fold() {
        let x = array![[0.0f32], [1.0], [2.0], [3.0], [7.0], [4.0]];
        let y = array![1.0, 3.0, 5.5, 7.0, 2.0, 8.0];
        let folds = Folds::new(6, 3, 1);
        let whole = fit(x.view(), y.view(), &PLAIN, &folds, &squared(&y)).unwrap();
        for fold in 0..3 {
            let kept = folds.kept(fold);
            let (xk, yk) = crate::folds::select(x.view(), y.view(), &kept);
            let part =
                fit(xk.view(), yk.view(), &PLAIN, &Folds::new(4, 2, 0), &squared(&yk)).unwrap();
            for &row in folds.held_out(fold) {
                let expected = f64::from(x[[row, 0]]) * part.weights[0] + part.intercept;
                assert!((whole.held_out[row] - expected).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn constant_and_collinear_columns_do_no_harm() {
        // Columns: constant, a, 1 - a.
        let x = array![[1.0f32, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]];
        let y = array![2.0, 4.0, 2.0, 4.0];
        let fit = fit(x.view(), y.view(), &[1e-8], &Folds::new(4, 2, 3), &squared(&y)).unwrap();
        assert!(fit.weights[0].abs() < 1e-9);
        assert!((fit.weights[1] - 1.0).abs() < 1e-6 && (fit.weights[2] + 1.0).abs() < 1e-6);
    }

    #[test]
    fn earliest_wins_among_equals() {
        assert_eq!(earliest_near_least(&[1.005, 1.0, 2.0], 0.01), 0);
        assert_eq!(earliest_near_least(&[1.1, 1.0, 2.0], 0.01), 1);
        assert_eq!(earliest_near_least(&[f64::NAN], 0.01), 0);
    }
}
