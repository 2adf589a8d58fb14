//! `FBNetV2`: Differentiable Neural Architecture Search for Spatial and Channel Dimensions (`DMaskingNAS`). Wan, Dai, Zhang, He, Tian, Xie,
//! Wu, Yu, Xu, Chen, Vajda, Gonzalez, CVPR 2020, arXiv 2004.05565. The authors published networks
//! (<https://github.com/facebookresearch/mobile-vision>) but not their search; public code by others does something else.
//!
//! `FBNet` on operations that can be cut down. Channel options are masks over one full-width operation. The masks are weighted by
//! the draw and summed before they are applied, after batch norm and activation (`src/supernet/elastic.rs`). Image sizes are
//! separate passes (`src/supernet/sizes.rs`). Counts and tables of operations read products of all gates that an operation's shape
//! depends on, so their cost for theta's softmax is the exact expectation.
//!
//! Deviations: those of `FBNet`. Each image size is one pass of the whole network over the image as the derived network sees it; the
//! paper runs each operation once per size on grid positions of the same feature map. So a pass computes exactly what the network of
//! that size computes, and only the features before the classifier are put back to their positions and summed. The cost reads the
//! softmax instead of the draw, because the paper's cost is an expectation; `cost = draw` gives `FBNet`'s. No public text states the
//! search's rates; they are `FBNet`'s.

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
