//! `lat train`: learns to predict a cost from measurements.

mod args;
mod disturbed_rows;
mod figures;
mod split;
mod summary;

use std::path::{Path, PathBuf};

use lat_data::{LatencyTable, RunHeader, read_run, unit};
use lat_predictor::{RegressorChoice, Samples, TrainOptions, find_regressor, train_watched};
use lat_profiler::Verdict;
use lat_space::{Architecture, find_space};

use super::error_budget::ErrorBudget;
use super::failure::bad;
use super::fitting::shown;
use super::op_costs::OpCosts;
use super::op_table::{Judged, judge};
use super::output::{Screen, say, write_json};
use super::runs;
use super::table_args::SpaceTable;
use super::transfer;
use super::written::Written;
pub(super) use args::Args;
pub(super) use figures::metric_cells;
use figures::report_table;
use split::split;
use summary::{Operations, Summary, rows};

/// Value of --regressor that lets the held-out rows choose.
const AUTO: &str = "auto";

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    if args.regressor != AUTO {
        find_regressor(&args.regressor)?;
    }
    let data = args.table.source()?;
    let out = out(args, &data)?;
    let reading = screen.working("reading the table");
    let SpaceTable { data, space, table: measured } = args.table.read(data, &args.target)?;
    reading.finish_and_clear();
    let architectures = measured.parse(space.as_ref())?;
    let (mut train_rows, mut test_rows) = split(args, space.as_ref(), &architectures)?;
    let sizes = [architectures.len(), train_rows.len(), test_rows.len()];
    say(announcement(args, &data, space.id(), measured.header.as_ref(), sizes))?;
    say_doubts(args, &data, &measured, screen)?;
    let lists = [&mut train_rows, &mut test_rows];
    disturbed_rows::leave_out(args, space.as_ref(), &measured, &architectures, lists)?;
    let value = |&r: &usize| (&architectures[r], measured.rows[r].value);
    let pick = |rows: &[usize]| Samples::of(space.as_ref(), rows.iter().map(value));
    if !args.from.is_empty() {
        let (samples, test) = (pick(&train_rows)?, pick(&test_rows)?);
        let (target, seed, json) = (&args.target, args.seed, args.json.as_deref());
        let request = transfer::Request { from: &args.from, target, seed, out: &out, json };
        let measured = SpaceTable { data, space, table: measured };
        return transfer::run(&request, &measured, &samples, &test);
    }
    let options = options(args);
    let test = pick(&test_rows)?;
    let samples = pick(&train_rows)?;
    let report =
        shown(screen, |told| train_watched(space.as_ref(), &samples, &test, &options, told))?;
    let budget = ErrorBudget::of(&measured, report.fitted[report.chosen].test.as_ref());
    let floor = budget.noise;
    let predictor =
        report.predictor(space.as_ref(), &args.target, measured.header.as_ref(), floor)?;
    predictor.save(&out)?;
    let pairs = |rows: &[usize]| -> Vec<(&Architecture, f64)> { rows.iter().map(value).collect() };
    let judge = || per_op(args, &measured, &pairs(&train_rows), &pairs(&test_rows));
    let judged = (!args.per_op.is_empty()).then(judge).transpose()?;
    say(report_table(&report, judged.as_ref(), unit(&args.target)))?;
    say(budget.line(measured.repeats.len()))?;
    say(format!("{}: {}", out.display(), report.reason))?;
    let Some(path) = &args.json else { return Ok(()) };
    let summary = Summary {
        data,
        space: space.id().to_owned(),
        target: args.target.clone(),
        seed: args.seed,
        predictor: out,
        reason: report.reason.clone(),
        drift: budget.drift,
        rest: budget.rest,
        regressors: rows(&report, &predictor, &test, floor)?,
        operations: judged.as_ref().map(Operations::of),
    };
    write_json(path, &summary)
}

/// Says what in the table keeps a predictor from being better.
fn say_doubts(
    args: &Args,
    data: &Path,
    measured: &LatencyTable,
    screen: Screen,
) -> anyhow::Result<()> {
    args.table.say_notes(measured)?;
    if let Some(line) = doubt(data) {
        screen.warn(None, &line);
    }
    match only_value(measured) {
        Some(value) => {
            let target = &args.target;
            say(format!("all values of {target} are {value}: there is nothing to learn but that"))
        }
        None => Ok(()),
    }
}

/// A warning if the data are a run of `lat profile` whose verdict is INVALID: a predictor is no better than what it learns from.
fn doubt(data: &Path) -> Option<String> {
    if !data.is_dir() {
        return None;
    }
    let (_, rows) = read_run(data).ok()?;
    let done = Verdict::of_rows(&rows, 0).done;
    let verdict = Verdict::of_rows(&rows, done);
    let advice = "a predictor learns these errors too; measure again on a quiet machine, on a CPU with lat --threads 1";
    (!verdict.valid).then(|| format!("warning: {}; {advice}", verdict.text.trim_end_matches('.')))
}

/// The value that all rows share, if there is one.
fn only_value(table: &LatencyTable) -> Option<f64> {
    let first = table.rows.first()?.value;
    table.rows.iter().all(|row| row.value.to_bits() == first.to_bits()).then_some(first)
}

/// A line about the data to learn from; `n` is the number of architectures to train on and to test on.
fn announcement(
    args: &Args,
    data: &Path,
    space: &str,
    header: Option<&RunHeader>,
    [n, n_train, n_test]: [usize; 3],
) -> String {
    let device = header.map(|h| format!(" on {}", h.device_name)).unwrap_or_default();
    format!(
        "{} from {}: {n} architectures of {space}{device}, {n_train} to train on, {n_test} to test on",
        args.target,
        data.display()
    )
}

fn options(args: &Args) -> TrainOptions {
    let choice = match args.regressor.as_str() {
        AUTO => RegressorChoice::Auto,
        name => RegressorChoice::Named(name.to_owned()),
    };
    TrainOptions { choice, compare: args.compare, seed: args.seed }
}

/// The predictor's file, after checking that neither it nor the JSON overwrites an input.
fn out(args: &Args, data: &Path) -> anyhow::Result<PathBuf> {
    let named = || runs::predictor_file(data, &args.table.filters, &args.target);
    let out = args.out.clone().unwrap_or_else(named);
    let others = [&args.table.space_file, &args.table.architectures, &args.test_rows];
    let inputs = others.into_iter().flatten().chain(&args.from).map(PathBuf::as_path);
    // The default folder is created if it is missing. A folder that the user named may be a typing mistake, so it is not created.
    if args.out.is_none() {
        runs::writable_dir(out.parent().unwrap_or(Path::new(".")))?;
    }
    let written = Written::default().output("--out", Some(&out));
    written.output("--json", args.json.as_deref()).inputs(inputs.chain([data])).check()?;
    Ok(out)
}

/// Judges a table of operations on these rows, which must have been measured the same way as the table.
fn per_op(
    args: &Args,
    measured: &LatencyTable,
    train: &[(&Architecture, f64)],
    test: &[(&Architecture, f64)],
) -> anyhow::Result<Judged> {
    let Some(header) = &measured.header else {
        return Err(bad(
            "expected a profile of lat with --per-op, found a table that does not say how it was measured",
        ));
    };
    if args.target != "latency_ms" {
        return Err(bad(format!(
            "expected --target latency_ms with --per-op, found {}",
            args.target
        )));
    }
    let space = find_space(&header.space)?;
    let table = OpCosts::read(&args.per_op, space.as_ref())?;
    // A published table does not say how it was measured, only for which network.
    let known = table.header.as_ref().unwrap_or(header);
    let alike = RunHeader {
        seed: header.seed,
        reference_ms: header.reference_ms,
        skeleton: *table.costs.skeleton(),
        ..known.clone()
    };
    if let Some((what, ours, theirs)) = header.difference(&alike) {
        return Err(bad(format!(
            "expected operations measured like the profile, {what} {ours}, found {theirs} in {}",
            table.source
        )));
    }
    judge(&table.pricer(space.as_ref()), train, test)
}
