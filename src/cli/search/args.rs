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

/// Two numbers with a comma between.
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
/// drawn, half from what the method has learnt and half from all architectures alike, and the best within the goal is named. Ctrl-C keeps whole epochs; the same command resumes.
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
    /// Weight of the cost beside the validation loss; 0: accuracy alone. Finalists then cost at most 1 / (1 + 2.5 lambda) of what
    /// accuracy alone would take: a fifth less at 0.1, half at 0.4 [default: 0.1].
    #[arg(long, conflicts_with = "target_ms", allow_negative_numbers = true)]
    pub(super) lambda: Option<f64>,
    /// Cost to stay below, in milliseconds, instead of a lambda: what is found costs at most this and, if finalists are drawn, at
    /// least nine tenths of it, or what it would cost without a target where that is less. Evolution takes several, as in 3,4.5,6.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_delimiter = ',')]
    pub(super) target_ms: Vec<f64>,
    /// The same for a --target that is no time, or whose unit its name does not tell: in its own unit.
    #[arg(long, value_name = "COST", allow_negative_numbers = true, value_delimiter = ',', conflicts_with_all = ["lambda", "target_ms"])]
    pub(super) budget: Vec<f64>,
    /// Minimise FBNet's product instead of a sum: validation loss * ALPHA * (log cost)^BETA, of a cost that is above 1 in its unit; the
    /// paper has 0.2,0.6. Finalists then cost at most what the method's most probable architecture does.
    #[arg(long, value_name = "ALPHA,BETA", value_parser = pair, allow_hyphen_values = true, conflicts_with_all = ["lambda", "target_ms", "budget"])]
    pub(super) product: Option<(f64, f64)>,
    /// What BETA is the exponent of: (log cost)^BETA, or log(cost^BETA) as the public reimplementation has it [default: paper].
    #[arg(long, value_enum, requires = "product")]
    pub(super) product_reading: Option<Reading>,
    /// What to minimise: a predictor's column, or params or multiply_adds, which are counted.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    pub(super) target: String,
    /// How the cost's gradient passes through the choice of an architecture [default: straight-through; with --product expected].
    #[arg(long, value_enum)]
    pub(super) estimator: Option<Estimator>,
    /// How task and cost share the gradient of a method's architecture parameters: the cost's bounded to a tenth of the task's mean, or
    /// the bare sum.
    #[arg(long, value_enum, default_value = "bounded")]
    pub(super) cost_gradient: Joining,
    /// Architectures compared at the end before one is named: half drawn from the method's last distribution and half from all
    /// architectures alike, or what evolution looks at; 1: the method's most probable one as it is.
    #[arg(long, default_value_t = 256, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) finalists: u32,
    /// How the search ends: finalists compared by untrained networks, evolution among the parts of the trained supernet, or random parts
    /// of it [default: the method's].
    #[arg(long, value_enum)]
    pub(super) ending: Option<Ending>,
    /// How batch norm's statistics are made anew for each part of the supernet that is judged: per-image as once-for-all does, or
    /// per-batch as AttentiveNAS, BigNAS and Pi-NAS do [default: the method's].
    #[arg(long, value_name = "RULE")]
    pub(super) bn_rule: Option<BnRule>,
    /// Standard deviations of the prediction that are added to it: what is uncertain counts as dearer.
    #[arg(long, default_value_t = 0.0, value_name = "K", allow_negative_numbers = true)]
    pub(super) risk: f64,
    /// Predictor file [default: the newest of the space and target].
    #[arg(long, value_name = "FILE")]
    pub(super) predictor: Option<PathBuf>,
    /// Latency table to add up instead of asking a predictor: the folder of `lat profile --per-op`, or a published table of the space's
    /// blocks (YAML, JSON or CSV), of which a folder or several may be named; may be repeated.
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = ["predictor", "risk", "target"])]
    pub(super) per_op: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) accuracies: AccuracyArgs,
    #[command(flatten)]
    pub(super) images: DatasetArgs,
    /// Size of the search [default: paper on a GPU, quick elsewhere].
    #[arg(long, value_enum)]
    pub(super) preset: Option<Preset>,
    #[command(flatten)]
    pub(super) skeleton: SkeletonArgs,
    /// Passes over the training half [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: Option<u32>,
    /// Images per batch [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) batch: Option<u32>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Search with so many seeds, from --seed on, and report each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) seeds: u32,
    /// Where the supernet computes: cpu or cuda:N [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Where several processes share a search (see docs/distributed.md): batch norm by the statistics of the whole batch, not of each
    /// process's share.
    #[arg(long)]
    pub(super) sync_bn: bool,
    /// Seconds that a process of several waits for the others before it gives up.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) rank_timeout: u64,
    /// Option of the method, as in --set alpha_lr=0.001; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Do not look at the state of the search between epochs (collapse, gaps, gradients), which costs a few passes.
    #[arg(long, conflicts_with_all = ["hessian_every", "stop_on_collapse"])]
    pub(super) no_diagnostics: bool,
    /// Look at the curvature of the validation loss every so many epochs: the dominant eigenvalue of its Hessian in the
    /// architecture's logits, some forty passes each time; 0: never.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) hessian_every: u32,
    /// End the search where it collapses (half of a cell's edges are skip connections, nothing is left that learns, or the
    /// curvature grows by 1.3), with the architecture from before.
    #[arg(long)]
    pub(super) stop_on_collapse: bool,
    /// Folder of the result [default: ./runs/search-...].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Also write the result as JSON here; of several seeds mean and spread.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}
