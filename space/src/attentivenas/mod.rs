//! `AttentiveNAS`: Improving Neural Architecture Search via Attentive Sampling. Wang, Li, Gong, Chandra, CVPR 2021, arXiv 2011.09011.
//! Reference: <https://github.com/facebookresearch/AttentiveNAS>. `AlphaNet` (arXiv 2102.07954) has the same space.
//!
//! Seven stages with a width, a depth, a kernel and an expansion each, the width of the stem and of the last convolution, and the
//! size of the image. Deviations: image sizes are fractions of the skeleton's resolution, which corresponds to their 288. The
//! skeleton's channels scale all widths by the same factor (the paper has 16). With the CIFAR stem, which the paper does not
//! have, the first two halvings are left out. In search and in training, batch norm keeps its own statistics.

use crate::SkeletonPreset;
use crate::chain::{StageRow, StagewiseSpace, Table, presets};

const SKELETONS: &[SkeletonPreset] = &presets(37, 16, 288);

static TABLE: Table = Table {
    id: "attentivenas",
    summary: "AttentiveNAS: seven stages of elastic width, depth, kernel and expansion, 4.4e11 architectures",
    paper: "AttentiveNAS: Improving Neural Architecture Search via Attentive Sampling, 2021, arXiv 2011.09011",
    skeletons: SKELETONS,
    resolutions: &[192, 224, 256, 288],
    first: &[16, 24],
    stages: &[
        stage(&[16, 24], &[1, 2], &[1], 1, false),
        stage(&[24, 32], &[3, 4, 5], &[4, 5, 6], 2, false),
        stage(&[32, 40], &[3, 4, 5, 6], &[4, 5, 6], 2, true),
        stage(&[64, 72], &[3, 4, 5, 6], &[4, 5, 6], 2, false),
        stage(&[112, 120, 128], &[3, 4, 5, 6, 7, 8], &[4, 5, 6], 1, true),
        stage(&[192, 200, 208, 216], &[3, 4, 5, 6, 7, 8], &[6], 2, true),
        stage(&[216, 224], &[1, 2], &[6], 1, true),
    ],
    last: &[1792, 1984],
    final_expansion: Some(6),
};

const fn stage(
    widths: &'static [u32],
    depths: &'static [u32],
    expansions: &'static [u32],
    stride: u8,
    excites: bool,
) -> StageRow {
    StageRow { widths, depths, kernels: &[3, 5], expansions, stride, excites }
}

/// Builds the space.
pub(crate) fn attentivenas() -> StagewiseSpace {
    StagewiseSpace::of(&TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::golden;
    use crate::{SearchSpace, Space};

    #[test]
    fn published_and_drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 17);
    }

    #[test]
    fn it_has_as_many_architectures_as_its_lists_say() {
        assert_eq!(attentivenas().size(), 440_301_256_704);
    }

    #[test]
    fn official_vectors_and_configurations_are_read() {
        let space = attentivenas();
        // AttentiveNAS-A0.
        let vector = "192, 16, 16, 24, 32, 64, 112, 192, 216, 1792, 1, 3, 3, 3, 3, 3, 1, 3, 3, 3, 3, 3, 3, 3, 1, 4, 4, 4, 4, 6, 6";
        let text = "{\"resolution\":192,\"width\":[16,16,24,32,64,112,192,216,1792],\"depth\":[1,3,3,3,3,3,1],\"kernel_size\":[3,3,3,3,3,3,3],\"expand_ratio\":[1,4,4,4,4,6,6]}";
        let smallest = space.at(0);
        assert_eq!(space.parse(&format!("[{vector}]")), Ok(smallest.clone()));
        assert_eq!(space.format(&smallest), text);
        assert_eq!(space.parse(text), Ok(smallest));
        let told = |text: &str| space.parse(text).unwrap_err().to_string();
        let error = told(&text.replace("[1,3,", "[2,9,"));
        assert!(error.contains("number 2 of depth one of 3, 4, 5") && error.contains("'9'"));
        assert!(told(&vector.replace("192, 16,", "192,")).contains("31 numbers"));
        assert!(told(&text.replace("depth", "deep")).contains("found 'deep'"));
        assert!(told(&text.replace("[1,3,", "[3,")).contains("7 numbers in one list depth"));
        assert!(told("").contains("31 numbers"));
    }
}
