//! Linear regression with both penalties, L1 and L2.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_elasticnet::ElasticNet;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, ShapeBuilder};

use super::linear::Linear;
use super::ridge::{Ridge, earliest_near_least};
use crate::folds::{Folds, select, subset};
use crate::{PredictError, RegressorEntry};

const NAME: &str = "elastic-net";

/// The most rows that are fitted: each pass of the descent takes time in proportion to them, and the weights settle with far
/// fewer.
const MOST_ROWS: usize = 2000;
/// Penalties to choose from, for standardised targets, the strongest first. Half of each is on the absolute weights.
const PENALTIES: [f64; 6] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4];
const L1_RATIO: f64 = 0.5;
/// The most passes over the weights, and the tolerance (as a share of the targets' squares) at which the descent ends.
const PASSES: u32 = 200;
const TOLERANCE: f64 = 1e-4;

/// Weights that the data do not support are exactly zero.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "elastic net on the one-hot code (at most 2,000 rows): costs that rows don't speak for are zero",
    encoding: "one-hot",
    differentiable: true,
    is_candidate: false,
    build: |setup| Box::new(Linear::new(NAME, setup, solve)),
};

/// Fits with the penalty whose held-out predictions have the least loss; among those within one percent of it, the strongest.
fn solve(
    x: ArrayView2<f32>,
    z: ArrayView1<f64>,
    folds: &Folds,
    loss: &dyn Fn(&Array1<f64>) -> f64,
) -> Result<Ridge, PredictError> {
    let mut held_out = Array2::zeros((z.len(), PENALTIES.len()));
    for fold in 0..folds.len() {
        let kept = folds.kept(fold);
        let (x_held_out, _) = select(x, z, folds.held_out(fold));
        for (p, &penalty) in PENALTIES.iter().enumerate() {
            let (weights, intercept) = descend(x, z, &kept, penalty)?;
            let predicted = x_held_out.mapv(f64::from).dot(&weights) + intercept;
            for (&row, value) in folds.held_out(fold).iter().zip(predicted) {
                held_out[[row, p]] = value;
            }
        }
    }
    let losses: Vec<f64> = held_out.columns().into_iter().map(|c| loss(&c.to_owned())).collect();
    let best = earliest_near_least(&losses, 0.01);
    let all: Vec<usize> = (0..z.len()).collect();
    let (weights, intercept) = descend(x, z, &all, PENALTIES[best])?;
    Ok(Ridge { weights, intercept, held_out: held_out.column(best).to_owned() })
}

/// Weights and intercept by coordinate descent on `rows`, or on a subset if there are many.
fn descend(
    x: ArrayView2<f32>,
    z: ArrayView1<f64>,
    rows: &[usize],
    penalty: f64,
) -> Result<(Array1<f64>, f64), PredictError> {
    let rows: Vec<usize> = subset(rows.len(), MOST_ROWS, 0).into_iter().map(|i| rows[i]).collect();
    let (x, z) = select(x, z, &rows);
    // linfa centres only the targets. It reads `x` by columns, so they are made contiguous here.
    let mut centred = Array2::zeros(x.dim().f());
    centred.assign(&x.mapv(f64::from));
    let means = centred.sum_axis(Axis(0)) / rows.len() as f64;
    let mean = z.sum() / z.len() as f64;
    centred -= &means;
    let fit = ElasticNet::params()
        .penalty(penalty)
        .l1_ratio(L1_RATIO)
        .with_intercept(false)
        .max_iterations(PASSES)
        .tolerance(TOLERANCE)
        .fit(&Dataset::new(centred, z - mean));
    let fit = fit.map_err(|e| PredictError::Fit { name: NAME, reason: e.to_string() })?;
    let weights = fit.hyperplane().clone();
    let intercept = mean - weights.dot(&means);
    Ok((weights, intercept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setup;

    #[test]
    fn idle_columns_get_no_weight_and_the_intercept_is_right() {
        let x = Array2::from_shape_fn((128, 7), |(i, j)| (i >> j & 1) as f32);
        let y: Array1<f64> = x.rows().into_iter().map(|r| 6.0 + 4.0 * f64::from(r[1])).collect();
        let mut net = (ENTRY.build)(&Setup::default());
        net.fit(x.view(), y.view()).unwrap();
        let predicted = net.predict(x.view()).unwrap();
        assert!(predicted.iter().zip(&y).all(|(p, y)| (p - y).abs() < 0.02), "{predicted}");
        let weights = crate::model::to_vec(&net.differentiable().unwrap().0.weights);
        assert!(weights.iter().enumerate().all(|(j, w)| (j == 1) == (*w != 0.0)), "{weights:?}");
    }
}
