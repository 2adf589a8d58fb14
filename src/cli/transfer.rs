//! `lat train --from`: a predictor for a new device from predictors of other devices and a few samples.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use lat_data::{RunHeader, unit};
use lat_predictor::{
    Baseline, LEAST_SAMPLES, Label, Metrics, Predictor, RegressorChoice, Samples, Sources,
    TRANSFER, TrainOptions, train,
};
use lat_space::Space;
use serde::Serialize;

use super::error_budget::ErrorBudget;
use super::failure::bad;
use super::output::{say, table, write_json};
use super::table_args::SpaceTable;

/// Up to this many samples of the new device, all are used for training by default.
pub(super) const FEW: usize = 50;

/// The request to `lat train --from`.
pub(super) struct Request<'a> {
    pub(super) from: &'a [PathBuf],
    pub(super) target: &'a str,
    pub(super) seed: u64,
    pub(super) out: &'a Path,
    pub(super) json: Option<&'a Path>,
}

/// The figures of one approach.
#[derive(Serialize)]
struct Row {
    regressor: &'static str,
    chosen: bool,
    n_train: usize,
    #[serde(flatten)]
    test: Option<Metrics>,
    seconds: f64,
}

/// All figures as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    data: &'a Path,
    space: &'a str,
    target: &'a str,
    seed: u64,
    sources: &'a [String],
    predictor: &'a Path,
    /// Average relative error on samples that were left out of the fit, percent.
    held_out_error: f64,
    /// Whether the predictor is one linear model; if not, its file also contains the source predictors.
    folded: bool,
    noise_floor: Option<f64>,
    regressors: Vec<Row>,
}

/// Fits, judges, saves and prints the predictor.
pub(super) fn run(
    request: &Request<'_>,
    measured: &SpaceTable,
    samples: &Samples,
    test: &Samples,
) -> anyhow::Result<()> {
    let space = measured.space.as_ref();
    let predictors = load(request, space)?;
    let names: Vec<String> = request.from.iter().zip(&predictors).map(name).collect();
    let header = measured.table.header.as_ref();
    warn_of_same_devices(header, request.from, &predictors)?;
    let sources = Sources::new(space, request.target, &predictors)?;
    let mut rows = Vec::new();
    for baseline in [Baseline::Ridge, Baseline::BestSource] {
        let started = Instant::now();
        let predicted = sources.baseline(baseline, samples, test.gates.view())?.to_vec();
        let seconds = started.elapsed().as_secs_f64();
        rows.push(row(baseline.name(), samples, judge(test, &predicted)?, seconds));
    }
    rows.extend(from_scratch(space, samples, test, request.seed)?);
    let started = Instant::now();
    let transfer = sources.transfer(samples, request.seed)?;
    let seconds = started.elapsed().as_secs_f64();
    let label = Label::new(space, "structured", request.target, header)?;
    let label = Label { sources: names.clone(), seed: request.seed, ..label };
    let errors = judge(test, &transfer.predictor(label.clone()).price_gates(test.gates.view())?)?;
    let budget = ErrorBudget::of(&measured.table, errors.as_ref());
    let predictor = transfer.predictor(Label { errors, noise_floor: budget.noise, ..label });
    predictor.save(request.out)?;
    rows.push(Row { chosen: true, ..row(TRANSFER, samples, errors, seconds) });
    say(report(&rows, unit(request.target)))?;
    say(budget.line(measured.table.repeats.len()))?;
    say(format!(
        "{}: transferred from {} to {} samples, which it misses by {:.2} % where each is predicted without itself",
        request.out.display(),
        names.join(", "),
        samples.len(),
        transfer.held_out_error()
    ))?;
    let Some(path) = request.json else { return Ok(()) };
    let summary = Summary {
        data: &measured.data,
        space: space.id(),
        target: request.target,
        seed: request.seed,
        sources: &names,
        predictor: request.out,
        held_out_error: transfer.held_out_error(),
        folded: transfer.is_folded(),
        noise_floor: budget.noise,
        regressors: rows,
    };
    write_json(path, &summary)
}

/// Reads the source predictors, each of which must predict the target for the space.
fn load(request: &Request<'_>, space: &dyn Space) -> anyhow::Result<Vec<Predictor>> {
    let one = |(i, path): (usize, &PathBuf)| {
        if request.from[..i].contains(path) {
            return Err(bad(format!(
                "expected each predictor once, found {} twice; leave one out of --from",
                path.display()
            )));
        }
        let predictor = Predictor::load(path)?;
        let fits = predictor.check(space, request.target);
        fits.with_context(|| format!("--from {}", path.display()))?;
        Ok(predictor)
    };
    request.from.iter().enumerate().map(one).collect()
}

/// The device of a source, or its file name if the file does not say.
fn name((path, source): (&PathBuf, &Predictor)) -> String {
    let stem = || path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    source.label().device_name.clone().unwrap_or_else(stem)
}

fn warn_of_same_devices(
    header: Option<&RunHeader>,
    paths: &[PathBuf],
    sources: &[Predictor],
) -> anyhow::Result<()> {
    let Some(header) = header else { return Ok(()) };
    for (path, source) in paths.iter().zip(sources) {
        let label = source.label();
        let is_same = label.device_name.as_deref() == Some(header.device_name.as_str())
            && label.batch == Some(header.batch)
            && label.point == Some(header.point);
        if is_same {
            say(format!(
                "warning: {} is of {} too, at the same batch and operating point, so this is no transfer to a new device; \
                 `lat train` on all rows of it may be better",
                path.display(),
                header.device_name
            ))?;
        }
    }
    Ok(())
}

/// How well a predictor trained on the samples alone does, if there are enough of them.
fn from_scratch(
    space: &dyn Space,
    samples: &Samples,
    test: &Samples,
    seed: u64,
) -> anyhow::Result<Option<Row>> {
    if samples.len() < LEAST_SAMPLES {
        return Ok(None);
    }
    let options =
        TrainOptions { choice: RegressorChoice::Named("structured".into()), compare: false, seed };
    let report = train(space, samples, test, &options)?;
    let best = report.best();
    Ok(Some(row(best.entry.name, samples, best.test, best.seconds)))
}

fn judge(test: &Samples, predicted: &[f64]) -> anyhow::Result<Option<Metrics>> {
    if test.is_empty() {
        return Ok(None);
    }
    Ok(Some(Metrics::of(&test.values.to_vec(), predicted)?))
}

fn row(name: &'static str, samples: &Samples, test: Option<Metrics>, seconds: f64) -> Row {
    Row { regressor: name, chosen: false, n_train: samples.len(), test, seconds }
}

fn report(rows: &[Row], unit: &str) -> String {
    let cells = rows.iter().map(|row| {
        let mark = if row.chosen { "*" } else { "" };
        let mut cells = vec![format!("{}{mark}", row.regressor)];
        match &row.test {
            Some(m) => cells.extend(super::train::metric_cells(m)),
            None => cells.extend(std::iter::repeat_n("-".to_owned(), 6)),
        }
        cells.push(format!("{:.1}", row.seconds));
        cells
    });
    let mae = format!("MAE {unit}");
    table(&["way", &mae, "MAPE %", "within 5 %", "within 10 %", "Kendall", "Spearman", "s"], cells)
}
