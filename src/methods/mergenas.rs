//! `MergeNAS`: Merge Operations into One for Differentiable Architecture Search. Wang, Xue, Yan, Yang, Hu, Sun, IJCAI 2020. The paper has
//! no repository; the authors' later repositories contain the merged operation: <https://github.com/vicFigure/ZARTS>,
//! `cnn/operations.py`.
//!
//! Legal note: US patent 12,141,681 B2, "Merge operations for DARTS", is related. Consider it before any commercial use.
//!
//! Deviations: we do not know the paper's optimizers, rates and epochs; those of first-order DARTS are used (second-order with
//! `unrolled`), as in the authors' code. There is one depthwise and pointwise stage, the default of that code; its variants with two
//! stages, without `dil_conv_5x5`, and with merged pools and skips are not offered. In NAS-Bench-201 the two full convolutions share
//! a full kernel, whose 1x1 part is its centre. BN after the merged convolution removes the common scale of the convolutions'
//! probabilities, so that they compete with pools and skips only through their ratios; `scaled` restores it. The quick preset is
//! that of DARTS.

use super::darts::{self, Darts};
use super::tools::prelude::*;
use crate::supernet::MergedConvs;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "mergenas",
    "DARTS whose convolutions on an edge share one masked kernel and are computed as one",
    "MergeNAS: Merge Operations into One for Differentiable Architecture Search, IJCAI 2020",
    [(12, 64), (50, 64)],
)
.needing(CELLS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    darts: darts::Config,
    /// Weight the merged convolution by the sum of its candidates' probabilities.
    scaled: bool,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self { darts: darts::Config::PAPER, scaled: false }
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let sites = MergedConvs { scaled: self.scaled };
        Ok(Box::new(Darts::new(self.darts, sites, space, seed)))
    }
}
