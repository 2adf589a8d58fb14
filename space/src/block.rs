//! The inverted residual block and `ResNeSt`'s bottleneck, and the properties in which their variants differ.

use serde::{Deserialize, Serialize};

use crate::chain::{divisible, nearest_divisible};

/// An elementwise non-linearity.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x relu6(x + 3) / 6.
    HSwish,
    /// x sigmoid(x).
    Swish,
}

impl Activation {
    /// Its name as part of an operation's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::HSwish => "hswish",
            Self::Swish => "swish",
        }
    }
}

/// The form of a block's batch norms.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Norm {
    /// Without scale and shift during a search, as in DARTS; eps 1e-5.
    #[default]
    AsPhase,
    /// With scale and shift in every phase; eps 1e-5.
    Affine,
    /// With scale and shift in every phase; eps 1e-3, as in `ProxylessNAS`.
    AffineEps3,
}

/// Squeeze-and-excite between a block's depthwise convolution and its projection: the average of each channel, 1x1 convolution to
/// fewer channels, activation, 1x1 convolution back, hard sigmoid; the map is multiplied by the result. Both convolutions have
/// biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SqueezeExcite {
    /// As in Once-for-All and `AttentiveNAS`: a quarter of the channels, rounded down and made divisible by 8; `ReLU` between the
    /// two convolutions. The average is no module, so ptflops does not count it.
    Ofa,
    /// As in mobile-vision (FBNetV2): a quarter of the channels, rounded down and then to this divisor; the block's activation
    /// between the two convolutions. The average is a pool.
    MobileVision {
        /// The width is a multiple of this.
        divisor: u8,
    },
}

impl SqueezeExcite {
    /// Channels between the two convolutions, for a map with `channels` channels.
    pub fn width(self, channels: u32) -> u32 {
        match self {
            Self::Ofa => divisible(channels / 4, 8),
            Self::MobileVision { divisor } => {
                nearest_divisible(f64::from(channels / 4), u32::from(divisor))
            }
        }
    }

    /// The activation between the two convolutions, in a block whose activation is `of_block`.
    pub fn activation(self, of_block: Activation) -> Activation {
        match self {
            Self::Ofa => Activation::Relu,
            Self::MobileVision { .. } => of_block,
        }
    }
}

/// Which of a block's 1x1 convolutions are split into two groups. If any is, the map's channels are shuffled before the depthwise
/// convolution.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Grouping {
    /// None; nothing is shuffled.
    #[default]
    Dense,
    /// The last one (`FBNet` in mobile-vision).
    Projection,
    /// Both (`FBNet` in HW-NAS-Bench).
    Both,
}

/// The shortcut: what a block adds to its output.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Shortcut {
    /// Its input, if both have the same shape.
    #[default]
    WhereAlike,
    /// Nothing.
    Never,
    /// The first channels of its input, as many as the output has; missing channels are zeros. Nothing is added if the block
    /// halves the map.
    Padded,
    /// Its input; pooled 2x2 if the block halves the map, and passed through a 1x1 convolution without BN if the widths differ
    /// (`AttentiveNAS`).
    Always,
}

/// Groups of a grouped 1x1 convolution.
pub const GROUPS: u32 = 2;

/// An inverted residual block: 1x1 to `middle` channels, BN, activation; depthwise `k` with the stride, BN, activation;
/// squeeze-and-excite; 1x1, BN; then the shortcut is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InvertedResidual {
    /// Side of the depthwise kernel.
    pub k: u8,
    /// Channels of the depthwise convolution.
    pub middle: u32,
    /// If not 0, `middle` follows the input: it is the input's channels times this factor, made divisible by 8.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expansion: u8,
    /// Whether the first 1x1 convolution is left out; `middle` is then the input's width.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unexpanded: bool,
    /// The activation, used in both places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Squeeze-and-excite, if the block has it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub squeeze_excite: Option<SqueezeExcite>,
    /// Groups of the 1x1 convolutions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grouping: Grouping,
    /// Whether the convolutions have biases, although BN follows (`FBNet` in mobile-vision).
    #[serde(default, skip_serializing_if = "is_default")]
    pub biased: bool,
    /// The shortcut: what the block adds to its output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shortcut: Shortcut,
    /// The form of the batch norms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: Norm,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl InvertedResidual {
    /// `MobileNetV2`'s block with `ReLU`.
    pub const fn new(k: u8, middle: u32) -> Self {
        Self {
            k,
            middle,
            expansion: 0,
            unexpanded: false,
            activation: Activation::Relu,
            squeeze_excite: None,
            grouping: Grouping::Dense,
            biased: false,
            shortcut: Shortcut::WhereAlike,
            norm: Norm::AsPhase,
        }
    }

    /// The block with `middle` set to the input's channels times `expansion`, made divisible by 8, for an input of any width.
    pub fn expanded(self, expansion: u8, c_in: u32) -> Self {
        Self { expansion, ..self }.behind(c_in)
    }

    /// The same block behind an input of another width.
    pub(crate) fn behind(self, c_in: u32) -> Self {
        let middle = match self {
            Self { unexpanded: true, .. } => c_in,
            Self { expansion: 0, middle, .. } => middle,
            Self { expansion, .. } => self.middle_behind(c_in, expansion),
        };
        Self { middle, ..self }
    }

    /// Channels of the depthwise convolution if `middle` follows the input.
    pub fn middle_behind(self, c_in: u32, expansion: u8) -> u32 {
        if self.unexpanded { c_in } else { divisible(c_in * u32::from(expansion), 8) }
    }

    /// Its name: kernel and channels, then everything in which it differs from [`InvertedResidual::new`].
    pub(crate) fn name(self) -> String {
        let mut name = format!("ir_k{}_m{}", self.k, self.middle);
        let mut add = |what: &str| {
            name.push('_');
            name.push_str(what);
        };
        if self.expansion != 0 {
            add(&format!("e{}", self.expansion));
        }
        if self.unexpanded {
            add("unexpanded");
        }
        if self.activation != Activation::Relu {
            add(self.activation.name());
        }
        match self.squeeze_excite {
            None => {}
            Some(SqueezeExcite::Ofa) => add("se"),
            Some(SqueezeExcite::MobileVision { divisor }) => add(&format!("se{divisor}")),
        }
        match self.grouping {
            Grouping::Dense => {}
            Grouping::Projection => add("g2"),
            Grouping::Both => add("gg2"),
        }
        if self.biased {
            add("bias");
        }
        match self.shortcut {
            Shortcut::WhereAlike => {}
            Shortcut::Never => add("alone"),
            Shortcut::Padded => add("padded"),
            Shortcut::Always => add("shortcut"),
        }
        match self.norm {
            Norm::AsPhase => {}
            Norm::Affine => add("affine"),
            Norm::AffineEps3 => add("eps3"),
        }
        name
    }
}

/// `ResNeSt`'s bottleneck without its shortcut: 1x1 to `width`, BN, `ReLU`; 3x3 in `cardinality` x `radix` groups to `radix`
/// splits of `width`, BN, `ReLU`; the sum of the splits weighted by split attention; a 3x3 average pool if the block halves the
/// map; 1x1, BN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SplitAttention {
    /// Number of splits.
    pub radix: u32,
    /// Groups of each split.
    pub cardinality: u32,
    /// Channels of each split, a multiple of `radix` and `cardinality`.
    pub width: u32,
}

impl SplitAttention {
    /// Channels inside the attention: a quarter of the channels of all splits together, at least 32.
    pub fn within(self) -> u32 {
        (self.width * self.radix / 4 / self.cardinality * self.cardinality).max(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeeze_and_excite_is_as_wide_as_the_official_codes_have_it() {
        let ofa = [16, 48, 72, 144, 336, 672].map(|c| SqueezeExcite::Ofa.width(c));
        assert_eq!(ofa, [8, 16, 24, 40, 88, 168]);
        let by = |divisor| SqueezeExcite::MobileVision { divisor };
        assert_eq!([64, 72, 144, 384].map(|c| by(8).width(c)), [16, 24, 40, 96]);
        assert_eq!([170, 171, 182, 545].map(|c| by(1).width(c)), [42, 42, 45, 136]);
    }

    #[test]
    fn a_block_follows_its_input_where_it_says_so() {
        let plain = InvertedResidual::new(3, 24);
        assert_eq!(plain.behind(100), plain);
        assert_eq!(plain.expanded(4, 20).middle, 80);
        assert_eq!(plain.expanded(5, 17).behind(24).middle, 120);
        assert_eq!(InvertedResidual { unexpanded: true, ..plain }.behind(7).middle, 7);
    }

    #[test]
    fn what_sets_a_block_apart_is_in_its_name() {
        let plain = InvertedResidual::new(5, 24);
        assert_eq!(plain.name(), "ir_k5_m24");
        let all = InvertedResidual {
            expansion: 6,
            unexpanded: true,
            activation: Activation::HSwish,
            squeeze_excite: Some(SqueezeExcite::Ofa),
            grouping: Grouping::Both,
            biased: true,
            shortcut: Shortcut::Never,
            norm: Norm::AffineEps3,
            ..plain
        };
        assert_eq!(all.name(), "ir_k5_m24_e6_unexpanded_hswish_se_gg2_bias_alone_eps3");
    }
}
