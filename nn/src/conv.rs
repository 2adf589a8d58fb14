//! Convolutions.

use lat_space::OpSpec;
use tch::{Tensor, nn};

use crate::elastic::{ElasticLayer, Extent, Extents, first};
use crate::weight_arena::Fill;
use crate::{BatchNorm, Layer, LayerBuilder, WeightInit};

/// A convolution without bias; sizes are those of rows and columns.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: i64,
    groups: i64,
}

impl Conv {
    /// Full convolution `[c_in, c_out]`, stride 1, padding that keeps the size.
    pub(crate) fn new(init: &WeightInit, path: &nn::Path, channels: [u32; 2], k: u8) -> Self {
        Self::grouped(init, path, channels, k, 1)
    }

    /// Depthwise convolution over `c` channels.
    pub(crate) fn depthwise(init: &WeightInit, path: &nn::Path, c: u32, k: u8) -> Self {
        Self::grouped(init, path, [c, c], k, c)
    }

    fn grouped(
        init: &WeightInit,
        path: &nn::Path,
        [c_in, c_out]: [u32; 2],
        k: u8,
        groups: u32,
    ) -> Self {
        Self::rectangular(init, path, [c_in, c_out], [k, k], groups)
    }

    /// With a kernel of these sizes, and the padding that keeps the map's.
    pub(crate) fn rectangular(
        init: &WeightInit,
        path: &nn::Path,
        [c_in, c_out]: [u32; 2],
        kernel: [u8; 2],
        groups: u32,
    ) -> Self {
        let kernel = kernel.map(i64::from);
        let dims = [i64::from(c_out), i64::from(c_in / groups), kernel[0], kernel[1]];
        let fan_in = dims[1..].iter().product::<i64>();
        let bound = (fan_in as f64).sqrt().recip();
        let uniform = nn::Init::Uniform { lo: -bound, up: bound };
        let weight = match init {
            WeightInit::Uniform => path.var("weight", &dims, uniform),
            WeightInit::Lent(loan) => loan.tensor(&dims, Fill::He { fan_in }),
        };
        let padding = kernel.map(|k| (k - 1) / 2);
        Self { weight, stride: [1, 1], padding, dilation: 1, groups: i64::from(groups) }
    }

    pub(crate) fn stride(self, stride: u8) -> Self {
        self.strides([stride, stride])
    }

    pub(crate) fn strides(self, strides: [u8; 2]) -> Self {
        Self { stride: strides.map(i64::from), ..self }
    }

    /// Dilation, with the padding that keeps the size.
    pub(crate) fn dilated(self, dilation: i64) -> Self {
        Self { dilation, padding: self.padding.map(|p| p * dilation), ..self }
    }

    pub(crate) fn unpadded(self) -> Self {
        Self { padding: [0, 0], ..self }
    }

    /// `[n, c_in, h, w]` to `[n, c_out, h / stride, w / stride]`.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        self.convolve(xs, &self.weight, self.padding, self.groups)
    }

    /// The convolution cut down: it reads the first channels of its weights, as many as `xs` has, and keeps the part of its output and
    /// kernel that `out` and `kernel` say. A depthwise convolution has as many output channels as it reads.
    pub(crate) fn forward_cut(&self, xs: &Tensor, out: &Extent, kernel: &Extent) -> Tensor {
        let c = xs.size()[1];
        let (weight, groups) = if self.groups == 1 {
            (first(&out.slice(&self.weight), 1, c), 1)
        } else {
            (first(&self.weight, 0, c), c)
        };
        let padding = match kernel {
            Extent::First(side) => [(side - 1) / 2 * self.dilation; 2],
            Extent::Full | Extent::Masked(_) => self.padding,
        };
        self.convolve(xs, &kernel.of_kernel(&weight), padding, groups)
    }

    fn convolve(&self, xs: &Tensor, weight: &Tensor, padding: [i64; 2], groups: i64) -> Tensor {
        xs.conv2d(weight, None::<Tensor>, self.stride, padding, self.dilation, groups)
    }
}

/// Convolution, BN.
#[derive(Debug)]
pub(crate) struct ConvBn {
    conv: Conv,
    bn: BatchNorm,
}

impl ConvBn {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, k: u8) -> Self {
        Self {
            conv: b.conv(&(path / "conv"), spec.c_in, spec.c_out, k).stride(spec.stride),
            bn: b.bn(&(path / "bn"), spec.c_out),
        }
    }
}

impl Layer for ConvBn {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.bn.forward_t(&self.conv.forward(xs), train)
    }
}

impl ElasticLayer for ConvBn {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor {
        let ys = self.conv.forward_cut(xs, &extents.out, &extents.kernel);
        extents.out.mask(self.bn.forward_first_t(&ys, train))
    }
}

/// `ReLU`, convolution, BN.
#[derive(Debug)]
pub(crate) struct ReluConvBn(pub(crate) ConvBn);

impl Layer for ReluConvBn {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.0.forward_t(&xs.relu(), train)
    }
}

impl ElasticLayer for ReluConvBn {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor {
        self.0.forward_cut_t(&xs.relu(), extents, train)
    }
}
