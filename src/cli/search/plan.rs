//! What the flags of a search ask for, checked and loaded.

use std::path::PathBuf;

use lat::cost_id::CostId;
use lat::fastest::fastest;
use lat::methods::{Method, Options, Preset, find_method};
use lat::objective::Goal;
use lat::search::{NO_COST, SearchSettings};
use lat::steering::Joining;
use lat_data::{AccuracyTable, COSTS, Dataset};
use lat_predictor::{CostModel, CountCost, Predictor, PredictorCost};
use lat_profiler::DeviceSpec;
use lat_space::{SearchSpace, Skeleton, find_space};

use super::Args;
use super::place::Place;
use crate::cli::failure::bad;
use crate::cli::newest;
use crate::cli::op_table::OpTable;
use crate::cli::output::say;
use crate::cli::runs;
use crate::cli::skeleton::{device, is_small};

/// Lambda where neither it nor a target is given.
const DEFAULT_LAMBDA: f64 = 0.1;
/// Largest lambda: its gradient's square is still far from what a float holds.
const MOST_LAMBDA: f64 = 1e6;
/// Most standard deviations that a risk adds.
const MOST_RISK: f64 = 1000.0;

/// All that the seeds share.
pub(super) struct Plan<'a> {
    pub(super) args: &'a Args,
    pub(super) space: Box<dyn SearchSpace>,
    pub(super) dataset: Dataset,
    pub(super) settings: SearchSettings,
    pub(super) preset: Preset,
    pub(super) options: Options,
    pub(super) cost: Option<Cost>,
    /// What others found the space's architectures to be worth.
    pub(super) accuracies: Option<AccuracyTable>,
    pub(super) device: DeviceSpec,
}

/// A cost model, and the predictor file behind it where there is one.
pub(super) struct Cost {
    pub(super) model: Box<dyn CostModel>,
    pub(super) predictor: Option<Predictor>,
    /// That file.
    pub(super) file: Option<PathBuf>,
    pub(super) id: CostId,
    /// Where and how what the model was made from was measured, as far as it says.
    pub(super) place: Option<Place>,
}

impl<'a> Plan<'a> {
    /// Reads and loads what the flags name; nothing is written.
    pub(super) fn new(args: &'a Args) -> anyhow::Result<Self> {
        let space = find_space(&args.space)?;
        let method = find_method(&args.method)?;
        let device = device(args.device.as_deref())?;
        let preset =
            args.preset.unwrap_or(if is_small(device) { Preset::Quick } else { Preset::Paper });
        let options = parse_options(&args.set)?;
        // Options are checked before anything is loaded.
        let built = method.build(preset, &options, space.as_ref(), args.seed)?;
        let epochs = args.epochs.unwrap_or(method.schedule(preset).epochs);
        check_stages(args, built.as_ref(), epochs)?;
        let goal = goal(args);
        check_goal(goal)?;
        check_risk(args.risk)?;
        let accuracies = args.accuracies.table(space.as_ref())?;
        let (dataset_name, dataset, line) = args.images.load(args.skeleton.resolution)?;
        let name = if preset == Preset::Quick { "quick" } else { "search" };
        let skeleton = args.skeleton.for_images(space.as_ref(), name, &dataset)?;
        let (cost, cost_line) = cost(args, space.as_ref(), goal, &skeleton)?;
        if let (Goal::Target(target), Some(cost)) = (goal, &cost) {
            check_reachable(space.as_ref(), cost.model.as_ref(), target)?;
        }
        say(format!("{cost_line}; {line}"))?;
        let schedule = method.schedule(preset);
        let unit = cost.as_ref().map_or("", |c| c.model.unit());
        let settings = SearchSettings {
            space: space.id().to_owned(),
            method: method.name.to_owned(),
            dataset: dataset_name,
            images: dataset.checksum(),
            skeleton,
            epochs,
            batch: args.batch.unwrap_or(schedule.batch),
            seed: args.seed,
            goal: goal_text(goal, unit, args),
            risk: args.risk,
            finalists: args.finalists,
            steps_goal: match goal {
                Goal::Target(_) if args.finalists > 1 => goal_text(Goal::Lambda(0.0), unit, args),
                goal => goal_text(goal, unit, args),
            },
            options: format!("{preset:?} {options}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            cost_model: cost.as_ref().map(|cost| cost.id.clone()),
        };
        Ok(Self { args, space, dataset, settings, preset, options, cost, accuracies, device })
    }

    /// What the search is after.
    pub(super) fn goal(&self) -> Goal {
        goal(self.args)
    }

    /// The folder of the result where none is named.
    pub(super) fn default_dir(&self) -> PathBuf {
        let s = &self.settings;
        let goal: String = s
            .goal
            .chars()
            .take_while(|c| *c != '(')
            .map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        let skeleton = runs::short(&s.skeleton);
        let risk = if s.risk > 0.0 { format!("-risk-{}", s.risk) } else { String::new() };
        // A predictor that was trained again makes another search, beside the one by its forerunner.
        let by = s.cost_model.as_ref().filter(|cost| !cost.checksum.is_empty());
        let by = by.map_or_else(String::new, |cost| format!("-by-{}", cost.checksum));
        runs::named(&format!(
            "search-{}-{}-{}-{}{risk}{by}-{skeleton}-seed{}",
            s.space,
            s.method,
            s.dataset,
            goal.trim_matches('-'),
            s.seed
        ))
    }
}

/// A method of several stages needs an epoch for each, and may have its own mind about their depth.
fn check_stages(args: &Args, method: &dyn Method, epochs: u32) -> anyhow::Result<()> {
    let (name, n_stages) = (&args.method, method.n_stages());
    if (epochs as usize) < n_stages {
        return Err(bad(format!(
            "expected at least {n_stages} --epochs, one for each stage of {name}; found {epochs}"
        )));
    }
    if args.skeleton.layers.is_some() && method.stage(0).cells.is_some() {
        return Err(bad(format!(
            "expected no --layers with --method {name}, which says itself how many cells each of its stages has; set them by --set \
             cells=[5,11,17]"
        )));
    }
    Ok(())
}

fn goal(args: &Args) -> Goal {
    match args.target_ms {
        Some(target) => Goal::Target(target),
        None => Goal::Lambda(args.lambda.unwrap_or(DEFAULT_LAMBDA)),
    }
}

fn check_goal(goal: Goal) -> anyhow::Result<()> {
    match goal {
        Goal::Lambda(x) if x.is_nan() || x < 0.0 => {
            Err(bad(format!("expected --lambda to be a number of at least 0, found {x}")))
        }
        Goal::Lambda(x) if x > MOST_LAMBDA => Err(bad(format!(
            "expected --lambda of at most {MOST_LAMBDA}, beyond which accuracy has no say, found {}",
            short(x)
        ))),
        Goal::Target(x) if x.is_nan() || x <= 0.0 => {
            Err(bad(format!("expected --target-ms to be a number above 0, found {x}")))
        }
        Goal::Target(x) if x > COSTS.1 => {
            Err(bad(format!("expected --target-ms of at most {:e}, found {}", COSTS.1, short(x))))
        }
        _ => Ok(()),
    }
}

fn check_risk(risk: f64) -> anyhow::Result<()> {
    if risk.is_nan() || risk < 0.0 {
        return Err(bad(format!("expected --risk to be a number of at least 0, found {risk}")));
    }
    if risk > MOST_RISK {
        let found = short(risk);
        return Err(bad(format!("expected --risk of at most {MOST_RISK}, found {found}")));
    }
    Ok(())
}

/// A number without hundreds of zeros.
fn short(number: f64) -> String {
    if number.is_finite() && number.abs() >= 1e15 {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// A target below the fastest architecture is refused before any training.
fn check_reachable(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
    target: f64,
) -> anyhow::Result<()> {
    let (architecture, least) = fastest(space, cost)?;
    if target >= least {
        return Ok(());
    }
    let (unit, id) = (cost.unit(), space.id());
    Err(bad(format!(
        "expected --target-ms of at least {least:.4} {unit}, which is what the fastest architecture of {id} that learns costs by this \
         predictor ({}); found {target}",
        space.format(&architecture)
    )))
}

fn goal_text(goal: Goal, unit: &str, args: &Args) -> String {
    let estimator = clap::ValueEnum::to_possible_value(&args.estimator);
    let estimator = estimator.map_or_else(String::new, |v| v.get_name().to_owned());
    let estimator = match args.cost_gradient {
        Joining::Bounded => estimator,
        Joining::Sum => format!("{estimator}, bare sum"),
    };
    match goal {
        Goal::Lambda(0.0) => NO_COST.to_owned(),
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
    skeleton: &Skeleton,
) -> anyhow::Result<(Option<Cost>, String)> {
    if args.predictor.is_none() && ["params", "multiply_adds"].contains(&args.target.as_str()) {
        if args.risk > 0.0 {
            return Err(bad(format!(
                "expected --risk with a predicted cost, found {}, which is counted and certain; leave --risk out",
                args.target
            )));
        }
        let model: Box<dyn CostModel> = Box::new(CountCost::new(space, skeleton, &args.target)?);
        let line = format!("{} counted at {skeleton}", args.target);
        let id = CostId {
            column: args.target.clone(),
            source: "counted".to_owned(),
            checksum: String::new(),
        };
        return Ok((Some(Cost { model, predictor: None, file: None, id, place: None }), line));
    }
    if let Some(dir) = &args.per_op {
        let table = OpTable::read(dir, space.id())?;
        let model = Box::new(table.cost(space)?);
        let line = format!("{} operations of {}, added up", table.operations.len(), dir.display());
        let place = Some(Place::of_header(&table.header));
        let id = CostId {
            column: model.column().to_owned(),
            source: format!("operations of {}", dir.display()),
            checksum: table.checksum,
        };
        return Ok((Some(Cost { model, predictor: None, file: None, id, place }), line));
    }
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => match newest::newest_predictor(space.id(), &args.target) {
            Ok(path) => path,
            Err(_) if goal == Goal::Lambda(0.0) && args.risk == 0.0 => {
                return Ok((None, "no predictor: searching for accuracy alone".to_owned()));
            }
            Err(error) => return Err(error),
        },
    };
    predicted(args, space, path)
}

/// The cost model of a predictor's file.
fn predicted(
    args: &Args,
    space: &dyn SearchSpace,
    path: PathBuf,
) -> anyhow::Result<(Option<Cost>, String)> {
    let (predictor, checksum) = Predictor::load_with_checksum(&path)?;
    if predictor.label().declaration.is_some() {
        return Err(bad(format!(
            "expected a predictor for search space '{}', found {} for space '{}', which a file declares: such a space has no networks \
             to search, only architectures to predict (`lat predict`); name another with --predictor",
            space.id(),
            path.display(),
            predictor.label().space
        )));
    }
    let model = PredictorCost::new(&predictor, space, &args.target, tch::Device::Cpu)?
        .with_risk(args.risk)?;
    let line = match args.risk {
        0.0 => format!("predictor {}", path.display()),
        k => format!("predictor {}, plus {k} standard deviations", path.display()),
    };
    Ok((
        Some(Cost {
            model: Box::new(model),
            place: Place::of_label(predictor.label()),
            predictor: Some(predictor),
            id: CostId {
                column: args.target.clone(),
                source: format!("predictor {}", path.display()),
                checksum,
            },
            file: Some(path),
        }),
        line,
    ))
}
