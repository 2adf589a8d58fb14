use ndarray::Array1;
use tch::{Device, Kind, Tensor};

/// What the parts of an architecture cost by linear models: per part the sum of weight times code.
///
/// Where the costs of branches do not add up, a network would have to find the branches first, among as many directions as the
/// code has columns. The linear costs of decisions and cells are the few directions in which that is most likely.
#[derive(Debug)]
pub(crate) struct Subtotals {
    /// `[k, n_features, n_subtotals]`: per linear model the map from the code to subtotals of unit spread.
    pub(crate) weights: Tensor,
    /// `[k, 1, n_subtotals]`: their means over the rows.
    pub(crate) means: Tensor,
}

impl Subtotals {
    /// Subtotals over these parts, for each of the linear models; scaled by codes `[n, n_features]`.
    pub(crate) fn new(x: &Tensor, parts: &[Vec<usize>], models: &[Array1<f64>]) -> Self {
        let (n_rows, n_features) = x.size2().expect("codes are a matrix");
        let (k, q) = (models.len(), parts.len());
        let mut values = vec![0.0f32; k * n_features as usize * q];
        for (model, map) in models.iter().zip(values.chunks_mut((n_features as usize * q).max(1))) {
            for (subtotal, part) in parts.iter().enumerate() {
                for &column in part {
                    map[column * q + subtotal] = model[column] as f32;
                }
            }
        }
        let raw = Tensor::from_slice(&values).view([k as i64, n_features, q as i64]);
        if k * q == 0 {
            let means = Tensor::zeros([k as i64, 1, q as i64], (Kind::Float, Device::Cpu));
            return Self { weights: raw, means };
        }
        let mean_code = x.mean_dim([0i64].as_slice(), true, None::<Kind>);
        // Spread of each subtotal from the codes' covariance, so that no matrix of all rows and models is needed.
        let centred = x - &mean_code;
        let covariance = centred.tr().matmul(&centred) / n_rows as f64;
        let variance =
            (covariance.matmul(&raw) * &raw).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
        // A part that never varies tells nothing; its scale stays finite.
        let spread = variance.clamp_min(0.0).sqrt();
        let scale = spread.gt(1e-6).to_kind(Kind::Float) / spread.clamp_min(1e-6);
        let weights = raw * scale;
        let means = mean_code.matmul(&weights);
        Self { weights, means }
    }

    /// Number of subtotals.
    pub(crate) fn len(&self) -> usize {
        self.weights.size()[2] as usize
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::model::to_vec;

    #[test]
    fn subtotals_have_mean_zero_and_unit_spread() {
        // Columns: two bits of one part, one of another, one that never changes.
        let codes = [[0.0f32, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]];
        let x = Tensor::from_slice(&codes.concat()).view([3, 4]);
        let models = [array![1.0, 2.0, -3.0, 4.0], array![2.0, 2.0, 0.5, 1.0]];
        let subtotals = Subtotals::new(&x, &[vec![0, 1], vec![2], vec![3]], &models);
        assert_eq!(subtotals.weights.size(), [2, 4, 3]);
        let values = to_vec(&(x.matmul(&subtotals.weights) - &subtotals.means));
        for model in values.chunks(9) {
            for column in 0..2 {
                let row = |r: usize| model[r * 3 + column];
                assert!((row(0) + row(1) + row(2)).abs() < 1e-5);
                assert!((row(0).powi(2) + row(1).powi(2) + row(2).powi(2) - 3.0).abs() < 1e-4);
            }
            assert_eq!([model[2], model[5], model[8]], [0.0; 3]);
        }
        // First model, first part: costs 2, 1 and 3, so 0, -1 and 1 over their spread.
        let unit = 1.5f32.sqrt();
        assert!(values[0].abs() < 1e-5 && (values[3] + unit).abs() < 1e-5);
    }

    #[test]
    fn without_parts_there_are_none() {
        let x = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
        let subtotals = Subtotals::new(&x, &[], &[array![1.0, 1.0]]);
        assert!(subtotals.is_empty());
        assert_eq!(subtotals.weights.size(), [1, 2, 0]);
    }
}
