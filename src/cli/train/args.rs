//! The flags of `lat train`.

use std::path::PathBuf;

use crate::cli::table_args::TableArgs;

/// Learn to predict the latency of architectures from measurements.
///
/// Splits by architecture, fits the differentiable predictors, judges them on rows that none has seen, and writes the best as a
/// predictor file.
///
/// Example: lat train --data runs/profile-darts-cpu-c8-l4-r8-b1-seed0
///
/// A table measured elsewhere: lat train --space-file examples/spaces/ofa.toml --data ofa.parquet
///
/// A new device from predictors of others and ten samples: lat train --from gpu-a.lat gpu-b.lat --samples-from runs/profile-darts-cpu-c8-l4-r8-b1-seed0 --train 10
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) table: TableArgs,
    /// Predictors of other devices to start from. --data (also named --samples-from here) then holds samples of the new device; 5 to
    /// 50 of them are enough.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["regressor", "compare"])]
    pub(super) from: Vec<PathBuf>,
    /// Column to predict.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    pub(super) target: String,
    /// Regressor that becomes the predictor: auto or one of `lat list regressors`.
    #[arg(long, default_value = "auto")]
    pub(super) regressor: String,
    /// Fit all regressors for comparison, baselines included.
    #[arg(long)]
    pub(super) compare: bool,
    /// Also judge this table of operations (`lat profile --per-op`, or a published one): the sum over a network's operations, plain
    /// and scaled; may be repeated for published tables of several image sizes.
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "from")]
    pub(super) per_op: Vec<PathBuf>,
    /// Rows to train on [default: all except the test rows].
    #[arg(long, value_name = "N")]
    pub(super) train: Option<usize>,
    /// Rows to test on [default: a fifth; with --from and up to 50 rows none].
    #[arg(long, value_name = "M")]
    pub(super) test: Option<usize>,
    /// File with the architectures to test on, one per line.
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    pub(super) test_rows: Option<PathBuf>,
    /// Also use rows that were measured while the device was disturbed: values far from what the other rows suggest, close together
    /// in the table. By default they are left out of training and testing.
    #[arg(long)]
    pub(super) keep_disturbed: bool,
    /// Seed for split and training.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Predictor file [default: ./runs/predictor-PROFILE-COLUMN.lat].
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Also write all metrics as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}
