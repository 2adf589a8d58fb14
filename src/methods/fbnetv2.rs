//! `FBNetV2`: Differentiable Neural Architecture Search for Spatial and Channel Dimensions (`DMaskingNAS`). Wan, Dai, Zhang, He, Tian, Xie,
//! Wu, Yu, Xu, Chen, Vajda, Gonzalez, CVPR 2020, arXiv 2004.05565. The authors published networks
//! (<https://github.com/facebookresearch/mobile-vision>), not their search; the code of others that is public does something else.
//!
//! `FBNet` on operations that are cut down. Options of channels are masks over one full-width operation, weighed by the draw and summed
//! before it is applied, behind batch norm and activation (`src/supernet/elastic.rs`); sizes of the image are passes of their own
//! (`src/supernet/sizes.rs`). Counts and tables of operations read products of the gates that an operation's shape hangs on, so their cost
//! of theta's softmax is the exact expectation.
//!
//! Deviations: those of `FBNet`. A size of the image is one pass of the whole network over the image as the derived network sees it,
//! where the paper runs each operation once per size on the same map's grid positions: a pass then computes what that size's network
//! computes, and only the features before the classifier are put back to their positions and summed. The cost reads the softmax instead
//! of the draw, since the paper's is expected; `cost = draw` is `FBNet`'s. No public text says the search's rates; they are `FBNet`'s.

use super::fbnet::{self, FbNet};
use super::tools::cost_of::CostOf;
use super::tools::needs::Need;
use super::tools::prelude::*;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "fbnetv2",
    "FBNet where channels and image sizes are searched too, by masks over one operation",
    "FBNetV2: Differentiable NAS for Spatial and Channel Dimensions, 2020, arXiv 2004.05565",
    [(8, 64), (90, 192)],
)
.needing(&[Need::Masks]);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct Config(fbnet::Config);

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let mut config = fbnet::Config::PAPER;
        config.cost = CostOf::Mean;
        Self(config)
    }

    fn quick(space: &dyn SearchSpace) -> Options {
        fbnet::Config::quick(space)
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        self.0.check(space)
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(FbNet::new(self.0, space, seed)))
    }
}
