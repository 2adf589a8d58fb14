//! Squeeze-and-excite.

use lat_space::{Activation, SqueezeExcite as Rule};
use tch::{Tensor, nn};

use crate::activation::activate;
use crate::elastic::{Extent, first};
use crate::reorder::by_importance;
use crate::{Conv, LayerBuilder};

/// The average of each channel, 1x1 convolution to fewer channels, activation, 1x1 back, hard sigmoid; the map is multiplied by
/// the result.
#[derive(Debug)]
pub(crate) struct SqueezeExcite {
    rule: Rule,
    reduce: Conv,
    expand: Conv,
    activation: Activation,
    channels: u32,
}

impl SqueezeExcite {
    pub(crate) fn new(
        b: &LayerBuilder,
        path: &nn::Path,
        (rule, activation): (Rule, Activation),
        channels: u32,
    ) -> Self {
        let width = rule.width(channels);
        let conv = |name: &str, c_in, c_out| {
            let path = path / name;
            b.conv(&path, c_in, c_out, 1).biased(&b.init, &path)
        };
        let reduce = conv("reduce", channels, width);
        let expand = conv("expand", width, channels);
        Self { rule, reduce, expand, activation: rule.activation(activation), channels }
    }

    /// Applies it to `[n, c, h, w]`, which may have only the first channels.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        self.forward_cut(xs, &Extent::Full)
    }

    /// Applies it to a map whose channels are masked. The channels inside are then masked in the same way as narrower blocks
    /// would have fewer of them.
    pub(crate) fn forward_cut(&self, xs: &Tensor, middle: &Extent) -> Tensor {
        let mean = xs.mean_dim([2i64, 3].as_slice(), true, xs.kind());
        // No block has 2^32 channels, so the cast is safe.
        let width = self.rule.width(xs.size()[1] as u32);
        let within = Extent::First(i64::from(width));
        let ys = activate(&self.reduce.forward_cut(&mean, &within, &Extent::Full), self.activation);
        let ys = match middle {
            Extent::Masked(mask) => ys * self.mask_within(mask).view([1, -1, 1, 1]),
            _ => ys,
        };
        let out = Extent::First(xs.size()[1]);
        xs * self.expand.forward_cut(&ys, &out, &Extent::Full).hardsigmoid()
    }

    /// Puts the map's channels in this order.
    pub(crate) fn reorder(&self, order: &Tensor) {
        self.reduce.reorder_in(order);
        self.expand.reorder_out(order);
    }

    /// Sorts the channels inside by their weight, the largest first. The result of the layer does not change.
    pub(crate) fn sort_within(&self) {
        let importance = self.expand.importance();
        let order = by_importance(&importance, &importance.size());
        self.expand.reorder_in(&order);
        self.reduce.reorder_out(&order);
    }

    /// Channel j inside exists in blocks that are wide enough for it. Its weight is that of the last channel of the narrowest
    /// such block.
    fn mask_within(&self, mask: &Tensor) -> Tensor {
        let narrowest = |j: u32| (1..=self.channels).find(|&c| self.rule.width(c) > j);
        let width = self.rule.width(self.channels);
        let last = (0..width).map(|j| i64::from(narrowest(j).unwrap_or(self.channels)) - 1);
        let last: Vec<i64> = last.collect();
        first(mask, 0, i64::from(self.channels))
            .index_select(0, &Tensor::from_slice(&last).to_device(mask.device()))
    }
}
