//! Several networks of the same shape as one, for prediction.

use tch::{Kind, Tensor};

use super::members::Members;

/// [`Members`] laid out for prediction. All first layers read the same rows, so they form one matrix, and one product packs the
/// rows once instead of once per member. Each later layer is one batched product, which also adds the biases.
#[derive(Debug)]
pub(crate) struct Fused {
    /// `[n_inputs, k * n_1]` and `[k * n_1]`.
    first: (Tensor, Tensor),
    /// Number of members and width of the first layer.
    size: [i64; 2],
    /// Weights `[k, n_in, n_out]` and biases `[k, 1, n_out]` of the other layers.
    others: Vec<(Tensor, Tensor)>,
}

impl Fused {
    pub(crate) fn new(members: &Members) -> Self {
        let (first, others) = members.layers.split_first().expect("members have layers");
        let (weights, biases) = first;
        let size = weights.size();
        let (k, n_inputs, width) = (size[0], size[1], size[2]);
        let beside = weights.permute([1, 0, 2]).reshape([n_inputs, k * width]);
        let others = others.iter().map(|(w, b)| (w.shallow_clone(), b.shallow_clone()));
        Self {
            first: (beside, biases.reshape([k * width])),
            size: [k, width],
            others: others.collect(),
        }
    }

    /// From inputs `[b, n_inputs]` to the average of the members `[b]`.
    pub(crate) fn forward(&self, inputs: &Tensor) -> Tensor {
        self.run(inputs).mean_dim([0i64].as_slice(), false, None::<Kind>)
    }

    /// The average of the members and the variance among them, `[b]` each.
    pub(crate) fn forward_with_variance(&self, inputs: &Tensor) -> (Tensor, Tensor) {
        let outputs = self.run(inputs);
        let mean = outputs.mean_dim([0i64].as_slice(), false, None::<Kind>);
        let variance = (outputs - &mean).square().mean_dim([0i64].as_slice(), false, None::<Kind>);
        (mean, variance)
    }

    /// From inputs `[b, n_inputs]` to each member's output `[k, b]`.
    fn run(&self, inputs: &Tensor) -> Tensor {
        let (weights, biases) = &self.first;
        let [k, width] = self.size;
        // This is a view: the next product reads the members' columns in place.
        let first = biases.addmm(inputs, weights).view([-1, k, width]).transpose(0, 1);
        let next = |mut h: Tensor, (weights, biases): &(Tensor, Tensor)| {
            // `silu` is smooth, so the gradient that a search follows does not jump. It may work in place because nothing else
            // uses `h`.
            let _ = h.silu_();
            biases.baddbmm(&h, weights, 1, 1)
        };
        self.others.iter().fold(first, next).squeeze_dim(-1)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::to_vec;

    fn members(widths: &[i64]) -> Members {
        let normal = |size: [i64; 3]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let layer = |w: &[i64]| (normal([3, w[0], w[1]]) * 0.3, normal([3, 1, w[1]]));
        Members { layers: widths.windows(2).map(layer).collect() }
    }

    #[test]
    fn fused_members_are_the_members() {
        let inputs = Tensor::randn([7, 5], (Kind::Float, Device::Cpu));
        for widths in [&[5, 1][..], &[5, 4, 1], &[5, 8, 6, 1]] {
            let members = members(widths);
            let fused = Fused::new(&members);
            let (mean, variance) = fused.forward_with_variance(&inputs);
            let outputs = members.run(&inputs.unsqueeze(0));
            let plain = outputs.mean_dim([0i64].as_slice(), false, None::<Kind>);
            let plain_variance = outputs.var_dim([0i64].as_slice(), false, false);
            for (found, expected) in
                [(&mean, &plain), (&variance, &plain_variance), (&fused.forward(&inputs), &plain)]
            {
                let found = to_vec(found);
                assert_eq!(found.len(), 7);
                assert!(found.iter().zip(to_vec(expected)).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn slopes_reach_the_inputs() {
        let members = members(&[4, 6, 5, 1]);
        let slope = |run: &dyn Fn(&Tensor) -> Tensor| {
            let inputs = Tensor::ones([2, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            run(&inputs).sum(Kind::Float).backward();
            to_vec(&inputs.grad())
        };
        let fused = Fused::new(&members);
        let plain = |x: &Tensor| members.run(&x.unsqueeze(0)) / 3.0;
        let (found, expected) = (slope(&|x| fused.forward(x)), slope(&plain));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5 && *a != 0.0));
    }
}
