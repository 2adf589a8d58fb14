//! Pi-NAS: Improving Neural Architecture Search by Reducing Supernet Training Consistency Shift. Peng, Zhang, Li, Wang, Lin, Chang,
//! ICCV 2021, arXiv 2108.09671. Reference: <https://github.com/Ernie1/Pi-NAS>.
//!
//! `ResNeSt`-50 (arXiv 2004.08955): 16 blocks in stages of 3, 4, 6 and 3, each one of four bottlenecks with split attention. The
//! blocks that change the map's size or width share one shortcut among their candidates. Deviations: none. The skeleton's
//! channels scale all widths by the same factor (the paper has 64). With the CIFAR stem, which the paper does not have, stem and
//! pool keep the map's size.

use crate::chain::{Chain, Layer, LayeredSpace, Layers, Row, Scale, presets};
use crate::{Activation, Choice, Kind, Norm, Op, Skeleton, SkeletonPreset, SplitAttention, Stem};

/// Radix, cardinality, and width per group at 64 planes, of each candidate.
const CANDIDATES: [(u32, u32, u32); 4] = [(1, 1, 64), (2, 1, 64), (1, 2, 42), (2, 2, 40)];
/// Planes, blocks and first stride of each stage.
const STAGES: [(u32, usize, u8); 4] = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)];
/// Widths of the three convolutions of the stem.
const STEM: [u32; 3] = [32, 32, 64];
/// Output channels of a block per plane.
const EXPANSION: u32 = 4;
const CHANNELS: u32 = 64;
const LAYERS: u16 = 16;
const SKELETONS: &[SkeletonPreset] = &presets(LAYERS, CHANNELS, 224);
const RELU: Op =
    Op::ConvBnAct { k: 3, activation: Activation::Relu, biased: false, norm: Norm::Affine };

/// The definition of the space.
#[derive(Debug)]
struct PiNas;

/// Builds the space.
pub(crate) fn pinas() -> LayeredSpace {
    LayeredSpace::of(PiNas)
}

/// A candidate at this number of planes. At the paper's widths its groups are as wide as in the official code, at other widths a
/// multiple of the radix.
fn candidate((radix, cardinality, base): (u32, u32, u32), planes: u32) -> Op {
    let own = (planes * base / 64 / radix).max(1) * radix;
    Op::SplitAttention(SplitAttention { radix, cardinality, width: own * cardinality })
}

impl Layers for PiNas {
    fn summary(&self) -> &'static str {
        "a ResNeSt-50 of 16 blocks of 4 bottlenecks each, 4.3e9 architectures"
    }

    fn paper(&self) -> &'static str {
        "Pi-NAS: Improving Neural Architecture Search by Reducing Supernet Training Consistency Shift, 2021, arXiv 2108.09671"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn scale(&self) -> Scale {
        let layers = usize::from(LAYERS);
        // Each plane has four channels, and a candidate may split its planes in two.
        Scale { id: "pinas", channels: CHANNELS, layers, divisor: 2 * EXPANSION, pools: true }
    }

    fn rows(&self) -> Vec<Row> {
        STAGES.map(|(planes, n, stride)| Row { width: EXPANSION * planes, n, stride }).into()
    }

    fn choices(&self, _: bool) -> Vec<Choice> {
        let choice = |number: usize| Choice { name: number.to_string(), kind: Kind::Op };
        (0..CANDIDATES.len()).map(choice).collect()
    }

    fn begin(&self, chain: &mut Chain, skeleton: &Skeleton, stride: u8) {
        for (i, width) in STEM.into_iter().enumerate() {
            let c_out = self.scale().width(skeleton, EXPANSION * width) / EXPANSION;
            chain.fixed(RELU, c_out, if i == 0 { stride } else { 1 });
        }
        if skeleton.stem == Stem::ImageNet {
            chain.fixed(Op::MaxPool { k: 3 }, chain.shape().c, 2);
        }
    }

    fn operations(&self, layer: &Layer) -> Vec<Op> {
        CANDIDATES.map(|parts| candidate(parts, layer.c_out / EXPANSION)).into()
    }

    fn layer(&self, chain: &mut Chain, layer: &Layer) {
        let input = chain.at;
        let shortcut = match layer.is_first {
            true => {
                chain.fixed(Op::PoolConvBn, layer.c_out, layer.stride);
                std::mem::replace(&mut chain.at, input)
            }
            false => input,
        };
        chain.choice(layer.number, &self.operations(layer), layer.c_out, layer.stride);
        chain.at = chain.builder.sum(vec![chain.at, shortcut]);
        chain.fixed(Op::Relu, layer.c_out, 1);
    }

    fn end(&self, _: &mut Chain, _: &Skeleton) {}

    fn expected(&self) -> &'static str {
        "16 numbers of candidates, one per block, each 0, 1, 2 or 3"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::golden;
    use crate::{SearchSpace, Space};

    #[test]
    fn published_and_drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 10);
    }

    #[test]
    fn texts_are_sixteen_numbers() {
        let space = pinas();
        assert_eq!(space.size(), 4_294_967_296);
        let text = "3 0 1 3 2 3 1 2 0 3 2 1 3 0 3 2";
        let architecture = space.parse(text).unwrap();
        assert_eq!(space.format(&architecture), text);
        let told = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(told("3 0 1").contains("16 numbers of candidates"));
        assert!(told(&text.replace("3 2 3", "3 2 4")).contains("one of 0, 1, 2, 3"));
    }
}
