//! `ProxylessNAS`: Direct Neural Architecture Search on Target Task and Hardware. Cai, Zhu, Han, ICLR 2019, arXiv 1812.00332. Reference:
//! <https://github.com/mit-han-lab/proxylessnas>.
//!
//! A chain of 21 layers in six rows, each an inverted residual of kernel 3, 5 or 7 and expansion 3 or 6. All layers except the
//! first of a row may be left out (`Zero`). The published networks are wider than the space of the released search and not a
//! multiple of it, so each list of widths is a variant of its own. Deviations: none. The skeleton's channels scale all widths by
//! the same factor (the paper's are those of its stem), and with the CIFAR stem, which the paper does not have, the first two
//! halvings are left out.

use crate::chain::{Chain, Layer, LayeredSpace, Layers, Row, Scale, presets};
use crate::{
    Activation, Choice, InvertedResidual, Kind, Norm, Op, Shortcut, Skeleton, SkeletonPreset,
    TableForm,
};

/// The choices in the official order, with kernel and expansion; `Zero` comes after them.
const BLOCKS: [(&str, u8, u32); 6] = [
    ("3x3_MBConv3", 3, 3),
    ("3x3_MBConv6", 3, 6),
    ("5x5_MBConv3", 5, 3),
    ("5x5_MBConv6", 5, 6),
    ("7x7_MBConv3", 7, 3),
    ("7x7_MBConv6", 7, 6),
];
/// The fixed first block, which official texts begin with.
const FIRST: &str = "3x3_MBConv1";
/// Layers and first stride of each row.
const ROWS: [(usize, u8); 6] = [(4, 2), (4, 2), (4, 2), (4, 1), (4, 2), (1, 1)];
const LAYERS: u16 = 21;

/// One list of widths.
#[derive(Debug)]
struct Proxyless {
    id: &'static str,
    summary: &'static str,
    /// Widths of the stem, the first block, the six rows, and before the classifier.
    widths: [u32; 9],
    skeletons: &'static [SkeletonPreset],
}

/// The space of the released search.
pub(crate) fn proxyless() -> LayeredSpace {
    LayeredSpace::of(Proxyless {
        id: "proxyless",
        summary: "a chain of 21 layers of 6 or 7 operations; also proxyless-mobile, -mobile-14, -cpu and -gpu",
        widths: [32, 16, 24, 40, 80, 96, 192, 320, 1280],
        skeletons: &const { presets(LAYERS, 32, 224) },
    })
}

/// The space with the widths of ProxylessNAS-mobile.
pub(crate) fn proxyless_mobile() -> LayeredSpace {
    LayeredSpace::of(Proxyless {
        id: "proxyless-mobile",
        summary: "proxyless with the widths of ProxylessNAS-mobile",
        widths: [32, 16, 32, 40, 80, 96, 192, 320, 1280],
        skeletons: &const { presets(LAYERS, 32, 224) },
    })
}

/// The space with the widths of `ProxylessNAS-mobile_14`.
pub(crate) fn proxyless_mobile_14() -> LayeredSpace {
    LayeredSpace::of(Proxyless {
        id: "proxyless-mobile-14",
        summary: "proxyless with the widths of ProxylessNAS-mobile_14",
        widths: [48, 24, 40, 56, 112, 136, 256, 448, 1792],
        skeletons: &const { presets(LAYERS, 48, 224) },
    })
}

/// The space with the widths of ProxylessNAS-cpu.
pub(crate) fn proxyless_cpu() -> LayeredSpace {
    LayeredSpace::of(Proxyless {
        id: "proxyless-cpu",
        summary: "proxyless with the widths of ProxylessNAS-cpu",
        widths: [40, 24, 32, 48, 88, 104, 216, 360, 1432],
        skeletons: &const { presets(LAYERS, 40, 224) },
    })
}

/// The space with the widths of ProxylessNAS-gpu.
pub(crate) fn proxyless_gpu() -> LayeredSpace {
    LayeredSpace::of(Proxyless {
        id: "proxyless-gpu",
        summary: "proxyless with the widths of ProxylessNAS-gpu",
        widths: [40, 24, 32, 56, 112, 128, 256, 432, 1728],
        skeletons: &const { presets(LAYERS, 40, 224) },
    })
}

/// Convolution, BN, `ReLU6`.
pub(crate) fn conv(k: u8) -> Op {
    Op::ConvBnAct { k, activation: Activation::Relu6, biased: false, norm: Norm::AffineEps3 }
}

/// A block with `ReLU6`, of this kernel and this many middle channels.
pub(crate) fn block(k: u8, middle: u32) -> InvertedResidual {
    InvertedResidual {
        activation: Activation::Relu6,
        norm: Norm::AffineEps3,
        ..InvertedResidual::new(k, middle)
    }
}

/// The fixed first block behind `c_in` channels: no first convolution, no shortcut.
pub(crate) fn first_block(c_in: u32) -> Op {
    let shortcut = Shortcut::Never;
    Op::InvertedResidual(InvertedResidual { unexpanded: true, shortcut, ..block(3, c_in) })
}

impl Layers for Proxyless {
    fn summary(&self) -> &'static str {
        self.summary
    }

    fn paper(&self) -> &'static str {
        "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, 2019, arXiv 1812.00332"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        self.skeletons
    }

    fn table_form(&self) -> Option<TableForm> {
        Some(TableForm::Proxyless)
    }

    fn scale(&self) -> Scale {
        Scale {
            id: self.id,
            channels: self.widths[0],
            layers: usize::from(LAYERS),
            divisor: 1,
            pools: false,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let rows = ROWS.iter().zip(&self.widths[2..]);
        rows.map(|(&(n, stride), &width)| Row { width, n, stride }).collect()
    }

    fn choices(&self, is_first: bool) -> Vec<Choice> {
        let zero = Choice { name: "Zero".to_owned(), kind: Kind::Skip };
        let blocks = BLOCKS.iter().map(|block| Choice::named(block.0));
        blocks.chain((!is_first).then_some(zero)).collect()
    }

    fn begin(&self, chain: &mut Chain, skeleton: &Skeleton, stride: u8) {
        let [stem, first] = [0, 1].map(|w| self.scale().width(skeleton, self.widths[w]));
        chain.fixed(conv(3), stem, stride);
        chain.fixed(first_block(stem), first, 1);
    }

    fn operations(&self, layer: &Layer) -> Vec<Op> {
        let blocks = BLOCKS.iter().map(|&(_, k, e)| Op::InvertedResidual(block(k, e * layer.c_in)));
        blocks.chain((!layer.is_first).then_some(Op::Identity)).collect()
    }

    fn end(&self, chain: &mut Chain, skeleton: &Skeleton) {
        chain.fixed(conv(1), self.scale().width(skeleton, self.widths[8]), 1);
    }

    fn expected(&self) -> &'static str {
        "21 operations, one per layer, such as 5x5_MBConv3, or Zero where it is not the first of its row; 3x3_MBConv1 may stand before them"
    }

    fn layers_of<'a>(&self, mut words: Vec<&'a str>) -> Vec<&'a str> {
        if words.len() == usize::from(LAYERS) + 1 && words[0] == FIRST {
            words.remove(0);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::golden;
    use crate::{SearchSpace, Space};

    #[test]
    fn published_and_drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 13);
    }

    #[test]
    fn fifteen_layers_can_be_left_out() {
        let space = proxyless();
        assert_eq!(space.size(), 221_502_229_807_900_608);
        let n = |n| space.decisions().iter().filter(|d| d.choices.len() == n).count();
        assert_eq!((n(7), n(6)), (15, 6));
    }

    #[test]
    fn texts_may_begin_with_the_fixed_block() {
        let space = proxyless();
        let text = "7x7_MBConv6 ".repeat(20) + "3x3_MBConv3";
        let architecture = space.parse(&text).unwrap();
        assert_eq!(space.parse(&format!("{FIRST} {text}")), Ok(architecture.clone()));
        assert_eq!(space.format(&architecture), text);
        let told = |text: &str| space.parse(text).unwrap_err().to_string();
        let error = told(&text.replacen("7x7_MBConv6", "Zero", 1));
        assert!(error.contains("for stage1/layer1 one of") && error.contains("'Zero'"), "{error}");
        assert!(told(FIRST).contains("21 operations"));
    }
}
