//! `lat search`: finds an architecture that is accurate and fast.

mod args;
mod cost;
mod events;
mod goal;
mod log;
mod plan;
mod progress;
mod ranks;
mod result;
mod seeds;
mod warnings;

use std::path::{Path, PathBuf};

use lat::diagnostics::Watch;
use lat::methods::find_method;
use lat::objective::Objective;
use lat::record::SearchRecord;
use lat::search::{Search, SearchEvent};
use lat::spent::Meter;
use lat::supernet::Ranks;
use lat_data::RunLock;

use super::failure::{bad, failed};
use super::output::{Screen, say, step_to, write_json};
use super::skeleton::torch_device;
use super::written::Written;
use super::{STOP, newest, op_costs, runs};
pub(super) use args::Args;
use log::SearchLog;
use plan::Plan;
use warnings::Warnings;

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let last = args.seed.checked_add(u64::from(args.seeds) - 1).ok_or_else(|| {
        let (first, n) = (args.seed, args.seeds);
        bad(format!("expected seeds of at most {}, found {n} from --seed {first} on", u64::MAX))
    })?;
    let written = written(args);
    written.check()?;
    let launch = ranks::launch(args)?;
    let mut plan = Plan::new(args, launch.as_ref())?;
    let ranks = launch.map(|launch| ranks::join(args, launch)).transpose()?;
    if ranks.as_ref().is_some_and(|ranks| !ranks.is_first()) {
        // This process computes the same as the first one, which reports it.
        search(&plan, &dir(&plan), ranks)?.run(&plan.dataset, &STOP, &mut |_| {})?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for seed in args.seed..=last {
        plan.settings.seed = seed;
        let dir = dir(&plan);
        written.clone().folder(&dir).check()?;
        runs::writable_dir(&dir)?;
        let _lock = RunLock::take(&dir)?;
        let found = one_seed(&plan, &dir, ranks.clone(), screen)?;
        write_json(&dir.join(SearchRecord::FILE), &found).map_err(failed)?;
        if let (Some(path), 1) = (&args.json, args.seeds) {
            write_json(path, &found)?;
        }
        result::print(&found, &dir)?;
        rows.push(found);
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

/// The output files that the flags ask for, and the inputs that must not be written over.
fn written(args: &Args) -> Written {
    let tables = op_costs::files(&args.per_op);
    let predictors = args.predictor.clone().map_or_else(newest::predictors, |path| vec![path]);
    let inputs = predictors.into_iter().chain(args.accuracies.file.clone()).chain(tables);
    let written = args.images.protected().output("--json", args.json.as_deref());
    written.inputs(inputs).folder(args.out.as_deref().unwrap_or(runs::root()))
}

/// The folder for a seed's result.
fn dir(plan: &Plan<'_>) -> PathBuf {
    match &plan.args.out {
        Some(dir) if plan.args.seeds == 1 => dir.clone(),
        Some(dir) => dir.join(format!("seed{}", plan.settings.seed)),
        None => plan.default_dir(),
    }
}

/// Builds the search of a plan, and starts its meter.
fn search<'a>(
    plan: &'a Plan<'_>,
    dir: &Path,
    ranks: Option<Ranks>,
) -> anyhow::Result<Search<'a, 'a>> {
    let meter = Meter::begin(Some(plan.device));
    let space = plan.space.as_ref();
    let method = find_method(&plan.settings.method)?;
    let goal = plan.goal();
    let objective = match &plan.cost {
        Some(cost) => {
            let objective =
                Objective::new(space, cost.model.as_ref(), goal, goal::estimator(plan.args))?
                    .seeded(plan.settings.seed)
                    .joining(plan.args.cost_gradient);
            Some(if plan.args.finalists > 1 { objective.with_finalists() } else { objective })
        }
        None => None,
    };
    Ok(Search {
        space,
        method: method.build(plan.preset, &plan.options, space, plan.settings.seed)?,
        objective,
        settings: plan.settings.clone(),
        device: torch_device(plan.device),
        checkpoint: dir.join("checkpoint.safetensors"),
        watch: Watch {
            diagnostics: !plan.args.no_diagnostics,
            hessian_every: plan.args.hessian_every,
            stop_on_collapse: plan.args.stop_on_collapse,
        },
        more_targets: goal::targets(plan.args).into_iter().skip(1).collect(),
        ranks,
        may_adopt: result::is_free_for(dir, plan.settings.cost_model.as_ref()),
        meter,
    })
}

fn one_seed(
    plan: &Plan<'_>,
    dir: &Path,
    ranks: Option<Ranks>,
    screen: Screen,
) -> anyhow::Result<SearchRecord> {
    let search = search(plan, dir, ranks)?;
    let space = plan.space.as_ref();
    let mut log = SearchLog::new(dir);
    let mut warnings = Warnings::new(plan.args.hessian_every, plan.settings.epochs);
    let mut logged = Ok(());
    let (bar, looks) = (screen.bar("steps"), screen.bar("architectures compared"));
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
            let done = (u64::from(epoch) - 1) * steps as u64 + step as u64;
            step_to(&bar, done, steps as u64 * u64::from(total_epochs));
        }
        SearchEvent::Looked(done, all) => step_to(&looks, done as u64, all as u64),
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
    looks.finish_and_clear();
    // The log is for people. If a disk refuses it, the search must still go on.
    if let Err(error) = logged {
        screen.warn(None, &format!("warning: {error:#}"));
    }
    let outcome = outcome?;
    progress::warn_of_collapse(space, &outcome.architecture, screen);
    result::found(plan, outcome)
}
