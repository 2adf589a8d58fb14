//! Pooling.

use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use crate::{BatchNorm, Layer, LayerBuilder, Phase};

/// Max or average pooling. BN follows in a search if the space asks for it, and always if the operation includes it.
#[derive(Debug)]
pub(crate) struct Pool {
    op: Op,
    stride: i64,
    bn: Option<BatchNorm>,
}

impl Pool {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        let always = matches!(spec.op, Op::MaxPoolBn { .. });
        let normalised = always || b.phase == Phase::Search && b.pools_normalised;
        Self {
            op: spec.op,
            stride: i64::from(spec.stride),
            bn: normalised.then(|| b.bn(&(path / "bn"), spec.c_out)),
        }
    }
}

impl Layer for Pool {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let stride = [self.stride; 2];
        let ys = match self.op {
            Op::MaxPool { k } | Op::MaxPoolBn { k } => {
                let k = i64::from(k);
                xs.max_pool2d([k, k], stride, [k / 2; 2], [1, 1], false)
            }
            Op::AvgPool { k } => {
                let k = i64::from(k);
                // Padding does not count in the average: a map of ones stays ones at its corners.
                xs.avg_pool2d([k, k], stride, [k / 2; 2], false, false, None::<i64>)
            }
            op => unreachable!("{op:?} is no pool"),
        };
        match &self.bn {
            Some(bn) => bn.forward_t(&ys, train),
            None => ys,
        }
    }
}
