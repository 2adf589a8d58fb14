//! Convolutions.

use lat_space::{Activation, Norm, OpSpec};
use tch::{Kind, Tensor, nn};

use crate::activation::activate;
use crate::elastic::{ElasticLayer, Extent, Extents, first};
use crate::kernel_transform::KernelTransform;
use crate::kernels::Kernels;
use crate::reorder::reorder;
use crate::weight_arena::Fill;
use crate::{BatchNorm, Layer, LayerBuilder, WeightInit};

/// A convolution, mostly without bias. Pairs of sizes are for rows and columns.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: i64,
    groups: i64,
    /// How smaller kernels are made from this one; if None, they are its centre.
    transform: Option<KernelTransform>,
    kernels: Kernels,
}

impl Conv {
    /// A full convolution `[c_in, c_out]` with stride 1 and padding that keeps the size.
    pub(crate) fn new(init: &WeightInit, path: &nn::Path, channels: [u32; 2], k: u8) -> Self {
        Self::grouped(init, path, channels, k, 1)
    }

    /// A depthwise convolution over `c` channels.
    pub(crate) fn depthwise(init: &WeightInit, path: &nn::Path, c: u32, k: u8) -> Self {
        Self::grouped(init, path, [c, c], k, c)
    }

    /// A full convolution in groups.
    pub(crate) fn grouped(
        init: &WeightInit,
        path: &nn::Path,
        [c_in, c_out]: [u32; 2],
        k: u8,
        groups: u32,
    ) -> Self {
        Self::rectangular(init, path, [c_in, c_out], [k, k], groups)
    }

    /// A convolution with a kernel of these sizes, and padding that keeps the map's size.
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
        let groups = i64::from(groups);
        Self {
            weight,
            bias: None,
            stride: [1, 1],
            padding,
            dilation: 1,
            groups,
            transform: None,
            kernels: Kernels::of(init),
        }
    }

    /// Adds a bias, initialised as in `PyTorch`.
    pub(crate) fn biased(self, init: &WeightInit, path: &nn::Path) -> Self {
        let size = self.weight.size();
        let c_out = [size[0]];
        let bound = (size[1..].iter().product::<i64>() as f64).sqrt().recip();
        let uniform = nn::Init::Uniform { lo: -bound, up: bound };
        let bias = match init {
            WeightInit::Uniform => path.var("bias", &c_out, uniform),
            WeightInit::Lent(loan) => loan.tensor(&c_out, Fill::Zeros),
        };
        Self { bias: Some(bias), ..self }
    }

    /// Adds matrices under `path` that make kernels of these sides from the convolution's own kernel, which is the largest of
    /// them.
    pub(crate) fn transforming(self, path: &nn::Path, sides: &[i64]) -> Self {
        Self { transform: Some(KernelTransform::new(path, sides)), ..self }
    }

    pub(crate) fn stride(self, stride: u8) -> Self {
        self.strides([stride, stride])
    }

    pub(crate) fn strides(self, strides: [u8; 2]) -> Self {
        Self { stride: strides.map(i64::from), ..self }
    }

    /// Sets the dilation, with padding that keeps the size.
    pub(crate) fn dilated(self, dilation: i64) -> Self {
        Self { dilation, padding: self.padding.map(|p| p * dilation), ..self }
    }

    pub(crate) fn unpadded(self) -> Self {
        Self { padding: [0, 0], ..self }
    }

    /// Applies the convolution: `[n, c_in, h, w]` to `[n, c_out, h / stride, w / stride]`.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        self.forward_t(xs, false)
    }

    /// The same; a depthwise convolution that trains is computed by kernels of this project's own.
    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.convolve(xs, (&self.weight, self.bias.as_ref()), (self.padding, self.groups), train)
    }

    /// Applies the convolution cut down. It uses as many input channels of its weights as `xs` has, and the part of its output
    /// and kernel given by `out` and `kernel`. A depthwise convolution has as many output channels as input channels; one in
    /// groups keeps all output channels.
    pub(crate) fn forward_cut(&self, xs: &Tensor, out: &Extent, kernel: &Extent) -> Tensor {
        self.forward_cut_t(xs, out, kernel, false)
    }

    /// The same, computed as by [`Conv::forward_t`].
    pub(crate) fn forward_cut_t(
        &self,
        xs: &Tensor,
        out: &Extent,
        kernel: &Extent,
        train: bool,
    ) -> Tensor {
        let c = xs.size()[1];
        let (weight, groups) = match self.groups {
            1 => (first(&out.slice(&self.weight), 1, c), 1),
            groups if groups == self.weight.size()[0] => (first(&self.weight, 0, c), c),
            groups => (self.weight.shallow_clone(), groups),
        };
        let bias = self.bias.as_ref().map(|bias| first(bias, 0, weight.size()[0]));
        let padding = match kernel {
            Extent::First(side) => [(side - 1) / 2 * self.dilation; 2],
            Extent::Full | Extent::Masked(_) | Extent::Blended(_) => self.padding,
        };
        let weight = match &self.transform {
            Some(transform) => transform.of_kernel(&weight, kernel),
            None => kernel.of_kernel(&weight),
        };
        self.convolve(xs, (&weight, bias.as_ref()), (padding, groups), train)
    }

    /// For a convolution without groups, how much its outputs weight each input channel, `[c_in]`: the sum of magnitudes.
    pub(crate) fn importance(&self) -> Tensor {
        self.weight.abs().sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Float)
    }

    /// Puts the output channels in this order; for a depthwise convolution these are the input channels too.
    pub(crate) fn reorder_out(&self, order: &Tensor) {
        reorder(&self.weight, 0, order);
        self.bias.iter().for_each(|bias| reorder(bias, 0, order));
    }

    /// Puts the input channels in this order.
    pub(crate) fn reorder_in(&self, order: &Tensor) {
        reorder(&self.weight, 1, order);
    }

    /// Like [`Conv::forward_cut`], for a convolution without groups whose input channels are weighted by the mask in `read`.
    pub(crate) fn forward_reading(&self, xs: &Tensor, out: &Extent, read: &Extent) -> Tensor {
        let Extent::Masked(mask) = read else {
            return self.forward_cut(xs, out, &Extent::Full);
        };
        let weight = out.slice(&self.weight) * mask.view([1, -1, 1, 1]);
        let bias = self.bias.as_ref().map(|bias| first(bias, 0, weight.size()[0]));
        self.convolve(xs, (&weight, bias.as_ref()), (self.padding, self.groups), false)
    }

    fn convolve(
        &self,
        xs: &Tensor,
        weights: (&Tensor, Option<&Tensor>),
        (padding, groups): ([i64; 2], i64),
        train: bool,
    ) -> Tensor {
        let moves = (self.stride, padding);
        self.kernels.convolve(xs, weights, moves, (self.dilation, groups), train)
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

/// Convolution, BN, activation.
#[derive(Debug)]
pub(crate) struct ConvBnAct {
    conv: Conv,
    bn: BatchNorm,
    activation: Activation,
}

impl ConvBnAct {
    pub(crate) fn new(
        b: &LayerBuilder,
        path: &nn::Path,
        spec: &OpSpec,
        k: u8,
        (activation, biased, norm): (Activation, bool, Norm),
    ) -> Self {
        let place = path / "conv";
        let conv = b.conv(&place, spec.c_in, spec.c_out, k).stride(spec.stride);
        Self {
            conv: if biased { conv.biased(&b.init, &place) } else { conv },
            bn: b.bn_of(&(path / "bn"), spec.c_out, norm),
            activation,
        }
    }
}

impl Layer for ConvBnAct {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        activate(&self.bn.forward_t(&self.conv.forward(xs), train), self.activation)
    }
}

impl ElasticLayer for ConvBnAct {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor {
        let ys = self.conv.forward_cut(xs, &extents.out, &extents.kernel);
        let ys = self.bn.forward_first_t(&ys, train);
        extents.out.mask(activate(&ys, self.activation))
    }
}

/// Global average pool, convolution, activation: `[n, c_in, h, w]` to `[n, c_out, 1, 1]`.
#[derive(Debug)]
pub(crate) struct FeatureMix {
    conv: Conv,
    activation: Activation,
}

impl FeatureMix {
    pub(crate) fn new(
        b: &LayerBuilder,
        path: &nn::Path,
        spec: &OpSpec,
        activation: Activation,
    ) -> Self {
        Self { conv: b.conv(&(path / "conv"), spec.c_in, spec.c_out, 1), activation }
    }
}

impl Layer for FeatureMix {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.forward_cut_t(xs, &Extents::FULL, train)
    }
}

impl ElasticLayer for FeatureMix {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, _train: bool) -> Tensor {
        // A map of one pixel is already pooled. When the convolution is timed by itself behind its pool, no second pool must be
        // added.
        let pooled = match xs.size()[2..] {
            [1, 1] => xs.shallow_clone(),
            _ => xs.mean_dim([2i64, 3].as_slice(), true, xs.kind()),
        };
        let ys = self.conv.forward_cut(&pooled, &extents.out, &Extent::Full);
        extents.out.mask(activate(&ys, self.activation))
    }
}
