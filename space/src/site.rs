//! The candidates at a searched site: operations to choose from, and operations that are cut down.

use std::ops::Deref;

use crate::{DecisionId, InvertedResidual, Op, OpSpec};

/// A property of an operation that can be cut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Output channels; the first ones are kept.
    Out,
    /// Channels of a block's depthwise convolution; the first ones are kept.
    Middle,
    /// Ratio of middle channels to input channels, for a block whose middle follows its input; the first channels are kept.
    Expansion,
    /// Side of the kernel; its centre is kept.
    Kernel,
    /// Side of a block's kernel; its centre is kept, and for each step from one size to the next smaller one a matrix is learnt
    /// (Once-for-All).
    TransformedKernel,
}

impl Measure {
    /// Whether it is the side of a kernel.
    pub fn is_kernel(self) -> bool {
        matches!(self, Self::Kernel | Self::TransformedKernel)
    }
}

/// A decision that cuts down one measure of a largest operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The decision.
    pub decision: DecisionId,
    /// The measure that it cuts.
    pub of: Measure,
    /// For each choice the size that is left: channels, the expansion, or the side of the kernel; at most the largest
    /// operation's.
    pub values: Vec<u32>,
}

/// An operation at its largest, and the decisions that cut it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The operation as the supernet holds it.
    pub largest: OpSpec,
    /// The cuts, at most one per measure.
    pub cuts: Vec<Cut>,
}

impl Candidate {
    /// The operation after all cuts; `value` gives the size that each cut leaves.
    pub fn cut(&self, value: impl Fn(&Cut) -> u32) -> OpSpec {
        self.cuts.iter().fold(self.largest, |spec, cut| spec.cut(cut.of, value(cut)))
    }

    /// The fault of the cuts, if there is one.
    pub(crate) fn flaw(&self) -> Option<String> {
        let flaw = |cut: &Cut| {
            let Some(largest) = self.largest.measure(cut.of) else {
                return Some(format!("{} has no {:?}", self.largest.op.name(), cut.of));
            };
            let fits = |&v: &u32| v >= 1 && v <= largest;
            let is_odd = |v: &u32| !cut.of.is_kernel() || v % 2 == 1;
            let good = !cut.values.is_empty() && cut.values.iter().all(|v| fits(v) && is_odd(v));
            (!good).then(|| format!("{:?} of {largest} cannot be cut to {:?}", cut.of, cut.values))
        };
        self.cuts.iter().find_map(flaw)
    }
}

impl From<OpSpec> for Candidate {
    fn from(largest: OpSpec) -> Self {
        Self { largest, cuts: Vec::new() }
    }
}

/// A candidate can be read like its largest operation.
impl Deref for Candidate {
    type Target = OpSpec;

    fn deref(&self) -> &OpSpec {
        &self.largest
    }
}

/// A place in the network where something is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// One of several operations.
    Choice {
        /// The decision that chooses.
        decision: DecisionId,
        /// One operation per choice of the decision, in its order.
        candidates: Vec<Candidate>,
    },
    /// One operation that decisions cut down.
    Elastic(Candidate),
}

impl Site {
    /// Its operations.
    pub fn candidates(&self) -> &[Candidate] {
        match self {
            Self::Choice { candidates, .. } => candidates,
            Self::Elastic(candidate) => std::slice::from_ref(candidate),
        }
    }

    /// Its operations, each at its largest.
    pub fn largest(&self) -> Vec<OpSpec> {
        self.candidates().iter().map(|candidate| candidate.largest).collect()
    }

    /// The decisions at this site, that of the choice first.
    pub fn decisions(&self) -> Vec<DecisionId> {
        let mut decisions = match self {
            Self::Choice { decision, .. } => vec![*decision],
            Self::Elastic(_) => vec![],
        };
        for cut in self.candidates().iter().flat_map(|candidate| &candidate.cuts) {
            if !decisions.contains(&cut.decision) {
                decisions.push(cut.decision);
            }
        }
        decisions
    }

    /// Whether it is a plain choice: no candidate is cut.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Choice { .. }) && self.candidates().iter().all(|c| c.cuts.is_empty())
    }
}

impl OpSpec {
    /// The size of a measure; None if the operation cannot be cut in it.
    pub fn measure(&self, of: Measure) -> Option<u32> {
        if !self.op.reads_any_width() {
            return None;
        }
        match (of, self.op) {
            (
                Measure::Out,
                Op::ConvBn { .. }
                | Op::ReluConvBn { .. }
                | Op::ConvBnAct { .. }
                | Op::FeatureMix { .. }
                | Op::InvertedResidual(_),
            ) => Some(self.c_out),
            (Measure::Middle, Op::InvertedResidual(block)) => {
                (block.expansion == 0 && !block.unexpanded).then_some(block.middle)
            }
            (Measure::Expansion, Op::InvertedResidual(block)) => {
                (block.expansion != 0).then_some(u32::from(block.expansion))
            }
            (Measure::Kernel | Measure::TransformedKernel, Op::InvertedResidual(block)) => {
                Some(u32::from(block.k))
            }
            (
                Measure::Kernel,
                Op::ConvBn { k } | Op::ReluConvBn { k } | Op::ConvBnAct { k, .. },
            ) => Some(u32::from(k)),
            _ => None,
        }
    }

    /// The operation with another size of this measure, which it must have.
    pub(crate) fn cut(self, of: Measure, to: u32) -> Self {
        // Kernels and expansions fit into u8.
        let small = to as u8;
        let op = match (of, self.op) {
            (Measure::Out, _) => return Self { c_out: to, ..self },
            (Measure::Middle, Op::InvertedResidual(block)) => {
                Op::InvertedResidual(InvertedResidual { middle: to, ..block })
            }
            (Measure::Expansion, Op::InvertedResidual(block)) => {
                Op::InvertedResidual(block.expanded(small, self.c_in))
            }
            (Measure::Kernel | Measure::TransformedKernel, Op::InvertedResidual(block)) => {
                Op::InvertedResidual(InvertedResidual { k: small, ..block })
            }
            (Measure::Kernel, Op::ConvBn { .. }) => Op::ConvBn { k: small },
            (Measure::Kernel, Op::ReluConvBn { .. }) => Op::ReluConvBn { k: small },
            (Measure::Kernel, Op::ConvBnAct { activation, biased, norm, .. }) => {
                Op::ConvBnAct { k: small, activation, biased, norm }
            }
            (_, op) => op,
        };
        Self { op, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_cut_in_each_measure() {
        let op = Op::InvertedResidual(InvertedResidual::new(5, 24));
        let largest = OpSpec { op, c_in: 4, c_out: 8, stride: 1, hw_in: 8 };
        let cut = |of, values: &[u32]| Cut { decision: 0, of, values: values.to_vec() };
        let cuts = vec![
            cut(Measure::Out, &[4, 8]),
            cut(Measure::Middle, &[12, 24]),
            cut(Measure::Kernel, &[3, 5]),
        ];
        let candidate = Candidate { largest, cuts };
        assert_eq!(candidate.flaw(), None);
        let smallest = candidate.cut(|cut| cut.values[0]);
        assert_eq!((smallest.op.name().as_str(), smallest.c_out), ("ir_k3_m12", 4));
        assert_eq!(candidate.cut(|cut| cut.values[1]), largest);
        for (of, values) in [
            (Measure::Out, vec![9]),
            (Measure::Kernel, vec![4]),
            (Measure::Kernel, vec![7]),
            (Measure::Middle, vec![]),
            (Measure::Middle, vec![0]),
        ] {
            let wrong = Candidate { largest, cuts: vec![cut(of, &values)] };
            assert!(wrong.flaw().is_some(), "{of:?} {values:?}");
        }
        let conv = OpSpec { op: Op::ConvBn { k: 5 }, ..largest };
        let wrong = Candidate { largest: conv, cuts: vec![cut(Measure::TransformedKernel, &[3])] };
        assert!(wrong.flaw().unwrap().contains("no TransformedKernel"), "blocks alone have it");
        let pool = OpSpec { op: Op::MaxPool { k: 3 }, ..largest };
        let wrong = Candidate { largest: pool, cuts: vec![cut(Measure::Out, &[4])] };
        assert!(wrong.flaw().unwrap().contains("max_pool_3x3 has no Out"));
    }

    #[test]
    fn an_expansion_is_of_the_channels_that_come_in() {
        let op = Op::InvertedResidual(InvertedResidual::new(3, 0).expanded(6, 24));
        let largest = OpSpec { op, c_in: 24, c_out: 32, stride: 2, hw_in: 8 };
        let cuts = vec![Cut { decision: 0, of: Measure::Expansion, values: vec![4, 6] }];
        assert_eq!(Candidate { largest, cuts }.flaw(), None);
        let narrow = largest.behind(crate::Shape { c: 16, hw: 8 });
        let cut = narrow.cut(Measure::Expansion, 4).cut(Measure::Kernel, 3);
        assert_eq!(
            (narrow.op.name().as_str(), cut.op.name().as_str()),
            ("ir_k3_m96_e6", "ir_k3_m64_e4")
        );
        // Its middle follows the input, so it is not a measure by itself.
        assert_eq!(largest.measure(Measure::Middle), None);
    }
}
