//! The inverted residual block.

use lat_space::{GROUPS, Grouping, InvertedResidual as Block, Op, OpSpec, Shortcut as Kind};
use tch::{Tensor, nn};

use crate::activation::activate;
use crate::elastic::{ElasticLayer, Extent, Extents};
use crate::regularised::drop_images;
use crate::reorder::by_importance;
use crate::squeeze_excite::SqueezeExcite;
use crate::{BatchNorm, Conv, Layer, LayerBuilder};

/// The layers of a [`lat_space::InvertedResidual`].
#[derive(Debug)]
pub(crate) struct InvertedResidual {
    block: Block,
    expand: Option<(Conv, BatchNorm)>,
    depthwise: (Conv, BatchNorm),
    squeeze_excite: Option<SqueezeExcite>,
    project: (Conv, BatchNorm),
    shortcut: Shortcut,
}

/// The shortcut that is added to the output.
#[derive(Debug)]
enum Shortcut {
    Nothing,
    Input,
    /// The first channels of the input, filled up with zeros.
    Padded,
    /// The input, pooled if the block halves the map, and convolved if the widths differ.
    Fitted {
        halves: bool,
        conv: Option<Conv>,
    },
}

impl InvertedResidual {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, block: Block) -> Self {
        Self::with(b, path, (spec, block), Shortcut::new(b, path, spec, false))
    }

    /// A block whose shortcut works for every width to which it is cut.
    pub(crate) fn elastic(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, block: Block) -> Self {
        Self::with(b, path, (spec, block), Shortcut::new(b, path, spec, true))
    }

    fn with(
        b: &LayerBuilder,
        path: &nn::Path,
        (spec, block): (&OpSpec, Block),
        shortcut: Shortcut,
    ) -> Self {
        let OpSpec { c_in, c_out, stride, .. } = *spec;
        let Block { k, middle, activation, .. } = block;
        let [expand_groups, project_groups] = match block.grouping {
            Grouping::Dense => [1, 1],
            Grouping::Projection => [1, GROUPS],
            Grouping::Both => [GROUPS; 2],
        };
        let conv = |name: &str, channels, k, groups| {
            let path = path / name;
            let conv = Conv::grouped(&b.init, &path, channels, k, groups);
            if block.biased { conv.biased(&b.init, &path) } else { conv }
        };
        let bn = |name: &str, c| b.bn_of(&(path / name), c, block.norm);
        let depthwise = conv("dw", [middle, middle], k, middle).stride(stride);
        Self {
            expand: (!block.unexpanded)
                .then(|| (conv("pw1", [c_in, middle], 1, expand_groups), bn("bn1", middle))),
            depthwise: (depthwise, bn("bn2", middle)),
            project: (conv("pw2", [middle, c_out], 1, project_groups), bn("bn3", c_out)),
            squeeze_excite: block
                .squeeze_excite
                .map(|rule| SqueezeExcite::new(b, &(path / "se"), (rule, activation), middle)),
            block,
            shortcut,
        }
    }

    /// Adds matrices that make its depthwise kernel smaller.
    pub(crate) fn transforming(self, path: &nn::Path, sides: &[i64]) -> Self {
        let (conv, bn) = self.depthwise;
        Self { depthwise: (conv.transforming(&(path / "dw"), sides), bn), ..self }
    }

    /// The part of the middle channels that a pass uses if they follow an input of `c_in` channels. If None, `extents` decide.
    fn followed(&self, c_in: i64, extents: &Extents) -> Option<Extent> {
        if let Extent::Masked(_) = extents.middle {
            return None;
        }
        let expansion = extents.expansion.unwrap_or(self.block.expansion);
        // No map has 2^32 channels, so the cast is safe.
        let middle = || self.block.middle_behind(c_in as u32, expansion);
        (self.block.expansion != 0 && !self.block.unexpanded)
            .then(|| Extent::First(i64::from(middle())))
    }

    fn activate(&self, xs: &Tensor) -> Tensor {
        activate(xs, self.block.activation)
    }

    fn shuffled(&self, xs: Tensor) -> Tensor {
        match self.block.grouping {
            Grouping::Dense => xs,
            Grouping::Projection | Grouping::Both => xs.channel_shuffle(i64::from(GROUPS)),
        }
    }
}

impl Layer for InvertedResidual {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let conv_bn = |(conv, bn): &(Conv, BatchNorm), xs: &Tensor| {
            bn.forward_t(&conv.forward_t(xs, train), train)
        };
        // The variable is reassigned so that each map is freed when the next one exists.
        let mut ys = xs.shallow_clone();
        if let Some(expand) = &self.expand {
            ys = conv_bn(expand, &ys);
            ys = self.activate(&ys);
        }
        ys = self.shuffled(ys);
        ys = conv_bn(&self.depthwise, &ys);
        ys = self.activate(&ys);
        if let Some(squeeze_excite) = &self.squeeze_excite {
            ys = squeeze_excite.forward(&ys);
        }
        ys = conv_bn(&self.project, &ys);
        self.shortcut.added(ys, xs)
    }
}

impl ElasticLayer for InvertedResidual {
    fn forward_cut_t(&self, xs: &Tensor, extents: &Extents, train: bool) -> Tensor {
        let conv_bn = |(conv, bn): &(Conv, BatchNorm), xs: &Tensor, out: &Extent, k: &Extent| {
            bn.forward_first_t(&conv.forward_cut_t(xs, out, k, train), train)
        };
        let Extents { out, middle, kernel, .. } = extents;
        let followed = self.followed(xs.size()[1], extents);
        let middle = followed.as_ref().unwrap_or(middle);
        let mut ys = xs.shallow_clone();
        if let Some(expand) = &self.expand {
            ys = self.activate(&conv_bn(expand, &ys, middle, &Extent::Full));
        }
        ys = self.shuffled(ys);
        ys = self.activate(&conv_bn(&self.depthwise, &ys, &Extent::Full, kernel));
        // The mask is applied here and not earlier, because BN's shift would fill masked channels again. If nothing else reads
        // the map, the weights that read it are masked instead. This gives the same result and saves another copy of the widest
        // map.
        let mut read = middle;
        if let Some(squeeze_excite) = &self.squeeze_excite {
            ys = squeeze_excite.forward_cut(&middle.mask(ys), middle);
            read = &Extent::Full;
        }
        let (project, bn) = &self.project;
        ys = bn.forward_first_t(&project.forward_reading(&ys, out, read), train);
        if let Shortcut::Padded = self.shortcut {
            // The input may have more channels than are left of the output.
            return out.mask(self.shortcut.added(ys, xs));
        }
        ys = out.mask(ys);
        if self.shortcut.is_input(xs, &ys) {
            ys = drop_images(ys);
        }
        self.shortcut.added(ys, xs)
    }

    /// Sorts by the sum of magnitudes in the projection, as once-for-all's `re_organize_middle_weights` does; channels inside
    /// squeeze-and-excite by that of its second convolution. Without a first convolution the middle is the input and cannot be
    /// sorted.
    fn sort_middle(&self, trained: &[i64]) {
        let Some(expand) = &self.expand else { return };
        let order = by_importance(&self.project.0.importance(), trained);
        for (conv, bn) in [expand, &self.depthwise] {
            conv.reorder_out(&order);
            bn.reorder(&order);
        }
        if let Some(squeeze_excite) = &self.squeeze_excite {
            squeeze_excite.reorder(&order);
            squeeze_excite.sort_within();
        }
        self.project.0.reorder_in(&order);
    }
}

/// The name, among a block's weights, of the scale of its last batch norm, if the block has a shortcut. This scale multiplies
/// everything that the block adds to its shortcut; at 0 only the shortcut is left. `AsPhase` norms have no scale in a search.
pub fn residual_scale(spec: &OpSpec) -> Option<&'static str> {
    let has_shortcut = match spec.op {
        Op::InvertedResidual(block) => block.shortcut == Kind::Always || spec.adds_input(),
        _ => false,
    };
    has_shortcut.then_some("bn3.weight")
}

impl Shortcut {
    fn new(b: &LayerBuilder, path: &nn::Path, spec: &OpSpec, is_elastic: bool) -> Self {
        let Op::InvertedResidual(Block { shortcut: Kind::Always, .. }) = spec.op else {
            return match spec.op {
                _ if !spec.adds_input() => Self::Nothing,
                Op::InvertedResidual(Block { shortcut: Kind::Padded, .. }) => Self::Padded,
                _ => Self::Input,
            };
        };
        let is_convolved = is_elastic || spec.c_in != spec.c_out;
        let conv = is_convolved.then(|| b.conv(&(path / "shortcut"), spec.c_in, spec.c_out, 1));
        Self::Fitted { halves: spec.stride > 1, conv }
    }

    /// Whether the input is added unchanged; padding counts as a change.
    fn is_input(&self, xs: &Tensor, ys: &Tensor) -> bool {
        match self {
            Self::Nothing | Self::Padded => false,
            Self::Input => true,
            Self::Fitted { halves, .. } => !halves && xs.size()[1] == ys.size()[1],
        }
    }

    /// The block's own output with the shortcut of its input added.
    fn added(&self, ys: Tensor, xs: &Tensor) -> Tensor {
        let (halves, conv) = match self {
            Self::Nothing => return ys,
            Self::Input => return ys + xs,
            Self::Padded => {
                let missing = ys.size()[1] - xs.size()[1];
                // A negative padding cuts channels off.
                return ys + xs.constant_pad_nd([0, 0, 0, 0, 0, missing]);
            }
            Self::Fitted { halves, conv } => (*halves, conv),
        };
        let pooled = if halves { halved(xs) } else { xs.shallow_clone() };
        let c_out = ys.size()[1];
        match conv {
            Some(conv) if xs.size()[1] != c_out => {
                ys + conv.forward_cut(&pooled, &Extent::First(c_out), &Extent::Full)
            }
            _ => ys + pooled,
        }
    }
}

/// The average of 2x2 pixels. Odd maps are padded with zeros, which count, as in the official code.
fn halved(xs: &Tensor) -> Tensor {
    let padding = xs.size()[3] % 2;
    xs.avg_pool2d([2, 2], [2, 2], [padding; 2], false, true, None::<i64>)
}
