//! The correction that networks add to the linear part of a prediction.

use ndarray::ArrayView2;
use tch::{Device, Kind, Tensor};

use super::fused::Fused;
use super::members::Members;

/// The correction that networks add to the linear part. The networks read some features as they are, and subtotals of the linear
/// part.
///
/// If the costs of branches do not add up, a network would first have to find the branches, among as many directions as there are
/// features. The linear costs of parts of the network are the few directions that most likely matter.
#[derive(Debug)]
pub(crate) struct Correction {
    /// Numbers of the features that are read as they are, ascending.
    pub(crate) inputs: Vec<usize>,
    /// `inputs` as a tensor.
    index: Tensor,
    /// Map from features to subtotals with a standard deviation of 1, `[n_features, n_subtotals]`, and their means
    /// `[n_subtotals]`.
    pub(crate) subtotals: Tensor,
    pub(crate) means: Tensor,
    pub(crate) members: Members,
    fused: Fused,
}

impl Correction {
    pub(crate) fn new(
        inputs: Vec<usize>,
        subtotals: Tensor,
        means: Tensor,
        members: Members,
    ) -> Self {
        let index = indices(&inputs).to_device(subtotals.device());
        let fused = Fused::new(&members);
        Self { inputs, index, subtotals, means, members, fused }
    }

    /// Numbers of the features that are read as they are, `[n_inputs]`.
    pub(crate) fn index(&self) -> &Tensor {
        &self.index
    }

    /// From features `[b, n_features]` to the amount that is added to the standardised prediction, `[b]`.
    pub(crate) fn forward(&self, features: &Tensor) -> Tensor {
        self.fused.forward(&self.read(features))
    }

    /// The correction and the variance among the networks, `[b]` each.
    pub(crate) fn forward_with_variance(&self, features: &Tensor) -> (Tensor, Tensor) {
        self.fused.forward_with_variance(&self.read(features))
    }

    fn read(&self, features: &Tensor) -> Tensor {
        read(features, &self.index, &self.subtotals, &self.means)
    }

    /// The correction with the networks' output multiplied by a factor.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self::new(self.inputs, self.subtotals, self.means, self.members.scaled(factor))
    }

    /// The correction in terms of `n` other values; feature `i` is value `places[i]`.
    pub(crate) fn of_values(&self, places: &[usize], n: usize) -> Self {
        Self::new(
            self.inputs.iter().map(|&input| places[input]).collect(),
            scattered(&self.subtotals, places, n),
            self.means.shallow_clone(),
            self.members.to_device(self.subtotals.device()),
        )
    }

    /// The correction in terms of these features only, which must contain all inputs.
    pub(crate) fn keep(&self, features: &[usize]) -> Self {
        let place =
            |input: &usize| features.iter().position(|f| f == input).expect("inputs are kept");
        Self::new(
            self.inputs.iter().map(place).collect(),
            self.subtotals.index_select(0, &indices(features)),
            self.means.shallow_clone(),
            self.members.to_device(self.subtotals.device()),
        )
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self::new(
            self.inputs.clone(),
            self.subtotals.to_device(device),
            self.means.to_device(device),
            self.members.to_device(device),
        )
    }
}

/// The inputs of the networks, `[b, n_inputs + n_subtotals]`. `inputs` `[n_inputs]` are the features that are read as they are.
pub(crate) fn read(
    features: &Tensor,
    inputs: &Tensor,
    subtotals: &Tensor,
    means: &Tensor,
) -> Tensor {
    let totals = features.matmul(subtotals) - means;
    // If features are stored column by column, as for a long list of architectures, whole columns are copied and stay contiguous.
    if features.stride()[0] == 1 {
        let own = features.tr().index_select(0, inputs);
        return Tensor::cat(&[own, totals.tr()], 0).tr();
    }
    Tensor::cat(&[features.index_select(1, inputs), totals], 1)
}

/// Puts rows `[n_features, k]` at their places among `n` rows. Rows with the same place are added.
pub(crate) fn scattered(rows: &Tensor, places: &[usize], n: usize) -> Tensor {
    let zeros = Tensor::zeros([n as i64, rows.size()[1]], (Kind::Float, rows.device()));
    zeros.index_add(0, &indices(places).to_device(rows.device()), rows)
}

/// Numbers of features as an index tensor.
pub(crate) fn indices(values: &[usize]) -> Tensor {
    Tensor::from_slice(&values.iter().map(|&v| v as i64).collect::<Vec<_>>())
}

/// The linear costs of parts: the map `[n_features, n_parts]`, scaled by the spread over codes `[n, n_features]`, and the means.
pub(crate) fn subtotals(
    x: ArrayView2<f32>,
    weights: &[f32],
    parts: &[Vec<usize>],
) -> (Tensor, Tensor) {
    let n = x.nrows() as f64;
    let mut map = vec![0.0f32; weights.len() * parts.len()];
    let mut means = vec![0.0f32; parts.len()];
    for (p, part) in parts.iter().enumerate() {
        let total = |row: ndarray::ArrayView1<f32>| -> f64 {
            part.iter().map(|&j| f64::from(row[j]) * f64::from(weights[j])).sum()
        };
        let totals: Vec<f64> = x.rows().into_iter().map(total).collect();
        let mean = totals.iter().sum::<f64>() / n;
        let spread = (totals.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt();
        // A part that never varies carries no information.
        let scale = if spread > 1e-6 { 1.0 / spread } else { 0.0 };
        for &j in part {
            map[j * parts.len() + p] = (f64::from(weights[j]) * scale) as f32;
        }
        means[p] = (mean * scale) as f32;
    }
    let size = [weights.len() as i64, parts.len() as i64];
    (Tensor::from_slice(&map).view(size), Tensor::from_slice(&means).to_kind(Kind::Float))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::model::to_vec;

    #[test]
    fn subtotals_have_mean_zero_and_unit_spread() {
        let x = array![[0.0f32, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]];
        let parts = [vec![0, 1], vec![2], vec![3]];
        let (map, means) = subtotals(x.view(), &[1.0, 2.0, -3.0, 4.0], &parts);
        let features = crate::model::to_tensor(x.view());
        let values = to_vec(&read(&features, &indices(&[3]), &map, &means));
        // Input 3 as it is, then the parts: costs 2, 1 and 3 become 0, -1 and 1 over their spread; the last part never varies.
        let unit = 1.5f32.sqrt();
        assert!(
            values[1].abs() < 1e-6
                && (values[5] + unit).abs() < 1e-5
                && (values[9] - unit).abs() < 1e-5
        );
        assert_eq!([values[0], values[3], values[7], values[11]], [1.0, 0.0, 0.0, 0.0]);
    }
}
