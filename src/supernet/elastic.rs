//! Sites whose operations are cut down by decisions of their own.
//!
//! A gate with one open path is hard: the operation is sliced to what this choice leaves, times the gate's weight, through which
//! straight-through gradients reach the gate. A gate with several is soft: the whole operation is computed under the mean of the
//! choices' masks (`FBNetV2`, arXiv 2004.05565, section 3). Where a soft gate is one-hot both compute the same.

use std::collections::BTreeSet;

use lat_nn::{ElasticLayer, Extent, Extents, LayerBuilder};
use lat_space::{Candidate, ChoiceSet, Cut, DecisionId, Measure, Op, Site};
use tch::{Kind, Tensor, nn};

use super::gates::{Gate, Path};

/// The gate of a decision at this site.
type Gates<'a> = &'a dyn Fn(DecisionId) -> Gate;

/// The operations of a site with their cuts.
#[derive(Debug)]
pub(super) struct ElasticSite {
    /// Which decision chooses among them; None where there is one.
    decision: Option<DecisionId>,
    operations: Vec<Operation>,
}

/// One operation and what cuts it.
#[derive(Debug)]
struct Operation {
    /// None for the operation `none`.
    layer: Option<Box<dyn ElasticLayer>>,
    candidate: Candidate,
}

impl ElasticSite {
    /// Builds the operations, each at its largest and under its name.
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

    /// `[n, c, h, w]` to the site's output under its gates.
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

    /// Sorts the channels of blocks whose middle is cut, see [`ElasticLayer::sort_middle`]; `trained` has per decision the choices that
    /// weights were trained for. Where the middle follows its input its widths are those behind the widest.
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
                    // Expansions are small.
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
    /// None for the operation `none`.
    fn forward_t(&self, xs: &Tensor, gates: Gates<'_>, train: bool) -> Option<Tensor> {
        let layer = self.layer.as_ref()?;
        let (mut extents, mut factors) = (Extents::FULL, Vec::new());
        for cut in &self.candidate.cuts {
            let largest = self.candidate.measure(cut.of).expect("a cut measure is there");
            let (extent, factor) = extent(cut, &gates(cut.decision), largest);
            factors.extend(factor);
            match cut.of {
                Measure::Out => extents.out = extent,
                Measure::Middle => extents.middle = extent,
                Measure::Kernel | Measure::TransformedKernel => extents.kernel = extent,
                Measure::Expansion => extents.expansion = Some(only(&extent)),
            }
        }
        let ys = layer.forward_cut_t(xs, &extents, train);
        Some(factors.iter().fold(ys, |ys, factor| ys * factor))
    }
}

/// How far a gate lets a measure reach, and the weight of a hard gate's only choice.
fn extent(cut: &Cut, gate: &Gate, largest: u32) -> (Extent, Option<Tensor>) {
    let mut open = (0..cut.values.len()).filter(|&c| gate.paths[c] != Path::Off);
    if let (Some(only), None) = (open.next(), open.next()) {
        let extent = Extent::First(i64::from(cut.values[only]));
        return (extent, Some(gate.weights.get(only as i64)));
    }
    if cut.of == Measure::TransformedKernel {
        let open = (0..cut.values.len()).filter(|&c| gate.paths[c] != Path::Off);
        let side = |c: usize| (i64::from(cut.values[c]), gate.weights.get(c as i64));
        return (Extent::Blended(open.map(side).collect()), None);
    }
    let is_open = |c: usize| f32::from(u8::from(gate.paths[c] != Path::Off));
    let open: Vec<f32> = (0..cut.values.len()).map(is_open).collect();
    let weights = &gate.weights * Tensor::from_slice(&open).to_device(gate.weights.device());
    let masks: Vec<f32> = cut.values.iter().flat_map(|&v| mask(cut.of, v, largest)).collect();
    let masks = Tensor::from_slice(&masks).to_device(weights.device());
    let mask = weights.to_kind(Kind::Float).matmul(&masks.view([cut.values.len() as i64, -1]));
    let side = i64::from(largest);
    let is_kernel = cut.of == Measure::Kernel;
    (Extent::Masked(if is_kernel { mask.view([side, side]) } else { mask }), None)
}

/// Sides of the kernels that a cut leaves, and the largest operation's own.
fn sides(cut: &Cut, candidate: &Candidate) -> Vec<i64> {
    let own = candidate.measure(cut.of);
    let all: BTreeSet<i64> = cut.values.iter().copied().chain(own).map(i64::from).collect();
    all.into_iter().collect()
}

/// What a hard cut leaves.
fn only(extent: &Extent) -> u8 {
    match extent {
        // Expansions are small.
        Extent::First(value) => *value as u8,
        _ => panic!("blocks of several expansions have no sum: one expansion per pass"),
    }
}

/// 1 on what a value leaves of a measure: per channel, or per tap of a kernel row by row.
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

    #[test]
    fn one_open_path_slices_and_several_mask() {
        let cut = Cut { decision: 0, of: Measure::Middle, values: vec![1, 3] };
        let gate = |weights: &[f32], paths: &[Path]| Gate {
            weights: Tensor::from_slice(weights),
            paths: paths.to_vec(),
            edge: None,
        };
        let (hard, factor) = extent(&cut, &gate(&[0.5, 0.5], &[Path::Off, Path::On]), 3);
        assert!(matches!(hard, Extent::First(3)));
        assert_eq!(factor.map(|f| f.double_value(&[])), Some(0.5));
        let (soft, factor) = extent(&cut, &gate(&[0.25, 0.75], &[Path::On; 2]), 3);
        let Extent::Masked(mask) = soft else { panic!("{soft:?}") };
        assert_eq!(Vec::<f32>::try_from(&mask).unwrap(), [1.0, 0.75, 0.75]);
        assert!(factor.is_none());
    }
}
