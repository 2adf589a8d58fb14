//! Separable and dilated convolutions.

use lat_space::OpSpec;
use tch::{Tensor, nn};

use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// `ReLU`, depthwise, 1x1, BN.
#[derive(Debug)]
struct DepthwisePointwise {
    dw: Conv,
    pw: Conv,
    bn: BatchNorm,
}

impl DepthwisePointwise {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let xs = self.pw.forward(&self.dw.forward_t(&xs.relu(), train));
        self.bn.forward_t(&xs, train)
    }
}

/// Separable convolution: `ReLU`, depthwise, 1x1, BN, all twice; the first has the stride.
#[derive(Debug)]
pub(crate) struct SepConv([DepthwisePointwise; 2]);

impl SepConv {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, k: u8) -> Self {
        let stack = |n: u8, c_out: u32, stride: u8| DepthwisePointwise {
            dw: Conv::depthwise(&b.init, &(path / format!("dw{n}")), spec.c_in, k).stride(stride),
            pw: b.conv(&(path / format!("pw{n}")), spec.c_in, c_out, 1),
            bn: b.bn(&(path / format!("bn{n}")), c_out),
        };
        Self([stack(1, spec.c_in, spec.stride), stack(2, spec.c_out, 1)])
    }
}

impl Layer for SepConv {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let [first, second] = &self.0;
        second.forward_t(&first.forward_t(xs, train), train)
    }
}

/// Dilated convolution: `ReLU`, depthwise with dilation 2, 1x1, BN.
#[derive(Debug)]
pub(crate) struct DilConv(DepthwisePointwise);

impl DilConv {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, k: u8) -> Self {
        let dw = Conv::depthwise(&b.init, &(path / "dw"), spec.c_in, k);
        Self(DepthwisePointwise {
            dw: dw.stride(spec.stride).dilated(2),
            pw: b.conv(&(path / "pw"), spec.c_in, spec.c_out, 1),
            bn: b.bn(&(path / "bn"), spec.c_out),
        })
    }
}

impl Layer for DilConv {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.0.forward_t(xs, train)
    }
}
