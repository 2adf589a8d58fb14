//! `lat search`: finds an architecture that is accurate and cheap.

use std::path::{Path, PathBuf};

use lat::methods::{Options, Preset, find_method};
use lat::objective::{Estimator, Goal, Objective};
use lat::search::{EpochReport, Search, SearchEvent, SearchOutcome, SearchSettings};
use lat_data::Dataset;
use lat_predictor::{CostModel, CountCost, Predictor, PredictorCost};
use lat_profiler::{DeviceSpec, ProfileOptions, available, measure_one};
use lat_space::{Architecture, SearchSpace, count, find_space};
use serde::Serialize;

use super::datasets::DatasetArgs;
use super::failure::bad;
use super::output::{Screen, say, table, write_json};
use super::skeleton::{SkeletonArgs, device, is_small, torch_device};
use super::{STOP, runs};

/// Lambda where neither it nor a target is given.
const DEFAULT_LAMBDA: f64 = 0.1;

/// Search for an architecture that is accurate and fast.
///
/// Minimises validation loss + lambda * predicted latency / reference, or approaches a target in milliseconds. Ctrl-C keeps
/// whole epochs; the same command resumes.
///
/// Example: lat search --lambda 0.1
#[derive(clap::Args)]
pub(super) struct Args {
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    space: String,
    /// Search method; see `lat list methods`.
    #[arg(long, default_value = "pc-darts")]
    method: String,
    /// Weight of the cost beside the validation loss; 0: accuracy alone [default: 0.1].
    #[arg(long, conflicts_with = "target_ms", allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Cost to come down to, in the target's unit, instead of a lambda.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    target_ms: Option<f64>,
    /// What to minimise: a predictor's column, or params or multiply_adds, which are counted.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    target: String,
    /// How the cost's gradient passes through the choice of an architecture.
    #[arg(long, value_enum, default_value = "straight-through")]
    estimator: Estimator,
    /// Predictor file [default: the newest of the space and target].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    #[command(flatten)]
    images: DatasetArgs,
    /// Size of the search [default: paper on a GPU, quick elsewhere].
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    #[command(flatten)]
    skeleton: SkeletonArgs,
    /// Passes over the training half [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Images per batch [default: the method's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    batch: Option<u32>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Search with so many seeds, from --seed on, and report each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Where the supernet computes: cpu or cuda:N [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Option of the method, as in --set alpha_lr=0.001; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the result [default: ./runs/search-...].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write the result as JSON here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `search.json`.
#[derive(Serialize)]
struct SearchResult {
    #[serde(flatten)]
    settings: SearchSettings,
    /// The derived architecture as text.
    architecture: String,
    column: Option<String>,
    unit: Option<String>,
    /// Expected cost of the relaxed architecture at the end.
    relaxed: Option<f64>,
    /// Predicted cost of the derived architecture.
    predicted: Option<f64>,
    /// Measured cost of the derived architecture.
    measured: Option<f64>,
    /// Where it was measured, or why not.
    measurement: String,
    /// Undisturbed time of the CPU's reference network that measured times go by, milliseconds.
    reference_ms: Option<f64>,
    /// Cost of the average architecture (`T_ref`).
    reference: Option<f64>,
    params: u64,
    multiply_adds: u64,
    seconds: f64,
    epochs: Vec<EpochReport>,
}

/// All that the seeds share.
struct Plan<'a> {
    args: &'a Args,
    space: Box<dyn SearchSpace>,
    dataset: Dataset,
    settings: SearchSettings,
    preset: Preset,
    options: Options,
    cost: Option<Cost>,
    device: DeviceSpec,
}

/// A cost model, and the predictor file behind it where there is one.
struct Cost {
    model: Box<dyn CostModel>,
    predictor: Option<Predictor>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    if args.seeds > 1 && args.json.is_some() {
        return Err(bad(
            "expected --json with one seed, found --seeds; each seed's folder has its search.json",
        ));
    }
    let mut plan = plan(args)?;
    let mut rows = Vec::new();
    for seed in args.seed..args.seed + u64::from(args.seeds) {
        plan.settings.seed = seed;
        let dir = match &args.out {
            Some(dir) if args.seeds == 1 => dir.clone(),
            Some(dir) => dir.join(format!("seed{seed}")),
            None => default_dir(&plan),
        };
        runs::writable_dir(&dir)?;
        let result = one_seed(&plan, &dir, screen)?;
        write_json(&dir.join("search.json"), &result)?;
        if let Some(path) = &args.json {
            write_json(path, &result)?;
        }
        print_result(&result, &dir)?;
        rows.push(result);
    }
    if rows.len() > 1 { say(seeds_table(&rows)) } else { Ok(()) }
}

fn plan(args: &Args) -> anyhow::Result<Plan<'_>> {
    let space = find_space(&args.space)?;
    let method = find_method(&args.method)?;
    let device = device(args.device.as_deref())?;
    let preset =
        args.preset.unwrap_or(if is_small(device) { Preset::Quick } else { Preset::Paper });
    let options = parse_options(&args.set)?;
    // Options are checked before anything is loaded.
    (method.build)(preset, &options, space.as_ref(), args.seed)?;
    let goal = goal(args);
    if let Goal::Lambda(x) | Goal::Target(x) = goal
        && !(x.is_finite() && x >= 0.0)
    {
        let flag = if matches!(goal, Goal::Lambda(_)) { "--lambda" } else { "--target-ms" };
        return Err(bad(format!("expected {flag} to be a number of at least 0, found {x}")));
    }
    let (dataset_name, dataset, line) = args.images.load(args.skeleton.resolution)?;
    let name = if preset == Preset::Quick { "quick" } else { "search" };
    let skeleton = args.skeleton.for_images(space.as_ref(), name, &dataset)?;
    let (cost, cost_line) = cost(args, space.as_ref(), goal, &skeleton)?;
    say(format!("{}; {line}", cost_line))?;
    let schedule = (method.schedule)(preset);
    let unit = cost.as_ref().map_or("", |c| c.model.unit());
    let settings = SearchSettings {
        space: space.id().to_owned(),
        method: method.name.to_owned(),
        dataset: dataset_name,
        skeleton,
        epochs: args.epochs.unwrap_or(schedule.epochs),
        batch: args.batch.unwrap_or(schedule.batch),
        seed: args.seed,
        goal: goal_text(goal, unit, args),
        options: format!("{preset:?} {options}").split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Ok(Plan { args, space, dataset, settings, preset, options, cost, device })
}

fn goal(args: &Args) -> Goal {
    match args.target_ms {
        Some(target) => Goal::Target(target),
        None => Goal::Lambda(args.lambda.unwrap_or(DEFAULT_LAMBDA)),
    }
}

fn goal_text(goal: Goal, unit: &str, args: &Args) -> String {
    let estimator = clap::ValueEnum::to_possible_value(&args.estimator);
    let estimator = estimator.map_or_else(String::new, |v| v.get_name().to_owned());
    match goal {
        Goal::Lambda(0.0) => "lambda 0".to_owned(),
        Goal::Lambda(lambda) => format!("lambda {lambda} on {} ({estimator})", args.target),
        Goal::Target(target) => format!("target {target} {unit} of {} ({estimator})", args.target),
    }
}

/// `--set key=value`, each value as TOML reads it, else as text.
fn parse_options(set: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::new();
    for pair in set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| bad(format!("expected --set key=value, found '{pair}'")))?;
        let read: Result<Options, _> = format!("value = {value}").parse();
        let value = match read {
            Ok(mut table) => table.remove("value").expect("just written"),
            Err(_) => toml::Value::String(value.to_owned()),
        };
        options.insert(key.trim().to_owned(), value);
    }
    Ok(options)
}

/// The cost model: counted, from the named predictor, or from the newest. A search without the cost can do without.
fn cost(
    args: &Args,
    space: &dyn SearchSpace,
    goal: Goal,
    skeleton: &lat_space::Skeleton,
) -> anyhow::Result<(Option<Cost>, String)> {
    if args.predictor.is_none() && ["params", "multiply_adds"].contains(&args.target.as_str()) {
        let model: Box<dyn CostModel> = Box::new(CountCost::new(space, skeleton, &args.target)?);
        let line = format!("{} counted at {skeleton}", args.target);
        return Ok((Some(Cost { model, predictor: None }), line));
    }
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => match runs::newest_predictor(space.id(), &args.target) {
            Ok(path) => path,
            Err(_) if goal == Goal::Lambda(0.0) => {
                return Ok((None, "no predictor: searching for accuracy alone".to_owned()));
            }
            Err(error) => return Err(error),
        },
    };
    let predictor = Predictor::load(&path)?;
    let model = PredictorCost::new(&predictor, space, &args.target, tch::Device::Cpu)?;
    let line = format!("predictor {}", path.display());
    Ok((Some(Cost { model: Box::new(model), predictor: Some(predictor) }), line))
}

fn default_dir(plan: &Plan<'_>) -> PathBuf {
    let s = &plan.settings;
    let goal: String = s
        .goal
        .chars()
        .take_while(|c| *c != '(')
        .map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let skeleton = runs::short(&s.skeleton);
    runs::named(&format!(
        "search-{}-{}-{}-{}-{skeleton}-seed{}",
        s.space,
        s.method,
        s.dataset,
        goal.trim_matches('-'),
        s.seed
    ))
}

fn one_seed(plan: &Plan<'_>, dir: &Path, screen: Screen) -> anyhow::Result<SearchResult> {
    let start = std::time::Instant::now();
    let space = plan.space.as_ref();
    let method = find_method(&plan.settings.method)?;
    let goal = goal(plan.args);
    let objective = match &plan.cost {
        Some(cost) => Some(Objective::new(space, cost.model.as_ref(), goal, plan.args.estimator)?),
        None => None,
    };
    let search = Search {
        space,
        method: (method.build)(plan.preset, &plan.options, space, plan.settings.seed)?,
        objective,
        settings: plan.settings.clone(),
        device: torch_device(plan.device),
        checkpoint: dir.join("checkpoint.safetensors"),
    };
    let bar = screen.bar("steps");
    let unit = plan.cost.as_ref().map_or("", |c| c.model.unit()).to_owned();
    let total_epochs = plan.settings.epochs;
    let outcome = search.run(&plan.dataset, &STOP, &mut |event| match event {
        SearchEvent::Resumed(epochs) => {
            screen.note(Some(&bar), &format!("resuming after epoch {epochs} of {total_epochs}"));
        }
        SearchEvent::Step(step, steps, epoch) => {
            bar.set_length(steps as u64 * u64::from(total_epochs));
            bar.set_position((u64::from(epoch) - 1) * steps as u64 + step as u64);
        }
        SearchEvent::Epoch(report) => {
            screen.note(Some(&bar), &epoch_line(report, total_epochs, &unit));
        }
    });
    bar.finish_and_clear();
    let outcome = outcome?;
    warn_of_collapse(space, &outcome.architecture, screen);
    result(plan, outcome, start.elapsed().as_secs_f64())
}

fn epoch_line(r: &EpochReport, epochs: u32, unit: &str) -> String {
    let cost = match (r.relaxed_cost, r.derived_cost) {
        (Some(relaxed), Some(derived)) => {
            format!(", cost {relaxed:.4} relaxed / {derived:.4} {unit} derived")
        }
        _ => String::new(),
    };
    let skips =
        r.skips.iter().map(|(cell, n)| format!("{n} {cell}")).collect::<Vec<_>>().join(" + ");
    format!(
        "epoch {}/{epochs}: train loss {:.4} acc {:.1} %, valid loss {:.4} acc {:.1} %{cost}, skips {skips}, alpha entropy {:.3}, {:.1} s",
        r.epoch,
        r.train_loss,
        r.train_accuracy,
        r.valid_loss,
        r.valid_accuracy,
        r.alpha_entropy,
        r.seconds
    )
}

/// An architecture without any operation that has weights cannot learn; a lambda too large ends there.
fn warn_of_collapse(space: &dyn SearchSpace, architecture: &Architecture, screen: Screen) {
    let graph = space.graph(&space.skeletons()[0].skeleton).derive(architecture).pruned(false);
    let learns = graph.nodes.iter().any(|node| match &node.step {
        lat_space::Step::Fixed { op, place: lat_space::Place::Derived, .. } => {
            !op.op.is_parameter_free() && op.op != lat_space::Op::FactorizedReduce
        }
        _ => false,
    });
    if !learns {
        screen.note(None, "warning: all operations collapsed to skips, pools and none; lower --lambda or raise --target-ms");
    }
}

fn result(plan: &Plan<'_>, outcome: SearchOutcome, seconds: f64) -> anyhow::Result<SearchResult> {
    let space = plan.space.as_ref();
    let predicted = match &plan.cost {
        Some(cost) => Some(cost.model.cost(&outcome.architecture)?),
        None => None,
    };
    let (measured, measurement) = measure(plan, &outcome.architecture);
    let counts = count(&space.graph(&plan.settings.skeleton).derive(&outcome.architecture));
    Ok(SearchResult {
        settings: plan.settings.clone(),
        architecture: space.format(&outcome.architecture),
        column: plan.cost.as_ref().map(|c| c.model.column().to_owned()),
        unit: plan.cost.as_ref().map(|c| c.model.unit().to_owned()),
        relaxed: outcome.relaxed_cost,
        predicted,
        measured,
        measurement,
        reference_ms: plan.cost.as_ref().and_then(|c| c.predictor.as_ref()?.label().reference_ms),
        reference: outcome.reference_cost,
        params: counts.params,
        multiply_adds: counts.multiply_adds,
        seconds,
        epochs: outcome.epochs,
    })
}

/// Measures the derived architecture where and how the predictor's data were measured, if that device is at hand.
fn measure(plan: &Plan<'_>, architecture: &Architecture) -> (Option<f64>, String) {
    let Some(predictor) = plan.cost.as_ref().and_then(|c| c.predictor.as_ref()) else {
        return (None, "not measured: there is no predictor that says where".into());
    };
    let label = predictor.label();
    if label.column != "latency_ms" {
        return (None, format!("not measured: {} is no latency", label.column));
    }
    let (Some(name), Some(batch), Some(skeleton)) =
        (&label.device_name, label.batch, label.skeleton)
    else {
        return (
            None,
            "not measured: the predictor's table does not say on what device and network".into(),
        );
    };
    let Some(device) = available().into_iter().find(|d| d.name == *name) else {
        return (None, format!("not measured: the predictor is for {name}, which is not here"));
    };
    let defaults = ProfileOptions::new(skeleton, device.spec);
    let options = ProfileOptions {
        batch,
        max_ms: 10.0 * defaults.max_ms,
        reference_ms: label.reference_ms,
        ..defaults
    };
    match measure_one(plan.space.as_ref(), &options, architecture) {
        Ok(row) if row.latency_ms.is_finite() => {
            (Some(row.latency_ms), format!("on {name}, batch {batch}, {skeleton}"))
        }
        Ok(row) => (None, format!("not measured: {}", row.reason)),
        Err(error) => (None, format!("not measured: {error}")),
    }
}

fn print_result(r: &SearchResult, dir: &Path) -> anyhow::Result<()> {
    say(&r.architecture)?;
    let unit = r.unit.as_deref().unwrap_or("");
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.4} {unit}"));
    if let Some(column) = &r.column {
        say(format!(
            "{column}: relaxed {}, predicted {}, measured {} ({}); average architecture {}",
            number(r.relaxed),
            number(r.predicted),
            number(r.measured),
            r.measurement,
            number(r.reference)
        ))?;
    }
    say(format!(
        "{} parameters, {} multiply-adds at {}; {:.0} s; {}",
        r.params,
        r.multiply_adds,
        r.settings.skeleton,
        r.seconds,
        dir.join("search.json").display()
    ))
}

fn seeds_table(rows: &[SearchResult]) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
    let cells = rows.iter().map(|r| {
        let accuracy = r.epochs.last().map(|e| e.valid_accuracy);
        vec![
            r.settings.seed.to_string(),
            number(accuracy),
            number(r.predicted),
            number(r.measured),
            r.params.to_string(),
        ]
    });
    table(&["seed", "supernet accuracy %", "predicted", "measured", "parameters"], cells)
}
