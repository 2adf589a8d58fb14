//! The weights of the linear part given all rows, their uncertainty, and each row's prediction without the row.
//!
//! All in closed form: from the covariance of the rows if there are fewer rows than features, else from the precision of the
//! weights.

use ndarray::{ArrayView1, ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::evidence::{CONSTANT_VARIANCE, cholesky};
use super::robust;
use crate::PredictError;
use crate::model::doubles;
use crate::model::scale::Standard;
use crate::model::spread::Spread;

/// Number of weight vectors drawn from the posterior; with these their spread is known to within a tenth.
pub(crate) const DRAWS: i64 = 32;
/// Number of fits; each weights the rows by the errors of the previous one.
const ROUNDS: usize = 3;
/// From `MANY` rows per feature on, a fit to `SOME` rows per feature is enough to find disturbed rows.
const MANY: usize = 20;
const SOME: usize = 8;
/// Rows that are whitened at once, to bound memory.
const CHUNK: usize = 4096;

/// A code counts as off the data if its deviation exceeds that of the least certain training row by this factor.
const OFF_DATA: f64 = 1.5;

/// The regression problem to solve.
pub(crate) struct Problem<'a> {
    /// Codes `[n, n_features]`.
    pub(crate) x: ArrayView2<'a, f32>,
    /// Numbers of the features with a weight.
    pub(crate) kept: &'a [usize],
    /// For each kept feature its mean, and the factor that makes its weight's prior variance 1: the root of the variance times
    /// the feature's scale.
    pub(crate) means: &'a [f64],
    pub(crate) scales: &'a [f64],
    /// Standardised targets `[n]`.
    pub(crate) z: &'a [f64],
    /// Relative noise variance of each row, and the noise variance of a row for which that is 1.
    pub(crate) base: &'a [f64],
    pub(crate) noise: f64,
    pub(crate) seed: u64,
}

/// The solution; weights are those of raw features.
pub(crate) struct Posterior {
    /// `[n_kept]`.
    pub(crate) weights: Vec<f64>,
    pub(crate) intercept: f64,
    /// For each row the prediction of the fit without it.
    pub(crate) held_out: Vec<f64>,
    /// For each row the variance of that prediction, without the row's noise.
    pub(crate) held_out_variance: Vec<f64>,
    /// Differences of drawn weights from their means: `[n_kept, DRAWS]` row by row, and those of the intercept `[DRAWS]`.
    pub(crate) draws: Vec<f32>,
    pub(crate) intercept_draws: Vec<f32>,
}

impl Posterior {
    /// The uncertainty of predictions. `kept` are the features with a weight among `n_features`; `noise` is the variance of a
    /// standardised target at the typical target.
    pub(crate) fn spread(
        &self,
        kept: &[usize],
        n_features: usize,
        noise: f64,
        standard: &Standard,
        y: ArrayView1<f64>,
    ) -> Spread {
        let k = self.intercept_draws.len();
        let mut draws = vec![0.0f32; n_features * k];
        for (row, &feature) in self.draws.chunks(k).zip(kept) {
            draws[feature * k..][..k].copy_from_slice(row);
        }
        let largest = self.held_out_variance.iter().copied().fold(0.0, f64::max);
        Spread {
            draws: Tensor::from_slice(&draws).view([n_features as i64, k as i64]),
            intercepts: Tensor::from_slice(&self.intercept_draws),
            noise,
            typical: standard.scale.typical(y),
            calibration: 1.0,
            limit: OFF_DATA * OFF_DATA * largest,
        }
    }
}

/// A solution in whitened features; the constant is the last one.
struct Solution {
    theta: Tensor,
    /// Held-out errors, and the variances of held-out predictions.
    errors: Vec<f64>,
    variances: Vec<f64>,
    /// `[n_whitened, DRAWS]`.
    draws: Option<Tensor>,
}

pub(crate) fn solve(problem: &Problem<'_>) -> Result<Posterior, PredictError> {
    let width = problem.kept.len();
    let noise_of = |base: &[f64]| base.iter().map(|w| w * problem.noise).collect::<Vec<f64>>();
    if problem.z.len() > MANY * (width + 1) {
        // With so many rows, single rows hardly change the fit, so a fit to some of them is enough to find the disturbed ones.
        let some = problem.z.len().min(SOME * (width + 1));
        let errors = problem.errors_of_some(some, &noise_of(problem.base))?;
        let weights = robust::weights(&errors, problem.base);
        return Ok(problem.finish(&problem.primal(&noise_of(&weights), true)?));
    }
    let mut base = problem.base.to_vec();
    for _ in 1..ROUNDS {
        let solution = problem.solve_once(width, &noise_of(&base), false)?;
        base = robust::weights(&solution.errors, problem.base);
    }
    Ok(problem.finish(&problem.solve_once(width, &noise_of(&base), true)?))
}

impl Problem<'_> {
    fn solve_once(
        &self,
        width: usize,
        noise: &[f64],
        wants_draws: bool,
    ) -> Result<Solution, PredictError> {
        if self.z.len() <= width {
            self.dual(noise, wants_draws)
        } else {
            self.primal(noise, wants_draws)
        }
    }

    /// Errors on all rows of a fit to the first `some` of them.
    fn errors_of_some(&self, some: usize, noise: &[f64]) -> Result<Vec<f64>, PredictError> {
        let (factor, moment) = self.normal_equations(some, noise)?;
        let theta = moment.unsqueeze(-1).cholesky_solve(&factor, false).squeeze_dim(-1);
        let errors = chunks(self.z.len()).flat_map(|(from, to)| {
            let fitted = doubles(&self.whitened(from, to).matmul(&theta));
            self.z[from..to].iter().zip(fitted).map(|(z, f)| z - f).collect::<Vec<f64>>()
        });
        Ok(errors.collect())
    }

    /// Cholesky factor of the precision of the weights given the first `n` rows, and the right-hand side to solve for.
    fn normal_equations(&self, n: usize, noise: &[f64]) -> Result<(Tensor, Tensor), PredictError> {
        let width = self.kept.len() as i64 + 1;
        let mut precision = Tensor::eye(width, (Kind::Double, tch::Device::Cpu));
        let mut moment = Tensor::zeros([width], (Kind::Double, tch::Device::Cpu));
        for (from, to) in chunks(n) {
            let features = self.whitened(from, to);
            let weighted = &features / Tensor::from_slice(&noise[from..to]).unsqueeze(-1);
            precision += features.tr().matmul(&weighted);
            moment += weighted.tr().matmul(&Tensor::from_slice(&self.z[from..to]));
        }
        Ok((cholesky(&precision)?, moment))
    }

    /// Rows in terms of features whose weights have prior variance 1, and a constant: `[rows, n_kept + 1]`.
    fn whitened(&self, from: usize, to: usize) -> Tensor {
        let width = self.kept.len() + 1;
        let mut values = Vec::with_capacity((to - from) * width);
        for row in self.x.slice_axis(Axis(0), (from..to).into()).rows() {
            for ((&j, mean), scale) in self.kept.iter().zip(self.means).zip(self.scales) {
                values.push((f64::from(row[j]) - mean) * scale);
            }
            values.push(CONSTANT_VARIANCE.sqrt());
        }
        Tensor::from_slice(&values).view([(to - from) as i64, width as i64])
    }

    fn dual(&self, noise: &[f64], wants_draws: bool) -> Result<Solution, PredictError> {
        let features = self.whitened(0, self.z.len());
        let noise_t = Tensor::from_slice(noise);
        let covariance = features.matmul(&features.tr()) + Tensor::diag(&noise_t, 0);
        let inverse = cholesky(&covariance)?.cholesky_inverse(false);
        let alpha = inverse.matmul(&Tensor::from_slice(self.z));
        let diagonal = doubles(&inverse.diagonal(0, 0, 1));
        let errors = doubles(&alpha).iter().zip(&diagonal).map(|(a, d)| a / d).collect();
        let variances = diagonal.iter().zip(noise).map(|(d, n)| (1.0 / d - n).max(0.0)).collect();
        let draws = wants_draws.then(|| {
            // Matheron's rule: a draw from the prior, corrected by the rows.
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            let prior = normal(&mut rng, features.size()[1]);
            let noise = normal(&mut rng, features.size()[0]) * noise_t.sqrt().unsqueeze(-1);
            let seen = features.matmul(&prior) + noise;
            prior - features.tr().matmul(&inverse.matmul(&seen))
        });
        Ok(Solution { theta: features.tr().matmul(&alpha), errors, variances, draws })
    }

    fn primal(&self, noise: &[f64], wants_draws: bool) -> Result<Solution, PredictError> {
        let (n, width) = (self.z.len(), self.kept.len() as i64 + 1);
        let (factor, moment) = self.normal_equations(n, noise)?;
        let theta = moment.unsqueeze(-1).cholesky_solve(&factor, false).squeeze_dim(-1);
        let (mut errors, mut variances) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (from, to) in chunks(n) {
            let features = self.whitened(from, to);
            let fitted = doubles(&features.matmul(&theta));
            // f' P^-1 f = |L^-1 f|^2: the variance of the row's own prediction.
            let half = factor.linalg_solve_triangular(&features.tr(), false, true, false);
            let own =
                doubles(&half.square().sum_dim_intlist([0i64].as_slice(), false, Kind::Double));
            for (i, (fitted, own)) in fitted.iter().zip(own).enumerate() {
                let rest = (1.0 - own / noise[from + i]).max(1e-9);
                errors.push((self.z[from + i] - fitted) / rest);
                variances.push(own / rest);
            }
        }
        let draws = wants_draws.then(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            factor.tr().linalg_solve_triangular(&normal(&mut rng, width), true, true, false)
        });
        Ok(Solution { theta, errors, variances, draws })
    }

    /// Converts from whitened to raw features.
    fn finish(&self, solution: &Solution) -> Posterior {
        let theta = doubles(&solution.theta);
        let raw = |theta: &[f64]| -> (Vec<f64>, f64) {
            let weights: Vec<f64> = theta.iter().zip(self.scales).map(|(t, s)| t * s).collect();
            let shift: f64 = weights.iter().zip(self.means).map(|(w, m)| w * m).sum();
            (weights, theta[self.scales.len()] * CONSTANT_VARIANCE.sqrt() - shift)
        };
        let (weights, intercept) = raw(&theta);
        let n_draws = DRAWS as usize;
        let mut draws = vec![0.0f32; weights.len() * n_draws];
        let mut intercept_draws = vec![0.0f32; n_draws];
        if let Some(all) = &solution.draws {
            for (k, theta) in doubles(&all.tr()).chunks(weights.len() + 1).enumerate() {
                let (weights, intercept) = raw(theta);
                weights.iter().enumerate().for_each(|(j, w)| draws[j * n_draws + k] = *w as f32);
                intercept_draws[k] = intercept as f32;
            }
        }
        let held_out = self.z.iter().zip(&solution.errors).map(|(z, e)| z - e).collect();
        let held_out_variance = solution.variances.clone();
        Posterior { weights, intercept, held_out, held_out_variance, draws, intercept_draws }
    }
}

fn chunks(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(CHUNK).map(move |from| (from, n.min(from + CHUNK)))
}

/// Standard normal numbers `[n, DRAWS]` (Box and Muller).
fn normal(rng: &mut ChaCha8Rng, n: i64) -> Tensor {
    let mut draw = || {
        let (u, v): (f64, f64) = (rng.gen_range(1e-12..1.0), rng.gen_range(0.0..1.0));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let values: Vec<f64> = (0..n * DRAWS).map(|_| draw()).collect();
    Tensor::from_slice(&values).view([n, DRAWS])
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn codes(n: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, 6), |(i, j)| ((i * 7 + j * 13 + i * j * 5) % 11) as f32 / 11.0)
    }

    fn problem<'a>(x: &'a Array2<f32>, z: &'a [f64], base: &'a [f64]) -> Problem<'a> {
        Problem {
            x: x.view(),
            kept: &[0, 1, 2, 3, 4],
            means: &[0.5; 5],
            scales: &[0.7; 5],
            z,
            base,
            noise: 0.01,
            seed: 1,
        }
    }

    #[test]
    fn both_ways_to_solve_agree() {
        let x = codes(20);
        let z: Vec<f64> =
            (0..20).map(|i| f64::from(x[[i, 1]] - x[[i, 3]]) + 0.01 * (i % 3) as f64).collect();
        let base = [1.0; 20];
        let problem = problem(&x, &z, &base);
        let noise = vec![0.01; 20];
        let (dual, primal) =
            (problem.dual(&noise, true).unwrap(), problem.primal(&noise, true).unwrap());
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8);
        assert!(near(&doubles(&dual.theta), &doubles(&primal.theta)));
        assert!(near(&dual.errors, &primal.errors));
        assert!(near(&dual.variances, &primal.variances));
        // Draws of both kinds must have the spread known in closed form: that of each row's own prediction.
        let features = problem.whitened(0, 20);
        let spread = |draws: &Option<Tensor>| {
            let values = features.matmul(draws.as_ref().unwrap());
            values.square().mean(Kind::Double).double_value(&[]).sqrt()
        };
        let (a, b) = (spread(&dual.draws), spread(&primal.draws));
        assert!((a / b - 1.0).abs() < 0.4, "{a} {b}");
    }

    #[test]
    fn weights_are_those_of_raw_features() {
        let x = codes(400);
        let z: Vec<f64> =
            (0..400).map(|i| 2.0 + 3.0 * f64::from(x[[i, 1]]) - f64::from(x[[i, 4]])).collect();
        let base = vec![1.0; 400];
        let found = solve(&Problem { noise: 1e-6, ..problem(&x, &z, &base) }).unwrap();
        let expected = [0.0, 3.0, 0.0, 0.0, -1.0];
        assert!(
            found.weights.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-2),
            "{:?}",
            found.weights
        );
        assert!((found.intercept - 2.0).abs() < 1e-2);
        let error: f64 = z.iter().zip(&found.held_out).map(|(a, b)| (a - b).abs()).sum();
        assert!(error < 0.4, "{error}");
    }
}
