//! Which code the cost reads, of methods that draw soft gates.

use serde::{Deserialize, Serialize};

/// Which code the cost reads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CostOf {
    /// The draw that the loss was computed with.
    Draw,
    /// The softmax of the logits.
    Mean,
}
