//! How a search ends.

use serde::{Deserialize, Serialize};

/// How a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Finalists are drawn from what the method believes and compared by what their untrained networks tell.
    #[default]
    Finalists,
    /// Evolution among the parts of the trained supernet.
    Evolution,
    /// Random parts of the trained supernet are judged, as many as evolution would: what evolution must beat.
    Random,
}

impl Ending {
    /// Whether nothing of the trained supernet is judged.
    pub fn is_finalists(&self) -> bool {
        *self == Self::Finalists
    }
}
