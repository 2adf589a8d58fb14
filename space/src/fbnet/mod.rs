//! `FBNet`: Hardware-Aware Efficient `ConvNet` Design via Differentiable Neural Architecture Search. Wu, Dai, Zhang, Wang, Sun, Wu, Tian,
//! Vajda, Jia, Keutzer, CVPR 2019, arXiv 1812.03443. Reference: <https://github.com/facebookresearch/mobile-vision>.
//!
//! A chain of 22 layers, each one of nine blocks. Two dialects of the blocks are public. The published networks use
//! mobile-vision's: blocks of expansion 1 have no first convolution, only the last convolution is grouped, and convolutions have
//! biases. The other is that of HW-NAS-Bench (<https://github.com/RICE-EIC/HW-NAS-Bench>), whose measured tables others use too:
//! the first convolution always exists and is grouped like the last, and none has a bias. A latency table of one dialect does not
//! fit networks of the other. Deviations: none. The skeleton's channels scale all widths by the same factor (the paper has 16).
//! With the CIFAR stem the first two halvings are left out, as HW-NAS-Bench does for CIFAR-100.

use crate::chain::{Chain, Layer, LayeredSpace, Layers, Row, Scale, presets, rows};
use crate::{
    Activation, Choice, Grouping, InvertedResidual, Kind, Norm, Op, Skeleton, SkeletonPreset, Stem,
    TableForm,
};

/// The choices in HW-NAS-Bench's order: kernel, expansion, and whether the convolutions are grouped. `skip` comes after them.
const BLOCKS: [(&str, u8, u32, bool); 8] = [
    ("k3_e1", 3, 1, false),
    ("k3_e1_g2", 3, 1, true),
    ("k3_e3", 3, 3, false),
    ("k3_e6", 3, 6, false),
    ("k5_e1", 5, 1, false),
    ("k5_e1_g2", 5, 1, true),
    ("k5_e3", 5, 3, false),
    ("k5_e6", 5, 6, false),
];
const ROWS: [[u32; 3]; 7] =
    [[16, 1, 1], [24, 4, 2], [32, 4, 2], [64, 4, 2], [112, 4, 1], [184, 4, 2], [352, 1, 1]];
const LAYERS: usize = 22;
/// Width of the stem.
const STEM: u32 = 16;
const SKELETONS: &[SkeletonPreset] = &presets(LAYERS as u16, STEM, 224);

/// Which code the blocks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    MobileVision,
    HwNasBench,
}

/// The properties in which the variants of the space differ.
#[derive(Debug)]
struct FbNet {
    id: &'static str,
    dialect: Dialect,
    /// Width before the classifier, for `ImageNet` and for CIFAR.
    last: [u32; 2],
}

/// The space with mobile-vision's blocks and 1,984 channels before the classifier, as FBNet-B and FBNet-C have.
pub(crate) fn fbnet() -> LayeredSpace {
    let dialect = Dialect::MobileVision;
    LayeredSpace::of(FbNet { id: "fbnet", dialect, last: [1984; 2] })
}

/// The space with mobile-vision's blocks and 1,504 channels before the classifier, as FBNet-A has.
pub(crate) fn fbnet_1504() -> LayeredSpace {
    let dialect = Dialect::MobileVision;
    LayeredSpace::of(FbNet { id: "fbnet-1504", dialect, last: [1504; 2] })
}

/// The space with HW-NAS-Bench's blocks: 1,984 channels before the classifier, or 1,504 for CIFAR.
pub(crate) fn fbnet_hwnas() -> LayeredSpace {
    let dialect = Dialect::HwNasBench;
    LayeredSpace::of(FbNet { id: "fbnet-hwnas", dialect, last: [1984, 1504] })
}

impl FbNet {
    fn conv(&self, k: u8, biased: bool) -> Op {
        let biased = biased && self.dialect == Dialect::MobileVision;
        Op::ConvBnAct { k, activation: Activation::Relu, biased, norm: Norm::Affine }
    }

    fn block(&self, (_, k, expansion, is_grouped): (&str, u8, u32, bool), c_in: u32) -> Op {
        let is_mobile_vision = self.dialect == Dialect::MobileVision;
        let grouping = match (is_grouped, is_mobile_vision) {
            (false, _) => Grouping::Dense,
            (true, true) => Grouping::Projection,
            (true, false) => Grouping::Both,
        };
        Op::InvertedResidual(InvertedResidual {
            unexpanded: expansion == 1 && is_mobile_vision,
            grouping,
            biased: is_mobile_vision,
            norm: Norm::Affine,
            ..InvertedResidual::new(k, expansion * c_in)
        })
    }
}

impl Layers for FbNet {
    fn summary(&self) -> &'static str {
        match (self.dialect, self.last) {
            (Dialect::HwNasBench, _) => "FBNet with the blocks of HW-NAS-Bench's tables",
            (_, [1504, _]) => "FBNet with 1,504 channels before the classifier (FBNet-A)",
            _ => "a chain of 22 layers of 9 blocks each; also fbnet-1504 and fbnet-hwnas",
        }
    }

    fn paper(&self) -> &'static str {
        "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search, 2019, arXiv 1812.03443"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn table_form(&self) -> Option<TableForm> {
        (self.dialect == Dialect::HwNasBench).then_some(TableForm::HwNasBench)
    }

    fn scale(&self) -> Scale {
        // Two groups need even widths.
        Scale { id: self.id, channels: STEM, layers: LAYERS, divisor: 2, pools: false }
    }

    fn rows(&self) -> Vec<Row> {
        rows(&ROWS)
    }

    fn choices(&self, _: bool) -> Vec<Choice> {
        let skip = Choice { name: "skip".to_owned(), kind: Kind::Skip };
        BLOCKS.iter().map(|block| Choice::named(block.0)).chain([skip]).collect()
    }

    fn begin(&self, chain: &mut Chain, skeleton: &Skeleton, stride: u8) {
        chain.fixed(self.conv(3, true), self.scale().width(skeleton, STEM), stride);
    }

    fn operations(&self, layer: &Layer) -> Vec<Op> {
        let is_alike = layer.stride == 1 && layer.c_in == layer.c_out;
        // A skip's convolution has no bias in either dialect.
        let skip = if is_alike { Op::Identity } else { self.conv(1, false) };
        BLOCKS.iter().map(|&block| self.block(block, layer.c_in)).chain([skip]).collect()
    }

    fn end(&self, chain: &mut Chain, skeleton: &Skeleton) {
        let last = self.last[usize::from(skeleton.stem == Stem::Cifar)];
        chain.fixed(self.conv(1, true), self.scale().width(skeleton, last), 1);
    }

    fn expected(&self) -> &'static str {
        "22 blocks, one per layer, each k3_e1, k3_e1_g2, k3_e3, k3_e6, k5_e1, k5_e1_g2, k5_e3, k5_e6 or skip, or its number from 0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::golden;
    use crate::{SearchSpace, Space};

    #[test]
    fn published_and_drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 39);
    }

    #[test]
    fn it_has_nine_to_the_22_architectures() {
        assert_eq!(fbnet().size(), 984_770_902_183_611_232_881);
    }

    #[test]
    fn texts_are_names_or_numbers_of_blocks() {
        let space = fbnet();
        let names = "skip ".repeat(21) + "k5_e6";
        let numbers = "8, ".repeat(21) + "7";
        let architecture = space.parse(&names).unwrap();
        assert_eq!(space.parse(&numbers), Ok(architecture.clone()));
        assert_eq!(space.format(&architecture), names);
        let told = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(told("skip skip").contains("22 blocks"), "{}", told("skip skip"));
        assert!(told(&names.replacen("skip", "k7_e6", 1)).contains("stage1/layer1 one of k3_e1"));
        assert!(told(&numbers.replacen('8', "9", 1)).contains("found '9'"));
    }
}
