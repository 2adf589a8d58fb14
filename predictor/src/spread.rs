use ndarray::{Array1, ArrayView1};
use tch::{Device, Kind, Tensor};

use crate::posterior::Posterior;
use crate::scale::Standard;

/// Share of true values that an interval is to hold.
pub(crate) const COVERAGE: f64 = 0.9;
/// Half width of a normal 90 % interval in standard deviations.
pub(crate) const NORMAL_90: f64 = 1.644_853_626_951_472_2;
/// How far beyond the least known training row a code may lie before it counts as off the data.
const OFF_DATA: f64 = 1.5;

/// How far a prediction may be off: by the weights, drawn from their posterior, and by the noise of a measurement.
#[derive(Debug)]
pub(crate) struct Spread {
    /// Departures from the weights `[n_features, k]` and from the intercept `[k]`.
    pub(crate) draws: Tensor,
    pub(crate) intercepts: Tensor,
    /// Variance of the noise, of standardised targets, at the target that is `typical` on the model's scale; it is relative.
    pub(crate) noise: f64,
    pub(crate) typical: f64,
    /// Factor that makes intervals of `NORMAL_90` deviations hold the share `COVERAGE` of held-out rows (split conformal
    /// prediction with normalised residuals).
    pub(crate) calibration: f64,
    /// Variance by the weights alone beyond which a code is off the data.
    pub(crate) limit: f64,
}

impl Spread {
    pub(crate) fn new(
        posterior: &Posterior,
        kept: &[usize],
        n_features: usize,
        noise: f64,
        standard: &Standard,
        y: ArrayView1<f64>,
    ) -> Self {
        let k = posterior.intercept_draws.len();
        let mut draws = vec![0.0f32; n_features * k];
        for (row, &feature) in posterior.draws.chunks(k).zip(kept) {
            draws[feature * k..][..k].copy_from_slice(row);
        }
        let largest = posterior.held_out_variance.iter().copied().fold(0.0, f64::max);
        Self {
            draws: Tensor::from_slice(&draws).view([n_features as i64, k as i64]),
            intercepts: Tensor::from_slice(&posterior.intercept_draws),
            noise,
            typical: standard.scale.typical(y),
            calibration: 1.0,
            limit: OFF_DATA * OFF_DATA * largest,
        }
    }

    /// Learns the calibration from held-out rows: targets, predictions and deviations, all standardised.
    pub(crate) fn calibrate(&mut self, z: &Array1<f64>, held_out: &Array1<f64>, sd: &Array1<f64>) {
        let scores = z.iter().zip(held_out).zip(sd).map(|((z, p), sd)| (z - p).abs() / sd);
        let mut scores: Vec<f64> = scores.filter(|s| s.is_finite()).collect();
        scores.sort_by(f64::total_cmp);
        // The order statistic that makes the promise hold for the next row too.
        let rank = (COVERAGE * (scores.len() + 1) as f64).ceil() as usize;
        let score = scores.get(rank.clamp(1, scores.len().max(1)) - 1);
        self.calibration = score.map_or(1.0, |score| (score / NORMAL_90).max(1e-6));
    }

    /// Variance of the standardised prediction by its weights: features `[b, n_features]` to `[b]`, differentiable.
    pub(crate) fn by_weights(&self, features: &Tensor) -> Tensor {
        let departures = features.matmul(&self.draws) + &self.intercepts;
        departures.square().mean_dim([-1i64].as_slice(), false, None::<Kind>)
    }

    /// That of these features alone.
    pub(crate) fn keep(&self, features: &Tensor) -> Self {
        let intercepts = self.intercepts.shallow_clone();
        Self { draws: self.draws.index_select(0, features), intercepts, ..*self }
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            draws: self.draws.to_device(device),
            intercepts: self.intercepts.to_device(device),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;
