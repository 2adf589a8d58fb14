//! How uncertain a prediction is.

use tch::{Device, Kind, Tensor};

/// Share of true values that an interval should contain.
pub(crate) const COVERAGE: f64 = 0.9;
/// Half width of a normal 90 % interval in standard deviations.
pub(crate) const NORMAL_90: f64 = 1.644_853_626_951_472_2;
/// The uncertainty of a prediction: that of the weights, as draws from their posterior, and the noise of a measurement.
#[derive(Debug)]
pub(crate) struct Spread {
    /// Differences of the drawn weights `[n_features, k]` and intercepts `[k]` from their means.
    pub(crate) draws: Tensor,
    pub(crate) intercepts: Tensor,
    /// Variance of the noise of standardised targets, at the target `typical` (on the model's scale); the noise is relative.
    pub(crate) noise: f64,
    pub(crate) typical: f64,
    /// Factor that makes intervals of `NORMAL_90` deviations contain the share `COVERAGE` of held-out rows (split conformal
    /// prediction with normalised residuals).
    pub(crate) calibration: f64,
    /// If the variance due to the weights exceeds this, a code is off the data.
    pub(crate) limit: f64,
}

impl Spread {
    /// Learns the calibration factor. A score is the number of deviations by which a held-out prediction is off.
    pub(crate) fn calibrate(&mut self, scores: Vec<f64>) {
        let score = conformal_score(scores);
        self.calibration = score.map_or(1.0, |score| (score / NORMAL_90).max(1e-6));
    }

    /// Variance of the standardised prediction due to the weights: from features `[b, n_features]` to `[b]`, differentiable.
    pub(crate) fn by_weights(&self, features: &Tensor) -> Tensor {
        let departures = features.matmul(&self.draws) + &self.intercepts;
        departures.square().mean_dim([-1i64].as_slice(), false, None::<Kind>)
    }

    /// The standard deviation due to noise only, relative to the cost, if the model predicts the cost itself.
    pub(crate) fn relative(&self) -> f64 {
        self.noise.sqrt() / self.typical * self.calibration
    }

    /// The spread in terms of these features only.
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

/// The score below which the share `COVERAGE` of future rows should lie, from the scores of held-out rows. None if no score is
/// finite.
pub(crate) fn conformal_score(mut scores: Vec<f64>) -> Option<f64> {
    scores.retain(|s| s.is_finite());
    scores.sort_by(f64::total_cmp);
    // With this order statistic the promise holds for the next row too.
    let rank = (COVERAGE * (scores.len() + 1) as f64).ceil() as usize;
    scores.get(rank.clamp(1, scores.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests;
