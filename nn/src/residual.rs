//! NAS-Bench-201's residual block.

use lat_space::OpSpec;
use tch::{Tensor, nn};

use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// NAS-Bench-201's block between stages: `ReLU`-conv3x3-BN twice (stride in the first) plus average pool and 1x1 convolution.
#[derive(Debug)]
pub(crate) struct ResidualBlock {
    body: [(Conv, BatchNorm); 2],
    shortcut: Conv,
}

impl ResidualBlock {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        let OpSpec { c_in, c_out, stride, .. } = *spec;
        Self {
            body: [
                (
                    b.conv(&(path / "conv1"), c_in, c_out, 3).stride(stride),
                    b.bn(&(path / "bn1"), c_out),
                ),
                (b.conv(&(path / "conv2"), c_out, c_out, 3), b.bn(&(path / "bn2"), c_out)),
            ],
            shortcut: b.conv(&(path / "shortcut"), c_in, c_out, 1),
        }
    }
}

impl Layer for ResidualBlock {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let ys = self.body.iter().fold(xs.shallow_clone(), |ys, (conv, bn)| {
            bn.forward_t(&conv.forward(&ys.relu()), train)
        });
        // Rounding up, so that odd sizes match those of the stride-2 convolution.
        let pooled = xs.avg_pool2d([2, 2], [2, 2], [0, 0], true, true, None::<i64>);
        ys + self.shortcut.forward(&pooled)
    }
}
