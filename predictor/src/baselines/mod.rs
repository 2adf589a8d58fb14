//! Regressors to compare with: linear ones, a Gaussian process, trees. What `auto` may choose among them is in the table.

pub(crate) mod boosting;
pub(crate) mod elastic_net;
pub(crate) mod forest;
pub(crate) mod gp;
pub(crate) mod linear;
pub(crate) mod linear_counts;
pub(crate) mod lookup_table;
mod ridge;
