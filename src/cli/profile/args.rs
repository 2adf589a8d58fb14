//! The flags of `lat profile`.

use std::path::PathBuf;

use lat::sampling::ErrorGoal;
use lat_data::{Mode, Precision, Shard};

use super::faults::FakeFault;
use crate::cli::skeleton::SkeletonArgs;

/// Measure how long architectures take on a device.
///
/// Draws distinct architectures, builds each one, times it until the 95 % interval of its median is within 1 %, and writes a row
/// with the evidence. Ctrl-C or a killed process loses at most the current row, a power cut the rows of the last fifth of a second;
/// the same command resumes. On a scheduler's SIGTERM the rows measured so far are sealed as a result. Several GPUs are measured by
/// one process each; several machines measure one shard each, which `lat merge` joins.
///
/// Example: lat profile --device cuda:0 --samples 100000
///
/// Until predictions are good enough: lat profile --device cuda:0 --until 'mape<3%'
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
// With several devices, each process gets the whole command with its own device, shard and folder appended, which override earlier ones.
#[command(args_override_self = true)]
pub(in crate::cli) struct Args {
    /// Device: cpu, cuda:N, several GPUs as cuda:0,cuda:1, or fake [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Measure only part I of N of the samples, in a folder of its own; `lat merge` joins the parts.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Measure even a single device in a process of its own, as is done for several, so that it can be restarted if a GPU error ends it.
    #[arg(long)]
    pub(super) supervise: bool,
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    pub(super) space: String,
    /// Number of distinct architectures; with --until the maximum number [default: 1000, with --until 20000].
    #[arg(long)]
    pub(super) samples: Option<u64>,
    /// Measure in rounds until predictions for samples not used in the fit are this good; write the goal in quotes: 'mape<3%'. A
    /// quarter of each round after the first is random, the rest are the architectures the predictor is least sure about. The run
    /// ends when the upper end of the error's 90 % interval is below the goal. Such a run has a folder of its own; the same command
    /// with another goal or another --samples continues it.
    #[arg(long, value_name = "GOAL")]
    pub(super) until: Option<ErrorGoal>,
    /// Time each distinct operation of the space's networks by itself instead of whole architectures. The result is a latency table
    /// (operations.csv) that `lat train --per-op` judges and `lat search --per-op` uses.
    #[arg(long, conflicts_with_all = ["samples", "until", "plan", "shard", "supervise", "energy"])]
    pub(super) per_op: bool,
    /// With --per-op: only the operations of networks for these image sizes in pixels, for a space that searches the size: 160,192.
    #[arg(long, value_name = "PIXELS", value_delimiter = ',')]
    pub(super) sizes: Vec<u16>,
    /// Images per batch.
    #[arg(long, default_value_t = 1)]
    pub(super) batch: u32,
    /// Seed for drawing the architectures.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Skeleton: quick, search, cifar or imagenet [default: cifar on a GPU, quick on a CPU].
    #[arg(long)]
    pub(super) preset: Option<String>,
    #[command(flatten)]
    pub(super) skeleton: SkeletonArgs,
    /// How runs are launched: eager (as PyTorch does, including launch time), graph (replayed as one CUDA graph: the GPU's own
    /// time), or both, which also shows which architectures are slowed down by launches [default: graph on a GPU, eager on a CPU].
    #[arg(long, value_name = "eager|graph|both")]
    pub(super) mode: Option<Mode>,
    /// Number format of the computation. fp32 is true fp32: TF32 is off.
    #[arg(long, default_value = "fp32", value_name = "fp32|tf32|fp16|bf16")]
    pub(super) precision: Precision,
    /// Use the channels-last layout (NHWC) for images and weights.
    #[arg(long)]
    pub(super) channels_last: bool,
    /// Empty the last-level cache (a GPU's L2) before each timed run.
    #[arg(long)]
    pub(super) cold: bool,
    /// Share of the samples (0 to 1) whose energy is also measured, two seconds each, if the device counts energy (column energy_mj).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(super) energy: f64,
    /// Cap on the timed runs of one architecture, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub(super) max_ms: Option<f64>,
    /// Run folder [default: ./runs/profile-SPACE-DEVICE-SKELETON-BATCH-SEED].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Measure a few samples and print how many hours and bytes the whole run will take.
    #[arg(long)]
    pub(super) plan: bool,
    /// Also write the verdict as JSON, with --per-op the rows of the table.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Internal: measure only the rows that a fresh process repeats. A run starts itself with this flag at its end.
    #[arg(long, hide = true)]
    pub(super) fresh: bool,
    /// Internal: this process measures for another one, and ends when that one ends.
    #[arg(long, hide = true)]
    pub(super) worker: bool,
    /// Faults of the fake device: abort=N, abort-again=N, slow-round=N, lose=N, pause-ms=N.
    #[arg(long, hide = true, value_delimiter = ',', requires = "device")]
    pub(super) fake_fault: Vec<FakeFault>,
}
