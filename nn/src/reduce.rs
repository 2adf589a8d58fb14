//! Layers between cells that halve the number of pixels.

use lat_space::{OpSpec, REDUCTION_GROUPS};
use tch::{Tensor, nn};

use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// Factorised reduction: `ReLU`, two 1x1 convolutions with stride 2 of which the second sees the input shifted by one pixel,
/// concat, BN.
#[derive(Debug)]
pub(crate) struct FactorizedReduce {
    convs: [Conv; 2],
    bn: BatchNorm,
}

impl FactorizedReduce {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        let half = spec.c_out / 2;
        let conv = |name: &str, c_out| b.conv(&(path / name), spec.c_in, c_out, 1).stride(2);
        Self {
            convs: [conv("conv1", half), conv("conv2", spec.c_out - half)],
            bn: b.bn(&(path / "bn"), spec.c_out),
        }
    }
}

impl Layer for FactorizedReduce {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let xs = xs.relu();
        let (_, _, h, w) = xs.size4().expect("images have four dimensions");
        let shifted = xs.narrow(2, 1, h - 1).narrow(3, 1, w - 1);
        // If the size is odd, the shifted map lacks the last row and column; zeros replace them.
        let shifted = if h % 2 == 1 { shifted.constant_pad_nd([0, 1, 0, 1]) } else { shifted };
        let ys = Tensor::cat(&[self.convs[0].forward(&xs), self.convs[1].forward(&shifted)], 1);
        self.bn.forward_t(&ys, train)
    }
}

/// GDAS' fixed reduction (Dong and Yang 2019): `ReLU`, two grouped convolutions that halve one direction each, BN, `ReLU`, 1x1, BN.
#[derive(Debug)]
pub(crate) struct ReductionConv {
    halves: [Conv; 2],
    bn1: BatchNorm,
    pw: Conv,
    bn2: BatchNorm,
}

impl ReductionConv {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec) -> Self {
        let OpSpec { c_in, c_out, .. } = *spec;
        let half = |name: &str, channels, kernel, strides| {
            let path = path / name;
            Conv::rectangular(&b.init, &path, channels, kernel, REDUCTION_GROUPS).strides(strides)
        };
        Self {
            halves: [
                half("conv1", [c_in, c_out], [1, 3], [1, 2]),
                half("conv2", [c_out, c_out], [3, 1], [2, 1]),
            ],
            bn1: b.bn(&(path / "bn1"), c_out),
            pw: b.conv(&(path / "pw"), c_out, c_out, 1),
            bn2: b.bn(&(path / "bn2"), c_out),
        }
    }
}

impl Layer for ReductionConv {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let ys = self.halves[1].forward(&self.halves[0].forward(&xs.relu()));
        let ys = self.bn1.forward_t(&ys, train).relu();
        self.bn2.forward_t(&self.pw.forward(&ys), train)
    }
}
