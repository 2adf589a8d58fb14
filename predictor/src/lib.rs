//! Learns to predict a cost (latency, energy, memory) from an architecture's code, and puts it into a search's loss.
//!
//! [`train`] fits the [`REGRESSORS`] to measured costs and reports their errors. A differentiable one becomes a [`Predictor`],
//! a file with a [`Label`] that says what it predicts. Searches see a [`CostModel`] only: a predictor, a latency table and
//! counted operations look the same.
//!
//! Invariants: everything a seed decides, it decides alone (no global random state); no weight of a predictor ever requires a
//! gradient; costs stay in the column's unit from the table to the search. The crate does not know how costs are measured.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests expect exact values"))]

mod active;
mod averaging;
#[doc(hidden)]
pub mod bench;
mod boosting;
mod calibration;
mod columns;
mod correction;
mod cost;
mod count_cost;
mod elastic_net;
mod encoding;
mod error;
mod evidence;
mod export;
mod feature_walk;
mod folds;
mod forest;
mod fused;
mod gates;
mod gp;
mod label;
mod linear;
mod linear_counts;
mod lookup_table;
mod members;
mod metrics;
mod mlp;
mod model;
mod one_thread;
mod posterior;
mod predictor;
mod predictor_file;
mod range;
mod regressor;
mod ridge;
mod robust;
mod scale;
mod spread;
mod structured;
mod table_cost;
mod train;
mod training;
mod transfer;
mod validation;
mod watch;

pub use active::most_informative;
pub use cost::{CostModel, PredictorCost};
pub use count_cost::CountCost;
pub use error::PredictError;
pub use evidence::Layout;
pub use export::ExportFormat;
pub use label::{DecisionLabel, Label, unit};
pub use metrics::{Metrics, noise_floor, spearman};
pub use model::Predictions;
pub use predictor::Predictor;
pub use predictor_file::FORMAT;
pub use range::{above_zero, at_least_zero};
pub use regressor::{
    Differentiable, LEAST_SAMPLES, REGRESSORS, Regressor, RegressorEntry, Setup, find_regressor,
};
pub use table_cost::TableCost;
pub use train::{Choice, Fitted, Report, Samples, TrainOptions, train};
pub use transfer::{
    Baseline, LEAST_TRANSFER_SAMPLES, MOST_TRANSFER_SAMPLES, Sources, TRANSFER, Transfer,
};
pub use validation::{Validation, validate};
