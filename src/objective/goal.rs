//! What a search is after, and how the cost's gradient reaches it.

use serde::{Deserialize, Serialize};

use crate::product::Product;

/// How the cost's gradient passes through the choice of an architecture (LA-DARTS leaves it open; see [`crate::relaxed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Mean over sampled architectures, gradient of the Gumbel-softmax straight through.
    StraightThrough,
    /// Cost of the exactly expected code. Free of noise, but the code is no architecture's.
    Expected,
    /// Score function (REINFORCE): unbiased, no gradient of the cost model needed, noisy.
    ScoreFunction,
}

/// What the search is after besides accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Task loss + lambda * cost / reference.
    Lambda(f64),
    /// Task loss + mu * (cost / target - 1), mu raised while the cost is above the target and lowered below (dual ascent),
    /// never negative.
    Target(f64),
    /// Task loss times a power of the logarithm of the cost (`FBNet`).
    Product(Product),
}
