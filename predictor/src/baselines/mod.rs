//! Regressors to compare with: linear ones, a Gaussian process, trees. The table of regressors says which of them `auto` may
//! choose.

pub(crate) mod boosting;
pub(crate) mod elastic_net;
pub(crate) mod forest;
pub(crate) mod gp;
pub(crate) mod linear;
pub(crate) mod linear_counts;
pub(crate) mod lookup_table;
mod ridge;
