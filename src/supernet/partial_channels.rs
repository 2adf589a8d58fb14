//! PC-DARTS' partial channel connections: 1/K of the channels go through the mixed op, the others bypass it.

use lat_nn::LayerBuilder;
use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use super::gates::Gate;
use super::mixed_op::{AllChannels, BuildMixedOp, MixedOp, WeightedSum};

/// Builds mixed operations whose candidates see `1 / divisor` of the channels.
#[derive(Debug, Clone, Copy)]
pub struct PartialChannels {
    /// K in the paper.
    pub divisor: u32,
}

impl BuildMixedOp for PartialChannels {
    fn check(&self, candidate: &OpSpec) -> Result<(), String> {
        let (k, c) = (self.divisor, candidate.c_in);
        if c % k != 0 {
            return Err(format!(
                "expected channels divisible by divisor={k}, found {c}; choose another --channels or --set divisor"
            ));
        }
        // A factorised reduction computes each half of its output channels by a convolution of its own.
        if candidate.op == Op::FactorizedReduce && c / k < 2 {
            return Err(format!(
                "expected at least 2 channels behind divisor={k}, found {c} / {k}; choose more --channels or a smaller --set divisor"
            ));
        }
        Ok(())
    }

    fn uncuttable(&self) -> Option<&'static str> {
        (self.divisor > 1).then_some("operations see a part of the channels each")
    }

    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp> {
        // With K = 1 no channels bypass the operation, and libtorch cannot pool or concatenate a tensor without channels.
        if self.divisor == 1 {
            return AllChannels.build(builder, path, candidates);
        }
        let narrow: Vec<OpSpec> = candidates.iter().map(|c| c.narrowed(self.divisor)).collect();
        Box::new(PartialMix {
            mixed: WeightedSum::new(builder, path, &narrow),
            channels: i64::from(candidates[0].c_in / self.divisor),
            divisor: i64::from(self.divisor),
            stride: i64::from(candidates[0].stride),
        })
    }
}

#[derive(Debug)]
struct PartialMix {
    mixed: WeightedSum,
    /// C/K: channels that go through the mixed op.
    channels: i64,
    divisor: i64,
    stride: i64,
}

impl MixedOp for PartialMix {
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor {
        let all = xs.size()[1];
        let through = xs.narrow(1, 0, self.channels);
        let past = xs.narrow(1, self.channels, all - self.channels);
        let past = if self.stride == 1 {
            past
        } else {
            // Rounding up gives odd sizes the same result as in the candidates.
            past.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)
        };
        let mixed = self.mixed.forward_t(&through, &gate.without_edge(), train);
        let ys = shuffle(&Tensor::cat(&[mixed, past], 1), self.divisor);
        gate.weigh(ys)
    }
}

/// Channel shuffle: output channel `c * groups + g` is input channel `g * (C / groups) + c`.
pub fn shuffle(xs: &Tensor, groups: i64) -> Tensor {
    let (n, c, h, w) = xs.size4().expect("images have four dimensions");
    xs.view([n, groups, c / groups, h, w]).transpose(1, 2).reshape([n, c, h, w])
}
