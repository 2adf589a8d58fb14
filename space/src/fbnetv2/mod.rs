//! `FBNetV2`: Differentiable Neural Architecture Search for Spatial and Channel Dimensions. Wan, Dai, Zhang, He, Tian, Xie, Wu, Yu, Xu,
//! Chen, Vajda, Gonzalez, CVPR 2020, arXiv 2004.05565. Reference: <https://github.com/facebookresearch/mobile-vision>.
//!
//! A chain of 18 layers. Output channels, middle channels and kernel of each layer are searched, and so is the size of the image.
//! The authors published networks, but not the options of the search. Widths and expansions here are those of the paper's table 2
//! as remembered (their 4.4e14 combinations of widths agree with the abstract's 1e14); image sizes are those of the published
//! networks. Deviations: squeeze-and-excite and activation are not searched but follow the published networks, group by group. An
//! expansion refers to the widest input of its layer, because the mask does. A layer adds those channels that its input and
//! output both have, as masked maps do. The skeleton's channels scale all widths by the same factor (the paper has 16), and with
//! the CIFAR stem, which the paper does not have, the first two halvings are left out. The published networks are not points of
//! this space; `published_tests.rs` counts them.

#[cfg(test)]
mod published_tests;
mod text;

use crate::chain::{Chain, Row, Scale, check_single, digits, divisible, number, presets, sizes};
use crate::structure::neighbours;
use crate::{
    Activation, Architecture, Candidate, Choice, Cut, Decision, DecisionId, Graph, Interpolation,
    InvertedResidual, Kind, Measure, Norm, Op, SearchSpace, Shortcut, Skeleton, SkeletonPreset,
    Space, SpaceError, SqueezeExcite, Structure,
};

const ID: &str = "fbnetv2";
/// Image sizes. The largest corresponds to the skeleton's resolution.
const RESOLUTIONS: [u32; 6] = [128, 160, 192, 224, 256, 288];
const KERNELS: [u8; 2] = [3, 5];
const STEM: u32 = 16;
/// Channels before the classifier.
const LAST: u32 = 1984;
/// Kernel of the first layer, which has no expansion.
const FIRST_KERNEL: u8 = 3;

/// Consecutive layers of one kind.
#[derive(Debug)]
struct LayerGroup {
    /// Smallest and largest output channels, and the step between.
    widths: [u32; 3],
    n: usize,
    stride: u8,
    /// Smallest expansion and step, in hundredths; there are six expansions. None for the first layer.
    expansions: Option<[u32; 2]>,
    excites: bool,
    activation: Activation,
}

const FINE: Option<[u32; 2]> = Some([75, 50]);
const COARSE: Option<[u32; 2]> = Some([75, 75]);
const N_EXPANSIONS: u32 = 6;
const GROUPS: [LayerGroup; 6] = [
    group([12, 16, 4], 1, 1, None, false, Activation::Relu),
    group([16, 28, 4], 3, 2, FINE, false, Activation::Relu),
    group([16, 40, 8], 3, 2, FINE, true, Activation::Relu),
    group([48, 96, 8], 3, 2, FINE, false, Activation::HSwish),
    group([72, 128, 8], 4, 1, COARSE, true, Activation::HSwish),
    group([112, 216, 8], 4, 2, COARSE, true, Activation::HSwish),
];
const LAYERS: usize = 18;
const SKELETONS: &[SkeletonPreset] = &presets(LAYERS as u16, STEM, 288);
const RESOLUTION: DecisionId = 0;

const fn group(
    widths: [u32; 3],
    n: usize,
    stride: u8,
    expansions: Option<[u32; 2]>,
    excites: bool,
    activation: Activation,
) -> LayerGroup {
    LayerGroup { widths, n, stride, expansions, excites, activation }
}

impl LayerGroup {
    fn widths(&self) -> Vec<u32> {
        let [lowest, highest, step] = self.widths;
        (lowest..=highest).step_by(step as usize).collect()
    }

    /// The expansions in hundredths.
    fn expansions(&self) -> Vec<u32> {
        let of = |[lowest, step]: [u32; 2]| (0..N_EXPANSIONS).map(|i| lowest + i * step).collect();
        self.expansions.map(of).unwrap_or_default()
    }
}

/// The decisions of a layer.
#[derive(Debug, Clone, Copy)]
struct Layer {
    group: &'static LayerGroup,
    is_first: bool,
    width: DecisionId,
    /// The decisions of kernel and expansion; None for the first layer.
    block: Option<(DecisionId, DecisionId)>,
}

/// The space. Its texts have one word for the image's size and one per layer, as in `r288 c16 k3_e0.75_c28 ...`.
#[derive(Debug)]
pub struct FbNetV2 {
    decisions: Vec<Decision>,
    layers: Vec<Layer>,
}

/// An expansion as texts write it, from hundredths.
fn expansion_name(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl FbNetV2 {
    /// Builds the space.
    pub(crate) fn new() -> Self {
        let resolutions = RESOLUTIONS.iter().map(|&r| number(r)).collect();
        let mut decisions = vec![Decision::slot("resolution", resolutions)];
        let mut layers = Vec::new();
        for (g, group) in GROUPS.iter().enumerate() {
            for l in 0..group.n {
                let mut add = |kind: &str, choices: Vec<Choice>| {
                    let name = format!("group{g}/{kind}{}", l + 1);
                    decisions.push(Decision::slot(&name, choices));
                    decisions.len() - 1
                };
                let width = add("width", group.widths().into_iter().map(number).collect());
                let block = group.expansions.map(|_| {
                    let kernel = |k| Choice { name: format!("k{k}"), kind: Kind::Op };
                    let names = group.expansions().into_iter().map(expansion_name);
                    let kernel = add("kernel", KERNELS.map(kernel).into());
                    (kernel, add("expansion", names.map(|name| Choice::number(&name)).collect()))
                });
                layers.push(Layer { group, is_first: l == 0, width, block });
            }
        }
        Self { decisions, layers }
    }

    fn scale() -> Scale {
        Scale { id: ID, channels: STEM, layers: LAYERS, divisor: 1, pools: false }
    }

    fn rows() -> Vec<Row> {
        let row =
            |group: &LayerGroup| Row { width: group.widths[1], n: group.n, stride: group.stride };
        GROUPS.iter().map(row).collect()
    }
}

/// Appends a layer at its largest width to a chain; `scaled` converts a width to the skeleton's scale.
fn put(chain: &mut Chain, layer: &Layer, stride: u8, scaled: impl Fn(u32) -> u32) {
    let Layer { group, is_first, width, block } = *layer;
    let widths: Vec<u32> = group.widths().into_iter().map(scaled).collect();
    let (c_in, c_out) = (chain.shape().c, widths[widths.len() - 1]);
    let out = Cut { decision: width, of: Measure::Out, values: widths };
    let shortcut = if is_first { Shortcut::Never } else { Shortcut::Padded };
    let plain = |k, middle| InvertedResidual {
        activation: group.activation,
        squeeze_excite: group.excites.then_some(SqueezeExcite::MobileVision { divisor: 8 }),
        shortcut,
        norm: Norm::Affine,
        ..InvertedResidual::new(k, middle)
    };
    let Some((kernel, expansion)) = block else {
        let block = InvertedResidual { unexpanded: true, ..plain(FIRST_KERNEL, c_in) };
        return chain.elastic(Op::InvertedResidual(block), c_out, stride, vec![out]);
    };
    let middle: Vec<u32> =
        group.expansions().into_iter().map(|e| divisible(c_in * e / 100, 8)).collect();
    let largest = middle[middle.len() - 1];
    let cuts = vec![out, Cut { decision: expansion, of: Measure::Middle, values: middle }];
    let candidate = |k| Candidate {
        largest: chain.builder.spec(
            chain.at,
            Op::InvertedResidual(plain(k, largest)),
            c_out,
            stride,
        ),
        cuts: cuts.clone(),
    };
    let candidates = KERNELS.map(candidate);
    chain.cut_choice(kernel, candidates);
}

impl Space for FbNetV2 {
    fn id(&self) -> &'static str {
        ID
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        let of_layer = |layer: &Layer| {
            let block = layer.block.map(|(kernel, expansion)| [kernel, expansion]);
            let all = [layer.width].into_iter().chain(block.into_iter().flatten());
            all.collect::<Vec<_>>()
        };
        let blocks: Vec<Vec<DecisionId>> = self.layers.iter().map(of_layer).collect();
        let values = |d: &Decision| d.choices.iter().map(|c| c.name.parse().ok()).collect();
        let mut first = 0;
        let mut stage = |group: &LayerGroup| {
            first += group.n;
            (first - group.n..first).collect()
        };
        Structure {
            values: self.decisions.iter().map(values).collect(),
            stages: GROUPS.iter().map(&mut stage).collect(),
            pairs: neighbours(blocks.len()),
            blocks,
            scales: vec![RESOLUTION],
            ..Structure::independent(&self.decisions)
        }
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        check_single(ID, &self.decisions, architecture)
    }

    fn format(&self, architecture: &Architecture) -> String {
        text::format(self, architecture)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        text::parse(self, text)
    }
}

impl SearchSpace for FbNetV2 {
    fn summary(&self) -> &'static str {
        "FBNetV2: 18 layers of elastic width, expansion and kernel, by the paper's table as remembered"
    }

    fn paper(&self) -> &'static str {
        "FBNetV2: Differentiable Neural Architecture Search for Spatial and Channel Dimensions, 2020, arXiv 2004.05565"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        Self::scale().check(skeleton, &Self::rows())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let scaled = |width| Self::scale().width(skeleton, width);
        let (stem, rows) = Self::scale().rows(skeleton, &Self::rows());
        let mut chain = Chain::new(skeleton.resolution);
        let sizes = sizes(skeleton.resolution, &RESOLUTIONS, RESOLUTIONS[5]);
        chain.resize(RESOLUTION, sizes, Interpolation::Bilinear);
        let conv = |k| Op::ConvBnAct {
            k,
            activation: Activation::HSwish,
            biased: false,
            norm: Norm::Affine,
        };
        chain.fixed(conv(3), scaled(STEM), stem);
        let mut layers = self.layers.iter();
        for row in rows {
            for (l, layer) in layers.by_ref().take(row.n).enumerate() {
                put(&mut chain, layer, if l == 0 { row.stride } else { 1 }, scaled);
            }
        }
        chain.fixed(conv(1), scaled(LAST), 1);
        chain.finish(skeleton.classes)
    }

    fn reads_input(&self, _: &Architecture) -> bool {
        // Choices of such a chain never cut off the image.
        true
    }

    fn size(&self) -> u128 {
        self.decisions.iter().map(|d| d.choices.len() as u128).product()
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        Architecture::new(ID, digits(index, self.decisions.iter().map(|d| d.choices.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_combine_as_the_abstract_says() {
        let space = FbNetV2::new();
        let n = |kind: &str| -> u128 {
            let own = space.decisions.iter().filter(|d| d.name.contains(kind));
            own.map(|d| d.choices.len() as u128).product()
        };
        assert_eq!(n("width"), 442_136_281_481_216);
        assert_eq!(space.size(), n("width") * 6u128.pow(17) * 2u128.pow(17) * 6);
    }
}
