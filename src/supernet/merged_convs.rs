//! `MergeNAS`' mixed op: all convolutions of an edge are computed as one, the other candidates as in DARTS.

use lat_nn::{LayerBuilder, MergedConv};
use lat_space::OpSpec;
use tch::{Kind, Tensor, nn};

use super::gates::{Gate, Path};
use super::mixed_op::{BuildMixedOp, MixedOp, WeightedSum};

/// Builds mixed operations whose convolutions share one kernel.
#[derive(Debug, Clone, Copy)]
pub struct MergedConvs {
    /// Whether to multiply the merged convolution by its candidates' total weight, which BN removes from it.
    pub scaled: bool,
}

impl BuildMixedOp for MergedConvs {
    fn uncuttable(&self) -> Option<&'static str> {
        Some("convolutions of an edge share one kernel and are none of the space's operations")
    }

    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp> {
        let merged: Vec<usize> =
            (0..candidates.len()).filter(|&c| MergedConv::covers(candidates[c].op)).collect();
        let convs: Vec<OpSpec> = merged.iter().map(|&c| candidates[c]).collect();
        Box::new(MergedSite {
            others: WeightedSum::without(builder, path, candidates, &merged),
            conv: MergedConv::new(builder, &(path / "merged"), &convs),
            choices: merged,
            scaled: self.scaled,
        })
    }
}

#[derive(Debug)]
struct MergedSite {
    /// The candidates that are not convolutions.
    others: WeightedSum,
    conv: MergedConv,
    /// Indices of the choices that are convolutions.
    choices: Vec<usize>,
    scaled: bool,
}

impl MixedOp for MergedSite {
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor {
        let rows: Vec<i64> = self.choices.iter().map(|&c| c as i64).collect();
        let rows = Tensor::from_slice(&rows).to_device(gate.weights.device());
        let open = |c: &usize| f32::from(u8::from(gate.paths[*c] != Path::Off));
        let open: Vec<f32> = self.choices.iter().map(open).collect();
        let weights = gate.weights.index_select(0, &rows)
            * Tensor::from_slice(&open).to_device(gate.weights.device());
        let mut ys = self.others.forward_t(xs, &gate.without_edge(), train);
        if open.contains(&1.0) {
            let conv = self.conv.forward_t(xs, &weights, train);
            ys += if self.scaled { conv * weights.sum(Kind::Float) } else { conv };
        }
        gate.weigh(ys)
    }
}
