//! The result of a search: `search.json` and the printed lines.

use std::path::Path;

use lat::cost_id::CostId;
use lat::ending::Ending;
use lat::finalists::{Answer, Finalist, Finals};
use lat::record::{Published, SearchRecord};
use lat::search::SearchOutcome;
use lat_data::median;
use lat_predictor::{CostModel, PredictorCost};
use lat_space::{Architecture, SearchSpace, count};

use super::cost::Cost;
use super::log::JSON_LINES;
use super::plan::Plan;
use crate::cli::accuracy::say_published;
use crate::cli::output::{figure, lines, say};
use crate::cli::place::MeasuredCost;
use crate::cli::texts;

/// Most finalists that are measured, if this machine has the device and the first ones exceed the goal.
const MEASURED: usize = 4;

/// Number of points of a front that are measured.
const MEASURED_FRONT: usize = 8;

/// Whether the folder contains no result of another cost model than this one; checkpoints do not count.
pub(super) fn is_free_for(dir: &Path, cost_model: Option<&CostId>) -> bool {
    match texts::read(&dir.join(SearchRecord::FILE)) {
        Ok(text) => SearchRecord::read(&text)
            .is_ok_and(|record| record.settings.cost_model.as_ref() == cost_model),
        Err(_) => !dir.join(JSON_LINES).exists(),
    }
}

/// The front and the answer to each target. If subnets of a supernet were compared, some points of the front and all answers are
/// measured.
fn measured_front(
    space: &dyn SearchSpace,
    known: Option<&MeasuredCost>,
    finals: &Finals,
) -> (Vec<Finalist>, Vec<Answer>) {
    let (mut front, mut answers) = (finals.front.clone(), finals.answers.clone());
    let Some(known) = known.filter(|_| front.iter().any(|f| f.inherited_accuracy.is_some())) else {
        return (front, answers);
    };
    let measure = |f: &mut Finalist| {
        let architecture = space.parse(&f.architecture).ok();
        f.measured = architecture.and_then(|a| known.measure(space, &a).0);
    };
    let n = front.len();
    // Evenly spread over the front, including both ends.
    let looked_at = n.min(MEASURED_FRONT);
    (0..looked_at)
        .map(|i| i * (n - 1) / (looked_at - 1).max(1))
        .for_each(|i| measure(&mut front[i]));
    for answer in &mut answers {
        measure(&mut answer.best);
    }
    (front, answers)
}

/// Prices, measures and counts the architecture found.
pub(super) fn found(plan: &Plan<'_>, outcome: SearchOutcome) -> anyhow::Result<SearchRecord> {
    let space = plan.space.as_ref();
    let known = plan.cost.as_ref().and_then(|cost| cost.measured.as_ref());
    let (architecture, (measured, measurement)) = match known {
        Some(known) => named(space, known, &outcome)?,
        None => (
            outcome.architecture.clone(),
            (None, "not measured: nothing says on what device and network".into()),
        ),
    };
    let price = |architecture: &Architecture| {
        plan.cost.as_ref().map(|cost| predicted(space, cost, architecture)).transpose()
    };
    let (predicted, most_probable_predicted) =
        (price(&architecture)?, price(&outcome.most_probable)?);
    let counts = count(&space.graph(&plan.settings.skeleton).derive(&architecture));
    let finals = outcome.finals;
    let (front, answers) = measured_front(space, known, &finals);
    Ok(SearchRecord {
        settings: plan.settings.clone(),
        architecture: space.format(&architecture),
        most_probable: Some(space.format(&outcome.most_probable)),
        most_probable_predicted,
        front,
        answers,
        finalists_best: finals.finalists,
        budget: finals.budget,
        free_cost: finals.free_cost,
        collapse: outcome.collapse,
        stopped_on_collapse: outcome.stopped,
        published: Published::of(plan.accuracies.as_ref(), space, &architecture),
        predictor: plan.cost.as_ref().and_then(|cost| cost.file.clone()),
        place: known.map(|known| known.place.clone()),
        column: plan.cost.as_ref().map(|c| c.model.column().to_owned()),
        unit: plan.cost.as_ref().map(|c| c.model.unit().to_owned()),
        relaxed: outcome.relaxed_cost,
        relaxed_sampled: outcome.relaxation_gap.map(|gap| gap.sampled),
        relaxation_gap_percent: outcome.relaxation_gap.map(|gap| gap.percent()),
        relaxation_gap_error_percent: outcome.relaxation_gap.map(|gap| gap.error_percent()),
        predicted,
        measured,
        measurement,
        reference_ms: known.and_then(|known| known.reference_ms),
        reference: outcome.reference_cost,
        params: counts.params,
        multiply_adds: counts.multiply_adds,
        seconds: outcome.spent.seconds,
        peak_memory_mib: outcome.spent.peak_memory_mib,
        log: outcome.epochs,
    })
}

/// Text behind the relaxed cost: the risk that it includes, and its gap to architectures drawn.
fn gap_text(record: &SearchRecord) -> String {
    let risk = match record.settings.risk {
        0.0 => String::new(),
        k => format!(" with {k} standard deviations"),
    };
    let gap = record.relaxation_gap_percent;
    gap.map_or(risk.clone(), |g| format!("{risk} ({g:+.2} % against architectures drawn)"))
}

fn print_finalists(record: &SearchRecord) -> anyhow::Result<()> {
    if record.finalists_best.is_empty() {
        return Ok(());
    }
    let unit = record.unit();
    let is_above = |budget: f64| record.predicted.is_some_and(|cost| cost > 1.0001 * budget);
    let budget = match record.budget {
        Some(b) if is_above(b) => {
            format!(", none of which keeps the limit of {} {unit}", figure(b))
        }
        Some(b) => format!(" of at most {} {unit}", figure(b)),
        None => String::new(),
    };
    let cost = |c: Option<f64>| c.map_or_else(String::new, |c| format!(", {} {unit}", figure(c)));
    let other = record.most_probable.as_ref().filter(|text| **text != record.architecture);
    say(format!(
        "the best of up to {} finalists{budget}; the most probable architecture was {}{}",
        record.settings.finalists,
        other.map_or("this one", String::as_str),
        cost(other.and(record.most_probable_predicted))
    ))?;
    if record.settings.ending != Ending::Finalists {
        return print_front(record);
    }
    match record.front.as_slice() {
        [cheapest, _, ..] => say(format!(
            "{} finalists are on the front of cost and score, from {}{} on",
            record.front.len(),
            cheapest.architecture,
            cost(cheapest.cost)
        )),
        _ => Ok(()),
    }
}

/// Prints the front of a trained supernet's subnets, with predicted costs and, for some, measured ones.
fn print_front(record: &SearchRecord) -> anyhow::Result<()> {
    let unit = record.unit();
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), figure);
    let row = |target: String, f: &Finalist| {
        let accuracy = f.inherited_accuracy.map_or_else(String::new, |a| format!("{a:.2}"));
        vec![target, number(f.cost), number(f.measured), accuracy, f.architecture.clone()]
    };
    let on_front = record.front.iter().map(|f| row("front".to_owned(), f));
    let of_targets = record.answers.iter().map(|a| row(format!("at most {}", a.target), &a.best));
    let rows: Vec<Vec<String>> = on_front.chain(of_targets).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let predicted = format!("predicted {unit}");
    let header = ["", &predicted, "measured", "accuracy %", "architecture"].map(str::to_owned);
    say(lines(&header, rows))?;
    let all = record.front.iter().chain(record.answers.iter().map(|a| &a.best));
    let error = |f: &Finalist| Some(100.0 * (f.cost? / f.measured? - 1.0).abs());
    let errors: Vec<f64> = all.filter_map(error).collect();
    let Some(error) = median(errors.iter().copied()) else { return Ok(()) };
    say(format!(
        "predictions are {error:.1} % off the measurements in the median of {}",
        errors.len()
    ))
}

/// Prints the result.
pub(super) fn print(record: &SearchRecord, dir: &Path) -> anyhow::Result<()> {
    if let (true, Some(collapse)) = (record.stopped_on_collapse, &record.collapse) {
        say(format!(
            "stopped at epoch {}: {}; this is the architecture of epoch {}",
            collapse.epoch, collapse.reason, collapse.keep
        ))?;
    }
    say(&record.architecture)?;
    print_finalists(record)?;
    let unit = record.unit();
    let number =
        |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{} {unit}", figure(x)));
    if let Some(column) = &record.column {
        say(format!(
            "{column}: relaxed {}{}, predicted {}, measured {} ({}); average architecture {}",
            number(record.relaxed),
            gap_text(record),
            number(record.predicted),
            number(record.measured),
            record.measurement,
            number(record.reference)
        ))?;
    }
    say_published(&record.published)?;
    say(format!(
        "{} parameters, {} multiply-adds (ptflops' convention) at {}; {:.0} s; {}",
        record.params,
        record.multiply_adds,
        record.settings.skeleton,
        record.seconds,
        dir.join(SearchRecord::FILE).display()
    ))
}

/// The architecture to report, and its measurement: of the first few finalists, the best one whose measured cost the goal allows, or
/// the cheapest if none is allowed.
fn named(
    space: &dyn SearchSpace,
    cost: &MeasuredCost,
    outcome: &SearchOutcome,
) -> anyhow::Result<(Architecture, (Option<f64>, String))> {
    let mut best = (outcome.architecture.clone(), cost.measure(space, &outcome.architecture));
    let Some(budget) = outcome.finals.budget else { return Ok(best) };
    for next in outcome.finals.finalists.iter().skip(1).take(MEASURED - 1) {
        if best.1.0.is_none_or(|measured| measured <= budget) {
            break;
        }
        let architecture = space.parse(&next.architecture)?;
        let measured = cost.measure(space, &architecture);
        if measured.0.is_some() && measured.0 < best.1.0 {
            best = (architecture, measured);
        }
    }
    Ok(best)
}

/// The architecture's cost by the model, without the risk.
fn predicted(
    space: &dyn SearchSpace,
    cost: &Cost,
    architecture: &Architecture,
) -> anyhow::Result<f64> {
    Ok(match &cost.predictor {
        Some(predictor) => {
            let column = cost.model.column();
            PredictorCost::new(predictor, space, column, tch::Device::Cpu)?.cost(architecture)?
        }
        None => cost.model.cost(architecture)?,
    })
}
