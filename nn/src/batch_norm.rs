//! Batch normalisation.

use tch::{Kind, Tensor, nn};

use crate::WeightInit;
use crate::elastic::first;
use crate::recalibration::{Update, current_update};
use crate::reorder::reorder;
use crate::synchronised::{MeanOverRanks, current_ranks};
use crate::weight_arena::Fill;

/// Batch normalisation. By default it has `PyTorch`'s settings: eps 1e-5, momentum 0.1.
#[derive(Debug)]
pub struct BatchNorm {
    scale_shift: Option<(Tensor, Tensor)>,
    running_mean: Tensor,
    running_var: Tensor,
    eps: f64,
}

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

impl BatchNorm {
    /// BN over `c` channels; `affine` adds the learnable scale and shift.
    pub(crate) fn new(init: &WeightInit, path: &nn::Path, c: u32, affine: bool) -> Self {
        let c = [i64::from(c)];
        match init {
            WeightInit::Uniform => Self {
                scale_shift: affine.then(|| (path.ones("weight", &c), path.zeros("bias", &c))),
                running_mean: path.zeros_no_train("running_mean", &c),
                running_var: path.ones_no_train("running_var", &c),
                eps: EPS,
            },
            WeightInit::Lent(loan) => Self {
                scale_shift: affine
                    .then(|| (loan.tensor(&c, Fill::Ones), loan.tensor(&c, Fill::Zeros))),
                running_mean: loan.tensor(&c, Fill::Zeros),
                running_var: loan.tensor(&c, Fill::Ones),
                eps: EPS,
            },
        }
    }

    /// Puts the channels, and their statistics, in this order.
    pub(crate) fn reorder(&self, order: &Tensor) {
        let learnt = self.scale_shift.iter().flat_map(|(scale, shift)| [scale, shift]);
        let all = learnt.chain([&self.running_mean, &self.running_var]);
        all.for_each(|of_channel| reorder(of_channel, 0, order));
    }

    /// Sets the number that is added to the variance.
    pub(crate) fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Applies BN over the first channels only, as many as `xs` `[n, c, h, w]` has. The statistics of the other channels stay as
    /// they are.
    pub(crate) fn forward_first_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let of = |all: &Tensor| first(all, 0, xs.size()[1]);
        let scale_shift = self.scale_shift.as_ref();
        let first = Self {
            scale_shift: scale_shift.map(|(scale, shift)| (of(scale), of(shift))),
            running_mean: of(&self.running_mean),
            running_var: of(&self.running_var),
            eps: self.eps,
        };
        first.forward_t(xs, train)
    }

    /// Applies BN to `[n, c, h, w]`.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        if let (true, Some(ranks)) = (train, current_ranks()) {
            return self.synchronised_t(xs, ranks.as_ref());
        }
        let momentum = match current_update() {
            Some(update) if train => {
                if update.share > 0.0 {
                    self.remember(xs, update);
                }
                0.0
            }
            _ => MOMENTUM,
        };
        xs.batch_norm(
            self.scale_shift.as_ref().map(|s| &s.0),
            self.scale_shift.as_ref().map(|s| &s.1),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            momentum,
            self.eps,
            true,
        )
    }

    /// Applies BN with the statistics over the images of all ranks together. All ranks have the same number of images.
    fn synchronised_t(&self, xs: &Tensor, ranks: &dyn MeanOverRanks) -> Tensor {
        let of_channel = [0i64, 2, 3].as_slice();
        let mean_of =
            |xs: &Tensor| ranks.differentiable_mean(&xs.mean_dim(of_channel, true, xs.kind()));
        let mean = mean_of(xs);
        let centred = xs - &mean;
        let var = mean_of(&centred.square());
        let n = (xs.numel() as f64 / xs.size()[1] as f64) * ranks.size() as f64;
        let update = current_update().unwrap_or(Update { share: MOMENTUM, unbiased: true });
        if update.share > 0.0 {
            let unbiased = if update.unbiased { n / (n - 1.0) } else { 1.0 };
            self.move_statistics(&mean.flatten(0, -1), &(&var * unbiased).flatten(0, -1), update);
        }
        let ys = centred * (var + self.eps).rsqrt();
        let channels = |of_channel: &Tensor| of_channel.view([1, -1, 1, 1]);
        match &self.scale_shift {
            Some((scale, shift)) => ys * channels(scale) + channels(shift),
            None => ys,
        }
    }

    /// Moves the statistics towards those of a batch while they are recalibrated.
    fn remember(&self, xs: &Tensor, update: Update) {
        tch::no_grad(|| {
            let of_channel = [0i64, 2, 3].as_slice();
            let (var, mean) =
                xs.to_kind(Kind::Float).var_mean_dim(of_channel, update.unbiased, false);
            self.move_statistics(&mean, &var, update);
        });
    }

    fn move_statistics(&self, mean: &Tensor, var: &Tensor, update: Update) {
        tch::no_grad(|| {
            for (old, new) in [(&self.running_mean, mean), (&self.running_var, var)] {
                let _ = old.shallow_clone().lerp_(new, update.share);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tch::Device;

    use super::*;
    use crate::synchronised;

    /// One rank only, so the mean is its own.
    #[derive(Debug)]
    struct Alone;

    impl MeanOverRanks for Alone {
        fn differentiable_mean(&self, xs: &Tensor) -> Tensor {
            xs.shallow_clone()
        }

        fn size(&self) -> i64 {
            1
        }
    }

    /// The results for these images, and for these weights of the output in a loss.
    fn found(
        [xs, wave]: [&Tensor; 2],
        scale: &Tensor,
        ranks: Option<Rc<dyn MeanOverRanks>>,
    ) -> Vec<Tensor> {
        let store = nn::VarStore::new(Device::Cpu);
        let bn = BatchNorm::new(&WeightInit::Uniform, &store.root(), 4, true).eps(1e-3);
        let weights = ["weight", "bias"].map(|name| store.variables()[name].shallow_clone());
        tch::no_grad(|| weights[0].shallow_clone().copy_(scale));
        let xs = xs.copy().set_requires_grad(true);
        let pass = || bn.forward_t(&(&xs * 2.0 + 3.0), true);
        let ys = match ranks {
            Some(ranks) => synchronised(&ranks, pass),
            None => pass(),
        };
        let of = [&xs, &weights[0], &weights[1]];
        let gradients = Tensor::run_backward(&[(&ys * wave).sum(Kind::Float)], &of, false, false);
        let statistics = ["running_mean", "running_var"].map(|name| store.variables()[name].copy());
        [ys.detach()].into_iter().chain(gradients).chain(statistics).collect()
    }

    #[test]
    fn synchronised_over_one_rank_is_batch_norm() {
        // Drawn once, because tests that run at the same time draw from the same generator.
        let drawn = [(); 2].map(|()| Tensor::randn([6, 4, 5, 5], tch::kind::FLOAT_CPU));
        let drawn = drawn.each_ref();
        let scale = Tensor::from_slice(&[0.5f32, 1.0, 1.5, 2.0]);
        let ours = found(drawn, &scale, Some(Rc::new(Alone)));
        for (ours, torchs) in ours.iter().zip(found(drawn, &scale, None)) {
            assert!(ours.allclose(&torchs, 1e-4, 1e-5, false), "{ours} {torchs}");
        }
    }
}
