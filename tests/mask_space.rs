//! A small space of two convolutions whose widths are searched.

use lat_space::{
    Activation, Architecture, Candidate, Choice, Cut, Decision, Graph, GraphBuilder, Measure, Norm,
    Op, SearchSpace, Skeleton, SkeletonPreset, Space, SpaceError, Stem,
};

/// Output channels of each convolution.
pub(crate) const WIDTHS: [[u32; 3]; 2] = [[4, 6, 8], [3, 5, 6]];
const SKELETONS: &[SkeletonPreset] = &[SkeletonPreset {
    name: "quick",
    skeleton: Skeleton { channels: 8, layers: 2, resolution: 8, classes: 3, stem: Stem::Cifar },
}];

/// The space.
pub(crate) struct MaskSpace {
    decisions: Vec<Decision>,
}

impl MaskSpace {
    pub(crate) fn new() -> Self {
        let decision = |(d, widths): (usize, &[u32; 3])| {
            let choices = widths.iter().map(|w| Choice::number(&w.to_string())).collect();
            Decision::slot(&format!("width{}", d + 1), choices)
        };
        Self { decisions: WIDTHS.iter().enumerate().map(decision).collect() }
    }

    /// Its network.
    pub(crate) fn network(&self) -> Graph {
        self.graph(&SKELETONS[0].skeleton)
    }
}

impl Space for MaskSpace {
    fn id(&self) -> &'static str {
        "masks"
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn check(&self, _: &Architecture) -> Result<(), SpaceError> {
        Ok(())
    }

    fn format(&self, architecture: &Architecture) -> String {
        format!("{:?}", architecture.choices)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let (expected, found) = ("nothing".to_owned(), text.to_owned());
        Err(SpaceError::Text { space: "masks".into(), expected, found })
    }
}

impl SearchSpace for MaskSpace {
    fn summary(&self) -> &'static str {
        "two convolutions of searched width"
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
        let mut value = b.input(skeleton.resolution);
        let op =
            Op::ConvBnAct { k: 3, activation: Activation::Relu, biased: false, norm: Norm::Affine };
        for (d, widths) in WIDTHS.iter().enumerate() {
            let largest = b.spec(value, op, widths[2], if d == 0 { 1 } else { 2 });
            let cuts = vec![Cut { decision: d, of: Measure::Out, values: widths.to_vec() }];
            value = b.elastic(value, d as u16, Candidate { largest, cuts });
        }
        b.head(value, skeleton.classes);
        b.finish()
    }

    fn size(&self) -> u128 {
        9
    }

    fn at(&self, index: u128) -> Architecture {
        Architecture::new("masks", [index as usize % 3, index as usize / 3])
    }
}
