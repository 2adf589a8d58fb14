//! Operations that are cut down: they use the first channels of a larger operation's weights, and the centre of its kernel.
//!
//! A cut is hard or soft. A hard cut slices: only what is left is computed. A soft cut masks: everything is computed, and each
//! channel or kernel entry is weighted. If the mask is 1 on what a slice would leave and 0 elsewhere, both compute the same.

use std::fmt::Debug;

use lat_space::{Interpolation, Op, OpSpec};
use tch::{Tensor, nn};

use crate::conv::{ConvBn, ConvBnAct, FeatureMix, ReluConvBn};
use crate::inverted_residual::InvertedResidual;
use crate::{Layer, LayerBuilder};

/// The part of a measure that a pass uses.
#[derive(Debug)]
pub enum Extent {
    /// All of it.
    Full,
    /// The first channels, this many, or the centre of the kernel with this side.
    First(i64),
    /// All of it, weighted by `[channels]`, or by `[k, k]` for the kernel.
    Masked(Tensor),
    /// A sum of kernels of these sides, each with a scalar weight. Used for transformed kernels, which a mask cannot express.
    Blended(Vec<(i64, Tensor)>),
}

/// The parts of an operation that a pass uses.
#[derive(Debug)]
pub struct Extents {
    /// Output channels.
    pub out: Extent,
    /// Channels of a block's depthwise convolution. If these follow its input, a mask here takes precedence over `expansion`.
    pub middle: Extent,
    /// Side of the kernel; for a block that of its depthwise convolution.
    pub kernel: Extent,
    /// Ratio of a block's middle channels to its input channels, if the middle follows the input and is cut hard.
    pub expansion: Option<u8>,
}

impl Extents {
    /// The whole operation.
    pub const FULL: Self =
        Self { out: Extent::Full, middle: Extent::Full, kernel: Extent::Full, expansion: None };
}

/// An operation that can be cut down, and that can read fewer channels than its largest input has: the first ones.
pub trait ElasticLayer: Debug + Send {
    /// Applies the operation: `[n, c, h, w]` with at most `c_in` channels to `[n, c', h', w']`, where `c'` is `c_out` or what a
    /// hard cut leaves of it.
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor;

    /// Sorts the middle channels of a block so that those with the largest weights in the projection come first and are kept when
    /// it is cut. The whole block computes the same as before. `trained` are the widths for which it was trained, in ascending
    /// order and including the whole: no channel moves from one side of such a width to the other. Other operations have no such
    /// channels.
    fn sort_middle(&self, _trained: &[i64]) {}
}

impl LayerBuilder {
    /// The elastic layer of an operation, with its weights under `path` as in [`LayerBuilder::layer`]. None for operations that
    /// have weights but cannot be cut.
    pub fn elastic_layer(&self, path: &nn::Path, spec: &OpSpec) -> Option<Box<dyn ElasticLayer>> {
        Some(match spec.op {
            Op::ConvBn { k } => Box::new(ConvBn::new(self, path, spec, k)),
            Op::ReluConvBn { k } => Box::new(ReluConvBn(ConvBn::new(self, path, spec, k))),
            Op::ConvBnAct { k, activation, biased, norm } => {
                Box::new(ConvBnAct::new(self, path, spec, k, (activation, biased, norm)))
            }
            Op::FeatureMix { activation } => {
                Box::new(FeatureMix::new(self, path, spec, activation))
            }
            Op::InvertedResidual(block) if spec.op.reads_any_width() => {
                Box::new(InvertedResidual::elastic(self, path, spec, block))
            }
            Op::Identity | Op::Relu | Op::Resize { .. } => {
                Box::new(AnyWidth(self.layer(path, spec)))
            }
            _ => return None,
        })
    }

    /// The elastic layer of a block whose kernel is cut to these sides (the largest among them) through learnt matrices. None for
    /// other operations.
    pub fn transforming_layer(
        &self,
        path: &nn::Path,
        spec: &OpSpec,
        sides: &[i64],
    ) -> Option<Box<dyn ElasticLayer>> {
        match spec.op {
            Op::InvertedResidual(block) if spec.op.reads_any_width() => {
                let layer = InvertedResidual::elastic(self, path, spec, block);
                Some(Box::new(layer.transforming(path, sides)))
            }
            _ => None,
        }
    }
}

/// A layer without weights, which accepts any number of channels.
#[derive(Debug)]
struct AnyWidth(Box<dyn Layer>);

impl ElasticLayer for AnyWidth {
    fn forward_cut_t(&self, xs: &Tensor, _extents: &Extents, train: bool) -> Tensor {
        self.0.forward_t(xs, train)
    }
}

impl Extent {
    /// The part of a convolution's weight `[c_out, c_in, k, k]` that this extent of its kernel uses.
    pub(crate) fn of_kernel(&self, weight: &Tensor) -> Tensor {
        match self {
            Self::Full => weight.shallow_clone(),
            Self::First(side) => centred(weight, *side),
            Self::Masked(mask) => weight * mask,
            Self::Blended(_) => panic!("kernels without matrices are masked"),
        }
    }

    /// The first entries of a weight along its first dimension, if this is a slice; else the whole weight.
    pub(crate) fn slice(&self, weight: &Tensor) -> Tensor {
        match self {
            Self::First(n) => first(weight, 0, *n),
            Self::Full | Self::Masked(_) | Self::Blended(_) => weight.shallow_clone(),
        }
    }

    /// A map `[n, c, h, w]` with its channels weighted, if this is a mask; else the map unchanged.
    pub(crate) fn mask(&self, ys: Tensor) -> Tensor {
        match self {
            Self::Masked(mask) => ys * mask.view([1, -1, 1, 1]),
            Self::Full | Self::First(_) | Self::Blended(_) => ys,
        }
    }
}

/// The first `n` entries along a dimension.
pub(crate) fn first(weight: &Tensor, dim: i64, n: i64) -> Tensor {
    if weight.size()[dim as usize] == n { weight.shallow_clone() } else { weight.narrow(dim, 0, n) }
}

/// The middle `n` entries along a dimension.
fn centre(weight: &Tensor, dim: i64, n: i64) -> Tensor {
    weight.narrow(dim, (weight.size()[dim as usize] - n) / 2, n)
}

/// The centre of a kernel `[c_out, c_in, k, k]`.
pub(crate) fn centred(weight: &Tensor, side: i64) -> Tensor {
    centre(&centre(weight, 2, side), 3, side)
}

/// The part of a weight that a smaller network uses: the first entries of the first two dimensions, and the centre of the kernel.
pub fn slice_like(weight: &Tensor, size: &[i64]) -> Tensor {
    let along = |weight: Tensor, (dim, &n): (usize, &i64)| {
        if dim < 2 { first(&weight, dim as i64, n) } else { centre(&weight, dim as i64, n) }
    };
    size.iter().enumerate().fold(weight.shallow_clone(), along)
}

/// Resizes a map `[n, c, h, w]`, as `PyTorch` does with `align_corners=False`.
pub fn resize(xs: &Tensor, hw: u16, by: Interpolation) -> Tensor {
    let hw = i64::from(hw);
    if xs.size()[2..] == [hw, hw] {
        return xs.shallow_clone();
    }
    match by {
        Interpolation::Bilinear => xs.upsample_bilinear2d([hw, hw], false, None, None),
        Interpolation::Bicubic => xs.upsample_bicubic2d([hw, hw], false, None, None),
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{
        Activation, Grouping, InvertedResidual as Block, Norm, Shortcut, SqueezeExcite,
    };
    use tch::{Device, Kind};

    use super::*;
    use crate::{Phase, WeightInit};

    const BLOCK: OpSpec = OpSpec {
        op: Op::InvertedResidual(Block::new(5, 12)),
        c_in: 6,
        c_out: 8,
        stride: 2,
        hw_in: 7,
    };

    const CONV_BN_ACT: Op =
        Op::ConvBnAct { k: 5, activation: Activation::Relu6, biased: true, norm: Norm::AffineEps3 };

    fn builder() -> LayerBuilder {
        LayerBuilder {
            phase: Phase::Evaluation,
            pools_normalised: false,
            init: WeightInit::Uniform,
        }
    }

    fn steps(n: i64, largest: i64) -> Tensor {
        let device = (Kind::Float, Device::Cpu);
        Tensor::cat(&[Tensor::ones([n], device), Tensor::zeros([largest - n], device)], 0)
    }

    /// 1 on the centre of a kernel, 0 elsewhere.
    fn window(side: i64, largest: i64) -> Tensor {
        let margin = (largest - side) / 2;
        let ones = Tensor::ones([side, side], (Kind::Float, Device::Cpu));
        ones.constant_pad_nd([margin, margin, margin, margin])
    }

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.size() == b.size() && (a - b).abs().max().double_value(&[]) < 1e-5
    }

    #[test]
    fn one_hot_masks_compute_what_slices_compute() {
        let excited = Block {
            squeeze_excite: Some(SqueezeExcite::MobileVision { divisor: 1 }),
            activation: Activation::HSwish,
            norm: Norm::Affine,
            ..Block::new(5, 12)
        };
        let ops = [
            BLOCK.op,
            Op::InvertedResidual(excited),
            Op::ConvBn { k: 5 },
            CONV_BN_ACT,
            Op::FeatureMix { activation: Activation::Swish },
        ];
        for spec in ops.map(|op| OpSpec { op, ..BLOCK }) {
            let store = nn::VarStore::new(Device::Cpu);
            let layer = builder().elastic_layer(&store.root(), &spec).unwrap();
            // If a mask were missing, BN's shift would show it.
            tch::no_grad(|| {
                for (name, mut weight) in store.variables() {
                    if name.ends_with("bias") {
                        let _ = weight.fill_(0.7);
                    }
                }
            });
            let xs = Tensor::randn([3, 6, 7, 7], (Kind::Float, Device::Cpu));
            // Four of six channels come in: as a slice, and as a map that is zero elsewhere.
            let (sliced, masked) = (xs.narrow(1, 0, 4), &xs * steps(4, 6).view([1, 6, 1, 1]));
            let hard = Extents {
                out: Extent::First(3),
                middle: Extent::First(9),
                kernel: Extent::First(3),
                expansion: None,
            };
            let soft = Extents {
                out: Extent::Masked(steps(3, 8)),
                middle: Extent::Masked(steps(9, 12)),
                kernel: Extent::Masked(window(3, 5)),
                expansion: None,
            };
            for train in [true, false] {
                let hard = layer.forward_cut_t(&sliced, &hard, train);
                let soft = layer.forward_cut_t(&masked, &soft, train);
                assert!(close(&hard, &soft.narrow(1, 0, 3)), "{} {train}", spec.op.name());
                assert!(soft.narrow(1, 3, 5).abs().max().double_value(&[]) < 1e-12);
            }
        }
    }

    #[test]
    fn masks_of_the_middle_mix_what_blocks_of_several_middles_compute() {
        let excited = Block {
            squeeze_excite: Some(SqueezeExcite::MobileVision { divisor: 1 }),
            ..Block::new(5, 12)
        };
        for op in [BLOCK.op, Op::InvertedResidual(excited)] {
            let store = nn::VarStore::new(Device::Cpu);
            let layer = builder().elastic_layer(&store.root(), &OpSpec { op, ..BLOCK }).unwrap();
            let xs = Tensor::randn([3, 6, 7, 7], (Kind::Float, Device::Cpu));
            let run = |middle| {
                let (out, kernel) = (Extent::Full, Extent::Full);
                layer.forward_cut_t(&xs, &Extents { out, middle, kernel, expansion: None }, false)
            };
            let (narrow, wide) = (run(Extent::First(5)), run(Extent::First(12)));
            let mixed = run(Extent::Masked(steps(5, 12) * 0.3 + steps(12, 12) * 0.7));
            // Squeeze-and-excite is not linear in the map, so no sum is expected for it.
            let expected = narrow * 0.3 + wide * 0.7;
            assert!(op != BLOCK.op || close(&mixed, &expected), "{}", op.name());
            assert!(close(&run(Extent::Masked(steps(5, 12))), &run(Extent::First(5))));
        }
    }

    #[test]
    fn a_cut_operation_is_the_smaller_one_with_its_share_of_the_weights() {
        let small =
            OpSpec { op: Op::InvertedResidual(Block::new(3, 9)), c_in: 4, c_out: 3, ..BLOCK };
        let (large_store, small_store) = [(), ()].map(|()| nn::VarStore::new(Device::Cpu)).into();
        let large = builder().elastic_layer(&large_store.root(), &BLOCK).unwrap();
        let alone = builder().layer(&small_store.root(), &small);
        let weights = large_store.variables();
        for (name, mut weight) in small_store.variables() {
            let size = weight.size();
            tch::no_grad(|| weight.copy_(&slice_like(&weights[&name], &size)));
        }
        let xs = Tensor::randn([2, 4, 7, 7], (Kind::Float, Device::Cpu));
        let extents = Extents {
            out: Extent::First(3),
            middle: Extent::First(9),
            kernel: Extent::First(3),
            expansion: None,
        };
        assert!(close(&large.forward_cut_t(&xs, &extents, false), &alone.forward_t(&xs, false)));
    }

    #[test]
    fn a_block_that_follows_its_input_is_the_one_behind_it() {
        let largest = Block { shortcut: Shortcut::Always, ..Block::new(5, 0).expanded(6, 8) };
        let spec = OpSpec { op: Op::InvertedResidual(largest), c_in: 8, c_out: 8, ..BLOCK };
        for (c_out, expansion) in [(4, 3), (5, 3), (4, 6)] {
            let small = Block { k: 3, ..largest.expanded(expansion, 4) };
            let small = OpSpec { op: Op::InvertedResidual(small), c_in: 4, c_out, ..spec };
            let stores = [(), ()].map(|()| nn::VarStore::new(Device::Cpu));
            let large = builder().elastic_layer(&stores[0].root(), &spec).unwrap();
            let alone = builder().layer(&stores[1].root(), &small);
            let weights = stores[0].variables();
            for (name, mut weight) in stores[1].variables() {
                let size = weight.size();
                tch::no_grad(|| weight.copy_(&slice_like(&weights[&name], &size)));
            }
            let xs = Tensor::randn([2, 4, 7, 7], (Kind::Float, Device::Cpu));
            let extents = Extents {
                out: Extent::First(i64::from(c_out)),
                middle: Extent::Full,
                kernel: Extent::First(3),
                expansion: Some(expansion),
            };
            let found = large.forward_cut_t(&xs, &extents, false);
            assert!(close(&found, &alone.forward_t(&xs, false)), "{c_out} {expansion}");
        }
    }

    #[test]
    fn uncut_layers_are_the_plain_ones_to_the_bit() {
        let biased = Block { biased: true, ..Block::new(3, 12) };
        let followed = Block::new(3, 0).expanded(4, BLOCK.c_in);
        let always = Block { shortcut: Shortcut::Always, ..followed };
        for op in [
            BLOCK.op,
            Op::ConvBn { k: 3 },
            Op::ReluConvBn { k: 1 },
            CONV_BN_ACT,
            Op::InvertedResidual(biased),
            Op::InvertedResidual(always),
        ] {
            let spec = OpSpec { op, ..BLOCK };
            let store = nn::VarStore::new(Device::Cpu);
            tch::manual_seed(1);
            let plain = builder().layer(&(store.root() / "a"), &spec);
            tch::manual_seed(1);
            let elastic = builder().elastic_layer(&(store.root() / "b"), &spec).unwrap();
            let xs = Tensor::randn([2, 6, 7, 7], (Kind::Float, Device::Cpu));
            let found = elastic.forward_cut_t(&xs, &Extents::FULL, false);
            assert_eq!(found, plain.forward_t(&xs, false), "{}", op.name());
        }
    }

    #[test]
    fn operations_that_read_any_width_have_an_elastic_layer_and_others_none() {
        let store = nn::VarStore::new(Device::Cpu);
        let ops = [
            Op::SepConv { k: 3 },
            Op::FactorizedReduce,
            Op::BnRelu,
            Op::ResidualBlock,
            Op::MaxPool { k: 3 },
            Op::Relu,
            Op::Resize { hw: 4, by: Interpolation::Bilinear },
            Op::ConvBn { k: 3 },
            Op::ReluConvBn { k: 1 },
            CONV_BN_ACT,
            Op::FeatureMix { activation: Activation::Relu },
            Op::PoolConvBn,
            BLOCK.op,
            Op::InvertedResidual(Block { grouping: Grouping::Projection, ..Block::new(3, 12) }),
        ];
        for (i, op) in ops.into_iter().enumerate() {
            let spec = OpSpec { op, ..BLOCK };
            let layer = builder().elastic_layer(&(store.root() / i), &spec);
            assert_eq!(layer.is_some(), op.reads_any_width(), "{}", op.name());
        }
    }
}
