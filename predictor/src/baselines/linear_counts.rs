//! Linear regression on counts of operations only.

use super::linear::{Linear, by_ridge};
use crate::RegressorEntry;

/// One cost per cell type and operation. These are the fewest weights, so it is best with few samples.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: "linear-counts",
    summary: "ridge regression on operation counts: one cost per cell type and operation",
    encoding: "counts",
    differentiable: true,
    is_candidate: true,
    build: |setup| Box::new(Linear::new("linear-counts", setup, by_ridge)),
};
