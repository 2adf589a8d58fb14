//! Learns to predict a cost (latency, energy, memory) from an architecture's code, and puts it into a search's loss.
//!
//! [`train`] fits the [`REGRESSORS`] to measured costs and reports their errors. A differentiable one becomes a [`Predictor`], a
//! file with a [`Label`] that says what it predicts. Searches see only a [`CostModel`]: a predictor, a latency table and counted
//! operations look the same to them.
//!
//! Invariants: random numbers come from seeds only (no global random state); no weight of a predictor ever requires a gradient;
//! costs stay in the column's unit from the table to the search. The crate does not know how costs are measured.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests expect exact values"))]

mod baselines;
#[doc(hidden)]
pub mod bench;
mod cost;
mod disconnected;
mod encoding;
mod error;
mod export;
mod folds;
mod metrics;
mod model;
mod predictor;
mod progress;
mod regressor;
mod regressors;
mod structured;
mod train;
mod transfer;

pub use cost::{
    CostModel, CountCost, PieceCosts, PredictorCost, TableCost, above_zero, at_least_zero,
};
pub use error::PredictError;
pub use export::{ExportFormat, torchscript_file};
pub use metrics::{Metrics, kendall, noise_floor, spearman};
pub use model::Predictions;
pub use predictor::{DecisionLabel, FORMAT, Label, Predictor};
pub use progress::{FitEvent, Progress};
pub use regressor::{Differentiable, LEAST_SAMPLES, Layout, Regressor, RegressorEntry, Setup};
pub use regressors::{REGRESSORS, find_regressor};
pub use train::{
    Disturbed, Fitted, RegressorChoice, Report, Samples, TrainOptions, Validation, disturbed,
    most_informative, train, train_watched, validate,
};
pub use transfer::{
    Baseline, LEAST_TRANSFER_SAMPLES, MOST_TRANSFER_SAMPLES, Sources, TRANSFER, Transfer,
};
