use crate::RegressorEntry;
use crate::linear::Linear;

/// One cost per cell type and operation: the fewest numbers, so the best of few samples.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: "linear-counts",
    summary: "ridge regression on operation counts: one cost per cell type and operation",
    encoding: "counts",
    differentiable: true,
    build: |setup| Box::new(Linear::new("linear-counts", setup.seed)),
};
