//! `lat front`: the architectures of a whole space that no other beats in both predicted cost and published accuracy.

mod answer;
mod point;
mod pricing;

use std::path::PathBuf;

use lat_data::{AccuracyTable, BENCHMARKS};
use lat_predictor::Predictor;
use lat_space::{Space, find_space};

use super::accuracy::AccuracyArgs;
use super::budget::of_a_ms;
use super::failure::bad;
use super::newest;
use super::output::{figure_above, write_json};
use super::place::MeasuredCost;
use super::written::Written;
use answer::Answer;
use point::Point;
pub(super) use pricing::{points, price};

/// Largest space, in architectures, that is priced completely.
const MOST: u128 = 1_000_000;

/// Print the Pareto front of a whole space: predicted cost against published accuracy.
///
/// Every architecture is priced by the predictor and paired with its published accuracy, so nothing is searched or trained. With
/// --target-ms: the most accurate architecture that costs no more. --measure times the best ones, if this machine has the
/// predictor's device.
///
/// Example: lat front --space nasbench201
///
/// Example: lat front --target-ms 6 --accuracy cifar100_test_acc --measure 3
#[derive(clap::Args)]
pub(super) struct Args {
    /// Search space [default: that of --predictor, else nasbench201].
    #[arg(long)]
    space: Option<String>,
    /// Predictor file [default: the newest of the space and target].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// The predictor's column.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    target: String,
    /// Highest cost allowed, in milliseconds.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    target_ms: Option<f64>,
    /// Highest cost allowed in the unit of --target, for a --target that is not a time or whose name does not tell its unit.
    #[arg(long, value_name = "COST", allow_negative_numbers = true, conflicts_with = "target_ms")]
    budget: Option<f64>,
    /// Accuracy that counts, by its column or its data set [default: the first].
    #[arg(long, value_name = "COLUMN")]
    accuracy: Option<String>,
    #[command(flatten)]
    accuracies: AccuracyArgs,
    /// Measure this many architectures of the front: those nearest below --target-ms, or the most accurate.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    measure: Option<u32>,
    /// Also write the front as JSON here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let target = target(args)?;
    let inputs = args.predictor.iter().chain(&args.accuracies.file);
    Written::default().output("--json", args.json.as_deref()).inputs(inputs).check()?;
    let named = args.predictor.as_deref().map(Predictor::load).transpose()?;
    let space = space(args, named.as_ref())?;
    let (table, n_in_space) = accuracies(args, space.as_ref())?;
    let column = table.find_column(args.accuracy.as_deref())?;
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => newest::newest_predictor(space.id(), &args.target)?,
    };
    Written::default().output("--json", args.json.as_deref()).inputs([&path]).check()?;
    let predictor = named.map_or_else(|| Predictor::load(&path), Ok)?;
    predictor.check(space.as_ref(), &args.target)?;
    let priced = price(&predictor, space.as_ref(), &table)?;
    let on_front = lat::pareto::front(&points(&priced, &table, column));
    let point = |&row: &usize| Point::new(space.as_ref(), &table, &priced, row);
    let mut front: Vec<Point> = on_front.iter().map(point).collect::<Result<_, _>>()?;
    let within = within(target, &front, &predictor)?;
    if let Some(n) = args.measure {
        let finalists = within.saturating_sub(n as usize)..within;
        measure(&mut front[finalists], &predictor)?;
    }
    let answer = Answer {
        space: space.id().to_owned(),
        n_architectures: table.len(),
        n_in_space,
        predictor: path,
        column: args.target.clone(),
        unit: predictor.label().unit.clone(),
        accuracies: table.source.clone(),
        accuracy: table.columns[column].name.clone(),
        target,
        best: target.map(|_| front[within - 1].clone()),
        front,
    };
    if let Some(path) = &args.json {
        write_json(path, &answer)?;
    }
    answer.print(&table.columns, within, args.measure.is_some())
}

/// The space that is named, else the predictor's, else the first one with published accuracies.
fn space(args: &Args, predictor: Option<&Predictor>) -> anyhow::Result<Box<dyn Space>> {
    match (&args.space, predictor) {
        (None, Some(predictor)) => Ok(predictor.label().read_space()?),
        (Some(id), Some(predictor)) if predictor.label().declaration.is_some() => {
            let space = predictor.label().read_space()?;
            if space.id() == id {
                return Ok(space);
            }
            Ok(find_space(id)?)
        }
        (Some(id), _) => Ok(find_space(id)?),
        (None, None) => Ok(find_space(BENCHMARKS[0].space)?),
    }
}

/// The accuracies of a space that is small enough, and how many architectures it has, if it is built in.
fn accuracies(args: &Args, space: &dyn Space) -> anyhow::Result<(AccuracyTable, Option<u64>)> {
    let id = space.id();
    let Some(table) = args.accuracies.table(space)? else {
        let known: Vec<&str> = BENCHMARKS.iter().map(|entry| entry.space).collect();
        return Err(bad(format!(
            "expected a space with published accuracies ({}) or a table of them by --accuracy-table, found space {id} without",
            known.join(", ")
        )));
    };
    // The size of a declared space is not counted; its table says which architectures are meant.
    if space.declaration().is_some() {
        return Ok((table, None));
    }
    match find_space(id)?.size() {
        size if size > MOST => Err(bad(format!(
            "expected a space of at most {MOST} architectures, all of which can be priced; found {id}, which has {size}: use lat search"
        ))),
        size => Ok((table, Some(size as u64))),
    }
}

/// Highest cost allowed, in the unit of the column.
fn target(args: &Args) -> anyhow::Result<Option<f64>> {
    let Args { target_ms, budget, target: column, .. } = args;
    let (flag, found) =
        if budget.is_some() { ("--budget", budget) } else { ("--target-ms", target_ms) };
    if let Some(found) = found.filter(|t| !(t.is_finite() && *t > 0.0)) {
        return Err(bad(format!("expected {flag} to be a number above 0, found {found}")));
    }
    let Some(ms) = *target_ms else { return Ok(*budget) };
    Ok(Some(ms * of_a_ms(column)?))
}

/// How many points of the front, cheapest first, cost no more than the target; all if there is no target.
fn within(target: Option<f64>, front: &[Point], predictor: &Predictor) -> anyhow::Result<usize> {
    let Some(target) = target else { return Ok(front.len()) };
    match front.iter().take_while(|point| point.predicted <= target).count() {
        0 => {
            let unit = &predictor.label().unit;
            let fastest = figure_above(front.first().map_or(f64::NAN, |point| point.predicted));
            let text = front.first().map_or("", |point| &point.architecture);
            Err(bad(format!(
                "expected a target of at least {fastest} {unit}, the least that an architecture costs ({text}); found {target}"
            )))
        }
        n => Ok(n),
    }
}

/// Measures these points if this machine has the predictor's device; if not, each point gets the reason.
fn measure(finalists: &mut [Point], predictor: &Predictor) -> anyhow::Result<()> {
    let label = predictor.label();
    let cost = MeasuredCost::of_label(label).filter(|_| label.declaration.is_none());
    let Some(cost) = cost else {
        for point in finalists {
            let why = "not measured: the predictor does not say on what device and network";
            point.measurement = Some(why.to_owned());
        }
        return Ok(());
    };
    let space = find_space(&label.space)?;
    for point in finalists {
        let architecture = space.parse(&point.architecture)?;
        let (measured, said) = cost.measure(space.as_ref(), &architecture);
        (point.measured, point.measurement) = (measured, Some(said));
    }
    Ok(())
}
