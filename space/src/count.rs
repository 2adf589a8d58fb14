//! Parameters and multiply-adds, counted from the graph.
//!
//! The convention is that of ptflops, the counter behind most published figures of DARTS-like networks: convolutions and linear
//! layers count their multiplications, BN two per element, `ReLU` one per output, pools one per input element. With it we get the
//! published 586 M of PC-DARTS and 557 M of P-DARTS. The convention behind the published 574 M of DARTS-V2 is unknown: others get
//! 544.59 M with ptflops, as we do (<https://github.com/quark0/darts/issues/46>). Parameters include BN's scale and shift as the
//! evaluation network has them (a search network's BN has none).

use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::{
    GROUPS, Graph, Grouping, InvertedResidual, Op, OpSpec, Shape, Shortcut, SplitAttention,
    SqueezeExcite, Step, ValueId,
};

/// The cost of a network or of a piece of one, independent of hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Number of trainable parameters.
    pub params: u64,
    /// Multiply-adds for one image, elementwise operations included (see the module's convention).
    pub multiply_adds: u64,
    /// Multiply-adds of convolutions and linear layers alone, without biases: this is what most papers call FLOPs.
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

/// Cost of the network without the auxiliary head. A searched site counts all its candidates, each at its largest.
pub fn count(graph: &Graph) -> Cost {
    graph.operations().map(|op| count_op(&op)).sum::<Cost>() + count_head(graph)
}

/// Cost of the classifier and the pool before it.
pub fn count_head(graph: &Graph) -> Cost {
    let head = |step: &Step| match step {
        Step::Head { from, classes } => {
            count_classifier_behind(graph, *from, graph.nodes[*from].shape, *classes)
        }
        _ => Cost::default(),
    };
    graph.nodes.iter().map(|node| head(&node.step)).sum()
}

/// Cost of a classifier that reads the value `from` of a graph, if that value has this shape. A map that is already pooled is not
/// pooled again.
pub fn count_classifier_behind(graph: &Graph, from: ValueId, shape: Shape, classes: u32) -> Cost {
    let op = match &graph.nodes[from].step {
        Step::Fixed { op, .. } => Some(op.op),
        Step::Searched { site, .. } => site.candidates().first().map(|c| c.op),
        _ => None,
    };
    match op {
        Some(Op::FeatureMix { .. }) => count_linear(shape.c, classes),
        _ => count_classifier(shape, classes),
    }
}

/// Cost of a global average pool of a map and a linear classifier behind it.
pub fn count_classifier(Shape { c, hw }: Shape, classes: u32) -> Cost {
    elements(c, hw) + count_linear(c, classes)
}

fn count_linear(c: u32, classes: u32) -> Cost {
    let weights = u64::from(c) * u64::from(classes);
    let params = weights + u64::from(classes);
    Cost { params, multiply_adds: weights, conv_linear: weights }
}

/// Groups of the first two convolutions of [`Op::ReductionConv`].
pub const REDUCTION_GROUPS: u32 = 8;

/// Cost of one operation.
pub fn count_op(spec: &OpSpec) -> Cost {
    let OpSpec { op, c_in, c_out, hw_in, .. } = *spec;
    let hw = spec.hw_out();
    let relu = elements(c_in, hw_in);
    // `ReLU`, depthwise k x k, 1x1, BN.
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
        Op::FactorizedReduce | Op::PoolConvBn => relu + conv_bn([c_in, c_out], 1, hw),
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
        Op::ConvBnAct { k, biased, .. } => {
            conv_bn([c_in, c_out], k, hw) + biases(biased, c_out) + elements(c_out, hw)
        }
        // Pool and activation.
        Op::FeatureMix { .. } => relu + conv([c_in, c_out], 1, 1, 1) + elements(c_out, 1),
        Op::InvertedResidual(block) => count_block(spec, block),
        Op::SplitAttention(block) => count_split_attention(spec, block),
    }
}

/// The average inside the attention is no module, so it does not count; the pool that halves the map is one.
fn count_split_attention(spec: &OpSpec, block: SplitAttention) -> Cost {
    let OpSpec { c_in, c_out, hw_in, .. } = *spec;
    let SplitAttention { radix, cardinality, width } = block;
    let (splits, within) = (width * radix, block.within());
    let first = conv_bn([c_in, width], 1, hw_in) + elements(width, hw_in);
    let second = conv([width, splits], 3, radix * cardinality, hw_in) + bn(splits, hw_in);
    let there = conv([width, within], 1, cardinality, 1) + biases(true, within);
    let back = conv([within, splits], 1, cardinality, 1) + biases(true, splits);
    let attention = there + bn(within, 1) + elements(within, 1) + back;
    let pool = if spec.stride > 1 { elements(width, hw_in) } else { Cost::default() };
    let last = conv_bn([width, c_out], 1, spec.hw_out());
    first + second + elements(splits, hw_in) + attention + pool + last
}

fn count_block(spec: &OpSpec, block: InvertedResidual) -> Cost {
    let OpSpec { c_in, c_out, hw_in, .. } = *spec;
    let InvertedResidual { k, middle, grouping, biased, .. } = block;
    let hw = spec.hw_out();
    let [expand_groups, project_groups] = match grouping {
        Grouping::Dense => [1, 1],
        Grouping::Projection => [1, GROUPS],
        Grouping::Both => [GROUPS; 2],
    };
    let piece = |channels: [u32; 2], k, groups, hw| {
        conv(channels, k, groups, hw) + bn(channels[1], hw) + biases(biased, channels[1])
    };
    let expand = match block.unexpanded {
        true => Cost::default(),
        false => piece([c_in, middle], 1, expand_groups, hw_in) + elements(middle, hw_in),
    };
    let depthwise = piece([middle, middle], k, middle, hw) + elements(middle, hw);
    let se = block.squeeze_excite.map(|se| count_squeeze_excite(se, middle, hw));
    let project = piece([middle, c_out], 1, project_groups, hw);
    expand + depthwise + se.unwrap_or_default() + project + count_shortcut(spec, block.shortcut)
}

/// Both convolutions with their biases, an activation behind each, and the pool if it is a module.
fn count_squeeze_excite(se: SqueezeExcite, channels: u32, hw: u16) -> Cost {
    let width = se.width(channels);
    let there = conv([channels, width], 1, 1, 1) + biases(true, width) + elements(width, 1);
    let back = conv([width, channels], 1, 1, 1) + biases(true, channels) + elements(channels, 1);
    let is_pool = matches!(se, SqueezeExcite::MobileVision { .. });
    there + back + if is_pool { elements(channels, hw) } else { Cost::default() }
}

/// A sum costs nothing. The shortcut's pool is no module, so it costs nothing either.
fn count_shortcut(spec: &OpSpec, shortcut: Shortcut) -> Cost {
    let fits = shortcut != Shortcut::Always || spec.c_in == spec.c_out;
    if fits { Cost::default() } else { conv([spec.c_in, spec.c_out], 1, 1, spec.hw_out()) }
}

/// Cost of a convolution's biases. No convention counts them as multiply-adds.
fn biases(there: bool, c: u32) -> Cost {
    Cost { params: if there { u64::from(c) } else { 0 }, ..Cost::default() }
}

/// One multiply-add per element of a map.
fn elements(c: u32, hw: u16) -> Cost {
    Cost { multiply_adds: u64::from(c) * u64::from(hw).pow(2), ..Cost::default() }
}

fn bn(c: u32, hw: u16) -> Cost {
    let scale_and_shift = Cost { params: 2 * u64::from(c), ..Cost::default() };
    scale_and_shift + elements(c, hw) + elements(c, hw)
}

/// A convolution without bias whose output is a map of `hw` x `hw`.
fn conv([c_in, c_out]: [u32; 2], k: u8, groups: u32, hw: u16) -> Cost {
    let params = u64::from(c_in / groups) * u64::from(c_out) * u64::from(k).pow(2);
    convolution(params, u64::from(hw).pow(2))
}

/// A convolution with `params` weights, each used once per pixel.
fn convolution(params: u64, pixels: u64) -> Cost {
    Cost { params, multiply_adds: params * pixels, conv_linear: params * pixels }
}

fn conv_bn([c_in, c_out]: [u32; 2], k: u8, hw: u16) -> Cost {
    conv([c_in, c_out], k, 1, hw) + bn(c_out, hw)
}
