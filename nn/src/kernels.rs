//! What computes depthwise convolutions and pools: libtorch, or the kernels of `lat-kernels`.

use tch::Tensor;

use crate::WeightInit;

/// What computes depthwise convolutions and pools.
///
/// What is timed is what users run, and they run libtorch. So networks with lent weights, which are there to be timed, never compute
/// by kernels of this project's own, and other networks (an extracted one may be timed too) only in passes that train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// libtorch in every pass.
    Libtorch,
    /// This project's own in passes that train, libtorch in the others.
    OwnInTraining,
}

impl Kernels {
    /// Of a network with these weights.
    pub(crate) fn of(init: &WeightInit) -> Self {
        match init {
            WeightInit::Uniform => Self::OwnInTraining,
            WeightInit::Lent(_) => Self::Libtorch,
        }
    }

    fn are_own(self, train: bool) -> bool {
        train && self == Self::OwnInTraining
    }

    /// Max pooling with a border of half the window.
    pub(crate) fn max_pool(self, xs: &Tensor, (k, stride): (i64, i64), train: bool) -> Tensor {
        if self.are_own(train) {
            return lat_kernels::max_pool(xs, k, stride);
        }
        xs.max_pool2d([k, k], [stride; 2], [k / 2; 2], [1, 1], false)
    }

    /// Average pooling alike; the border does not count in the mean: a map of ones stays ones at its corners.
    pub(crate) fn avg_pool(self, xs: &Tensor, (k, stride): (i64, i64), train: bool) -> Tensor {
        if self.are_own(train) {
            return lat_kernels::avg_pool(xs, k, stride);
        }
        xs.avg_pool2d([k, k], [stride; 2], [k / 2; 2], false, false, None::<i64>)
    }

    /// A convolution `[c_out, c_in / groups, k, k]`, of which there are kernels where each channel is a group.
    pub(crate) fn convolve(
        self,
        xs: &Tensor,
        (weight, bias): (&Tensor, Option<&Tensor>),
        (stride, padding): ([i64; 2], [i64; 2]),
        (dilation, groups): (i64, i64),
        train: bool,
    ) -> Tensor {
        let is_depthwise = groups > 1 && groups == weight.size()[0];
        if is_depthwise && bias.is_none() && self.are_own(train) {
            return lat_kernels::depthwise(xs, weight, stride, padding, dilation);
        }
        xs.conv2d(weight, bias, stride, padding, dilation, groups)
    }
}

#[cfg(test)]
mod tests {
    use lat_kernels::{Level, at_level};
    use lat_space::{Graph, InvertedResidual, Op, OpSpec, find_skeleton, find_space};
    use tch::{Device, Kind, nn};

    use super::*;
    use crate::{DropPath, Extent, Extents, LayerBuilder, Phase, StaticNet, WeightArena};

    /// With separable and dilated convolutions and pools.
    fn graph() -> Graph {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        space.graph(&skeleton).derive(&space.at(123_456_789)).without_auxiliary()
    }

    fn images() -> Tensor {
        let noise = Tensor::arange(2 * 3 * 16 * 16, (Kind::Float, Device::Cpu)) * 1.3;
        noise.sin().view([2, 3, 16, 16])
    }

    /// What a network computes with kernels and without. Portable ones round twice where libtorch rounds once: by that the two are told apart.
    fn both(net: &StaticNet, train: bool) -> [Tensor; 2] {
        [Level::Portable, Level::Off].map(|level| {
            at_level(level, || tch::no_grad(|| net.forward_t(&images(), train, DropPath::OFF).main))
        })
    }

    #[test]
    fn a_timed_network_computes_by_libtorch_alone() {
        let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
        let timed = StaticNet::for_timing(&graph(), &arena).unwrap();
        for train in [false, true] {
            let [own, libtorch] = both(&timed, train);
            assert_eq!(own, libtorch, "timed, {train}");
        }
        for phase in [Phase::Search, Phase::Evaluation] {
            tch::manual_seed(1);
            let net = StaticNet::new(graph(), Device::Cpu, phase, WeightInit::Uniform).unwrap();
            let [own, libtorch] = both(&net, false);
            assert_eq!(own, libtorch, "in eval mode");
            let [own, libtorch] = both(&net, true);
            assert_ne!(own, libtorch, "trained");
            assert!(own.allclose(&libtorch, 1e-4, 1e-5, false));
        }
    }

    /// A block's output and gradients with kernels and without.
    fn gradients(compute: &dyn Fn(&Tensor) -> Tensor, weights: &nn::VarStore) -> [Vec<Tensor>; 2] {
        [Level::best(), Level::Off].map(|level| {
            at_level(level, || {
                let xs = Tensor::arange(2 * 16 * 9 * 9, (Kind::Float, Device::Cpu)) * 0.7;
                let xs = xs.sin().view([2, 16, 9, 9]).set_requires_grad(true);
                let ys = compute(&xs);
                // Not its squares, whose sum batch norm keeps as it is.
                let wave = Tensor::arange(ys.numel() as i64, (Kind::Float, Device::Cpu)).sin();
                let loss = (&ys * wave.view_as(&ys)).sum(Kind::Float);
                let mut learning = weights.trainable_variables();
                learning.push(xs);
                let mut gradients = Tensor::run_backward(&[&loss], &learning, false, false);
                gradients.push(ys.detach());
                gradients
            })
        })
    }

    #[test]
    fn inverted_residuals_learn_alike_whole_and_cut() {
        for stride in [1, 2] {
            let block = InvertedResidual::new(7, 48);
            let op = Op::InvertedResidual(block);
            let spec = OpSpec { op, c_in: 16, c_out: 16, stride, hw_in: 9 };
            let (phase, init) = (Phase::Evaluation, WeightInit::Uniform);
            let builder = LayerBuilder { phase, pools_normalised: false, init };
            let weights = nn::VarStore::new(Device::Cpu);
            tch::manual_seed(2);
            let layer = builder.elastic_layer(&weights.root(), &spec).unwrap();
            for kernel in [Extent::Full, Extent::First(5)] {
                let middle = Extent::First(32);
                let extents = Extents { middle, kernel, ..Extents::FULL };
                let [own, libtorch] =
                    gradients(&|xs| layer.forward_cut_t(xs, &extents, true), &weights);
                // Against the largest of all: what batch norm behind it undoes has a gradient of nothing but rounding.
                let flat = |of: &[Tensor]| {
                    Tensor::cat(&of.iter().map(|t| t.flatten(0, -1)).collect::<Vec<_>>(), 0)
                };
                let (own, libtorch) = (flat(&own), flat(&libtorch));
                assert_ne!(own, libtorch, "the kernels were not used");
                let largest = |of: &Tensor| of.abs().max().double_value(&[]);
                let error = largest(&(&own - &libtorch)) / largest(&libtorch);
                assert!(error < 1e-6, "{error}");
            }
        }
    }
}
