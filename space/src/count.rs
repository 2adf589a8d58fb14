//! Parameters and multiply-adds, counted from the graph.
//!
//! The convention is that of the counter behind most published figures of DARTS-like networks (ptflops): convolutions and linear
//! layers by their multiplications, BN two per element, `ReLU` one per output, pools one per input element. With it PC-DARTS has
//! its published 586 M and P-DARTS its 557 M. Of the published 574 M of DARTS-V2 nobody found the convention: others got 544.59 M
//! with ptflops, as we do (<https://github.com/quark0/darts/issues/46>).
//! Parameters include BN's scale and shift as the evaluation network has them (a search network's BN has none).

use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::{Graph, Op, OpSpec, Shape, Step};

/// What a network or a piece of one costs, independent of hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Trainable numbers.
    pub params: u64,
    /// Multiply-adds for one image, elementwise operations included (see the module's convention).
    pub multiply_adds: u64,
    /// Multiply-adds of convolutions and linear layers alone, biases aside: what most papers call FLOPs.
    pub conv_linear: u64,
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            params: self.params + other.params,
            multiply_adds: self.multiply_adds + other.multiply_adds,
            conv_linear: self.conv_linear + other.conv_linear,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Cost of the network, the auxiliary head aside. Searched sites count all their candidates, each at its largest.
pub fn count(graph: &Graph) -> Cost {
    graph.operations().map(|op| count_op(&op)).sum::<Cost>() + count_head(graph)
}

/// Cost of the classifier alone, with the pool before it.
pub fn count_head(graph: &Graph) -> Cost {
    let head = |step: &Step| match step {
        Step::Head { from, classes } => count_classifier(graph.nodes[*from].shape, *classes),
        _ => Cost::default(),
    };
    graph.nodes.iter().map(|node| head(&node.step)).sum()
}

/// Cost of a global average pool of a map and a linear classifier behind it.
pub fn count_classifier(Shape { c, hw }: Shape, classes: u32) -> Cost {
    let weights = u64::from(c) * u64::from(classes);
    let params = weights + u64::from(classes);
    elements(c, hw) + Cost { params, multiply_adds: weights, conv_linear: weights }
}

/// Groups of the first two convolutions of [`Op::ReductionConv`].
pub const REDUCTION_GROUPS: u32 = 8;

/// Cost of one operation.
pub fn count_op(spec: &OpSpec) -> Cost {
    let OpSpec { op, c_in, c_out, hw_in, .. } = *spec;
    let hw = spec.hw_out();
    let relu = elements(c_in, hw_in);
    // Depthwise k x k, 1x1, BN, behind the `ReLU` before them.
    let separable = |c_out, k| conv([c_in, c_in], k, c_in, hw) + conv_bn([c_in, c_out], 1, hw);
    match op {
        Op::None | Op::Identity => Cost::default(),
        Op::MaxPool { .. } | Op::AvgPool { .. } | Op::Relu => relu,
        Op::Resize { .. } => elements(c_out, hw),
        Op::MaxPoolBn { .. } => relu + bn(c_out, hw),
        Op::ReductionConv => {
            let grouped = |c_in: u32, pixels: u64| {
                let params = u64::from(c_in / REDUCTION_GROUPS) * u64::from(c_out) * 3;
                convolution(params, pixels)
            };
            let (all, half) = (u64::from(hw_in), u64::from(hw));
            let both = grouped(c_in, all * half) + grouped(c_out, half * half);
            relu + both + bn(c_out, hw) + elements(c_out, hw) + conv_bn([c_out, c_out], 1, hw)
        }
        Op::FactorizedReduce => relu + conv_bn([c_in, c_out], 1, hw),
        Op::SepConv { k } => relu + separable(c_in, k) + elements(c_in, hw) + separable(c_out, k),
        Op::DilConv { k } => relu + separable(c_out, k),
        Op::ReluConvBn { k } => relu + conv_bn([c_in, c_out], k, hw),
        Op::ConvBn { k } => conv_bn([c_in, c_out], k, hw),
        Op::BnRelu => bn(c_in, hw) + relu,
        Op::ResidualBlock => {
            let body = relu
                + conv_bn([c_in, c_out], 3, hw)
                + elements(c_out, hw)
                + conv_bn([c_out, c_out], 3, hw);
            // The shortcut pools and convolves.
            body + relu + conv([c_in, c_out], 1, 1, hw)
        }
        Op::InvertedResidual { k, middle } => {
            let expand = conv_bn([c_in, middle], 1, hw_in) + elements(middle, hw_in);
            let depthwise = conv([middle, middle], k, middle, hw) + bn(middle, hw);
            expand + depthwise + elements(middle, hw) + conv_bn([middle, c_out], 1, hw)
        }
    }
}

/// One multiply-add per element of a map.
fn elements(c: u32, hw: u16) -> Cost {
    Cost { multiply_adds: u64::from(c) * u64::from(hw).pow(2), ..Cost::default() }
}

fn bn(c: u32, hw: u16) -> Cost {
    let scale_and_shift = Cost { params: 2 * u64::from(c), ..Cost::default() };
    scale_and_shift + elements(c, hw) + elements(c, hw)
}

/// A convolution without bias to a map of `hw` x `hw`.
fn conv([c_in, c_out]: [u32; 2], k: u8, groups: u32, hw: u16) -> Cost {
    let params = u64::from(c_in / groups) * u64::from(c_out) * u64::from(k).pow(2);
    convolution(params, u64::from(hw).pow(2))
}

/// So many weights, each used once per pixel.
fn convolution(params: u64, pixels: u64) -> Cost {
    Cost { params, multiply_adds: params * pixels, conv_linear: params * pixels }
}

fn conv_bn([c_in, c_out]: [u32; 2], k: u8, hw: u16) -> Cost {
    conv([c_in, c_out], k, 1, hw) + bn(c_out, hw)
}
