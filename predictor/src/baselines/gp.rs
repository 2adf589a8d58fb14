//! A Gaussian process.

use lat_data::median;
use ndarray::{Array1, ArrayView1, ArrayView2};
use tch::{Kind, Tensor};

use crate::folds::{select, subset};
use crate::model::scale::{Scale, Standard};
use crate::model::{doubles, to_tensor};
use crate::regressor::{check_codes, check_rows};
use crate::{PredictError, Regressor, RegressorEntry, Setup};

const NAME: &str = "gp";
/// The most rows that are fitted, and the most by which length and noise are chosen: time grows with the cube of their number.
const MOST_ROWS: usize = 2000;
const PILOT_ROWS: usize = 500;
/// Squared lengths to choose from, in units of the median squared distance of two rows, and variances of the noise, in units of
/// the targets' variance.
const LENGTHS: [f64; 6] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
const NOISES: [f64; 5] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/// Rows that are predicted at once, to bound memory.
const CHUNK: usize = 1024;

/// The usual kernel method. It is smooth, but far from all rows it predicts the average.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "Gaussian process with an RBF kernel on the one-hot code (at most 2,000 rows); for judging only",
    encoding: "one-hot",
    differentiable: false,
    is_candidate: false,
    build: |setup: &Setup| Box::new(GaussianProcess { setup: setup.clone(), fitted: None }),
};

/// Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1). Length and noise are chosen by the held-out errors,
/// which equations 5.10 to 5.12 of the book give without another fit.
#[derive(Debug)]
struct GaussianProcess {
    setup: Setup,
    fitted: Option<Fitted>,
}

#[derive(Debug)]
struct Fitted {
    /// The training rows, `[n, n_features]` and `[n]`, f64.
    rows: Tensor,
    alpha: Tensor,
    /// Squared length of the kernel.
    length: f64,
    standard: Standard,
}

impl Regressor for GaussianProcess {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let (x, y) = select(x, y, &subset(y.len(), MOST_ROWS, self.setup.seed));
        let standard = Standard::of(self.setup.scale.unwrap_or(Scale::Plain), y.view());
        let (pilot_x, pilot_y) =
            select(x.view(), y.view(), &subset(y.len(), PILOT_ROWS, self.setup.seed));
        let (length, noise) = choose(&doubled(pilot_x.view()), &standard.apply(pilot_y.view()))?;
        let rows = doubled(x.view());
        let covariance = kernel(&squared_distances(&rows, &rows), length);
        let z = Tensor::from_slice(&standard.apply(y.view()).to_vec());
        let factor = cholesky(&(covariance + Tensor::eye(rows.size()[0], double()) * noise))?;
        let alpha = z.unsqueeze(-1).cholesky_solve(&factor, false).squeeze_dim(-1);
        self.fitted = Some(Fitted { rows, alpha, length, standard });
        Ok(())
    }

    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        let fitted = self.fitted.as_ref().ok_or(PredictError::NotFitted { name: NAME })?;
        check_codes(x, fitted.rows.size()[1] as usize)?;
        let predict = |chunk: ArrayView2<f32>| {
            let distances = squared_distances(&doubled(chunk), &fitted.rows);
            doubles(&kernel(&distances, fitted.length).matmul(&fitted.alpha))
        };
        let z = x.axis_chunks_iter(ndarray::Axis(0), CHUNK).flat_map(predict);
        Ok(z.map(|z| fitted.standard.invert(z)).collect())
    }
}

/// The squared length and the noise with the smallest held-out errors.
fn choose(rows: &Tensor, z: &Array1<f64>) -> Result<(f64, f64), PredictError> {
    let distances = squared_distances(rows, rows);
    let unit = median(doubles(&distances)).unwrap_or(0.0).max(1e-6);
    let target = Tensor::from_slice(&z.to_vec());
    let mut best = (f64::INFINITY, unit, NOISES[0]);
    for length in LENGTHS.map(|l| l * unit) {
        let covariance = kernel(&distances, length);
        for noise in NOISES {
            let noisy = &covariance + Tensor::eye(rows.size()[0], double()) * noise;
            let inverse = cholesky(&noisy)?.cholesky_inverse(false);
            let errors = inverse.matmul(&target) / inverse.diagonal(0, 0, 1);
            let loss = errors.abs().mean(Kind::Double).double_value(&[]);
            if loss < best.0 {
                best = (loss, length, noise);
            }
        }
    }
    Ok((best.1, best.2))
}

/// The lower Cholesky factor.
fn cholesky(covariance: &Tensor) -> Result<Tensor, PredictError> {
    covariance
        .f_linalg_cholesky(false)
        .map_err(|error| PredictError::Fit { name: NAME, reason: error.to_string() })
}

/// `exp(-d / (2 l))` plus 1. The constant is shared by all rows: far from the rows, predictions tend to a mean that is not known
/// in advance.
fn kernel(squared_distances: &Tensor, length: f64) -> Tensor {
    (squared_distances * (-0.5 / length)).exp() + 1.0
}

/// Squared distances `[a, b]` between rows `[a, w]` and `[b, w]`.
fn squared_distances(a: &Tensor, b: &Tensor) -> Tensor {
    let square = |t: &Tensor| t.square().sum_dim_intlist([-1i64].as_slice(), false, Kind::Double);
    let sum = square(a).unsqueeze(-1) + square(b).unsqueeze(0);
    (sum - a.matmul(&b.tr()) * 2.0).clamp_min(0.0)
}

fn doubled(x: ArrayView2<f32>) -> Tensor {
    to_tensor(x).to_kind(Kind::Double)
}

fn double() -> (Kind, tch::Device) {
    (Kind::Double, tch::Device::Cpu)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    #[test]
    fn predicts_unseen_rows_of_a_smooth_function() {
        let x = Array2::from_shape_fn((256, 8), |(i, j)| ((i * 37 % 256) >> j & 1) as f32);
        let cost = |r: ndarray::ArrayView1<f32>| {
            5.0 + f64::from(r[0] + 2.0 * r[3]) + f64::from(r[1] * r[2])
        };
        let y: Array1<f64> = x.rows().into_iter().map(cost).collect();
        let mut gp = (ENTRY.build)(&Setup::default());
        gp.fit(x.slice(s![..200, ..]), y.slice(s![..200])).unwrap();
        let predicted = gp.predict(x.slice(s![200.., ..])).unwrap();
        let error = (predicted - y.slice(s![200..])).mapv(f64::abs).mean().unwrap();
        // Predicting the average is off by 1.
        assert!(error < 0.05, "{error}");
    }
}
