//! How a search ends.

use serde::{Deserialize, Serialize};

/// How a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Finalists are drawn from the method's distribution and compared by measures of their untrained networks.
    #[default]
    Finalists,
    /// Evolution among the subnets of the trained supernet.
    Evolution,
    /// Random subnets of the trained supernet are judged, as many as evolution would judge: the baseline for evolution.
    Random,
}

impl Ending {
    /// Whether subnets of the trained supernet are not judged at all.
    pub fn is_finalists(&self) -> bool {
        *self == Self::Finalists
    }
}
