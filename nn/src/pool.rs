//! Pooling.

use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use crate::kernels::Kernels;
use crate::{BatchNorm, Layer, LayerBuilder, Phase};

/// Max or average pooling. BN follows in a search if the space asks for it, and always if the operation includes it.
#[derive(Debug)]
pub(crate) struct Pool {
    op: Op,
    stride: i64,
    kernels: Kernels,
    bn: Option<BatchNorm>,
}

impl Pool {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        let always = matches!(spec.op, Op::MaxPoolBn { .. });
        let normalised = always || b.phase == Phase::Search && b.pools_normalised;
        Self {
            op: spec.op,
            stride: i64::from(spec.stride),
            kernels: Kernels::of(&b.init),
            bn: normalised.then(|| b.bn(&(path / "bn"), spec.c_out)),
        }
    }
}

impl Layer for Pool {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let moves = |k: u8| (i64::from(k), self.stride);
        let ys = match self.op {
            Op::MaxPool { k } | Op::MaxPoolBn { k } => self.kernels.max_pool(xs, moves(k), train),
            Op::AvgPool { k } => self.kernels.avg_pool(xs, moves(k), train),
            op => unreachable!("{op:?} is no pool"),
        };
        match &self.bn {
            Some(bn) => bn.forward_t(&ys, train),
            None => ys,
        }
    }
}
