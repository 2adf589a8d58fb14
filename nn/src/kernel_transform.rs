//! Smaller kernels made of larger ones by matrices that are learnt: Once-for-All (arXiv 1908.09791, section 3.3).

use std::collections::HashMap;
use std::hash::BuildHasher;

use tch::{Kind, Tensor, nn};

use crate::elastic::{Extent, centred, slice_like};

/// The matrices of a kernel. From each size to the next smaller one there is one matrix, shared by all channels: entry i of the smaller
/// kernel, row by row, is the sum over j of M\[i, j\] times entry j of the centre of the larger one, which is transformed itself where
/// it is not the largest.
#[derive(Debug)]
pub(crate) struct KernelTransform {
    /// Sides below the largest in descending order, each with its matrix `[side * side, side * side]`.
    steps: Vec<(i64, Tensor)>,
}

/// Name of the matrix that makes a kernel of this side.
fn name(side: i64) -> String {
    format!("to{side}")
}

impl KernelTransform {
    /// Matrices for these sides, the largest of which needs none; at first they leave the centre as it is.
    pub(crate) fn new(path: &nn::Path, sides: &[i64]) -> Self {
        let mut sides = sides.to_vec();
        sides.sort_unstable_by_key(|side| -side);
        let step = |&side: &i64| {
            let identity = Tensor::eye(side * side, (Kind::Float, path.device()));
            (side, path.var_copy(&name(side), &identity))
        };
        Self { steps: sides.iter().skip(1).map(step).collect() }
    }

    /// The matrices of a kernel of this side among a network's weights, under this path; None if the path has no matrices.
    fn found<S: BuildHasher>(
        weights: &HashMap<String, Tensor, S>,
        place: &str,
        largest: i64,
    ) -> Option<Self> {
        let matrix = |side: i64| {
            let matrix = weights.get(&format!("{place}.{}", name(side)))?;
            Some((side, matrix.shallow_clone()))
        };
        let steps: Vec<_> = (1..largest).rev().filter_map(matrix).collect();
        (!steps.is_empty()).then_some(Self { steps })
    }

    /// The kernel `[c_out, c_in, side, side]` made of the largest.
    pub(crate) fn kernel(&self, weight: &Tensor, side: i64) -> Tensor {
        let steps = self.steps.iter().filter(|(to, _)| *to >= side);
        steps.fold(weight.shallow_clone(), |larger, (to, matrix)| {
            let centre = centred(&larger, *to);
            let size = centre.size();
            centre.reshape([-1, to * to]).linear(matrix, None::<&Tensor>).view(size.as_slice())
        })
    }

    /// As much of a convolution's weight as this says of its kernel; a sum of kernels has the largest one's size.
    pub(crate) fn of_kernel(&self, weight: &Tensor, kernel: &Extent) -> Tensor {
        match kernel {
            Extent::Full => weight.shallow_clone(),
            Extent::First(side) => self.kernel(weight, *side),
            Extent::Blended(sides) => {
                let largest = weight.size()[3];
                let padded = sides.iter().map(|(side, share)| {
                    let margin = (largest - side) / 2;
                    self.kernel(weight, *side).constant_pad_nd([margin; 4]) * share
                });
                padded.reduce(|sum, kernel| sum + kernel).expect("a kernel is open")
            }
            Extent::Masked(_) => panic!("kernels with matrices are blended"),
        }
    }
}

/// What a smaller network has of the weight of this name: of its first two dimensions the first ones, of its kernel the centre, through
/// the matrices that stand beside it. None where there is no such weight.
pub fn derived_weight<S: BuildHasher>(
    weights: &HashMap<String, Tensor, S>,
    name: &str,
    size: &[i64],
) -> Option<Tensor> {
    let whole = weights.get(name)?;
    let (&[c_out, c_in, side, _], &[.., largest]) = (size, whole.size().as_slice()) else {
        return Some(slice_like(whole, size));
    };
    let place = name.strip_suffix(".weight").unwrap_or(name);
    match KernelTransform::found(weights, place, largest) {
        Some(transform) if side < largest => {
            let channels = slice_like(whole, &[c_out, c_in, largest, largest]);
            Some(transform.kernel(&channels, side))
        }
        _ => Some(slice_like(whole, size)),
    }
}
