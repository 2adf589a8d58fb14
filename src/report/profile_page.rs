//! The page of a profile run.

use lat_data::{Measurement, Role, RunHeader, Status, superseded};
use lat_profiler::Verdict;

use super::columns::explained;
use super::entry::Link;
use super::html::Page;
use super::predictions::JudgedPredictions;
use super::profile_plots as plots;

/// Rows in each of the tables of the fastest and the slowest architectures.
const EXTREMES: usize = 10;

/// A recorded run with everything that its page shows.
#[derive(Debug)]
pub struct ProfileRun<'a> {
    /// The run's name or folder, as shown.
    pub name: &'a str,
    /// The run's settings.
    pub header: &'a RunHeader,
    /// The run's rows, including those replaced by later attempts.
    pub rows: &'a [Measurement],
    /// Whether the run ended by itself, so that its table is sealed.
    pub finished: bool,
    /// A predictor's predictions for its architectures, if there is a predictor.
    pub predictions: Option<&'a JudgedPredictions>,
    /// Links to other pages.
    pub links: &'a [Link],
}

/// The page of a run, which must have at least one row.
pub fn profile_page(run: &ProfileRun<'_>) -> String {
    let dead = superseded(run.rows);
    let live: Vec<&Measurement> =
        run.rows.iter().zip(&dead).filter(|(_, dead)| !**dead).map(|(row, _)| row).collect();
    let RunHeader { space, device_name, batch, .. } = run.header;
    let mut page = Page::new(&format!("{space} on {device_name}, batch {batch}"));
    page.links(run.links);
    page.facts(&settings(run, live.len()));
    let verdict = Verdict::of_rows(run.rows, live.len() as u64);
    judge(&mut page, run, &verdict);
    page.section("Latencies");
    page.figures(&[plots::histogram(&live), plots::statuses(&verdict.shares)]);
    page.section("Can the numbers be trusted?");
    let mut proof =
        vec![plots::noise(&live, verdict.noise_floor), plots::drift(&live), plots::busy(&live)];
    let sensors = plots::sensors(&live);
    if sensors.is_empty() {
        page.text("The device told neither its clock nor its temperature, so there is no picture of them.");
    }
    proof.extend(sensors);
    page.figures(&proof);
    predicted(&mut page, run.predictions);
    extremes(&mut page, &live);
    page.section("What the columns mean");
    page.text("Each row of measurements.parquet and rows.jsonl has these columns; those that the run did not measure are empty.");
    page.table(&["column", "meaning"], &explained());
    page.finish()
}

fn settings(run: &ProfileRun<'_>, n_live: usize) -> Vec<(&'static str, String)> {
    let header = run.header;
    let replaced = match run.rows.len() - n_live {
        0 => String::new(),
        n => format!(", and {n} that a later attempt replaced"),
    };
    vec![
        ("run", run.name.to_owned()),
        ("space", header.space.clone()),
        ("device", format!("{} ({})", header.device_name, header.device)),
        ("batch", header.batch.to_string()),
        ("skeleton", header.skeleton.to_string()),
        ("mode", header.point.mode.name().to_owned()),
        ("precision", header.point.precision.name().to_owned()),
        (
            "memory layout",
            if header.point.channels_last { "channels last".into() } else { String::new() },
        ),
        (
            "caches",
            if header.point.cold { "emptied before each run".into() } else { String::new() },
        ),
        ("shard", header.shard.clone().unwrap_or_default()),
        ("CPU threads", header.threads.to_string()),
        ("reference network", header.reference_ms.map_or(String::new(), |ms| format!("{ms} ms"))),
        ("seed", header.seed.to_string()),
        ("versions", header.versions.join(", ")),
        ("rows", format!("{n_live}{replaced}")),
    ]
}

fn judge(page: &mut Page, run: &ProfileRun<'_>, verdict: &Verdict) {
    if run.finished {
        return page.verdict(verdict.valid, &verdict.text);
    }
    page.verdict(
        false,
        "INVALID because the run is not finished (there is no measurements.parquet): run the same `lat profile` command again to go on.",
    );
    page.text(&format!("Of the rows so far: {}", verdict.text));
}

fn predicted(page: &mut Page, predictions: Option<&JudgedPredictions>) {
    page.section("Predicted against measured");
    match predictions {
        Some(predictions) => judged(page, predictions),
        None => page.text(
            "There is no predictor for this run: `lat train` learns one, --predictor names one.",
        ),
    }
}

/// The rows that a predictor is judged on, in words.
pub(super) fn judged_on(predictions: &JudgedPredictions) -> String {
    let n = predictions.errors.n;
    if predictions.held_out {
        return format!("the {n} architectures that training left out");
    }
    format!("all {n} architectures; those it was trained on may be among them, so this flatters it")
}

/// A predictor's errors on a run's architectures, in numbers and pictures.
fn judged(page: &mut Page, predictions: &JudgedPredictions) {
    let (label, errors) = (&predictions.label, &predictions.errors);
    page.facts(&[
        ("predictor", format!("{}, {}", predictions.source, label.regressor)),
        ("trained on", format!("{} rows, seed {}", label.n_train, label.seed)),
        ("trained for", label.device_name.clone().unwrap_or_else(|| "an unnamed device".into())),
        ("judged on", judged_on(predictions)),
        ("MAPE", format!("{:.2} %", errors.mape)),
        (
            "within 5 %, 10 %",
            format!("{:.1} %, {:.1} % of them", errors.within_5, errors.within_10),
        ),
        ("Kendall, Spearman", format!("{:.3}, {:.3}", errors.kendall, errors.spearman)),
        ("noise floor", label.noise_floor.map_or(String::new(), |n| format!("{n:.2} % MAPE"))),
    ]);
    page.figures(&plots::predicted(predictions));
}

fn extremes(page: &mut Page, live: &[&Measurement]) {
    let measured = |row: &&&Measurement| row.role == Role::Sample && row.status != Status::Failed;
    let mut rows: Vec<&&Measurement> = live.iter().filter(measured).collect();
    rows.sort_by(|a, b| a.latency_ms.total_cmp(&b.latency_ms));
    let header =
        ["latency_ms", "interval", "n_runs", "status", "params", "multiply_adds", "architecture"];
    let cells = |row: &&&Measurement| {
        vec![
            format!("{:.4}", row.latency_ms),
            format!("{:.4} to {:.4}", row.latency_ci_low_ms, row.latency_ci_high_ms),
            row.n_runs.to_string(),
            row.status.name().to_owned(),
            row.params.to_string(),
            row.multiply_adds.to_string(),
            row.architecture.clone(),
        ]
    };
    let fastest: Vec<_> = rows.iter().take(EXTREMES).map(cells).collect();
    let slowest: Vec<_> = rows.iter().rev().take(EXTREMES).map(cells).collect();
    page.section("Fastest architectures");
    page.text("Samples only. The interval holds the median with 95 % probability; what the other columns mean stands below.");
    page.table(&header, &fastest);
    page.section("Slowest architectures");
    page.table(&header, &slowest);
    failures(page, live);
}

/// The reasons of failed rows, most frequent first.
fn failures(page: &mut Page, live: &[&Measurement]) {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for row in live.iter().filter(|row| row.status == Status::Failed) {
        match reasons.iter_mut().find(|(reason, _)| *reason == row.reason) {
            Some((_, n)) => *n += 1,
            None => reasons.push((&row.reason, 1)),
        }
    }
    if reasons.is_empty() {
        return;
    }
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    page.section("Why rows failed");
    let rows: Vec<_> = reasons
        .iter()
        .take(EXTREMES)
        .map(|(reason, n)| vec![n.to_string(), (*reason).to_owned()])
        .collect();
    page.table(&["rows", "reason"], &rows);
}

#[cfg(test)]
#[path = "profile_page_tests.rs"]
mod tests;
