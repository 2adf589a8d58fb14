use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::members::Members;

/// Rows predicted at once, to bound memory.
const CHUNK: usize = 8192;

/// The space in which a model is linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// The target itself: costs of parts add up.
    Plain,
    /// Its natural logarithm: costs of parts multiply, and errors count relative to the target.
    Log,
}

/// Target to standardised value and back: `(f(y) - mu) / sd`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standard {
    pub(crate) scale: Scale,
    pub(crate) mu: f64,
    pub(crate) sd: f64,
}

impl Standard {
    /// Mean and spread of these targets; a constant target has spread 1.
    pub(crate) fn of(scale: Scale, y: ArrayView1<f64>) -> Self {
        let t = y.mapv(|y| if scale == Scale::Log { y.ln() } else { y });
        let mu = t.sum() / t.len() as f64;
        let sd = t.mapv(|t| (t - mu).powi(2)).sum() / t.len() as f64;
        // Rounding leaves a constant target a spread of about 1e-16 of its mean.
        let is_constant = sd.sqrt() <= 1e-12 * mu.abs().max(f64::MIN_POSITIVE);
        Self { scale, mu, sd: if is_constant { 1.0 } else { sd.sqrt() } }
    }

    pub(crate) fn apply(&self, y: ArrayView1<f64>) -> Array1<f64> {
        y.mapv(|y| (if self.scale == Scale::Log { y.ln() } else { y } - self.mu) / self.sd)
    }

    pub(crate) fn invert(&self, z: f64) -> f64 {
        let t = z * self.sd + self.mu;
        if self.scale == Scale::Log { t.exp() } else { t }
    }

    fn invert_tensor(&self, z: &Tensor) -> Tensor {
        let t = z * self.sd + self.mu;
        if self.scale == Scale::Log { t.exp() } else { t }
    }
}

/// A differentiable predictor without its label: a linear part and, where it helps, networks that add a correction.
/// `y = invert(weights . x + intercept + mean over members)`. No tensor in it requires a gradient.
#[derive(Debug)]
pub(crate) struct Model {
    /// `[n_features, 1]`.
    pub(crate) weights: Tensor,
    pub(crate) intercept: f64,
    pub(crate) members: Option<Members>,
    pub(crate) standard: Standard,
    /// Least prediction reported: half of the least training target. Nothing below was seen, and a linear part extrapolated
    /// below zero would be no cost at all. The differentiable output is not cut.
    pub(crate) floor: f64,
    /// Mean relative error of held-out predictions while fitting, percent; each counts 100 % at most.
    pub(crate) validation_error: f64,
}

impl Model {
    pub(crate) fn n_features(&self) -> usize {
        self.weights.size()[0] as usize
    }

    /// Code `[b, n_features]` to cost `[b]`, differentiable with respect to the code.
    pub(crate) fn forward(&self, code: &Tensor) -> Tensor {
        let linear = code.matmul(&self.weights).squeeze_dim(-1) + self.intercept;
        let z = match &self.members {
            Some(members) => linear + members.forward(code),
            None => linear,
        };
        self.standard.invert_tensor(&z)
    }

    /// Predictions to report: not below the floor.
    pub(crate) fn predict(&self, codes: ArrayView2<f32>) -> Array1<f64> {
        let device = self.weights.device();
        let mut all = Vec::with_capacity(codes.nrows());
        for chunk in codes.axis_chunks_iter(ndarray::Axis(0), CHUNK) {
            let costs = tch::no_grad(|| self.forward(&to_tensor(chunk).to_device(device)));
            all.extend(to_vec(&costs).into_iter().map(|y| f64::from(y).max(self.floor)));
        }
        all.into()
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            weights: self.weights.to_device(device),
            members: self.members.as_ref().map(|m| m.to_device(device)),
            ..*self
        }
    }
}

/// Rows as a CPU tensor `[n, n_features]`.
pub(crate) fn to_tensor(rows: ArrayView2<f32>) -> Tensor {
    let (n, width) = rows.dim();
    let rows = rows.as_standard_layout();
    let values = rows.as_slice().expect("standard layout is contiguous");
    Tensor::from_slice(values).view([n as i64, width as i64])
}

/// The values of a tensor, flat.
pub(crate) fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(Device::Cpu).to_kind(tch::Kind::Float).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat float tensor is a vector")
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn standard_scores_go_there_and_back() {
        let y = array![1.0, 10.0, 100.0];
        for scale in [Scale::Plain, Scale::Log] {
            let standard = Standard::of(scale, y.view());
            let z = standard.apply(y.view());
            assert!(z.sum().abs() < 1e-12 && (z.mapv(|z| z * z).sum() - 3.0).abs() < 1e-12);
            for (y, z) in y.iter().zip(&z) {
                assert!((standard.invert(*z) / y - 1.0).abs() < 1e-12);
            }
        }
        assert_eq!(Standard::of(Scale::Plain, array![0.1, 0.1, 0.1].view()).sd, 1.0);
    }

    #[test]
    fn forward_is_the_formula_and_reports_have_a_floor() {
        let model = Model {
            weights: Tensor::from_slice(&[1.0f32, 2.0]).view([2, 1]),
            intercept: -1.0,
            members: None,
            standard: Standard { scale: Scale::Plain, mu: 5.0, sd: 10.0 },
            floor: 4.0,
            validation_error: 0.0,
        };
        let codes = array![[1.0f32, 1.0], [0.0, 0.0]];
        assert_eq!(to_vec(&model.forward(&to_tensor(codes.view()))), [25.0, -5.0]);
        assert_eq!(model.predict(codes.view()), array![25.0, 4.0]);
    }
}
