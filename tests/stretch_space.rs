//! A small space with everything elastic: resolution, depth, widths, middle channels, kernels (one of them through a matrix), and
//! a choice whose operations are cut too.

use lat_space::{
    Architecture, Candidate, Choice, Cut, Decision, Graph, GraphBuilder, Interpolation,
    InvertedResidual, Measure, Op, SearchSpace, Skeleton, SkeletonPreset, Space, SpaceError, Stem,
    ValueId,
};

/// Name and number of choices of each decision.
const DECISIONS: [(&str, usize); 10] = [
    ("resolution", 2),
    ("width1", 2),
    ("kernel1", 2),
    ("middle1", 2),
    ("kernel2", 2),
    ("middle2", 2),
    ("depth", 2),
    ("operation", 3),
    ("width2", 2),
    ("kernel3", 2),
];
const SKELETONS: &[SkeletonPreset] = &[SkeletonPreset {
    name: "quick",
    skeleton: Skeleton { channels: 4, layers: 3, resolution: 8, classes: 10, stem: Stem::Cifar },
}];

/// The space.
pub(crate) struct StretchSpace {
    decisions: Vec<Decision>,
}

impl StretchSpace {
    pub(crate) fn new() -> Self {
        let decision = |(name, n): (&str, usize)| {
            Decision::slot(name, (0..n).map(|c| Choice::number(&c.to_string())).collect())
        };
        Self { decisions: DECISIONS.map(decision).into() }
    }
}

/// A block of a stage whose width is decision 1.
fn block(
    b: &mut GraphBuilder,
    from: ValueId,
    cell: u16,
    stride: u8,
    (measure, cuts): (Measure, [usize; 2]),
) -> ValueId {
    let middle = 12;
    let largest = b.spec(from, Op::InvertedResidual(InvertedResidual::new(5, middle)), 8, stride);
    let [kernel, channels] = cuts;
    let cuts = vec![
        Cut { decision: 1, of: Measure::Out, values: vec![5, 8] },
        Cut { decision: kernel, of: measure, values: vec![3, 5] },
        Cut { decision: channels, of: Measure::Middle, values: vec![7, middle] },
    ];
    b.elastic(from, cell, Candidate { largest, cuts })
}

impl Space for StretchSpace {
    fn id(&self) -> &'static str {
        "stretch"
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn check(&self, _: &Architecture) -> Result<(), SpaceError> {
        Ok(())
    }

    fn format(&self, architecture: &Architecture) -> String {
        architecture.choices.iter().map(|c| c.only().unwrap().to_string()).collect()
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let choices = text.bytes().map(|digit| usize::from(digit - b'0'));
        Ok(Architecture::new(self.id(), choices))
    }
}

impl SearchSpace for StretchSpace {
    fn summary(&self) -> &'static str {
        "everything that stretches"
    }

    fn paper(&self) -> &'static str {
        "none"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn check_skeleton(&self, _: &Skeleton) -> Result<(), SpaceError> {
        Ok(())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut b = GraphBuilder::new(false);
        let image = b.input(skeleton.resolution);
        let image = b.resize(image, 0, vec![6, skeleton.resolution], Interpolation::Bilinear);
        let stem = b.outside(image, Op::ConvBn { k: 3 }, 4, 1);
        let first = block(&mut b, stem, 0, 2, (Measure::Kernel, [2, 3]));
        let second = block(&mut b, first, 1, 1, (Measure::TransformedKernel, [4, 5]));
        let stage = b.pick(vec![first, second], 6);
        // A fixed operation behind a searched width.
        let stage = b.outside(stage, Op::Relu, 8, 1);
        let cut = |of, decision, values: [u32; 2]| Cut { of, decision, values: values.to_vec() };
        let conv = |k| b.spec(stage, Op::ReluConvBn { k }, 10, 1);
        let candidates = [
            Candidate { largest: conv(1), cuts: vec![cut(Measure::Out, 8, [6, 10])] },
            Candidate {
                largest: conv(3),
                cuts: vec![cut(Measure::Out, 8, [6, 10]), cut(Measure::Kernel, 9, [1, 3])],
            },
            Candidate {
                largest: b.spec(stage, Op::InvertedResidual(InvertedResidual::new(3, 9)), 10, 1),
                cuts: vec![cut(Measure::Out, 8, [6, 10])],
            },
        ];
        // The classifier reads a searched width too.
        let last = b.choice(stage, 2, 7, candidates);
        b.head(last, skeleton.classes);
        b.finish()
    }

    fn size(&self) -> u128 {
        DECISIONS.iter().map(|d| d.1 as u128).product()
    }

    fn at(&self, index: u128) -> Architecture {
        let mut rest = index;
        let digit = |&(_, n): &(&str, usize)| {
            let choice = rest % n as u128;
            rest /= n as u128;
            choice as usize
        };
        Architecture::new(self.id(), DECISIONS.iter().map(digit).collect::<Vec<_>>())
    }
}
