//! Parameters and multiply-adds, counted from the graph.
//!
//! The convention is the papers': multiply-adds of convolutions and linear layers only; parameters include BN's scale and shift
//! as the evaluation network has them (a search network's BN has none).

use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::{Graph, Op, OpSpec, Site, Step};

/// What a network or a piece of one costs, independent of hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Trainable numbers.
    pub params: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            params: self.params + other.params,
            multiply_adds: self.multiply_adds + other.multiply_adds,
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

/// Cost of the network, the auxiliary head aside. Searched sites count all their candidates.
pub fn count(graph: &Graph) -> Cost {
    graph
        .nodes
        .iter()
        .map(|node| match &node.step {
            Step::Fixed { op, .. } => count_op(op),
            Step::Searched { site: Site::Choice { candidates, .. }, .. } => {
                candidates.iter().map(count_op).sum()
            }
            Step::Head { from, classes } => {
                let (c, classes) = (u64::from(graph.nodes[*from].shape.c), u64::from(*classes));
                Cost { params: c * classes + classes, multiply_adds: c * classes }
            }
            Step::Input | Step::Sum(_) | Step::Concat(_) | Step::Auxiliary { .. } => {
                Cost::default()
            }
        })
        .sum()
}

/// Cost of one operation.
pub fn count_op(spec: &OpSpec) -> Cost {
    let (c_in, c_out) = (u64::from(spec.c_in), u64::from(spec.c_out));
    let pixels = u64::from(spec.hw_out()).pow(2);
    let conv = |c_in: u64, c_out: u64, k: u8, groups: u64| {
        let params = c_in / groups * c_out * u64::from(k).pow(2);
        Cost { params, multiply_adds: params * pixels }
    };
    let bn = |c: u64| Cost { params: 2 * c, multiply_adds: 0 };
    // Depthwise k x k, then 1x1, then BN.
    let separable =
        |c_in, c_out, k| conv(c_in, c_in, k, c_in) + conv(c_in, c_out, 1, 1) + bn(c_out);
    match spec.op {
        Op::None | Op::Identity | Op::MaxPool { .. } | Op::AvgPool { .. } | Op::Relu => {
            Cost::default()
        }
        Op::FactorizedReduce => {
            conv(c_in, c_out / 2, 1, 1) + conv(c_in, c_out - c_out / 2, 1, 1) + bn(c_out)
        }
        Op::SepConv { k } => separable(c_in, c_in, k) + separable(c_in, c_out, k),
        Op::DilConv { k } => separable(c_in, c_out, k),
        Op::ReluConvBn { k } | Op::ConvBn { k } => conv(c_in, c_out, k, 1) + bn(c_out),
        Op::BnRelu => bn(c_in),
        Op::ResidualBlock => {
            let body = conv(c_in, c_out, 3, 1) + bn(c_out) + conv(c_out, c_out, 3, 1) + bn(c_out);
            body + conv(c_in, c_out, 1, 1)
        }
    }
}
