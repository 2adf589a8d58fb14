//! The neck: a small network that turns features into queries and keys.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::contrast::normalised;
use crate::methods::tools::alphas::normals;

/// Average pool, linear, `ReLU`, linear, normalised to length one (`MoCo` v2's projection).
#[derive(Debug)]
pub(super) struct Neck {
    /// Weight `[n_out, n_in]` and bias `[n_out]` of each linear layer.
    layers: [(Tensor, Tensor); 2],
}

/// Names of the weights in the order of [`Neck::weights`].
pub(super) const NAMES: [&str; 4] =
    ["neck.0.weight", "neck.0.bias", "neck.2.weight", "neck.2.bias"];

impl Neck {
    /// A new neck for features of `width` channels, on the device and with the kind of `options`. As in the reference, weights
    /// follow He's rule for `ReLU` and biases are 0.
    pub(super) fn new(
        width: i64,
        [hidden, out]: [i64; 2],
        rng: &mut ChaCha8Rng,
        options: (Kind, Device),
    ) -> Self {
        let mut layer = |n_in: i64, n_out: i64| {
            let scale = (2.0 / n_in as f64).sqrt() as f32;
            let values: Vec<f32> =
                normals((n_in * n_out) as usize, rng).map(|value| scale * value).collect();
            let weight = Tensor::from_slice(&values).view([n_out, n_in]).to(options.1);
            let weight = weight.to_kind(options.0);
            let bias = Tensor::zeros([n_out], options);
            (weight.set_requires_grad(true), bias.set_requires_grad(true))
        };
        Self { layers: [layer(width, hidden), layer(hidden, out)] }
    }

    /// A copy that receives no gradients.
    pub(super) fn twin(&self) -> Self {
        let copy =
            |(weight, bias): &(Tensor, Tensor)| (weight.detach().copy(), bias.detach().copy());
        Self { layers: self.layers.each_ref().map(copy) }
    }

    /// Its weights.
    pub(super) fn weights(&self) -> Vec<Tensor> {
        let [(w0, b0), (w2, b2)] = &self.layers;
        [w0, b0, w2, b2].map(Tensor::shallow_clone).into()
    }

    /// `[n, c, h, w]` to `[n, out]`, each row of length one.
    pub(super) fn forward(&self, features: &Tensor) -> Tensor {
        let [(w0, b0), (w2, b2)] = &self.layers;
        let pooled = features.mean_dim([2i64, 3].as_slice(), false, features.kind());
        normalised(&pooled.linear(w0, Some(b0)).relu().linear(w2, Some(b2)))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_twin_answers_alike_without_gradients() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let neck = Neck::new(64, [256, 16], &mut rng, tch::kind::FLOAT_CPU);
        let features = Tensor::arange(3 * 64 * 4, tch::kind::FLOAT_CPU).sin().view([3, 64, 2, 2]);
        let (ours, theirs) = (neck.forward(&features), neck.twin().forward(&features));
        assert_eq!(ours.size(), [3, 16]);
        assert!(ours.equal(&theirs) && ours.requires_grad() && !theirs.requires_grad());
        let deviation = neck.weights()[0].std(false).double_value(&[]);
        assert!((deviation / (2.0f64 / 64.0).sqrt() - 1.0).abs() < 0.02, "{deviation}");
        let norms = ours.square().sum_dim_intlist(1, false, Kind::Float);
        assert!((norms - 1.0).abs().max().double_value(&[]) < 1e-6);
    }
}
