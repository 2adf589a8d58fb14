//! What a search is after: lambda or a target, and whether it can be had.

use lat::ending::Ending;
use lat::fastest::fastest;
use lat::objective::Goal;
use lat::search::NO_COST;
use lat::steering::Joining;
use lat_data::COSTS;
use lat_predictor::CostModel;
use lat_space::SearchSpace;

use super::args::Args;
use crate::cli::failure::bad;

/// Lambda where neither it nor a target is given.
const DEFAULT_LAMBDA: f64 = 0.1;
/// Largest lambda: its gradient's square is still far from what a float holds.
const MOST_LAMBDA: f64 = 1e6;
/// Most standard deviations that a risk adds.
const MOST_RISK: f64 = 1000.0;

/// What the search is after.
pub(super) fn goal(args: &Args) -> Goal {
    match args.target_ms.first() {
        Some(&target) => Goal::Target(target),
        None => Goal::Lambda(args.lambda.unwrap_or(DEFAULT_LAMBDA)),
    }
}

pub(super) fn check_goal(goal: Goal) -> anyhow::Result<()> {
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

pub(super) fn check_risk(risk: f64) -> anyhow::Result<()> {
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

/// Several targets are for evolution; each must be in range.
pub(super) fn check_targets(args: &Args, ending: Ending) -> anyhow::Result<()> {
    let targets = &args.target_ms;
    targets.iter().try_for_each(|&target| check_goal(Goal::Target(target)))?;
    if targets.len() < 2 || (ending != Ending::Finalists && args.finalists > 1) {
        return Ok(());
    }
    Err(bad(format!(
        "expected one --target-ms if finalists are drawn, found {}; add --ending evolution, or search once per target",
        targets.len()
    )))
}

/// A target below the fastest architecture is refused before any training.
pub(super) fn check_reachable(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
    targets: &[f64],
) -> anyhow::Result<()> {
    let Some(target) = targets.iter().copied().min_by(f64::total_cmp) else { return Ok(()) };
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

/// A goal in words, as results and checkpoints hold it.
pub(super) fn goal_text(goal: Goal, unit: &str, args: &Args) -> String {
    let estimator = clap::ValueEnum::to_possible_value(&args.estimator);
    let estimator = estimator.map_or_else(String::new, |v| v.get_name().to_owned());
    let estimator = match args.cost_gradient {
        Joining::Bounded => estimator,
        Joining::Sum => format!("{estimator}, bare sum"),
    };
    match goal {
        Goal::Lambda(0.0) => NO_COST.to_owned(),
        Goal::Lambda(lambda) => format!("lambda {lambda} on {} ({estimator})", args.target),
        Goal::Target(_) => {
            let targets = args.target_ms.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
            format!("target {targets} {unit} of {} ({estimator})", args.target)
        }
    }
}
