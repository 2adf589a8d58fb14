//! The goal of a search, and how the cost's gradient is estimated.

use serde::{Deserialize, Serialize};

use crate::product::Product;

/// How the cost's gradient passes through the choice of an architecture (LA-DARTS does not specify it; see [`crate::relaxed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Average over sampled architectures, with the straight-through gradient of the Gumbel-softmax.
    StraightThrough,
    /// Cost of the exactly expected code. Free of noise, but no architecture has this code.
    Expected,
    /// Score function (REINFORCE): unbiased and without a gradient of the cost model, but noisy.
    ScoreFunction,
}

/// The goal of the search besides accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Task loss + lambda * cost / reference.
    Lambda(f64),
    /// Task loss + mu * (cost / target - 1). mu rises while the cost is above the target and falls below it (dual ascent), but never
    /// becomes negative.
    Target(f64),
    /// Task loss times a power of the cost's logarithm (`FBNet`).
    Product(Product),
}
