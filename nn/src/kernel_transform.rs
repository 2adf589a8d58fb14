//! Smaller kernels made from larger ones by learnt matrices: Once-for-All (arXiv 1908.09791, section 3.3).

use std::collections::HashMap;
use std::hash::BuildHasher;

use tch::{Kind, Tensor, nn};

use crate::elastic::{Extent, centred, slice_like};

/// The matrices of a kernel. For each step from one size to the next smaller one there is one matrix M, shared by all channels.
/// Entry i of the smaller kernel, row by row, is the sum over j of M\[i, j\] times entry j of the centre of the larger kernel.
/// The larger kernel is transformed itself, unless it is the largest.
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
    /// Matrices for these sides; the largest needs none. Initially they leave the centre unchanged.
    pub(crate) fn new(path: &nn::Path, sides: &[i64]) -> Self {
        let mut sides = sides.to_vec();
        sides.sort_unstable_by_key(|side| -side);
        let step = |&side: &i64| {
            let identity = Tensor::eye(side * side, (Kind::Float, path.device()));
            (side, path.var_copy(&name(side), &identity))
        };
        Self { steps: sides.iter().skip(1).map(step).collect() }
    }

    /// The matrices of a kernel with this side, found among a network's weights under this path. None if the path has no
    /// matrices.
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

    /// The kernel `[c_out, c_in, side, side]` made from the largest one.
    pub(crate) fn kernel(&self, weight: &Tensor, side: i64) -> Tensor {
        let steps = self.steps.iter().filter(|(to, _)| *to >= side);
        steps.fold(weight.shallow_clone(), |larger, (to, matrix)| {
            let centre = centred(&larger, *to);
            let size = centre.size();
            centre.reshape([-1, to * to]).linear(matrix, None::<&Tensor>).view(size.as_slice())
        })
    }

    /// The part of a convolution's weight that this extent of its kernel uses. A sum of kernels has the size of the largest one.
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

/// The part of the weight with this name that a smaller network uses: the first entries of its first two dimensions, and the
/// centre of its kernel, transformed by the matrices beside it if there are any. None if there is no such weight.
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
