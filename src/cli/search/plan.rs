//! A search's flags, checked, with everything they name loaded.

use std::path::PathBuf;

use lat::ending::Ending;
use lat::methods::{Method, MethodEntry, Options, Preset, find_method};
use lat::objective::Goal;
use lat::search::{COST_ALONE, NO_COST, SearchSettings};
use lat_data::{AccuracyTable, Dataset};
use lat_device::Launch;
use lat_profiler::DeviceSpec;
use lat_space::{SearchSpace, find_space};

use super::args::Args;
use super::cost::{Cost, cost};
use super::goal::{check_product, check_reachable, check_risk, check_targets, goal, goal_text};
use crate::cli::failure::bad;
use crate::cli::output::say;
use crate::cli::runs;
use crate::cli::skeleton::{device, is_small};

/// Everything that the searches with different seeds share.
pub(super) struct Plan<'a> {
    pub(super) args: &'a Args,
    pub(super) space: Box<dyn SearchSpace>,
    pub(super) dataset: Dataset,
    pub(super) settings: SearchSettings,
    pub(super) preset: Preset,
    pub(super) options: Options,
    pub(super) cost: Option<Cost>,
    /// Published accuracies of the space's architectures.
    pub(super) accuracies: Option<AccuracyTable>,
    pub(super) device: DeviceSpec,
}

impl<'a> Plan<'a> {
    /// Reads and loads what the flags name; writes nothing.
    pub(super) fn new(args: &'a Args, launch: Option<&Launch>) -> anyhow::Result<Self> {
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
        let batch = args.batch.unwrap_or(method.schedule(preset).batch);
        check_batch(method.name, built.as_ref(), batch)?;
        let goal = goal(args);
        let ending = args.ending.unwrap_or(method.ending());
        check_targets(args, ending)?;
        check_risk(args.risk)?;
        let accuracies = args.accuracies.table(space.as_ref())?;
        let (dataset_name, dataset, line) = args.images.load(args.skeleton.resolution)?;
        let name = if preset == Preset::Quick { "quick" } else { "search" };
        let skeleton = args.skeleton.for_images(space.as_ref(), name, &dataset)?;
        let (cost, cost_line) = cost(args, space.as_ref(), goal, &skeleton)?;
        if let Some(cost) = &cost {
            check_reachable(space.as_ref(), cost.model.as_ref(), args)?;
        }
        if let (Goal::Product(_), Some(cost)) = (goal, &cost) {
            check_product(space.as_ref(), cost.model.as_ref())?;
        }
        if launch.is_none_or(|launch| launch.rank == 0) {
            say(format!("{cost_line}; {line}"))?;
        }
        let unit = cost.as_ref().map_or("", |c| c.model.unit());
        let settings = SearchSettings {
            space: space.id().to_owned(),
            method: method.name.to_owned(),
            dataset: dataset_name,
            images: dataset.checksum(),
            skeleton,
            epochs,
            batch,
            seed: args.seed,
            goal: goal_text(goal, unit, args),
            risk: args.risk,
            finalists: args.finalists,
            ending,
            bn_rule: bn_rule(args, ending, built.as_ref()),
            bn_images: launch
                .filter(|_| !args.sync_bn)
                .map_or(0, |l| batch / l.size.unsigned_abs()),
            steps_goal: steps_goal(args, goal, unit, (method, built.as_ref())),
            options: format!("{preset:?} {options}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            cost_model: cost.as_ref().map(|cost| cost.id.clone()),
        };
        Ok(Self { args, space, dataset, settings, preset, options, cost, accuracies, device })
    }

    /// The goal of the search.
    pub(super) fn goal(&self) -> Goal {
        goal(self.args)
    }

    /// The folder for the result if the user names none.
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
        // The checksum gives a search with a retrained predictor a folder of its own, beside that of the older predictor.
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

/// The rule for recomputing batch norm of the supernet's subnets; empty if no subnets are judged.
fn bn_rule(args: &Args, ending: Ending, method: &dyn Method) -> String {
    match ending {
        Ending::Finalists => String::new(),
        _ => args.bn_rule.unwrap_or(method.bn_rule()).name().to_owned(),
    }
}

/// A method of several stages needs an epoch for each, and may set the depth of each stage itself.
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

/// Checks the batch size before anything is loaded. The search itself makes the same check.
fn check_batch(name: &str, method: &dyn Method, batch: u32) -> anyhow::Result<()> {
    method.check_batch(batch).map_err(|expected| bad(format!("method {name}: expected {expected}")))
}

/// Parses `--set key=value`. Values are read as TOML, or as text if they are not TOML.
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

/// The goal of the search's steps, which may differ from that of its last step.
fn steps_goal(
    args: &Args,
    goal: Goal,
    unit: &str,
    (entry, method): (&MethodEntry, &dyn Method),
) -> String {
    match goal {
        _ if !method.sees_cost() => NO_COST.to_owned(),
        _ if entry.is_two_stage => COST_ALONE.to_owned(),
        Goal::Target(_) if args.finalists > 1 => NO_COST.to_owned(),
        goal => goal_text(goal, unit, args),
    }
}
