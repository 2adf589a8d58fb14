//! A space with one decision, and images for which one of its choices is right and the others are useless or slow.
//!
//! The images are upright or lying stripes. Turned by a quarter, one kind becomes the other. So a network needs a kernel that
//! distinguishes up from sideways; anything computed pixel by pixel or averaged over a square gives the same answer for both. A
//! convolution of 3x3 or 5x5 does it, and the one of 5x5 is expensive.

use lat_data::{Augment, Dataset, ImageSet};
use lat_predictor::TableCost;
use lat_space::{
    Architecture, Decision, Graph, GraphBuilder, Op, SearchSpace, Skeleton, SkeletonPreset, Space,
    SpaceError, Stem,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The choices and their cost, in addition to the 2 ms of the rest.
const CHOICES: [(&str, f64); 5] = [
    ("none", 0.0),
    ("skip_connect", 0.1),
    ("nor_conv_3x3", 1.0),
    ("nor_conv_5x5", 20.0),
    ("avg_pool_3x3", 0.2),
];
pub(crate) const RIGHT: &str = "nor_conv_3x3";

const SKELETONS: &[SkeletonPreset] = &[SkeletonPreset {
    name: "quick",
    skeleton: Skeleton { channels: 8, layers: 1, resolution: 8, classes: 2, stem: Stem::Cifar },
}];

/// The space.
pub(crate) struct PlantedSpace {
    decisions: Vec<Decision>,
}

impl PlantedSpace {
    pub(crate) fn new() -> Self {
        let choices = CHOICES.map(|(name, _)| name);
        Self { decisions: vec![Decision::edge("cell", (0, 1), &choices)] }
    }

    pub(crate) fn cost(&self) -> TableCost {
        let prices = CHOICES.iter().map(|(_, price)| *price).collect();
        TableCost::new(self, "latency_ms", 2.0, prices).unwrap()
    }
}

impl Space for PlantedSpace {
    fn id(&self) -> &'static str {
        "planted"
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        match architecture.choices[0].only() {
            Some(_) => Ok(()),
            None => {
                Err(SpaceError::Invalid { space: "planted".into(), reason: "one choice".into() })
            }
        }
    }

    fn format(&self, architecture: &Architecture) -> String {
        CHOICES[architecture.choices[0].only().unwrap()].0.to_owned()
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let (expected, found) = ("a choice".to_owned(), text.to_owned());
        let choice = CHOICES.iter().position(|(name, _)| *name == text);
        let choice = choice.ok_or(SpaceError::Text { space: "planted".into(), expected, found })?;
        Ok(Architecture::new("planted", [choice]))
    }
}

impl SearchSpace for PlantedSpace {
    fn summary(&self) -> &'static str {
        "one edge of six operations"
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

    /// Any number of cells, because stages of a search may be deeper.
    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut b = GraphBuilder::new(false);
        let image = b.input(skeleton.resolution);
        let mut value = b.outside(image, Op::ConvBn { k: 1 }, skeleton.channels, 1);
        let (conv, pool) = (|k| Op::ReluConvBn { k }, Op::AvgPool { k: 3 });
        let ops = [Op::None, Op::Identity, conv(3), conv(5), pool];
        for cell in 0..skeleton.layers {
            let candidates =
                ops.iter().map(|&op| b.spec(value, op, skeleton.channels, 1)).collect::<Vec<_>>();
            let edge = b.choice(value, cell, 0, candidates);
            value = b.sum(vec![edge]);
        }
        // No normalisation, because the share that an operation has of the edge must matter.
        let value = b.outside(value, Op::Relu, skeleton.channels, 1);
        b.head(value, skeleton.classes);
        b.finish()
    }

    fn size(&self) -> u128 {
        CHOICES.len() as u128
    }

    fn at(&self, index: u128) -> Architecture {
        Architecture::new("planted", [index as usize])
    }
}

/// Stripes one pixel wide, bright and dark, with a different strength in each image: label 0 for upright, 1 for lying. Each image
/// is next to its twin of the other class, which is the image turned by a quarter.
pub(crate) fn stripes(n: usize) -> Dataset {
    const SIDE: usize = 8;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut upright = || -> Vec<u8> {
        let strength: f64 = rng.gen_range(20.0..100.0);
        let phase = rng.gen_range(0..2);
        let noise: Vec<f64> = (0..SIDE * SIDE).map(|_| rng.gen_range(-15.0..15.0)).collect();
        let pixel = |i: usize| {
            let sign = if (i % SIDE + phase).is_multiple_of(2) { 1.0 } else { -1.0 };
            (128.0 + sign * strength + noise[i]).clamp(0.0, 255.0) as u8
        };
        (0..SIDE * SIDE).map(pixel).collect()
    };
    let turned = |image: &[u8]| -> Vec<u8> {
        (0..SIDE * SIDE).map(|i| image[i % SIDE * SIDE + i / SIDE]).collect()
    };
    let mut set = |name: &str| {
        let mut pixels = Vec::new();
        for _ in 0..n / 2 {
            let image = upright();
            pixels.extend(image.repeat(3));
            pixels.extend(turned(&image).repeat(3));
        }
        ImageSet {
            name: name.to_owned(),
            pixels,
            labels: (0..n as u32 / 2 * 2).map(|i| i % 2).collect(),
            n: n / 2 * 2,
            hw: SIDE,
            classes: 2,
            class_names: vec!["upright".into(), "lying".into()],
        }
    };
    let augment = Augment { crop_padding: 0, flip: false, cutout: 0 };
    let (train, test) = (set("stripes"), set("stripes test"));
    Dataset { train, test, mean: [0.5; 3], std: [0.25; 3], augment, notes: Vec::new() }
}
