//! Choice of the code that the cost reads, for methods that draw soft gates.

use serde::{Deserialize, Serialize};

/// The code that the cost reads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CostOf {
    /// The draw that was used to compute the loss.
    Draw,
    /// The softmax of the logits.
    Mean,
}
