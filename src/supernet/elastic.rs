//! Sites whose operations are cut down by separate decisions.
//!
//! A gate with one open path is hard: the operation is sliced to what this choice leaves and multiplied by the gate's weight,
//! through which straight-through gradients reach the gate. A gate with several open paths is soft: the whole operation is computed
//! under the weighted sum of the choices' masks (`FBNetV2`, arXiv 2004.05565, section 3), in a single pass for any number of
//! choices. Masks are applied after batch norm and activation, whose shift would otherwise fill them again. If a soft gate is
//! one-hot, both compute the same.

use std::collections::BTreeSet;

use lat_nn::{ElasticLayer, Extent, Extents, LayerBuilder};
use lat_space::{Candidate, ChoiceSet, Cut, DecisionId, Measure, Op, Site};
use tch::{Kind, Tensor, nn};

use super::gates::{Gate, Path};

/// Looks up the gate of a decision at this site.
type Gates<'a> = &'a dyn Fn(DecisionId) -> Gate;

/// The operations of a site, with their cuts.
#[derive(Debug)]
pub(super) struct ElasticSite {
    /// The decision that chooses among the operations; None if there is only one.
    decision: Option<DecisionId>,
    operations: Vec<Operation>,
}

/// One operation and its cuts.
#[derive(Debug)]
struct Operation {
    /// None for the operation `none`.
    layer: Option<Box<dyn ElasticLayer>>,
    candidate: Candidate,
}

impl ElasticSite {
    /// Builds the operations, each at its largest and under its own name.
    pub(super) fn new(builder: &LayerBuilder, path: &nn::Path, site: &Site) -> Self {
        let operation = |candidate: &Candidate| {
            let build = || {
                let path = path / candidate.op.name();
                let transformed =
                    candidate.cuts.iter().find(|c| c.of == Measure::TransformedKernel);
                match transformed {
                    Some(cut) => {
                        builder.transforming_layer(&path, candidate, &sides(cut, candidate))
                    }
                    None => builder.elastic_layer(&path, candidate),
                }
            };
            let layer = (candidate.op != Op::None)
                .then(|| build().expect("what is cut, or reads a searched width, can be cut"));
            Operation { layer, candidate: candidate.clone() }
        };
        let decision = match site {
            Site::Choice { decision, .. } => Some(*decision),
            Site::Elastic(_) => None,
        };
        Self { decision, operations: site.candidates().iter().map(operation).collect() }
    }

    /// Computes the site's output from `[n, c, h, w]` under its gates.
    pub(super) fn forward_t(&self, xs: &Tensor, gates: Gates<'_>, train: bool) -> Tensor {
        let Some(decision) = self.decision else {
            return self.operations[0].forward_t(xs, gates, train).expect("an operation");
        };
        let gate = gates(decision);
        let open = self.operations.iter().enumerate().filter(|(c, _)| gate.paths[*c] != Path::Off);
        let weighed = open.filter_map(|(choice, operation)| {
            Some(operation.forward_t(xs, gates, train)? * gate.weights.get(choice as i64))
        });
        let sum = weighed.reduce(|sum, ys| sum + ys);
        gate.weigh(sum.unwrap_or_else(|| self.zeros(xs)))
    }

    /// Sorts the channels of blocks whose middle is cut, see [`ElasticLayer::sort_middle`]. `trained` has for each decision the
    /// choices that weights were trained for. If the middle is an expansion of the input, its widths are computed from the largest
    /// input.
    pub(super) fn sort_channels(&self, trained: &[ChoiceSet]) {
        for Operation { layer, candidate } in &self.operations {
            let cut = candidate
                .cuts
                .iter()
                .find(|c| matches!(c.of, Measure::Middle | Measure::Expansion));
            if let (Some(layer), Some(cut), Op::InvertedResidual(block)) =
                (layer, cut, candidate.op)
            {
                let width = |choice: usize| match cut.of {
                    // Expansions are small numbers, so the cast is safe.
                    Measure::Expansion => {
                        block.middle_behind(candidate.c_in, cut.values[choice] as u8)
                    }
                    _ => cut.values[choice],
                };
                let widths = trained[cut.decision].iter().map(|c| i64::from(width(c)));
                let widths = widths.chain([i64::from(block.middle)]);
                layer.sort_middle(
                    &widths.collect::<BTreeSet<i64>>().into_iter().collect::<Vec<_>>(),
                );
            }
        }
    }

    fn zeros(&self, xs: &Tensor) -> Tensor {
        let spec = &self.operations[0].candidate;
        let (n, _, hw, _) = xs.size4().expect("images have four dimensions");
        let stride = i64::from(spec.stride);
        let hw = (hw + stride - 1) / stride;
        Tensor::zeros([n, i64::from(spec.c_out), hw, hw], (xs.kind(), xs.device()))
    }
}

impl Operation {
    /// The operation's output under its gates; None for the operation `none`.
    fn forward_t(&self, xs: &Tensor, gates: Gates<'_>, train: bool) -> Option<Tensor> {
        let layer = self.layer.as_ref()?;
        let (mut extents, mut factors) = (Extents::FULL, Vec::new());
        for cut in &self.candidate.cuts {
            let gate = gates(cut.decision);
            let Some((value, factor)) = only(cut, &gate) else {
                if cut.of == Measure::TransformedKernel {
                    extents.kernel = blended(cut, &gate);
                    continue;
                }
                let mask = Extent::Masked(mean_mask(&self.left(cut, xs), &gate));
                match cut.of {
                    Measure::Out => extents.out = mask,
                    // An expansion's mask covers the middle channels.
                    Measure::Middle | Measure::Expansion => extents.middle = mask,
                    Measure::Kernel | Measure::TransformedKernel => extents.kernel = mask,
                }
                continue;
            };
            factors.push(factor);
            let extent = Extent::First(i64::from(value));
            match cut.of {
                Measure::Out => extents.out = extent,
                Measure::Middle => extents.middle = extent,
                Measure::Kernel | Measure::TransformedKernel => extents.kernel = extent,
                // Expansions are small numbers, so the cast is safe.
                Measure::Expansion => extents.expansion = Some(value as u8),
            }
        }
        let ys = layer.forward_cut_t(xs, &extents, train);
        Some(factors.iter().fold(ys, |ys, factor| ys * factor))
    }

    /// What each choice of a cut leaves of the operation for this input. An expansion leaves middle channels. Under masks the input
    /// always has all its channels, some of which are zero.
    fn left(&self, cut: &Cut, xs: &Tensor) -> Left {
        if let (Measure::Expansion, Op::InvertedResidual(block)) = (cut.of, self.candidate.op) {
            // No feature map has 2^32 channels, and expansions are small, so the casts are safe.
            let c_in = xs.size()[1] as u32;
            let channels = |&e: &u32| block.middle_behind(c_in, e as u8);
            let values = cut.values.iter().map(channels).collect();
            return Left { of: Measure::Middle, values, largest: block.middle };
        }
        let largest = self.candidate.measure(cut.of).expect("a cut measure is there");
        Left { of: cut.of, values: cut.values.clone(), largest }
    }
}

/// The value of a measure under a hard gate, and the gate's weight; None if the gate is soft.
fn only(cut: &Cut, gate: &Gate) -> Option<(u32, Tensor)> {
    let mut open = (0..cut.values.len()).filter(|&c| gate.paths[c] != Path::Off);
    match (open.next(), open.next()) {
        (Some(only), None) => Some((cut.values[only], gate.weights.get(only as i64))),
        _ => None,
    }
}

/// What each choice leaves of a measure (width or kernel size).
#[derive(Debug)]
struct Left {
    of: Measure,
    values: Vec<u32>,
    largest: u32,
}

/// The choices' masks, weighted and summed: `[channels]`, or `[k, k]` for a kernel.
fn mean_mask(left: &Left, gate: &Gate) -> Tensor {
    let Left { of, values, largest } = left;
    let is_open = |c: usize| f32::from(u8::from(gate.paths[c] != Path::Off));
    let open: Vec<f32> = (0..values.len()).map(is_open).collect();
    let weights = &gate.weights * Tensor::from_slice(&open).to_device(gate.weights.device());
    let masks: Vec<f32> = values.iter().flat_map(|&v| mask(*of, v, *largest)).collect();
    let masks = Tensor::from_slice(&masks).to_device(weights.device());
    let mask = weights.to_kind(Kind::Float).matmul(&masks.view([values.len() as i64, -1]));
    let side = i64::from(*largest);
    if *of == Measure::Kernel { mask.view([side, side]) } else { mask }
}

/// The weighted sum of the transformed kernels of all open choices. Masks cannot express these.
fn blended(cut: &Cut, gate: &Gate) -> Extent {
    let open = (0..cut.values.len()).filter(|&c| gate.paths[c] != Path::Off);
    let side = |c: usize| (i64::from(cut.values[c]), gate.weights.get(c as i64));
    Extent::Blended(open.map(side).collect())
}

/// The side lengths of the kernels that a cut leaves, and of the largest operation's own kernel.
fn sides(cut: &Cut, candidate: &Candidate) -> Vec<i64> {
    let own = candidate.measure(cut.of);
    let all: BTreeSet<i64> = cut.values.iter().copied().chain(own).map(i64::from).collect();
    all.into_iter().collect()
}

/// A mask: 1 on the part of a measure that this value leaves, 0 elsewhere; per channel, or per kernel position row by row.
fn mask(of: Measure, value: u32, largest: u32) -> Vec<f32> {
    let on = |stays: bool| f32::from(u8::from(stays));
    if of != Measure::Kernel {
        return (0..largest).map(|c| on(c < value)).collect();
    }
    let margin = (largest - value) / 2;
    let is_in = |i: u32| i >= margin && i < margin + value;
    (0..largest * largest).map(|tap| on(is_in(tap / largest) && is_in(tap % largest))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_one_on_what_is_left() {
        assert_eq!(mask(Measure::Out, 2, 4), [1.0, 1.0, 0.0, 0.0]);
        let kernel = mask(Measure::Kernel, 1, 3);
        assert_eq!(kernel, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    fn gate(weights: &[f32], paths: &[Path]) -> Gate {
        Gate { weights: Tensor::from_slice(weights), paths: paths.to_vec(), edge: None }
    }

    #[test]
    fn one_open_path_slices_and_several_mask() {
        let cut = Cut { decision: 0, of: Measure::Middle, values: vec![1, 3] };
        let (value, factor) = only(&cut, &gate(&[0.5, 0.5], &[Path::Off, Path::On])).unwrap();
        assert_eq!((value, factor.double_value(&[])), (3, 0.5));
        assert!(only(&cut, &gate(&[0.25, 0.75], &[Path::On; 2])).is_none());
        let left = Left { of: Measure::Middle, values: vec![1, 3], largest: 3 };
        let mask = mean_mask(&left, &gate(&[0.25, 0.75], &[Path::On; 2]));
        assert_eq!(Vec::<f32>::try_from(&mask).unwrap(), [1.0, 0.75, 0.75]);
    }

    // Number 1 of what must be true of FBNetV2.
    #[test]
    fn fbnetv2_1_a_mask_falls_from_1_by_the_gates_of_narrower_options() {
        let g = [0.1f32, 0.4, 0.2, 0.3];
        let widths = [4u32, 6, 9, 12];
        let left = Left { of: Measure::Out, values: widths.to_vec(), largest: 12 };
        let mask = Vec::<f32>::try_from(&mean_mask(&left, &gate(&g, &[Path::On; 4]))).unwrap();
        assert!((mask[0] - 1.0).abs() < 1e-6);
        assert!(mask.is_sorted_by(|a, b| a >= b));
        for (c, found) in mask.iter().enumerate() {
            let wider = widths.iter().zip(g).filter(|(w, _)| **w as usize > c);
            let expected: f32 = wider.map(|(_, g)| g).sum();
            assert!((found - expected).abs() < 1e-6, "{c}: {found} {expected}");
        }
    }

    fn largest(op: Op) -> lat_space::OpSpec {
        lat_space::OpSpec { op, c_in: 5, c_out: 12, stride: 1, hw_in: 6 }
    }

    fn site(op: Op, cuts: Vec<Cut>) -> (nn::VarStore, ElasticSite) {
        let store = nn::VarStore::new(tch::Device::Cpu);
        let builder = LayerBuilder {
            phase: lat_nn::Phase::Search,
            pools_normalised: false,
            init: lat_nn::WeightInit::Uniform,
        };
        let site = Site::Elastic(Candidate { largest: largest(op), cuts });
        let site = ElasticSite::new(&builder, &store.root(), &site);
        (store, site)
    }

    fn conv() -> Op {
        let (activation, norm) = (lat_space::Activation::HSwish, lat_space::Norm::Affine);
        Op::ConvBnAct { k: 3, activation, biased: true, norm }
    }

    // Numbers 2 and 3 of what must be true of FBNetV2; the shift of batch norm is where a mask in front of it would leak.
    #[test]
    fn fbnetv2_3_a_masked_operation_is_the_weighed_sum_of_sliced_ones_and_runs_once() {
        let widths = vec![4, 7, 12];
        let cut = Cut { decision: 0, of: Measure::Out, values: widths.clone() };
        let (store, site) = site(conv(), vec![cut]);
        let weights = store.variables();
        let _ =
            tch::no_grad(|| weights["conv_bn_hswish_3x3_bias.bn.bias"].shallow_clone().fill_(0.7));
        let xs = Tensor::randn([3, 5, 6, 6], tch::kind::FLOAT_CPU);
        let run =
            |weights: &[f32], paths: &[Path]| site.forward_t(&xs, &|_| gate(weights, paths), false);
        for g in [[0.2f32, 0.5, 0.3], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]] {
            let mut expected = Tensor::zeros([3, 12, 6, 6], tch::kind::FLOAT_CPU);
            for (c, (g, &width)) in g.iter().zip(&widths).enumerate() {
                let mut paths = [Path::Off; 3];
                paths[c] = Path::On;
                let sliced = run(&[1.0; 3], &paths);
                assert_eq!(sliced.size()[1], i64::from(width));
                expected +=
                    sliced.constant_pad_nd([0, 0, 0, 0, 0, 12 - i64::from(width)]) * f64::from(*g);
            }
            let error = (run(&g, &[Path::On; 3]) - expected).abs().max().double_value(&[]);
            assert!(error < 1e-5, "{g:?}: {error}");
        }
        // In training mode each run moves the running statistics by a tenth of the way to the batch's; here one run moved them.
        let _ = site.forward_t(&xs, &|_| gate(&[0.2, 0.5, 0.3], &[Path::On; 3]), true);
        let mean = weights["conv_bn_hswish_3x3_bias.bn.running_mean"].copy();
        let conv = &weights["conv_bn_hswish_3x3_bias.conv.weight"];
        let bias = &weights["conv_bn_hswish_3x3_bias.conv.bias"];
        let of_batch = xs.conv2d(conv, Some(bias), [1, 1], [1, 1], [1, 1], 1);
        let of_batch = of_batch.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float);
        assert!(mean.allclose(&(of_batch * 0.1), 1e-4, 1e-6, false));
    }

    #[test]
    fn a_soft_expansion_masks_the_middle_channels() {
        let block = lat_space::InvertedResidual {
            norm: lat_space::Norm::Affine,
            ..lat_space::InvertedResidual::new(3, 0)
        };
        let op = Op::InvertedResidual(block.expanded(6, 5));
        let cut = Cut { decision: 0, of: Measure::Expansion, values: vec![2, 4, 6] };
        let (store, site) = site(op, vec![cut]);
        for (name, mut weight) in store.variables() {
            if name.ends_with("bias") {
                tch::no_grad(|| drop(weight.fill_(0.7)));
            }
        }
        let xs = Tensor::randn([3, 5, 6, 6], tch::kind::FLOAT_CPU);
        for c in 0..3 {
            let (mut one_hot, mut paths) = ([0.0f32; 3], [Path::Off; 3]);
            (one_hot[c], paths[c]) = (1.0, Path::On);
            let sliced = site.forward_t(&xs, &|_| gate(&[1.0; 3], &paths), false);
            let masked = site.forward_t(&xs, &|_| gate(&one_hot, &[Path::On; 3]), false);
            assert!((sliced - masked).abs().max().double_value(&[]) < 1e-5, "{c}");
        }
    }
}
