//! `lat train`: learns to predict a cost from measurements.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lat_data::{LatencyTable, RunHeader, split_sizes};
use lat_predictor::{
    Choice, Fitted, Metrics, Predictor, Report, Samples, TrainOptions, train, unit,
};
use lat_space::{Architecture, Space, find_space};
use serde::Serialize;

use super::error_budget::ErrorBudget;
use super::failure::bad;
use super::op_table::{Judged, OpTable, judge};
use super::output::{say, table, write_json};
use super::runs;
use super::table_args::{SpaceTable, TableArgs};
use super::transfer;

/// Learn to predict the latency of architectures from measurements.
///
/// Splits by architecture, fits the differentiable predictors, judges them on rows that none has seen, and writes the best as a
/// predictor file.
///
/// Example: lat train --data runs/profile-darts-cpu-c8-l4-r8-b1-seed0
///
/// A table measured elsewhere: lat train --space-file examples/spaces/ofa.toml --data ofa.parquet
///
/// A new device from predictors of others and ten samples: lat train --from gpu-a.lat gpu-b.lat --samples-from runs/profile-darts-cpu-c8-l4-r8-b1-seed0 --train 10
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    table: TableArgs,
    /// Predictors of other devices to start from; --data, here also --samples-from, then holds samples of the new one, of
    /// which 5 to 50 do.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["regressor", "compare"])]
    from: Vec<PathBuf>,
    /// Column to predict.
    #[arg(long, default_value = "latency_ms", value_name = "COLUMN")]
    target: String,
    /// Regressor that becomes the predictor: auto or one of `lat list regressors`.
    #[arg(long, default_value = "auto")]
    regressor: String,
    /// Fit all regressors for comparison, baselines included.
    #[arg(long)]
    compare: bool,
    /// Judge this table of operations (`lat profile --per-op`) beside the regressors: the sum of a network's operations, as it is
    /// and scaled.
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    per_op: Option<PathBuf>,
    /// Rows to train on [default: all that are not for testing].
    #[arg(long, value_name = "N")]
    train: Option<usize>,
    /// Rows to test on [default: a fifth; with --from none of up to 50].
    #[arg(long, value_name = "M")]
    test: Option<usize>,
    /// File with the architectures to test on, one per line.
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    test_rows: Option<PathBuf>,
    /// Seed of split and training.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Predictor file [default: ./runs/predictor-PROFILE-COLUMN.lat].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write all metrics as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One regressor's figures for machines.
#[derive(Serialize)]
struct Row {
    regressor: &'static str,
    chosen: bool,
    n_train: usize,
    n_test: usize,
    /// Error on rows held out while fitting, percent.
    validation_error: Option<f64>,
    mape: Option<f64>,
    within_5: Option<f64>,
    within_10: Option<f64>,
    spearman: Option<f64>,
    kendall: Option<f64>,
    mae: Option<f64>,
    rmse: Option<f64>,
    noise_floor: Option<f64>,
    /// Share of test rows inside the 90 % interval, percent; of the chosen one.
    coverage_90: Option<f64>,
    seconds: f64,
}

/// All figures for machines.
#[derive(Serialize)]
struct Summary {
    data: PathBuf,
    space: String,
    target: String,
    seed: u64,
    predictor: PathBuf,
    reason: String,
    /// MAPE that drift of the device adds, percent.
    drift: Option<f64>,
    /// MAPE that neither noise nor drift explains, percent.
    rest: Option<f64>,
    regressors: Vec<Row>,
    /// A table of operations added up, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Operations>,
}

/// How a table of operations does on the test rows.
#[derive(Serialize)]
struct Operations {
    sum: Metrics,
    scaled: Metrics,
    factor: f64,
    constant_ms: f64,
}

impl Operations {
    fn of(judged: &Judged) -> Self {
        let Judged { sum, scaled, factor, constant_ms } = *judged;
        Self { sum, scaled, factor, constant_ms }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let SpaceTable { data, space, table: measured } = args.table.read(&args.target)?;
    let architectures = parse_all(space.as_ref(), &measured)?;
    let (train_rows, test_rows) = split(args, space.as_ref(), &architectures)?;
    let device = measured.header.as_ref().map(|h| format!(" on {}", h.device_name));
    say(format!(
        "{} from {}: {} architectures of {}{}, {} to train on, {} to test on",
        args.target,
        data.display(),
        architectures.len(),
        space.id(),
        device.unwrap_or_default(),
        train_rows.len(),
        test_rows.len()
    ))?;
    args.table.say_notes(&measured)?;
    let pick = |rows: &[usize]| {
        Samples::of(
            space.as_ref(),
            rows.iter().map(|&r| (&architectures[r], measured.rows[r].value)),
        )
    };
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| runs::predictor_file(&data, &args.table.filters, &args.target));
    if let Some(dir) = out.parent().filter(|d| !d.as_os_str().is_empty()) {
        runs::writable_dir(dir)?;
    }
    if !args.from.is_empty() {
        let (samples, test) = (pick(&train_rows)?, pick(&test_rows)?);
        let (target, seed, json) = (&args.target, args.seed, args.json.as_deref());
        let request = transfer::Request { from: &args.from, target, seed, out: &out, json };
        let measured = SpaceTable { data, space, table: measured };
        return transfer::run(&request, &measured, &samples, &test);
    }
    let is_auto = args.regressor == "auto";
    let options = TrainOptions {
        choice: if is_auto { Choice::Auto } else { Choice::Named(args.regressor.clone()) },
        compare: args.compare,
        seed: args.seed,
    };
    let test = pick(&test_rows)?;
    let report = train(space.as_ref(), &pick(&train_rows)?, &test, &options)?;
    let budget = ErrorBudget::of(&measured, report.fitted[report.chosen].test.as_ref());
    let floor = budget.noise;
    let predictor =
        report.predictor(space.as_ref(), &args.target, measured.header.as_ref(), floor)?;
    predictor.save(&out)?;
    let judged = args.per_op.as_deref().map(|dir| {
        let pairs = |rows: &[usize]| -> Vec<(&Architecture, f64)> {
            rows.iter().map(|&r| (&architectures[r], measured.rows[r].value)).collect()
        };
        per_op(dir, args, &measured, &pairs(&train_rows), &pairs(&test_rows))
    });
    let judged = judged.transpose()?;
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

/// Figures of all regressors, and the coverage of the chosen one's intervals on the test rows.
fn rows(
    report: &Report,
    predictor: &Predictor,
    test: &Samples,
    floor: Option<f64>,
) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = report.fitted.iter().map(|f| row(f, report.n_train, floor)).collect();
    let chosen = &mut rows[report.chosen];
    chosen.chosen = true;
    chosen.coverage_90 =
        predictor.predict_gates(test.gates.view())?.coverage_90(&test.values.to_vec());
    Ok(rows)
}

/// Judges a table of operations on these rows, which must have been measured as it was.
fn per_op(
    dir: &Path,
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
    let table = OpTable::read(dir, &header.space)?;
    let alike =
        RunHeader { seed: header.seed, reference_ms: header.reference_ms, ..table.header.clone() };
    if let Some((what, ours, theirs)) = header.difference(&alike) {
        return Err(bad(format!(
            "expected operations measured like the profile, {what} {ours}, found {theirs} in {}",
            dir.display()
        )));
    }
    let space = find_space(&header.space)?;
    judge(&table.cost(space.as_ref())?, train, test)
}

fn parse_all(space: &dyn Space, measured: &LatencyTable) -> anyhow::Result<Vec<Architecture>> {
    let parse = |(i, text): (usize, &str)| {
        space
            .parse(text)
            .with_context(|| format!("{}, architecture {}", measured.source.display(), i + 1))
    };
    measured.rows.iter().map(|r| r.architecture.as_str()).enumerate().map(parse).collect()
}

/// Rows to train and to test on.
fn split(
    args: &Args,
    space: &dyn Space,
    architectures: &[Architecture],
) -> anyhow::Result<(Vec<usize>, Vec<usize>)> {
    let n = architectures.len();
    let (mut train, test) = if let Some(path) = &args.test_rows {
        let chosen = read_test_rows(path, space)?;
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&r| chosen.contains(&architectures[r]));
        if test.is_empty() {
            return Err(bad(format!(
                "expected architectures of the table in {}, found none of them",
                path.display()
            )));
        }
        let (order, _) = split_sizes(train.len(), train.len(), 0, args.seed)?;
        (order.into_iter().map(|i| train[i]).collect(), test)
    } else {
        let is_few = !args.from.is_empty() && n <= transfer::FEW;
        let test = args.test.unwrap_or(if is_few { 0 } else { n / 5 });
        split_sizes(n, args.train.unwrap_or(n.saturating_sub(test)), test, args.seed)?
    };
    if let Some(wanted) = args.train {
        if wanted > train.len() {
            return Err(bad(format!(
                "expected at most {} rows to train on, found --train {wanted}",
                train.len()
            )));
        }
        train.truncate(wanted);
    }
    Ok((train, test))
}

fn read_test_rows(path: &Path, space: &dyn Space) -> anyhow::Result<HashSet<Architecture>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("expected a file of architectures, one per line, at {}", path.display())
    })?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty()).enumerate();
    let parse = |(i, line): (usize, &str)| {
        space.parse(line).with_context(|| format!("{}, architecture {}", path.display(), i + 1))
    };
    lines.map(parse).collect()
}

fn report_table(report: &Report, operations: Option<&Judged>, unit: &str) -> String {
    let of_operations = operations.into_iter().flat_map(|judged| {
        let row = |name: String, metrics: &Metrics| {
            let mut row = vec![name];
            row.extend(metric_cells(metrics));
            row.push("-".to_owned());
            row
        };
        let Judged { sum, scaled, factor, constant_ms } = judged;
        [
            row("operations, added up".to_owned(), sum),
            row(format!("operations * {factor:.3} + {constant_ms:.3} ms"), scaled),
        ]
    });
    let rows = report.fitted.iter().enumerate().map(|(i, fitted)| {
        let mark = if i == report.chosen { "*" } else { "" };
        let mut row = vec![format!("{}{mark}", fitted.entry.name)];
        match &fitted.test {
            Some(m) => row.extend(metric_cells(m)),
            None => row.extend(std::iter::repeat_n("-".to_owned(), 6)),
        }
        row.push(format!("{:.1}", fitted.seconds));
        row
    });
    let mae = format!("MAE {unit}");
    table(
        &["regressor", &mae, "MAPE %", "within 5 %", "within 10 %", "Kendall", "Spearman", "s"],
        rows.chain(of_operations),
    )
}

pub(super) fn metric_cells(m: &Metrics) -> Vec<String> {
    vec![
        format!("{:.4}", m.mae),
        format!("{:.2}", m.mape),
        format!("{:.1}", m.within_5),
        format!("{:.1}", m.within_10),
        format!("{:.3}", m.kendall),
        format!("{:.3}", m.spearman),
    ]
}

fn row(fitted: &Fitted, n_train: usize, floor: Option<f64>) -> Row {
    let test = fitted.test.as_ref();
    Row {
        regressor: fitted.entry.name,
        chosen: false,
        n_train,
        n_test: test.map_or(0, |m| m.n),
        validation_error: fitted.validation_error,
        mape: test.map(|m| m.mape),
        within_5: test.map(|m| m.within_5),
        within_10: test.map(|m| m.within_10),
        spearman: test.map(|m| m.spearman),
        kendall: test.map(|m| m.kendall),
        mae: test.map(|m| m.mae),
        rmse: test.map(|m| m.rmse),
        noise_floor: floor,
        coverage_90: None,
        seconds: fitted.seconds,
    }
}
