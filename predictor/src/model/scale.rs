//! The scale on which a model is linear: the target itself, its reciprocal or its logarithm.

use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The smallest reciprocal, relative to the average one. A linear part that extrapolates to zero or below must not give an
/// infinite cost.
pub(crate) const LEAST_RECIPROCAL: f64 = 1e-3;

/// Limits of a target's noise variance relative to a typical one's, because costs of all sizes are solved in one system of
/// equations.
const NOISES: (f64, f64) = (1e-6, 1e4);

/// The scale on which a model is linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// The target itself: costs of parts add up.
    Plain,
    /// Its reciprocal, for targets that are rates, such as images per second: the times behind them add up.
    Reciprocal,
    /// Its natural logarithm: costs of parts multiply, and errors count relative to the target.
    Log,
}

impl Scale {
    #[cfg(test)]
    /// All scales; those on which costs of parts add up come first.
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Reciprocal, Self::Log];

    fn apply(self, y: f64) -> f64 {
        match self {
            Self::Plain => y,
            Self::Reciprocal => 1.0 / y,
            Self::Log => y.ln(),
        }
    }

    /// If noise has the same relative size everywhere: its variance for each target on this scale, relative to that of a typical
    /// target. Relative noise grows with the target's square; on a logarithm it is the same everywhere.
    pub(crate) fn relative_noise(self, y: ArrayView1<f64>) -> Vec<f64> {
        let typical = self.typical(y);
        let noise = |&y: &f64| match self {
            Self::Log => 1.0,
            _ => (self.apply(y) / typical).powi(2).clamp(NOISES.0, NOISES.1),
        };
        y.iter().map(noise).collect()
    }

    /// The geometric mean of the targets, on this scale; relative noise is 1 there.
    pub(crate) fn typical(self, y: ArrayView1<f64>) -> f64 {
        let log_mean = y.iter().map(|y| y.ln()).sum::<f64>() / y.len() as f64;
        match self {
            Self::Plain => log_mean.exp(),
            Self::Reciprocal => (-log_mean).exp(),
            Self::Log => 1.0,
        }
    }
}

/// Converts a target to a standardised value and back: `(f(y) - mu) / sd`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standard {
    pub(crate) scale: Scale,
    pub(crate) mu: f64,
    pub(crate) sd: f64,
}

impl Standard {
    /// From the mean and spread of these targets; a constant target gets spread 1.
    pub(crate) fn of(scale: Scale, y: ArrayView1<f64>) -> Self {
        let t = y.mapv(|y| scale.apply(y));
        let mu = t.sum() / t.len() as f64;
        let sd = t.mapv(|t| (t - mu).powi(2)).sum() / t.len() as f64;
        // Because of rounding, a constant target has a spread of about 1e-16 of its mean.
        let is_constant = sd.sqrt() <= 1e-12 * mu.abs().max(f64::MIN_POSITIVE);
        Self { scale, mu, sd: if is_constant { 1.0 } else { sd.sqrt() } }
    }

    pub(crate) fn apply(&self, y: ArrayView1<f64>) -> Array1<f64> {
        y.mapv(|y| (self.scale.apply(y) - self.mu) / self.sd)
    }

    pub(crate) fn invert(&self, z: f64) -> f64 {
        let t = z * self.sd + self.mu;
        match self.scale {
            Scale::Plain => t,
            Scale::Reciprocal => 1.0 / t.max(LEAST_RECIPROCAL * self.mu),
            Scale::Log => t.exp(),
        }
    }

    /// Standardised values to targets, differentiable.
    pub(crate) fn invert_tensor(&self, z: &Tensor) -> Tensor {
        let t = z * self.sd + self.mu;
        match self.scale {
            Scale::Plain => t,
            Scale::Reciprocal => t.clamp_min(LEAST_RECIPROCAL * self.mu).reciprocal(),
            Scale::Log => t.exp(),
        }
    }

    /// The change of a target per change of a standardised value, given both; always above zero.
    pub(crate) fn slope(&self, cost: &Tensor) -> Tensor {
        match self.scale {
            Scale::Plain => cost.ones_like() * self.sd,
            Scale::Reciprocal => cost.square() * self.sd,
            Scale::Log => cost * self.sd,
        }
    }

    /// Noise variance at standardised predictions, relative to that at `typical`.
    pub(crate) fn relative_noise(&self, z: &Tensor, typical: f64) -> Tensor {
        match self.scale {
            Scale::Log => z.ones_like(),
            _ => ((z * self.sd + self.mu) / typical).square(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::model::to_vec;

    #[test]
    fn standard_scores_go_there_and_back() {
        let y = array![1.0, 10.0, 100.0];
        for scale in Scale::ALL {
            let standard = Standard::of(scale, y.view());
            let z = standard.apply(y.view());
            assert!(z.sum().abs() < 1e-12 && (z.mapv(|z| z * z).sum() - 3.0).abs() < 1e-12);
            let tensor = standard.invert_tensor(&Tensor::from_slice(&z.to_vec()));
            for ((y, z), t) in y.iter().zip(&z).zip(to_vec(&tensor)) {
                assert!((standard.invert(*z) / y - 1.0).abs() < 1e-12);
                assert!((f64::from(t) / y - 1.0).abs() < 1e-6);
            }
        }
        assert_eq!(Standard::of(Scale::Plain, array![0.1, 0.1, 0.1].view()).sd, 1.0);
    }

    #[test]
    fn slopes_are_those_of_the_inverse() {
        let y = array![1.0, 2.0, 5.0];
        for scale in Scale::ALL {
            let standard = Standard::of(scale, y.view());
            let z = standard.apply(y.view())[1];
            let measured = (standard.invert(z + 1e-6) - standard.invert(z - 1e-6)).abs() / 2e-6;
            let slope = standard.slope(&Tensor::from_slice(&[2.0f64])).double_value(&[0]);
            assert!((measured / slope - 1.0).abs() < 1e-5, "{scale:?}");
        }
    }

    #[test]
    fn noise_is_relative_to_the_target() {
        let y = array![1.0, 4.0];
        assert_eq!(Scale::Plain.relative_noise(y.view()), [0.25, 4.0]);
        assert_eq!(Scale::Reciprocal.relative_noise(y.view()), [4.0, 0.25]);
        assert_eq!(Scale::Log.relative_noise(y.view()), [1.0, 1.0]);
    }
}
