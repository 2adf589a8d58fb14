//! `lat search`: finds an architecture that is accurate and cheap.

mod events;
mod log;
pub(super) mod place;
mod plan;
mod progress;
mod result;
mod seeds;
mod warnings;

use std::path::{Path, PathBuf};

use lat::diagnostics::Watch;
use lat::methods::{Preset, find_method};
use lat::objective::{Estimator, Objective};
use lat::search::{Search, SearchEvent};
use lat::spent::Meter;
use lat::steering::Joining;
use lat_data::RunLock;

use super::accuracy::AccuracyArgs;
use super::datasets::DatasetArgs;
use super::failure::{bad, failed};
use super::output::{Screen, say, write_json};
use super::skeleton::{SkeletonArgs, torch_device};
use super::written::Written;
use super::{STOP, newest, op_table, runs};
use log::SearchLog;
use plan::Plan;
use result::SearchResult;
use warnings::Warnings;

/// Search for an architecture that is accurate and fast.
///
/// Minimises validation loss + lambda * predicted latency / reference, or meets a target in milliseconds. At the end finalists are
/// drawn, half from what the method has learnt and half from all architectures alike, and the best within the goal is named. Ctrl-C keeps whole epochs; the same command resumes.
///
/// Example: lat search --lambda 0.1
///
/// Example: lat search --lambda 0.1 --risk 1
#[derive(clap::Args)]
pub(crate) struct Args {
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
    /// Cost to stay below, in the target's unit, instead of a lambda: what is found costs at most this and at least nine tenths of it,
    /// or what it would cost without a target where that is less.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    pub(super) target_ms: Option<f64>,
    /// What to minimise: a predictor's column, or params or multiply_adds, which are counted.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    pub(super) target: String,
    /// How the cost's gradient passes through the choice of an architecture.
    #[arg(long, value_enum, default_value = "straight-through")]
    pub(super) estimator: Estimator,
    /// How task and cost share the gradient of a method's architecture parameters: the cost's bounded to a tenth of the task's mean, or
    /// the bare sum.
    #[arg(long, value_enum, default_value = "bounded")]
    pub(super) cost_gradient: Joining,
    /// Architectures compared at the end before one is named, half drawn from the method's last distribution and half from all
    /// architectures alike; 1: the method's most probable one as it is.
    #[arg(long, default_value_t = 256, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) finalists: u32,
    /// Standard deviations of the prediction that are added to it: what is uncertain counts as dearer.
    #[arg(long, default_value_t = 0.0, value_name = "K", allow_negative_numbers = true)]
    pub(super) risk: f64,
    /// Predictor file [default: the newest of the space and target].
    #[arg(long, value_name = "FILE")]
    pub(super) predictor: Option<PathBuf>,
    /// Folder of a table of operations (`lat profile --per-op`) to add up instead of asking a predictor.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["predictor", "risk", "target"])]
    pub(super) per_op: Option<PathBuf>,
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

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let last = args.seed.checked_add(u64::from(args.seeds) - 1).ok_or_else(|| {
        let (first, n) = (args.seed, args.seeds);
        bad(format!("expected seeds of at most {}, found {n} from --seed {first} on", u64::MAX))
    })?;
    let written = written(args);
    written.check()?;
    let mut plan = Plan::new(args)?;
    let mut rows = Vec::new();
    for seed in args.seed..=last {
        plan.settings.seed = seed;
        let dir = dir(&plan);
        written.clone().folder(&dir).check()?;
        runs::writable_dir(&dir)?;
        let _lock = RunLock::take(&dir)?;
        let result = one_seed(&plan, &dir, screen)?;
        write_json(&dir.join(result::FILE), &result).map_err(failed)?;
        if let (Some(path), 1) = (&args.json, args.seeds) {
            write_json(path, &result)?;
        }
        result.print(&dir)?;
        rows.push(result);
    }
    if rows.len() == 1 {
        return Ok(());
    }
    let summary = seeds::Summary::of(&rows);
    if let Some(dir) = &args.out {
        write_json(&dir.join("seeds.json"), &summary)?;
    }
    if let Some(path) = &args.json {
        write_json(path, &summary)?;
    }
    say(summary.table())
}

/// The file that is asked for beside the folder, and what must not be written over.
fn written(args: &Args) -> Written {
    let tables = args.per_op.iter().map(|dir| dir.join(op_table::FILE));
    let predictors = args.predictor.clone().map_or_else(newest::predictors, |path| vec![path]);
    let inputs = predictors.into_iter().chain(args.accuracies.file.clone()).chain(tables);
    let written = args.images.protected().output("--json", args.json.as_deref());
    written.inputs(inputs).folder(args.out.as_deref().unwrap_or(runs::root()))
}

/// The folder of a seed's result.
fn dir(plan: &Plan<'_>) -> PathBuf {
    match &plan.args.out {
        Some(dir) if plan.args.seeds == 1 => dir.clone(),
        Some(dir) => dir.join(format!("seed{}", plan.settings.seed)),
        None => plan.default_dir(),
    }
}

/// The search that a plan asks for, and the meter begun.
fn search<'a>(plan: &'a Plan<'_>, dir: &Path) -> anyhow::Result<Search<'a, 'a>> {
    let meter = Meter::begin(Some(plan.device));
    let space = plan.space.as_ref();
    let method = find_method(&plan.settings.method)?;
    let goal = plan.goal();
    let objective = match &plan.cost {
        Some(cost) => {
            let objective = Objective::new(space, cost.model.as_ref(), goal, plan.args.estimator)?
                .seeded(plan.settings.seed)
                .joining(plan.args.cost_gradient);
            Some(if plan.args.finalists > 1 { objective.with_finalists() } else { objective })
        }
        None => None,
    };
    Ok(Search {
        space,
        method: (method.build)(plan.preset, &plan.options, space, plan.settings.seed)?,
        objective,
        settings: plan.settings.clone(),
        device: torch_device(plan.device),
        checkpoint: dir.join("checkpoint.safetensors"),
        watch: Watch {
            diagnostics: !plan.args.no_diagnostics,
            hessian_every: plan.args.hessian_every,
            stop_on_collapse: plan.args.stop_on_collapse,
        },
        may_adopt: result::is_free_for(dir, plan.settings.cost_model.as_ref()),
        meter,
    })
}

fn one_seed(plan: &Plan<'_>, dir: &Path, screen: Screen) -> anyhow::Result<SearchResult> {
    let search = search(plan, dir)?;
    let space = plan.space.as_ref();
    let mut log = SearchLog::new(dir);
    let mut warnings = Warnings::new(plan.args.hessian_every, plan.settings.epochs);
    let mut logged = Ok(());
    let bar = screen.bar("steps");
    let unit = plan.cost.as_ref().map_or("", |c| c.model.unit()).to_owned();
    let total_epochs = plan.settings.epochs;
    let outcome = search.run(&plan.dataset, &STOP, &mut |event| match event {
        SearchEvent::Resumed(epochs) => {
            logged = log.keep(epochs as usize);
            screen.note(Some(&bar), &format!("resuming after epoch {epochs} of {total_epochs}"));
        }
        SearchEvent::Stage(stage, n) => {
            screen.note(Some(&bar), &progress::stage_line(space, stage, n));
        }
        SearchEvent::Step(step, steps, epoch) => {
            bar.set_length(steps as u64 * u64::from(total_epochs));
            bar.set_position((u64::from(epoch) - 1) * steps as u64 + step as u64);
        }
        SearchEvent::Epoch(report) => {
            screen.note(Some(&bar), &progress::epoch_line(report, total_epochs, &unit));
            for line in warnings.of(report) {
                screen.note(Some(&bar), line);
            }
            if let Err(error) = log.add(report) {
                logged = Err(error);
            }
        }
        SearchEvent::Collapsed(collapse) => {
            screen.note(Some(&bar), &progress::collapse_line(collapse, plan.args.stop_on_collapse));
        }
    });
    bar.finish_and_clear();
    // The log is for people; that a disk refused it must not cost the search.
    if let Err(error) = logged {
        screen.warn(None, &format!("warning: {error:#}"));
    }
    let outcome = outcome?;
    progress::warn_of_collapse(space, &outcome.architecture, screen);
    SearchResult::new(plan, outcome)
}
