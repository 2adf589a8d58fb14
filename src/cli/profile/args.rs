//! The flags of `lat profile`.

use std::path::PathBuf;

use lat::sampling::ErrorGoal;
use lat_data::{Mode, Precision, Shard};

use super::faults::FakeFault;
use crate::cli::skeleton::SkeletonArgs;

/// Measure how long architectures take on a device.
///
/// Draws distinct architectures, builds each, times it until the 95 % interval of its median is within 1 %, and writes a row
/// with its proof. Ctrl-C or a killed process loses at most the row at hand, a power cut the rows of the last fifth of a second;
/// the same command resumes. A scheduler's SIGTERM seals what there is. Several GPUs are measured by a process each; several machines measure a shard each, which `lat merge` joins.
///
/// Example: lat profile --device cuda:0 --samples 100000
///
/// Until predictions are good enough: lat profile --device cuda:0 --until 'mape<3%'
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
// Processes of several devices get the whole command with their own device, shard and folder behind it.
#[command(args_override_self = true)]
pub(in crate::cli) struct Args {
    /// cpu, cuda:N, several GPUs as cuda:0,cuda:1, or fake [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Measure part I of N of the samples only, in a folder of its own; `lat merge` joins the parts.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Measure one device by a process of its own too, as several are: one that a GPU error ends is started again.
    #[arg(long)]
    pub(super) supervise: bool,
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    pub(super) space: String,
    /// Number of distinct architectures; with --until the most there may be [default: 1000, with --until 20000].
    #[arg(long)]
    pub(super) samples: Option<u64>,
    /// Measure in rounds until predictions of samples that the fit has not seen are this good, in quotes: 'mape<3%'. A quarter
    /// of each round after the first is random, the rest is what a predictor knows least of. It ends when the upper end of the
    /// error's 90 % interval is below the goal. Such a run has a folder of its own; another goal or --samples goes on in it.
    #[arg(long, value_name = "GOAL")]
    pub(super) until: Option<ErrorGoal>,
    /// Time each distinct operation of the space's networks alone instead of architectures: a latency table (operations.csv) for
    /// `lat train --per-op` to judge and `lat search --per-op` to use.
    #[arg(long, conflicts_with_all = ["samples", "until", "plan", "shard", "supervise", "energy"])]
    pub(super) per_op: bool,
    /// With --per-op only operations of networks on images of these sizes in pixels, of a space that searches the size: 160,192.
    #[arg(long, value_name = "PIXELS", value_delimiter = ',')]
    pub(super) sizes: Vec<u16>,
    /// Images per batch.
    #[arg(long, default_value_t = 1)]
    pub(super) batch: u32,
    /// Seed of the draw.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Skeleton: quick, search, cifar or imagenet [default: cifar on a GPU, quick elsewhere].
    #[arg(long)]
    pub(super) preset: Option<String>,
    #[command(flatten)]
    pub(super) skeleton: SkeletonArgs,
    /// How runs are launched: eager (as PyTorch does, launches included), graph (replayed as one CUDA graph: the GPU's own
    /// time), or both, which also says where launches take the time [default: graph on a GPU, eager elsewhere].
    #[arg(long, value_name = "eager|graph|both")]
    pub(super) mode: Option<Mode>,
    /// Number format of the computation. fp32 is fp32: TF32 is off.
    #[arg(long, default_value = "fp32", value_name = "fp32|tf32|fp16|bf16")]
    pub(super) precision: Precision,
    /// Lay images and weights out channels last (NHWC).
    #[arg(long)]
    pub(super) channels_last: bool,
    /// Empty the last-level cache (a GPU's L2) before each timed run.
    #[arg(long)]
    pub(super) cold: bool,
    /// Share of the samples whose energy is measured too, two seconds each, where the device counts energy (column energy_mj).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(super) energy: f64,
    /// Cap on the timed runs of one architecture, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub(super) max_ms: Option<f64>,
    /// Run folder [default: ./runs/profile-SPACE-DEVICE-SKELETON-BATCH-SEED].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Measure a few and say how many hours and bytes the whole run takes.
    #[arg(long)]
    pub(super) plan: bool,
    /// Also write the verdict as JSON, with --per-op the rows of the table.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Measure only what a fresh process repeats: how a run calls itself at its end.
    #[arg(long, hide = true)]
    pub(super) fresh: bool,
    /// This process measures for another, whose end ends it too.
    #[arg(long, hide = true)]
    pub(super) worker: bool,
    /// What goes wrong on the fake device: abort=N, abort-again=N, slow-round=N, lose=N, pause-ms=N.
    #[arg(long, hide = true, value_delimiter = ',', requires = "device")]
    pub(super) fake_fault: Vec<FakeFault>,
}
