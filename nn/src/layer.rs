//! Operations as layers: the trait of layers, and the layer for each operation.

use std::fmt::Debug;
use std::sync::Arc;

use lat_space::{Interpolation, Norm, Op, OpSpec};
use tch::{Tensor, nn};

use crate::conv::{ConvBn, ConvBnAct, FeatureMix, ReluConvBn};
use crate::inverted_residual::InvertedResidual;
use crate::pool::Pool;
use crate::reduce::{FactorizedReduce, ReductionConv};
use crate::residual::ResidualBlock;
use crate::separable::{DilConv, SepConv};
use crate::split_attention::{PoolConvBn, SplitAttention};
use crate::{ArenaLoan, BatchNorm, Conv, resize};

/// A layer that computes one operation.
pub trait Layer: Debug + Send {
    /// Applies the layer: `[n, c_in, h, w]` to `[n, c_out, h', w']`. If `train`, BN uses (and learns from) the batch's own
    /// statistics.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor;
}

/// The use of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Inside a supernet: BN without scale and shift; pools followed by BN if the graph asks for it.
    Search,
    /// Trained or timed by themselves: BN with scale and shift; pools without BN.
    Evaluation,
}

/// The source of initial weights.
#[derive(Debug, Clone)]
pub enum WeightInit {
    /// `PyTorch`'s default for convolutions: uniform within 1/sqrt(fan-in).
    Uniform,
    /// Lent by an arena, for a network that is timed without being trained. The variable store then stays empty.
    Lent(Arc<ArenaLoan>),
}

/// Builds the layers of one kind of network.
#[derive(Debug, Clone)]
pub struct LayerBuilder {
    /// The use of the layers.
    pub phase: Phase,
    /// The graph's [`lat_space::Graph::pools_normalised_in_search`].
    pub pools_normalised: bool,
    /// The source of initial weights.
    pub init: WeightInit,
}

impl LayerBuilder {
    /// The layer of an operation, with its weights under `path`.
    pub fn layer(&self, path: &nn::Path, spec: &OpSpec) -> Box<dyn Layer> {
        match spec.op {
            Op::None => Box::new(Zeros(*spec)),
            Op::Identity => Box::new(Identity),
            Op::Relu => Box::new(Relu),
            Op::Resize { hw, by } => Box::new(Resize(hw, by)),
            Op::MaxPool { .. } | Op::MaxPoolBn { .. } | Op::AvgPool { .. } => {
                Box::new(Pool::new(self, path, spec))
            }
            Op::FactorizedReduce => Box::new(FactorizedReduce::new(self, path, spec)),
            Op::ReductionConv => Box::new(ReductionConv::new(self, path, spec)),
            Op::SepConv { k } => Box::new(SepConv::new(self, path, spec, k)),
            Op::DilConv { k } => Box::new(DilConv::new(self, path, spec, k)),
            Op::ReluConvBn { k } => Box::new(ReluConvBn(ConvBn::new(self, path, spec, k))),
            Op::ConvBn { k } => Box::new(ConvBn::new(self, path, spec, k)),
            Op::BnRelu => Box::new(BnRelu(self.bn(&(path / "bn"), spec.c_in))),
            Op::ResidualBlock => Box::new(ResidualBlock::new(self, path, spec)),
            Op::ConvBnAct { k, activation, biased, norm } => {
                Box::new(ConvBnAct::new(self, path, spec, k, (activation, biased, norm)))
            }
            Op::FeatureMix { activation } => {
                Box::new(FeatureMix::new(self, path, spec, activation))
            }
            Op::InvertedResidual(block) => Box::new(InvertedResidual::new(self, path, spec, block)),
            Op::SplitAttention(block) => Box::new(SplitAttention::new(self, path, spec, block)),
            Op::PoolConvBn => Box::new(PoolConvBn::new(self, path, spec)),
            // `Op` is non-exhaustive so that spaces can grow. A new operation must get its layer here.
            op => unreachable!("no layer for {op:?}"),
        }
    }

    /// A convolution without bias.
    pub(crate) fn conv(&self, path: &nn::Path, c_in: u32, c_out: u32, k: u8) -> Conv {
        Conv::new(&self.init, path, [c_in, c_out], k)
    }

    /// BN in the form of this phase.
    pub(crate) fn bn(&self, path: &nn::Path, c: u32) -> BatchNorm {
        BatchNorm::new(&self.init, path, c, self.phase == Phase::Evaluation)
    }

    /// BN in the form that a block asks for.
    pub(crate) fn bn_of(&self, path: &nn::Path, c: u32, norm: Norm) -> BatchNorm {
        match norm {
            Norm::AsPhase => self.bn(path, c),
            Norm::Affine => self.affine().bn(path, c),
            Norm::AffineEps3 => self.affine().bn(path, c).eps(1e-3),
        }
    }

    /// A builder for pieces whose BN is affine in every phase (stem, heads).
    pub(crate) fn affine(&self) -> Self {
        Self { phase: Phase::Evaluation, ..self.clone() }
    }
}

#[derive(Debug)]
struct Identity;

impl Layer for Identity {
    fn forward_t(&self, xs: &Tensor, _train: bool) -> Tensor {
        xs.shallow_clone()
    }
}

#[derive(Debug)]
struct Relu;

impl Layer for Relu {
    fn forward_t(&self, xs: &Tensor, _train: bool) -> Tensor {
        xs.relu()
    }
}

#[derive(Debug)]
struct Resize(u16, Interpolation);

impl Layer for Resize {
    fn forward_t(&self, xs: &Tensor, _train: bool) -> Tensor {
        resize(xs, self.0, self.1)
    }
}

#[derive(Debug)]
struct BnRelu(BatchNorm);

impl Layer for BnRelu {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.0.forward_t(xs, train).relu()
    }
}

#[derive(Debug)]
struct Zeros(OpSpec);

impl Layer for Zeros {
    fn forward_t(&self, xs: &Tensor, _train: bool) -> Tensor {
        let hw = i64::from(self.0.hw_out());
        Tensor::zeros([xs.size()[0], i64::from(self.0.c_out), hw, hw], (xs.kind(), xs.device()))
    }
}
