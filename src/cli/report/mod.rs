//! `lat report`: draws results as HTML pages.

mod index;
mod pages;
mod predictions;
mod published;

use std::path::{Path, PathBuf};

use anyhow::Context;
use lat::record::{EvaluationRecord, SearchRecord};
use lat::report::{
    Place, ProfileRun, ShownEvaluation, ShownPredictor, ShownSearch, evaluation_page,
    predictor_page, profile_page, search_page,
};
use lat_data::{has_run, read_run, sealed_table};
use lat_predictor::Predictor;

use super::accuracy::AccuracyArgs;
use super::failure::bad;
use super::newest;
use super::output::{Screen, say, write_whole};
use super::records::{read_evaluation, read_search};
use super::results::Results;
use super::written::Written;
use predictions::predictions;
use published::Tables;

/// Draw all results of a folder, or one of them, as pages that need no network.
///
/// For a whole folder: accuracy against cost for all its searches with the Pareto front, with published accuracies if the space has
/// some and averages over seeds, and tables of its profiles, predictors, searches and evaluations with links to a page of each.
/// These pages are in a folder beside the main page, report_files; the two can be moved together.
///
/// For a profile run: verdict, latencies, noise, drift, sensors, predicted against measured, and the meaning of every column. For a
/// predictor: its errors. For a search: loss, accuracy, cost, entropy, skip connections, diagnostics and the choices' probabilities
/// per epoch, and the cells found. For an evaluation: accuracy, latency and the cells.
///
/// Example: lat report
///
/// Example: lat report runs/profile-darts-cuda0-c36-l20-r32-b1-seed0
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of results, of a profile run, of a search or of an evaluation; or a predictor file.
    #[arg(default_value = "runs")]
    dir: PathBuf,
    /// Predictor to judge on a profile run [default: the newest of the same space, device and settings]. For a folder: predictor
    /// that prices the front of the whole space, drawn behind the searches [default: the one that they name].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    #[command(flatten)]
    accuracies: AccuracyArgs,
    /// File for the page [default: DIR/report.html; for a predictor file, beside it].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A page, and a sentence about it.
type Drawn = (String, String);

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let dir = &args.dir;
    let is_predictor = dir.is_file();
    if !dir.is_dir() && !is_predictor {
        return Err(bad(format!("expected a folder of results at {}, found none", dir.display())));
    }
    let results = Results::below(dir);
    check_written(args, &results)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None if is_predictor => dir.with_extension("html"),
        None => dir.join("report.html"),
    };
    let is_one = is_predictor || has_run(dir) || is_of_one(dir, &results);
    if !is_one {
        if results.is_empty() {
            return Err(bad(format!(
                "expected results in {} or its folders (run.json of a profile run, a predictor's .lat, search.json of a search, \
                 evaluation.json of an evaluation), found none; `lat profile` makes the first",
                dir.display()
            )));
        }
        let line = index::write(args, &out, &results, screen)?;
        return say(format!("{line}; {}", out.display()));
    }
    if args.predictor.is_some() && !has_run(dir) {
        return Err(bad(format!(
            "expected a profile run or a whole folder of results with --predictor, found one {} in {}",
            if is_predictor { "predictor" } else { kind(dir) },
            dir.display()
        )));
    }
    let (html, line) = match () {
        () if is_predictor => predictor(args)?,
        () if has_run(dir) => profile(args)?,
        () if dir.join(SearchRecord::FILE).exists() => search(args)?,
        () => evaluation(args)?,
    };
    write_whole(&out, &html)?;
    say(format!("{line}; {}", out.display()))
}

/// The kind of result that the folder holds.
fn kind(dir: &Path) -> &'static str {
    if dir.join(SearchRecord::FILE).exists() { "search" } else { "evaluation" }
}

/// Whether the folder is that of a single search, or of an evaluation and nothing else.
fn is_of_one(dir: &Path, results: &Results) -> bool {
    let has = |file: &str| dir.join(file).exists();
    has(SearchRecord::FILE)
        || has(EvaluationRecord::FILE) && results.paths().all(|path| path == dir)
}

/// Refuses a page that would overwrite an input.
fn check_written(args: &Args, results: &Results) -> anyhow::Result<()> {
    let files = [SearchRecord::FILE, EvaluationRecord::FILE];
    let records = results.paths().flat_map(|place| files.map(|file| place.join(file)));
    let written = Written::default().output("--out", args.out.as_deref()).inputs(records);
    let predictors = args.predictor.clone().map_or_else(newest::predictors, |path| vec![path]);
    let written = written.inputs(results.predictors.iter().map(|result| &result.path));
    let written = written.inputs(args.dir.is_file().then_some(&args.dir));
    written.inputs(predictors.iter().chain(&args.accuracies.file)).check()
}

fn profile(args: &Args) -> anyhow::Result<Drawn> {
    let dir = &args.dir;
    let (header, rows) = read_run(dir)?;
    if rows.is_empty() {
        return Err(bad(format!(
            "expected rows of measurements in {}, found none; run `lat profile` with --out {} to go on with it",
            dir.display(),
            dir.display()
        )));
    }
    let predictions = predictions(dir, args.predictor.as_ref(), &header)?;
    let name = dir.display().to_string();
    let html = profile_page(&ProfileRun {
        name: &name,
        header: &header,
        rows: &rows,
        finished: sealed_table(dir).is_some(),
        predictions: predictions.as_ref(),
        links: &[],
    });
    let beside = predictions.map_or_else(String::new, |p| format!(", predictor {}", p.source));
    Ok((html, format!("profile run {name}, {} rows{beside}", rows.len())))
}

fn predictor(args: &Args) -> anyhow::Result<Drawn> {
    let label = Predictor::load(&args.dir)?.label().clone();
    let place = Place::named(&args.dir.display().to_string());
    let line = format!("predictor {} of {} for {}", place.name, label.column, label.space);
    Ok((predictor_page(&ShownPredictor { place, label }, None, &[]), line))
}

fn search(args: &Args) -> anyhow::Result<Drawn> {
    let dir = &args.dir;
    let record = read_search(&dir.join(SearchRecord::FILE))?;
    let found = (record.settings.space.as_str(), record.architecture.as_str());
    let published = Tables::of(&args.accuracies, [found.0])?.of_found(found, &record.published);
    let place = Place::named(&dir.display().to_string());
    let line = format!("search {}, {} epochs", place.name, record.log.len());
    let html = search_page(&ShownSearch { place, record, published }, &[])
        .with_context(|| format!("{}", dir.join(SearchRecord::FILE).display()))?;
    Ok((html, line))
}

fn evaluation(args: &Args) -> anyhow::Result<Drawn> {
    let file = args.dir.join(EvaluationRecord::FILE);
    let record = read_evaluation(&file)?;
    let place = Place::named(&args.dir.display().to_string());
    let line = format!("evaluation {}, test accuracy {:.2} %", place.name, record.test_accuracy);
    let of = (record.settings.space.as_str(), record.settings.architecture.as_str());
    let published = Tables::of(&args.accuracies, [of.0])?.of_found(of, &record.published);
    let html = evaluation_page(&ShownEvaluation { place, record }, published.as_ref(), &[])
        .with_context(|| format!("{}", file.display()))?;
    Ok((html, line))
}
