//! `BigNAS`: Scaling Up Neural Architecture Search with Big Single-Stage Models. Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang,
//! Le, ECCV 2020, arXiv 2003.11142.
//!
//! The authors published no code. The table is taken from <https://github.com/xfey/pytorch-BigNAS>, built with `AttentiveNAS`'
//! blocks. Seven stages with a width, a depth and a kernel each, the width of the stem and of the last convolution, and the size
//! of the image. The deviations are those of `attentivenas`. The skeleton's resolution corresponds to their 320, and the paper
//! has 32 channels.

use crate::SkeletonPreset;
use crate::chain::{StageRow, StagewiseSpace, Table, presets};

const SKELETONS: &[SkeletonPreset] = &presets(26, 32, 320);

static TABLE: Table = Table {
    id: "bignas",
    summary: "BigNAS by its public table: seven stages of elastic width, depth and kernel, 2.4e8 architectures",
    paper: "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models, 2020, arXiv 2003.11142",
    skeletons: SKELETONS,
    resolutions: &[192, 224, 288, 320],
    first: &[32, 40],
    stages: &[
        stage(&[16, 24], &[1, 2], &[3], &[1], 1),
        stage(&[24, 32], &[2, 3], &[3], &[6], 2),
        stage(&[40, 48], &[2, 3], &[3, 5], &[6], 2),
        stage(&[80, 88], &[2, 3, 4], &[3, 5], &[6], 2),
        stage(&[112, 120, 128], &[2, 3, 4, 5, 6], &[3, 5], &[6], 1),
        stage(&[192, 200, 208, 216], &[2, 3, 4, 5, 6], &[3, 5], &[6], 2),
        stage(&[320, 352], &[1, 2], &[3, 5], &[6], 1),
    ],
    last: &[1280, 1408],
    final_expansion: None,
};

const fn stage(
    widths: &'static [u32],
    depths: &'static [u32],
    kernels: &'static [u32],
    expansions: &'static [u32],
    stride: u8,
) -> StageRow {
    StageRow { widths, depths, kernels, expansions, stride, excites: true }
}

/// Builds the space.
pub(crate) fn bignas() -> StagewiseSpace {
    StagewiseSpace::of(&TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchSpace;
    use crate::chain::golden;

    #[test]
    fn drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 7);
    }

    #[test]
    fn it_has_as_many_architectures_as_its_lists_say() {
        assert_eq!(bignas().size(), 235_929_600);
    }
}
