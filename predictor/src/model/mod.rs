//! The formula of a predictor: linear part, networks, scale of the target.

pub(crate) mod columns;
pub(crate) mod correction;
pub(crate) mod feature_walk;
pub(crate) mod fused;
pub(crate) mod members;
pub(crate) mod scale;
pub(crate) mod spread;

use ndarray::{Array1, ArrayView2};
use tch::{Device, Tensor};

use correction::{Correction, scattered};
use scale::Standard;
use spread::{NORMAL_90, Spread};

/// Rows that are predicted at once, to bound memory.
const CHUNK: usize = 8192;

/// A differentiable predictor on features, without its label: a linear part and, if they help, networks that add a correction. `y
/// = invert(weights . x + intercept + mean over members)`. No tensor in it requires a gradient.
#[derive(Debug)]
pub(crate) struct Model {
    /// `[n_features, 1]`.
    pub(crate) weights: Tensor,
    pub(crate) intercept: f64,
    pub(crate) correction: Option<Correction>,
    pub(crate) standard: Standard,
    /// The smallest prediction that is reported: half of the smallest training target. Smaller costs were never seen, and a
    /// linear part that extrapolates below zero gives no sensible cost. The differentiable output has no floor.
    pub(crate) floor: f64,
    /// Average relative error of held-out predictions during fitting, percent; each row counts at most 100 %.
    pub(crate) validation_error: f64,
    /// Uncertainty of predictions, if the fit gives it.
    pub(crate) spread: Option<Spread>,
}

/// Predictions for reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Costs `[n]` in the column's unit.
    pub values: Vec<f64>,
    /// Their standard deviations `[n]` in the same unit, including the noise of a measurement; NaN if the fit gives none.
    pub sds: Vec<f64>,
    /// Whether each code is far from the training data.
    pub is_off_data: Vec<bool>,
}

impl Predictions {
    /// Lower and upper end of the 90 % interval of prediction `i`, not below zero; NaN if the fit gives no deviation.
    pub fn interval(&self, i: usize) -> (f64, f64) {
        let (value, reach) = (self.values[i], NORMAL_90 * self.sds[i]);
        let low = if reach.is_nan() { f64::NAN } else { (value - reach).max(0.0) };
        (low, value + reach)
    }

    /// Percentage of these measured costs (in the order of the predictions) that lie in the predictions' 90 % intervals. None if
    /// there are no rows or no deviations.
    pub fn coverage_90(&self, truth: &[f64]) -> Option<f64> {
        let all = self.values.iter().zip(&self.sds).zip(truth);
        let inside = all.filter(|((value, sd), t)| (*t - *value).abs() <= NORMAL_90 * *sd).count();
        let is_known = !truth.is_empty() && self.sds.iter().all(|sd| sd.is_finite());
        is_known.then(|| 100.0 * inside as f64 / truth.len() as f64)
    }
}

impl Model {
    pub(crate) fn n_features(&self) -> usize {
        self.weights.size()[0] as usize
    }

    /// From features `[b, n_features]` to cost `[b]`, differentiable with respect to the features.
    pub(crate) fn forward(&self, features: &Tensor) -> Tensor {
        let linear = self.linear(features);
        let z = match &self.correction {
            Some(correction) => linear + correction.forward(features),
            None => linear,
        };
        self.standard.invert_tensor(&z)
    }

    fn linear(&self, features: &Tensor) -> Tensor {
        features.matmul(&self.weights).squeeze_dim(-1) + self.intercept
    }

    /// The cost and the standard deviation of a measurement around it, `[b]` each and differentiable. If the fit gives no
    /// deviation, it is 0.
    pub(crate) fn forward_with_sd(&self, features: &Tensor) -> (Tensor, Tensor) {
        let (z, variance) = self.standardised(features);
        let cost = self.standard.invert_tensor(&z);
        let Some(spread) = &self.spread else {
            let zeros = cost.zeros_like();
            return (cost, zeros);
        };
        let noise = self.standard.relative_noise(&z, spread.typical) * spread.noise;
        // The clamp keeps the root's gradient finite if nothing is uncertain.
        let uncertain = (variance + noise).clamp_min(f64::from(f32::MIN_POSITIVE));
        let sd = uncertain.sqrt() * self.standard.slope(&cost) * spread.calibration;
        (cost, sd)
    }

    /// Standardised prediction `[b]`, and its variance `[b]` because it was learnt from few rows.
    fn standardised(&self, features: &Tensor) -> (Tensor, Tensor) {
        let linear = self.linear(features);
        let variance = match &self.spread {
            Some(spread) => spread.by_weights(features),
            None => linear.zeros_like(),
        };
        match &self.correction {
            Some(correction) => {
                let (mean, among) = correction.forward_with_variance(features);
                (linear + mean, variance + among)
            }
            None => (linear, variance),
        }
    }

    /// Predictions for reports: not below the floor.
    pub(crate) fn predict(&self, features: &Tensor) -> Vec<f64> {
        let costs = tch::no_grad(|| self.forward(features));
        to_vec(&costs).into_iter().map(|y| cut(f64::from(y), self.floor)).collect()
    }

    /// Predictions for reports with deviations, and whether codes are off the data.
    pub(crate) fn predict_with_sd(&self, features: &Tensor) -> Predictions {
        let (costs, sds) = tch::no_grad(|| self.forward_with_sd(features));
        let values: Vec<f64> =
            to_vec(&costs).into_iter().map(|y| cut(f64::from(y), self.floor)).collect();
        let Some(spread) = &self.spread else {
            let n = values.len();
            return Predictions { values, sds: vec![f64::NAN; n], is_off_data: vec![false; n] };
        };
        let by_weights = tch::no_grad(|| to_vec(&spread.by_weights(features)));
        let is_off = |v: f32| f64::from(v) > spread.limit;
        Predictions {
            values,
            sds: to_vec(&sds).into_iter().map(f64::from).collect(),
            is_off_data: by_weights.into_iter().map(is_off).collect(),
        }
    }

    /// Numbers of the features that the model uses, ascending.
    pub(crate) fn used(&self) -> Vec<usize> {
        let mut used: Vec<bool> = to_vec(&self.weights).iter().map(|w| *w != 0.0).collect();
        if let Some(correction) = &self.correction {
            correction.inputs.iter().for_each(|&i| used[i] = true);
        }
        (0..used.len()).filter(|&j| used[j]).collect()
    }

    /// The model in terms of these features only.
    pub(crate) fn keep(&self, features: &[usize]) -> Self {
        let index = Tensor::from_slice(&features.iter().map(|&f| f as i64).collect::<Vec<_>>());
        Self {
            weights: self.weights.index_select(0, &index),
            correction: self.correction.as_ref().map(|c| c.keep(features)),
            spread: self.spread.as_ref().map(|s| s.keep(&index)),
            ..*self
        }
    }

    /// The model, without deviations, in terms of `n` values; feature `i` is value `places[i]`.
    pub(crate) fn of_values(&self, places: &[usize], n: usize) -> Self {
        Self {
            weights: scattered(&self.weights, places, n),
            correction: self.correction.as_ref().map(|c| c.of_values(places, n)),
            spread: None,
            ..*self
        }
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            weights: self.weights.to_device(device),
            correction: self.correction.as_ref().map(|c| c.to_device(device)),
            spread: self.spread.as_ref().map(|s| s.to_device(device)),
            ..*self
        }
    }
}

/// From codes `[n, n_features]` to costs `[n]`, some thousand rows at a time.
pub(crate) fn predict_codes(model: &Model, codes: ArrayView2<f32>) -> Array1<f64> {
    let device = model.weights.device();
    let chunks = codes.axis_chunks_iter(ndarray::Axis(0), CHUNK);
    chunks.flat_map(|chunk| model.predict(&to_tensor(chunk).to_device(device))).collect()
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

/// The values of a CPU tensor in double precision, flat.
pub(crate) fn doubles(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(tch::Kind::Double).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat tensor of numbers is a vector")
}

/// A cost for reports: at least the floor. NaN stays NaN, so that it is noticed and not taken for the floor.
pub(crate) fn cut(cost: f64, floor: f64) -> f64 {
    if cost < floor { floor } else { cost }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::model::scale::Scale;

    #[test]
    fn coverage_counts_rows_within_the_interval() {
        let predictions = Predictions {
            values: vec![1.0, 2.0, 3.0, 4.0],
            sds: vec![0.1; 4],
            is_off_data: vec![false; 4],
        };
        assert_eq!(predictions.coverage_90(&[1.16, 1.84, 3.17, 4.0]), Some(75.0));
        assert_eq!(predictions.coverage_90(&[]), None);
        let unknown = Predictions { sds: vec![f64::NAN; 4], ..predictions };
        assert_eq!(unknown.coverage_90(&[1.0, 2.0, 3.0, 4.0]), None);
    }

    #[test]
    fn forward_is_the_formula_and_reports_have_a_floor() {
        let model = Model {
            weights: Tensor::from_slice(&[1.0f32, 2.0]).view([2, 1]),
            intercept: -1.0,
            correction: None,
            standard: Standard { scale: Scale::Plain, mu: 5.0, sd: 10.0 },
            floor: 4.0,
            validation_error: 0.0,
            spread: None,
        };
        let codes = array![[1.0f32, 1.0], [0.0, 0.0]];
        assert_eq!(to_vec(&model.forward(&to_tensor(codes.view()))), [25.0, -5.0]);
        assert_eq!(predict_codes(&model, codes.view()), array![25.0, 4.0]);
    }
}
