//! Batch normalisation.

use tch::{Kind, Tensor, nn};

use crate::WeightInit;
use crate::elastic::first;
use crate::recalibration::{Update, current_update};
use crate::reorder::reorder;
use crate::weight_arena::Fill;

/// Batch normalisation with `PyTorch`'s defaults where nothing else is said: eps 1e-5, momentum 0.1.
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

    /// Puts the channels in this order, their statistics too.
    pub(crate) fn reorder(&self, order: &Tensor) {
        let learnt = self.scale_shift.iter().flat_map(|(scale, shift)| [scale, shift]);
        let all = learnt.chain([&self.running_mean, &self.running_var]);
        all.for_each(|of_channel| reorder(of_channel, 0, order));
    }

    /// With another number added to the variance.
    pub(crate) fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// The same over the first channels, as many as there are in `[n, c, h, w]`; the statistics of the others stay as they are.
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

    /// `[n, c, h, w]` to the same shape.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
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

    /// Moves the statistics towards those of a batch while they are made anew.
    fn remember(&self, xs: &Tensor, update: Update) {
        tch::no_grad(|| {
            let of_channel = [0i64, 2, 3].as_slice();
            let (var, mean) =
                xs.to_kind(Kind::Float).var_mean_dim(of_channel, update.unbiased, false);
            for (old, new) in [(&self.running_mean, mean), (&self.running_var, var)] {
                let _ = old.shallow_clone().lerp_(&new, update.share);
            }
        });
    }
}
