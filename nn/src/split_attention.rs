//! `ResNeSt`'s bottleneck with split attention, and its shortcut.

use lat_space::{Norm, OpSpec, SplitAttention as Block};
use tch::{Tensor, nn};

use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// The layers of a [`lat_space::SplitAttention`].
#[derive(Debug)]
pub(crate) struct SplitAttention {
    block: Block,
    first: (Conv, BatchNorm),
    splits: (Conv, BatchNorm),
    attention: (Conv, BatchNorm, Conv),
    halves: bool,
    last: (Conv, BatchNorm),
}

impl SplitAttention {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, block: Block) -> Self {
        let OpSpec { c_in, c_out, stride, .. } = *spec;
        let Block { radix, cardinality, width } = block;
        let within = block.within();
        let conv = |name: &str, channels, k, groups| {
            Conv::grouped(&b.init, &(path / name), channels, k, groups)
        };
        let bn = |name: &str, c| b.bn_of(&(path / name), c, Norm::Affine);
        let fc = |name: &str, channels| {
            conv(name, channels, 1, cardinality).biased(&b.init, &(path / name))
        };
        let splits = width * radix;
        Self {
            first: (conv("pw1", [c_in, width], 1, 1), bn("bn1", width)),
            splits: (conv("splits", [width, splits], 3, radix * cardinality), bn("bn2", splits)),
            attention: (
                fc("fc1", [width, within]),
                bn("bn_fc", within),
                fc("fc2", [within, splits]),
            ),
            halves: stride > 1,
            last: (conv("pw2", [width, c_out], 1, 1), bn("bn3", c_out)),
            block,
        }
    }

    /// The weighted sum of the splits `[n, radix * c, h, w]`.
    fn attend(&self, splits: &Tensor, train: bool) -> Tensor {
        let radix = i64::from(self.block.radix);
        // The number of images is left open, so that a trace works for any number.
        let (_, c, h, w) = splits.size4().expect("images have four dimensions");
        let parts = splits.view([-1, radix, c / radix, h, w]);
        let mean = parts.sum_dim_intlist([1i64].as_slice(), false, parts.kind()).mean_dim(
            [2i64, 3].as_slice(),
            true,
            parts.kind(),
        );
        let (fc1, bn, fc2) = &self.attention;
        let weights = fc2.forward(&bn.forward_t(&fc1.forward(&mean), train).relu());
        let weights = self.normalised(&weights.view([-1, c]));
        let weighted = parts * weights.view([-1, radix, c / radix, 1, 1]);
        weighted.sum_dim_intlist([1i64].as_slice(), false, splits.kind())
    }

    /// A softmax over the splits, or a sigmoid if there is one split; `[n, cardinality * radix * c]` to
    /// `[n, radix * cardinality * c]`.
    fn normalised(&self, weights: &Tensor) -> Tensor {
        let (_, c) = weights.size2().expect("two dimensions");
        let Block { radix, cardinality, .. } = self.block;
        if radix == 1 {
            return weights.sigmoid();
        }
        let (cardinality, radix) = (i64::from(cardinality), i64::from(radix));
        let by_split = weights.view([-1, cardinality, radix, c / (cardinality * radix)]);
        by_split.transpose(1, 2).softmax(1, weights.kind()).reshape([-1, c])
    }
}

impl Layer for SplitAttention {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let conv_bn =
            |(conv, bn): &(Conv, BatchNorm), xs: &Tensor| bn.forward_t(&conv.forward(xs), train);
        let ys = conv_bn(&self.first, xs).relu();
        let ys = conv_bn(&self.splits, &ys).relu();
        let mut ys = self.attend(&ys, train);
        if self.halves {
            ys = ys.avg_pool2d([3, 3], [2, 2], [1, 1], false, true, None::<i64>);
        }
        conv_bn(&self.last, &ys)
    }
}

/// The average of 2x2 pixels if the block halves the map, rounding up; 1x1 convolution, BN.
#[derive(Debug)]
pub(crate) struct PoolConvBn {
    stride: i64,
    conv: Conv,
    bn: BatchNorm,
}

impl PoolConvBn {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        Self {
            stride: i64::from(spec.stride),
            conv: b.conv(&(path / "conv"), spec.c_in, spec.c_out, 1),
            bn: b.bn_of(&(path / "bn"), spec.c_out, Norm::Affine),
        }
    }
}

impl Layer for PoolConvBn {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let stride = [self.stride; 2];
        let pooled = match self.stride {
            1 => xs.shallow_clone(),
            _ => xs.avg_pool2d(stride, stride, [0, 0], true, false, None::<i64>),
        };
        self.bn.forward_t(&self.conv.forward(&pooled), train)
    }
}
