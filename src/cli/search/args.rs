//! The flags of `lat search`.

use std::path::PathBuf;

use lat::ending::Ending;
use lat::methods::Preset;
use lat::objective::Estimator;
use lat::product::Reading;
use lat::steering::Joining;
use lat_nn::BnRule;

use crate::cli::accuracy::AccuracyArgs;
use crate::cli::datasets::DatasetArgs;
use crate::cli::skeleton::SkeletonArgs;

/// Parses two numbers separated by a comma.
fn pair(text: &str) -> Result<(f64, f64), String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers[..] {
        [a, b] if text.matches(',').count() == 1 => Ok((a, b)),
        _ => Err("expected two numbers with a comma between, as 0.2,0.6".to_owned()),
    }
}

/// Search for an architecture that is accurate and fast.
///
/// Minimises validation loss + lambda * predicted latency / reference, or meets a target in milliseconds. At the end finalists are
/// drawn, half from the distribution that the method has learned and half uniformly from all architectures, and the best one within
/// the goal is reported. Ctrl-C keeps finished epochs; the same command resumes.
///
/// Example: lat search --lambda 0.1
///
/// Example: lat search --lambda 0.1 --risk 1
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    pub(super) space: String,
    /// Search method; see `lat list methods`.
    #[arg(long, default_value = "pc-darts")]
    pub(super) method: String,
    /// Weight of the cost relative to the validation loss; 0: accuracy alone. Finalists then cost at most 1 / (1 + 2.5 lambda) of
    /// what accuracy alone would take: a fifth less at 0.1, half at 0.4 [default: 0.1].
    #[arg(long, conflicts_with = "target_ms", allow_negative_numbers = true)]
    pub(super) lambda: Option<f64>,
    /// Highest cost allowed, in milliseconds, instead of a lambda. The architecture found costs at most this. If finalists are
    /// drawn, it also costs at least nine tenths of it, or of the cost without a target if that is less. Evolution takes several
    /// targets: 3,4.5,6.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_delimiter = ',')]
    pub(super) target_ms: Vec<f64>,
    /// Highest cost allowed in the unit of --target, for a --target that is not a time or whose name does not tell its unit.
    #[arg(long, value_name = "COST", allow_negative_numbers = true, value_delimiter = ',', conflicts_with_all = ["lambda", "target_ms"])]
    pub(super) budget: Vec<f64>,
    /// Minimise FBNet's product instead of a sum: validation loss * ALPHA * (log cost)^BETA, for a cost above 1 in its unit; the
    /// paper uses 0.2,0.6. Finalists then cost at most as much as the method's most probable architecture.
    #[arg(long, value_name = "ALPHA,BETA", value_parser = pair, allow_hyphen_values = true, conflicts_with_all = ["lambda", "target_ms", "budget"])]
    pub(super) product: Option<(f64, f64)>,
    /// What the exponent BETA applies to: (log cost)^BETA, or log(cost^BETA) as in the public reimplementation [default: paper].
    #[arg(long, value_enum, requires = "product")]
    pub(super) product_reading: Option<Reading>,
    /// Cost to minimise: a predictor's column, or params or multiply_adds, which are counted.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    pub(super) target: String,
    /// How the cost's gradient passes through the choice of an architecture [default: straight-through; with --product expected].
    #[arg(long, value_enum)]
    pub(super) estimator: Option<Estimator>,
    /// How the gradients of task and cost are added for a method's architecture parameters: bounded (the cost's is limited to a
    /// tenth of the task's average) or the plain sum.
    #[arg(long, value_enum, default_value = "bounded")]
    pub(super) cost_gradient: Joining,
    /// Number of architectures compared at the end: half drawn from the method's final distribution and half uniformly from all
    /// architectures, or those that evolution examines. 1: take the method's most probable architecture without comparing.
    #[arg(long, default_value_t = 256, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) finalists: u32,
    /// How the search ends: finalists compared as untrained networks, evolution among subnets of the trained supernet, or random
    /// subnets of it [default: the method's].
    #[arg(long, value_enum)]
    pub(super) ending: Option<Ending>,
    /// How batch norm statistics are recomputed for each subnet of the supernet that is judged: per-image as in once-for-all, or
    /// per-batch as in AttentiveNAS, BigNAS and Pi-NAS [default: the method's].
    #[arg(long, value_name = "RULE")]
    pub(super) bn_rule: Option<BnRule>,
    /// Add this many standard deviations to each prediction, so that uncertain predictions count as more expensive.
    #[arg(long, default_value_t = 0.0, value_name = "K", allow_negative_numbers = true)]
    pub(super) risk: f64,
    /// Predictor file [default: the newest of the space and target].
    #[arg(long, value_name = "FILE")]
    pub(super) predictor: Option<PathBuf>,
    /// Latency table to add up instead of using a predictor: the folder of `lat profile --per-op`, or a published table of the
    /// space's blocks (YAML, JSON or CSV), as files or a folder; may be repeated.
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = ["predictor", "risk", "target"])]
    pub(super) per_op: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) accuracies: AccuracyArgs,
    #[command(flatten)]
    pub(super) images: DatasetArgs,
    /// Size of the search [default: paper on a GPU, quick on a CPU].
    #[arg(long, value_enum)]
    pub(super) preset: Option<Preset>,
    #[command(flatten)]
    pub(super) skeleton: SkeletonArgs,
    /// Passes over the training half of the images [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: Option<u32>,
    /// Images per batch [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) batch: Option<u32>,
    /// Seed for everything random.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Number of searches with consecutive seeds, starting at --seed; each is reported.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) seeds: u32,
    /// Device for the supernet: cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    pub(super) device: Option<String>,
    /// For a search shared by several processes (see docs/distributed.md): batch norm uses the statistics of the whole batch instead
    /// of each process's share.
    #[arg(long)]
    pub(super) sync_bn: bool,
    /// Seconds that one of several processes waits for the others before it gives up.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) rank_timeout: u64,
    /// Option of the method, for example --set alpha_lr=0.001; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Skip the diagnostics between epochs (collapse, gaps, gradients), which cost a few passes.
    #[arg(long, conflicts_with_all = ["hessian_every", "stop_on_collapse"])]
    pub(super) no_diagnostics: bool,
    /// Compute the curvature of the validation loss every N epochs: the dominant eigenvalue of its Hessian with respect to the
    /// architecture's logits, some forty passes each time; 0: never.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) hessian_every: u32,
    /// End the search if it collapses (half of a cell's edges are skip connections, no operation with weights is left, or the
    /// curvature grows by a factor of 1.3), and keep the architecture from before.
    #[arg(long)]
    pub(super) stop_on_collapse: bool,
    /// Folder for the result [default: ./runs/search-...].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Also write the result as JSON here; for several seeds mean and spread.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}
