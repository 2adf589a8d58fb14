//! The goal of a search (lambda, target or product), and whether it can be reached.

use lat::ending::Ending;
use lat::fastest::fastest;
use lat::objective::{Estimator, Goal};
use lat::product::{Product, Reading, above_one};
use lat::search::NO_COST;
use lat::steering::Joining;
use lat_data::COSTS;
use lat_predictor::CostModel;
use lat_space::SearchSpace;

use super::args::Args;
use crate::cli::budget::of_a_ms;
use crate::cli::failure::bad;
use crate::cli::output::figure_above;

/// Lambda if neither lambda nor a target is given.
const DEFAULT_LAMBDA: f64 = 0.1;
/// Largest lambda. The square of its gradient is still far below the range limit of a float.
const MOST_LAMBDA: f64 = 1e6;
/// Largest ALPHA or BETA of a product: the 20th power of the logarithm of any cost still fits in a float.
const MOST_OF_PRODUCT: f64 = 20.0;
/// Largest number of standard deviations for `--risk`.
const MOST_RISK: f64 = 1000.0;

/// The goal of the search, from the flags.
pub(super) fn goal(args: &Args) -> Goal {
    match (args.product, targets(args).first()) {
        (Some((alpha, beta)), _) => {
            let reading = args.product_reading.unwrap_or_default();
            Goal::Product(Product { alpha, beta, reading })
        }
        (None, Some(&target)) => Goal::Target(target),
        (None, None) => Goal::Lambda(args.lambda.unwrap_or(DEFAULT_LAMBDA)),
    }
}

/// Costs to stay below, in the unit of the search's cost column.
pub(super) fn targets(args: &Args) -> Vec<f64> {
    if !args.budget.is_empty() {
        return args.budget.clone();
    }
    // Columns without a time unit are refused elsewhere.
    let factor = of_a_ms(&args.target).unwrap_or(1.0);
    args.target_ms.iter().map(|ms| ms * factor).collect()
}

/// The flag that sets the targets.
fn target_flag(args: &Args) -> &'static str {
    if args.budget.is_empty() { "--target-ms" } else { "--budget" }
}

/// How the cost's gradient is estimated. `FBNet`'s product uses the expected latency.
pub(super) fn estimator(args: &Args) -> Estimator {
    let usual =
        if args.product.is_some() { Estimator::Expected } else { Estimator::StraightThrough };
    args.estimator.unwrap_or(usual)
}

/// Checks the goal's range; `target` is the flag that set the target.
fn check_goal(goal: Goal, target: &str) -> anyhow::Result<()> {
    match goal {
        Goal::Lambda(x) if x.is_nan() || x < 0.0 => {
            Err(bad(format!("expected --lambda to be a number of at least 0, found {x}")))
        }
        Goal::Lambda(x) if x > MOST_LAMBDA => Err(bad(format!(
            "expected --lambda of at most {MOST_LAMBDA}, beyond which accuracy has no say, found {}",
            short(x)
        ))),
        Goal::Target(x) if x.is_nan() || x <= 0.0 => {
            Err(bad(format!("expected {target} to be a number above 0, found {x}")))
        }
        Goal::Target(x) if x > COSTS.1 => {
            Err(bad(format!("expected {target} of at most {:e}, found {}", COSTS.1, short(x))))
        }
        Goal::Product(Product { alpha, beta, .. }) => {
            let fits = |x: f64| x > 0.0 && x <= MOST_OF_PRODUCT;
            let found = [alpha, beta].into_iter().find(|x| !fits(*x));
            found.map_or(Ok(()), |x| {
                Err(bad(format!(
                    "expected --product of two numbers above 0 and at most {MOST_OF_PRODUCT}, found {}",
                    short(x)
                )))
            })
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

/// Formats a number without hundreds of zeros.
fn short(number: f64) -> String {
    if number.is_finite() && number.abs() >= 1e15 {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// Checks the goal and each of several targets. Several targets and a rule for batch norm are only allowed if subnets of a supernet
/// are judged.
pub(super) fn check_targets(args: &Args, ending: Ending) -> anyhow::Result<()> {
    let flag = target_flag(args);
    check_goal(goal(args), flag)?;
    let targets = targets(args);
    if !args.target_ms.is_empty() {
        of_a_ms(&args.target)?;
    }
    if let (Some(rule), Ending::Finalists) = (args.bn_rule, ending) {
        return Err(bad(format!(
            "expected no --bn-rule if finalists are drawn, found {rule}; add --ending evolution, which judges subnets of the supernet"
        )));
    }
    targets.iter().try_for_each(|&target| check_goal(Goal::Target(target), flag))?;
    if targets.len() < 2 || (ending != Ending::Finalists && args.finalists > 1) {
        return Ok(());
    }
    Err(bad(format!(
        "expected one {flag} if finalists are drawn, found {}; add --ending evolution, or search once per target",
        targets.len()
    )))
}

/// Refuses a target below the cost of the fastest architecture, before any training.
pub(super) fn check_reachable(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
    args: &Args,
) -> anyhow::Result<()> {
    let Some(target) = targets(args).into_iter().min_by(f64::total_cmp) else { return Ok(()) };
    let (architecture, least) = fastest(space, cost)?;
    if target >= least {
        return Ok(());
    }
    // The limit is told in the unit in which the flag takes it.
    let (unit, of_a_unit) = match args.budget.is_empty() {
        true => ("ms", of_a_ms(&args.target)?),
        false => (cost.unit(), 1.0),
    };
    Err(bad(format!(
        "expected {} of at least {} {unit}, which is what the fastest architecture of {} that learns costs by this predictor ({}); \
         found {}",
        target_flag(args),
        figure_above(least / of_a_unit),
        space.id(),
        space.format(&architecture),
        target / of_a_unit
    )))
}

/// Checks that the cost's logarithm is positive for every architecture, since a product takes a power of it.
pub(super) fn check_product(space: &dyn SearchSpace, cost: &dyn CostModel) -> anyhow::Result<()> {
    let (_, least) = fastest(space, cost)?;
    Ok(above_one(least, cost.unit())?)
}

/// The goal as text, as saved in results and checkpoints.
pub(super) fn goal_text(goal: Goal, unit: &str, args: &Args) -> String {
    let estimator = clap::ValueEnum::to_possible_value(&estimator(args));
    let estimator = estimator.map_or_else(String::new, |v| v.get_name().to_owned());
    let estimator = match args.cost_gradient {
        Joining::Bounded => estimator,
        Joining::Sum => format!("{estimator}, bare sum"),
    };
    match goal {
        Goal::Lambda(0.0) => NO_COST.to_owned(),
        Goal::Lambda(lambda) => format!("lambda {lambda} on {} ({estimator})", args.target),
        Goal::Target(_) => {
            let targets = targets(args).iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
            format!("target {targets} {unit} of {} ({estimator})", args.target)
        }
        Goal::Product(Product { alpha, beta, reading }) => {
            let reading = if reading == Reading::Code { " as the code reads it" } else { "" };
            format!("product {alpha} {beta}{reading} on {} ({estimator})", args.target)
        }
    }
}
