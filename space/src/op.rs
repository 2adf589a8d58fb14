//! Operations, and operations at their places in a network.

use serde::{Deserialize, Serialize};

use crate::{Activation, Grouping, InvertedResidual, Norm, Shape, Shortcut, SplitAttention};

/// The kinds of operation that networks here are made of. Convolutions have no bias unless noted. `lat-nn` spells out the pieces
/// of each, and [`crate::count_op`] their costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Op {
    /// Zeros of the output's shape; never computed in a built network.
    None,
    /// The input itself; stride 1, same width.
    Identity,
    /// Max pooling, window `k`, padding `k/2`.
    MaxPool {
        /// Window.
        k: u8,
    },
    /// Max pooling like [`Op::MaxPool`], BN in every phase (GDAS' fixed reduction cell).
    MaxPoolBn {
        /// Window.
        k: u8,
    },
    /// Average pooling, window `k`, padding `k/2`; padded zeros do not count in the average.
    AvgPool {
        /// Window.
        k: u8,
    },
    /// Halves the map: `ReLU`, two 1x1 stride-2 convolutions (the second on the input shifted by one), concat, BN.
    FactorizedReduce,
    /// `ReLU`, depthwise `k`, 1x1, BN, and once more with stride 1.
    SepConv {
        /// Kernel.
        k: u8,
    },
    /// `ReLU`, depthwise `k` with dilation 2, 1x1, BN.
    DilConv {
        /// Kernel.
        k: u8,
    },
    /// Halves the map (GDAS' fixed reduction cell): `ReLU`, a 1x3 convolution of stride 2 along the rows and a 3x1 one down the
    /// columns, both in 8 groups, BN, `ReLU`, 1x1, BN. Channels are a multiple of 8.
    ReductionConv,
    /// `ReLU`, convolution, BN.
    ReluConvBn {
        /// Kernel.
        k: u8,
    },
    /// Convolution, BN.
    ConvBn {
        /// Kernel.
        k: u8,
    },
    /// `ReLU` alone.
    Relu,
    /// BN, `ReLU`.
    BnRelu,
    /// NAS-Bench-201's residual block between stages: two `ReLU`-conv3x3-BN, shortcut of 2x2 average pool and 1x1 convolution.
    ResidualBlock,
    /// Convolution, BN, activation.
    ConvBnAct {
        /// Kernel.
        k: u8,
        /// The activation.
        activation: Activation,
        /// Whether the convolution has a bias, although BN follows.
        biased: bool,
        /// The batch norm.
        norm: Norm,
    },
    /// Global average pool, 1x1 convolution (no bias, no BN), activation. The result is a map of one pixel, which a classifier
    /// does not pool again.
    FeatureMix {
        /// The activation.
        activation: Activation,
    },
    /// `MobileNetV2`'s block and its relatives.
    InvertedResidual(InvertedResidual),
    /// `ResNeSt`'s bottleneck without its shortcut and last `ReLU`.
    SplitAttention(SplitAttention),
    /// `ResNeSt`'s shortcut: average pool of the stride's size, 1x1 convolution, BN.
    PoolConvBn,
    /// The map at another size, without aligned corners.
    Resize {
        /// Height and width in pixels.
        hw: u16,
        /// How pixels are interpolated.
        by: Interpolation,
    },
}

/// How a map is interpolated to another size, as `PyTorch` does it without anti-aliasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Interpolation {
    /// From the four nearest pixels.
    Bilinear,
    /// From the sixteen nearest pixels, cubic convolution with a = -0.75.
    Bicubic,
}

impl Op {
    /// The field's name: `sep_conv_3x3`.
    pub fn name(self) -> String {
        match self {
            Self::None => "none".into(),
            Self::Identity => "skip_connect".into(),
            Self::MaxPool { k } => format!("max_pool_{k}x{k}"),
            Self::MaxPoolBn { k } => format!("max_pool_bn_{k}x{k}"),
            Self::AvgPool { k } => format!("avg_pool_{k}x{k}"),
            Self::FactorizedReduce => "factorized_reduce".into(),
            Self::SepConv { k } => format!("sep_conv_{k}x{k}"),
            Self::DilConv { k } => format!("dil_conv_{k}x{k}"),
            Self::ReductionConv => "reduction_conv".into(),
            Self::ReluConvBn { k } => format!("nor_conv_{k}x{k}"),
            Self::ConvBn { k } => format!("conv_bn_{k}x{k}"),
            Self::Relu => "relu".into(),
            Self::BnRelu => "bn_relu".into(),
            Self::ResidualBlock => "residual_block".into(),
            Self::ConvBnAct { k, activation, biased, norm } => {
                let bias = if biased { "_bias" } else { "" };
                let norm = if norm == Norm::AffineEps3 { "_eps3" } else { "" };
                format!("conv_bn_{}_{k}x{k}{bias}{norm}", activation.name())
            }
            Self::FeatureMix { activation } => format!("feature_mix_{}", activation.name()),
            Self::InvertedResidual(block) => block.name(),
            Self::SplitAttention(SplitAttention { radix, cardinality, width }) => {
                format!("split_attention_r{radix}_x{cardinality}_w{width}")
            }
            Self::PoolConvBn => "pool_conv_bn".into(),
            Self::Resize { hw, by: Interpolation::Bilinear } => format!("resize_{hw}"),
            Self::Resize { hw, by: Interpolation::Bicubic } => format!("resize_bicubic_{hw}"),
        }
    }

    /// Whether each output channel is computed from one input channel.
    pub fn keeps_channels(self) -> bool {
        let is_pool =
            matches!(self, Self::MaxPool { .. } | Self::MaxPoolBn { .. } | Self::AvgPool { .. });
        is_pool || matches!(self, Self::Identity | Self::Relu | Self::BnRelu | Self::Resize { .. })
    }

    /// Whether the operation can read a value whose width is searched; `lat-nn` has an elastic layer for each that can.
    pub fn reads_any_width(self) -> bool {
        let is_free =
            matches!(self, Self::None | Self::Identity | Self::Relu | Self::Resize { .. });
        let is_conv = matches!(
            self,
            Self::ConvBn { .. }
                | Self::ReluConvBn { .. }
                | Self::ConvBnAct { .. }
                | Self::FeatureMix { .. }
        );
        // In a narrower map, the groups would contain other channels.
        let is_block = matches!(self, Self::InvertedResidual(b) if b.grouping == Grouping::Dense);
        is_free || is_conv || is_block
    }

    /// Whether the operation has no weights of its own that a search would have to train.
    pub fn is_parameter_free(self) -> bool {
        matches!(self, Self::None | Self::Identity | Self::MaxPool { .. } | Self::AvgPool { .. })
    }
}

/// An operation at its place: everything that its cost depends on, except batch and precision. Also used as the key of latency
/// tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpSpec {
    /// The operation.
    pub op: Op,
    /// Input channels.
    pub c_in: u32,
    /// Output channels.
    pub c_out: u32,
    /// Stride, 1 or 2.
    pub stride: u8,
    /// Height (= width) of the input map.
    pub hw_in: u16,
}

impl OpSpec {
    /// Height (= width) of the output map.
    pub fn hw_out(&self) -> u16 {
        match self.op {
            Op::Resize { hw, .. } => hw,
            Op::FeatureMix { .. } => 1,
            _ => self.hw_in.div_ceil(u16::from(self.stride)),
        }
    }

    /// The same operation behind a value of another shape. Operations that keep channels get as many output channels as they
    /// read; others keep their output channels. A block's middle channels follow the input if the block says so.
    pub fn behind(&self, input: Shape) -> Self {
        let c_out = if self.op.keeps_channels() { input.c } else { self.c_out };
        let op = match self.op {
            Op::InvertedResidual(block) => Op::InvertedResidual(block.behind(input.c)),
            op => op,
        };
        Self { op, c_in: input.c, hw_in: input.hw, c_out, ..*self }
    }

    /// A key for tables and paths: `sep_conv_3x3-c16-c16-s1-32`.
    pub fn key(&self) -> String {
        let Self { op, c_in, c_out, stride, hw_in } = self;
        format!("{}-c{c_in}-c{c_out}-s{stride}-{hw_in}", op.name())
    }

    /// Whether a block adds its input to its output, unchanged or made to fit.
    pub fn adds_input(&self) -> bool {
        match self.op {
            Op::InvertedResidual(InvertedResidual { shortcut: Shortcut::Never, .. }) => false,
            Op::InvertedResidual(InvertedResidual { shortcut: Shortcut::Always, .. }) => true,
            Op::InvertedResidual(InvertedResidual { shortcut: Shortcut::Padded, .. }) => {
                self.stride == 1
            }
            _ => self.stride == 1 && self.c_in == self.c_out,
        }
    }

    /// The same operation with channels divided by `divisor` on both sides (PC-DARTS).
    pub fn narrowed(&self, divisor: u32) -> Self {
        Self { c_in: self.c_in / divisor, c_out: self.c_out / divisor, ..*self }
    }
}
