//! NAS-Bench-Macro: the benchmark of Prioritized Architecture Sampling with Monto-Carlo Tree Search. Su, Huang, Li, You, Wang, Qian,
//! Zhang, Xu, CVPR 2021, arXiv 2103.11922. Reference: <https://github.com/xiusu/NAS-Bench-Macro>.
//!
//! A chain of 8 layers in stages of 2, 3 and 3, each the identity or one of two inverted residual blocks. The first layer of a
//! stage halves the map; there the identity is a 1x1 convolution with BN. Deviations: none. The skeleton's channels scale all
//! widths by the same factor (the benchmark has 32).

use crate::{
    Architecture, Choice, Decision, Graph, GraphBuilder, InvertedResidual, Op, OpSpec, SearchSpace,
    Skeleton, SkeletonPreset, Space, SpaceError, Stem, Structure, Work, work,
};

/// The choices in the order of the digits: identity, MB3 K3, MB6 K5.
const CHOICES: [&str; 3] = ["skip_connect", "ir_k3_e3", "ir_k5_e6"];
/// Kernel and expansion of the choices that are blocks.
const BLOCKS: [(u8, u32); 2] = [(3, 3), (5, 6)];
/// Layers per stage, and their width as a multiple of the stem's.
const STAGES: [(usize, u32); 3] = [(2, 2), (3, 4), (3, 8)];
const LAYERS: usize = 8;
/// Width before the classifier, as a multiple of the stem's.
const LAST: u32 = 40;
const ID: &str = "nasbench-macro";
const EXPECTED: &str = "eight digits, one per layer: 0 identity, 1 MB3 K3, 2 MB6 K5";

const fn skeleton(channels: u32, resolution: u16, classes: u32) -> Skeleton {
    Skeleton { channels, layers: LAYERS as u16, resolution, classes, stem: Stem::Cifar }
}

const SKELETONS: &[SkeletonPreset] = &[
    SkeletonPreset { name: "quick", skeleton: skeleton(8, 8, 10) },
    SkeletonPreset { name: "cifar", skeleton: skeleton(32, 32, 10) },
    // Not from the paper, which has CIFAR-10 only.
    SkeletonPreset { name: "imagenet", skeleton: skeleton(32, 224, 1000) },
    SkeletonPreset { name: "search", skeleton: skeleton(32, 32, 10) },
];

/// The NAS-Bench-Macro space.
#[derive(Debug)]
pub struct NasBenchMacro {
    decisions: Vec<Decision>,
}

impl NasBenchMacro {
    /// Builds the space.
    #[expect(clippy::new_without_default, reason = "there is nothing to configure")]
    pub fn new() -> Self {
        let layers = STAGES.iter().enumerate();
        let layers = layers.flat_map(|(s, &(n, _))| (0..n).map(move |l| (s + 1, l + 1)));
        let choices = || CHOICES.map(Choice::named).into();
        let decision =
            |(stage, layer)| Decision::slot(&format!("stage{stage}/layer{layer}"), choices());
        Self { decisions: layers.map(decision).collect() }
    }
}

impl Space for NasBenchMacro {
    fn id(&self) -> &'static str {
        ID
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        let first = |stage: usize| STAGES[..stage].iter().map(|s| s.0).sum::<usize>();
        let stages = (0..STAGES.len()).map(|s| (first(s)..first(s + 1)).collect()).collect();
        Structure { stages, ..Structure::independent(&self.decisions) }
    }

    fn work(&self) -> Option<Vec<Vec<Work>>> {
        work::of_sites(self)
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        let invalid = |reason: String| Err(SpaceError::Invalid { space: ID.into(), reason });
        if architecture.space != ID || architecture.choices.len() != LAYERS {
            let (space, n) = (&architecture.space, architecture.choices.len());
            return invalid(format!("expected {LAYERS} decisions, found {n} of space {space}"));
        }
        let single = |c: &crate::ChoiceSet| c.only().is_some_and(|op| op < CHOICES.len());
        match architecture.choices.iter().position(|c| !single(c)) {
            Some(d) => {
                invalid(format!("{} needs exactly one operation of 3", self.decisions[d].name))
            }
            None => Ok(()),
        }
    }

    fn format(&self, architecture: &Architecture) -> String {
        let digit = |c: &crate::ChoiceSet| {
            c.only().expect("a checked architecture has one operation").to_string()
        };
        architecture.choices.iter().map(digit).collect()
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let digits = text.trim();
        let choice = |c: char| c.to_digit(3).map(|d| d as usize);
        let choices: Option<Vec<usize>> = digits.chars().map(choice).collect();
        match choices {
            Some(choices) if choices.len() == LAYERS => Ok(Architecture::new(ID, choices)),
            _ => Err(SpaceError::Text {
                space: ID.into(),
                expected: EXPECTED.into(),
                found: format!("'{}'", digits.chars().take(100).collect::<String>()),
            }),
        }
    }
}

impl SearchSpace for NasBenchMacro {
    fn summary(&self) -> &'static str {
        "a chain of 8 layers of 3 operations each, 6,561 architectures"
    }

    fn paper(&self) -> &'static str {
        "Prioritized Architecture Sampling with Monto-Carlo Tree Search, 2021, arXiv 2103.11922"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        let wrong = |reason: String| Err(SpaceError::Skeleton { reason });
        let Skeleton { channels, layers, resolution, classes, stem } = *skeleton;
        if !(1..=512).contains(&channels) {
            return wrong(format!("channels must be from 1 to 512, found {channels}"));
        }
        if usize::from(layers) != LAYERS {
            return wrong(format!(
                "{ID} has {LAYERS} layers, neither more nor less; found {layers}"
            ));
        }
        if !(4..=4096).contains(&resolution) {
            return wrong(format!("resolution must be from 4 to 4096 pixels, found {resolution}"));
        }
        if classes == 0 || stem != Stem::Cifar {
            return wrong(format!("{ID} needs at least one class and the CIFAR stem"));
        }
        Ok(())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut b = GraphBuilder::new(false);
        let image = b.input(skeleton.resolution);
        let mut value = conv_bn_relu(&mut b, image, 3, skeleton.channels);
        let mut layer = 0;
        for (n, width) in STAGES {
            for l in 0..n {
                let stride = if l == 0 { 2 } else { 1 };
                let candidates = candidates(&b, value, width * skeleton.channels, stride);
                value = b.choice(value, layer, usize::from(layer), candidates);
                layer += 1;
            }
        }
        let value = conv_bn_relu(&mut b, value, 1, LAST * skeleton.channels);
        b.head(value, skeleton.classes);
        b.finish()
    }

    fn size(&self) -> u128 {
        (CHOICES.len() as u128).pow(LAYERS as u32)
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let radix = CHOICES.len() as u128;
        let digit = |layer| (index / radix.pow(layer) % radix) as usize;
        Architecture::new(ID, (0..LAYERS as u32).map(digit))
    }
}

fn conv_bn_relu(b: &mut GraphBuilder, from: usize, k: u8, channels: u32) -> usize {
    let value = b.outside(from, Op::ConvBn { k }, channels, 1);
    b.outside(value, Op::Relu, channels, 1)
}

/// The operations of a layer in the order of [`CHOICES`].
fn candidates(b: &GraphBuilder, from: usize, c_out: u32, stride: u8) -> Vec<OpSpec> {
    let c_in = b.shape(from).c;
    let identity = if stride == 1 && c_in == c_out { Op::Identity } else { Op::ConvBn { k: 1 } };
    let blocks = BLOCKS
        .map(|(k, expansion)| Op::InvertedResidual(InvertedResidual::new(k, expansion * c_in)));
    let all = std::iter::once(identity).chain(blocks);
    all.map(|op| b.spec(from, op, c_out, stride)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find_skeleton;

    #[test]
    fn texts_are_eight_digits() {
        let space = NasBenchMacro::new();
        assert_eq!(space.size(), 6561);
        for i in 0..space.size() {
            let architecture = space.at(i);
            assert_eq!(space.parse(&space.format(&architecture)), Ok(architecture));
        }
        assert_eq!(space.format(&space.parse(" 22212220\n").unwrap()), "22212220");
        for text in ["", "2221222", "222122200", "22212223", "2221222x", "+2212220"] {
            let error = space.parse(text).unwrap_err().to_string();
            assert!(error.contains("eight digits") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_network_has_the_published_shapes() {
        let space = NasBenchMacro::new();
        let graph = space.graph(&find_skeleton(&space, "cifar").unwrap());
        let shapes: Vec<(u32, u16)> = graph
            .sites()
            .map(|(node, ..)| (graph.nodes[node].shape.c, graph.nodes[node].shape.hw))
            .collect();
        let expected =
            [(64, 16), (64, 16), (128, 8), (128, 8), (128, 8), (256, 4), (256, 4), (256, 4)];
        assert_eq!(shapes, expected);
        let last = &graph.nodes[graph.nodes.len() - 2];
        assert_eq!((last.shape.c, last.shape.hw), (1280, 4));
    }

    #[test]
    fn skeletons_that_it_cannot_take_are_refused() {
        let space = NasBenchMacro::new();
        let good = find_skeleton(&space, "cifar").unwrap();
        let told = |skeleton: Skeleton| space.check_skeleton(&skeleton).unwrap_err().to_string();
        assert!(told(Skeleton { layers: 9, ..good }).contains("8 layers"));
        assert!(told(Skeleton { resolution: 3, ..good }).contains("found 3"));
        assert!(told(Skeleton { channels: 0, ..good }).contains("found 0"));
        assert!(told(Skeleton { stem: Stem::ImageNet, ..good }).contains("CIFAR stem"));
        assert!(space.check_skeleton(&good).is_ok());
    }
}
