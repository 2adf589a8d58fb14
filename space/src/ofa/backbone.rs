//! The backbones of Once-for-All's networks.

use crate::chain::{Chain, Row, presets, rows, scaled_divisible};
use crate::proxyless;
use crate::{Activation, InvertedResidual, Norm, Op, SkeletonPreset, SqueezeExcite, TableForm};

/// A backbone at a certain width.
#[derive(Debug)]
pub(super) struct Backbone {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) skeletons: &'static [SkeletonPreset],
    kind: Kind,
    /// All widths are multiplied by this, then made divisible by 8.
    multiplier: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    MobileNet,
    Proxyless,
}

pub(super) const MOBILE_NET: Backbone = Backbone {
    id: "ofa",
    summary: "Once-for-All on MobileNetV3: elastic depth, kernels, expansions; also ofa-w12 and ofa-proxyless",
    skeletons: &presets(20, 16, 224),
    kind: Kind::MobileNet,
    multiplier: 1.0,
};
pub(super) const WIDE_MOBILE_NET: Backbone = Backbone {
    id: "ofa-w12",
    summary: "Once-for-All on MobileNetV3 of width 1.2",
    skeletons: &presets(20, 24, 224),
    kind: Kind::MobileNet,
    multiplier: 1.2,
};
pub(super) const PROXYLESS: Backbone = Backbone {
    id: "ofa-proxyless",
    summary: "Once-for-All on the backbone of ProxylessNAS, width 1.3",
    skeletons: &presets(21, 40, 224),
    kind: Kind::Proxyless,
    multiplier: 1.3,
};

const MOBILE_NET_ROWS: [[u32; 3]; 5] =
    [[24, 4, 2], [40, 4, 2], [80, 4, 2], [112, 4, 1], [160, 4, 2]];
/// For each row the activation of its blocks, and whether they have squeeze-and-excite.
const MOBILE_NET_BLOCKS: [(Activation, bool); 5] = [
    (Activation::Relu, false),
    (Activation::Relu, true),
    (Activation::HSwish, false),
    (Activation::HSwish, true),
    (Activation::HSwish, true),
];
const PROXYLESS_ROWS: [[u32; 3]; 6] =
    [[24, 4, 2], [40, 4, 2], [80, 4, 2], [96, 4, 1], [192, 4, 2], [320, 1, 1]];

fn hswish(k: u8) -> Op {
    Op::ConvBnAct { k, activation: Activation::HSwish, biased: false, norm: Norm::Affine }
}

fn mobile_net_block(k: u8, middle: u32) -> InvertedResidual {
    InvertedResidual { norm: Norm::Affine, ..InvertedResidual::new(k, middle) }
}

impl Backbone {
    /// The form of the published latency tables that contain its blocks.
    pub(super) fn table_form(&self) -> TableForm {
        match self.kind {
            Kind::MobileNet => TableForm::Ofa,
            Kind::Proxyless => TableForm::Proxyless,
        }
    }

    fn width(&self, width: u32) -> u32 {
        scaled_divisible(width, self.multiplier, 8)
    }

    /// Width of the stem.
    pub(super) fn stem(&self) -> u32 {
        self.width(match self.kind {
            Kind::MobileNet => 16,
            Kind::Proxyless => 32,
        })
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = match self.kind {
            Kind::MobileNet => rows(&MOBILE_NET_ROWS),
            Kind::Proxyless => rows(&PROXYLESS_ROWS),
        };
        rows.into_iter().map(|row| Row { width: self.width(row.width), ..row }).collect()
    }

    /// A block of a row.
    pub(super) fn block(&self, row: usize, k: u8, middle: u32) -> InvertedResidual {
        if self.kind == Kind::Proxyless {
            return proxyless::block(k, middle);
        }
        let (activation, excites) = MOBILE_NET_BLOCKS[row];
        let squeeze_excite = excites.then_some(SqueezeExcite::Ofa);
        InvertedResidual { activation, squeeze_excite, ..mobile_net_block(k, middle) }
    }

    /// Builds the stem and the first block; `scaled` converts a width to the skeleton's scale.
    pub(super) fn begin(&self, chain: &mut Chain, scaled: impl Fn(u32) -> u32, stride: u8) {
        let stem = scaled(self.stem());
        let first = scaled(self.width(16));
        match self.kind {
            Kind::MobileNet => {
                chain.fixed(hswish(3), stem, stride);
                let block = InvertedResidual { unexpanded: true, ..mobile_net_block(3, stem) };
                chain.fixed(Op::InvertedResidual(block), first, 1);
            }
            Kind::Proxyless => {
                chain.fixed(proxyless::conv(3), stem, stride);
                chain.fixed(proxyless::first_block(stem), first, 1);
            }
        }
    }

    /// Builds everything between the last stage and the classifier.
    pub(super) fn end(&self, chain: &mut Chain, scaled: impl Fn(u32) -> u32) {
        match self.kind {
            Kind::MobileNet => {
                chain.fixed(hswish(1), scaled(self.width(960)), 1);
                let mix = Op::FeatureMix { activation: Activation::HSwish };
                chain.fixed(mix, scaled(self.width(1280)), 1);
            }
            Kind::Proxyless => chain.fixed(proxyless::conv(1), scaled(self.width(1280)), 1),
        }
    }
}
