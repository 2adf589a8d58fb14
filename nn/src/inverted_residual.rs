//! `MobileNetV2`'s inverted residual block.

use lat_space::OpSpec;
use tch::{Tensor, nn};

use crate::elastic::{ElasticLayer, Extent, Extents};
use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// 1x1 to the middle channels, BN, `ReLU`; depthwise with the stride, BN, `ReLU`; 1x1, BN; the input added where
/// [`OpSpec::adds_input`].
#[derive(Debug)]
pub(crate) struct InvertedResidual {
    expand: (Conv, BatchNorm),
    depthwise: (Conv, BatchNorm),
    project: (Conv, BatchNorm),
    adds_input: bool,
}

impl InvertedResidual {
    pub(crate) fn new(
        b: &LayerBuilder,
        path: &nn::Path,
        spec: &OpSpec,
        k: u8,
        middle: u32,
    ) -> Self {
        let depthwise = Conv::depthwise(&b.init, &(path / "dw"), middle, k).stride(spec.stride);
        Self {
            expand: (b.conv(&(path / "pw1"), spec.c_in, middle, 1), b.bn(&(path / "bn1"), middle)),
            depthwise: (depthwise, b.bn(&(path / "bn2"), middle)),
            project: (
                b.conv(&(path / "pw2"), middle, spec.c_out, 1),
                b.bn(&(path / "bn3"), spec.c_out),
            ),
            adds_input: spec.adds_input(),
        }
    }
}

impl Layer for InvertedResidual {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let conv_bn =
            |(conv, bn): &(Conv, BatchNorm), xs: &Tensor| bn.forward_t(&conv.forward(xs), train);
        // Assigned anew so that each map is gone once the next is there.
        let mut ys = conv_bn(&self.expand, xs);
        ys = ys.relu();
        ys = conv_bn(&self.depthwise, &ys);
        ys = ys.relu();
        ys = conv_bn(&self.project, &ys);
        if self.adds_input { ys + xs } else { ys }
    }
}

impl ElasticLayer for InvertedResidual {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor {
        let conv_bn = |(conv, bn): &(Conv, BatchNorm), xs: &Tensor, out: &Extent, k: &Extent| {
            bn.forward_first_t(&conv.forward_cut(xs, out, k), train)
        };
        let Extents { out, middle, kernel } = extents;
        let mut ys = conv_bn(&self.expand, xs, middle, &Extent::Full).relu();
        ys = conv_bn(&self.depthwise, &ys, &Extent::Full, kernel).relu();
        // Here and not before: BN's shift would fill masked channels again.
        ys = middle.mask(ys);
        ys = out.mask(conv_bn(&self.project, &ys, out, &Extent::Full));
        if self.adds_input { ys + xs } else { ys }
    }
}
