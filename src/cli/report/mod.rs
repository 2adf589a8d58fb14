//! `lat report`: a folder of results as a page.

mod published;

use std::path::{Path, PathBuf};

use anyhow::Context;
use lat::record::{EvaluationRecord, SearchRecord};
use lat::report::{
    JudgedPredictions, ProfileRun, ShownEvaluation, ShownSearch, front_page, profile_page,
    search_page,
};
use lat_data::{LatencyTable, RunHeader, has_run, read_run, sealed_table};
use lat_predictor::Predictor;
use lat_space::find_space;

use super::accuracy::AccuracyArgs;
use super::failure::bad;
use super::newest;
use super::output::{say, write_whole};
use super::records::{read_evaluation, read_search};
use super::written::Written;
use published::Tables;

/// Folders below the named one in which searches are looked for.
const DEPTH: usize = 3;

/// Draw a profile run, a search, or a folder of searches as one HTML file that needs no network.
///
/// Of a profile run: verdict, latencies, noise, drift, sensors, predicted against measured, and what every column means. Of a
/// search: loss, accuracy, cost, entropy, skip connections, diagnostics and the choices' probabilities per epoch, and the cells
/// found. Of a folder with several searches: accuracy against cost with the Pareto front, and means over seeds.
///
/// Example: lat report runs/profile-darts-cuda0-c36-l20-r32-b1-seed0
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of a profile run, of a search, or of several searches.
    dir: PathBuf,
    /// Predictor to judge on a profile run [default: the newest of the same space, device and settings]; or that prices the front of the
    /// whole space beneath several searches [default: the one that they name].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    #[command(flatten)]
    accuracies: AccuracyArgs,
    /// The page [default: DIR/report.html].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let dir = &args.dir;
    if !dir.is_dir() {
        return Err(bad(format!("expected a folder of results at {}, found none", dir.display())));
    }
    let results = folders(dir)?.into_iter();
    let results = results
        .flat_map(|place| [SearchRecord::FILE, EvaluationRecord::FILE].map(|f| place.join(f)));
    let written = Written::default().output("--out", args.out.as_deref()).inputs(results);
    let predictors = args.predictor.clone().map_or_else(newest::predictors, |path| vec![path]);
    written.inputs(predictors.iter().chain(&args.accuracies.file)).check()?;
    let (html, line) = if has_run(dir) {
        profile(args)?
    } else if !dir.join(SearchRecord::FILE).exists() {
        front(args)?
    } else if args.predictor.is_some() {
        return Err(bad(format!(
            "expected a profile run or a folder of several searches with --predictor, found one search in {}",
            dir.display()
        )));
    } else {
        search(args)?
    };
    let out = args.out.clone().unwrap_or_else(|| dir.join("report.html"));
    write_whole(&out, &html)?;
    say(format!("{line}; {}", out.display()))
}

fn profile(args: &Args) -> anyhow::Result<(String, String)> {
    let dir = &args.dir;
    let (header, rows) = read_run(dir)?;
    if rows.is_empty() {
        return Err(bad(format!(
            "expected rows of measurements in {}, found none; run `lat profile` with --out {} to go on with it",
            dir.display(),
            dir.display()
        )));
    }
    let predictions = predictions(args, &header)?;
    let name = dir.display().to_string();
    let html = profile_page(&ProfileRun {
        name: &name,
        header: &header,
        rows: &rows,
        finished: sealed_table(dir).is_some(),
        predictions: predictions.as_ref(),
    });
    let beside = predictions.map_or_else(String::new, |p| format!(", predictor {}", p.source));
    Ok((html, format!("profile run {name}, {} rows{beside}", rows.len())))
}

/// What the predictor that is named, or the newest that fits, says of the run.
fn predictions(args: &Args, header: &RunHeader) -> anyhow::Result<Option<JudgedPredictions>> {
    let (path, predictor) = match &args.predictor {
        Some(path) => (path.clone(), Predictor::load(path)?),
        None => match newest::newest_fitting_predictor(&|p| fits(p, header)) {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let space = find_space(&header.space)?;
    let table = LatencyTable::load(&args.dir, Some(&header.space), &predictor.label().column)?;
    let source = path.display().to_string();
    Ok(Some(JudgedPredictions::new(&predictor, &source, space.as_ref(), &table)?))
}

fn fits(predictor: &Predictor, header: &RunHeader) -> bool {
    let label = predictor.label();
    label.space == header.space
        && label.column == "latency_ms"
        && label.device_name.as_deref() == Some(&header.device_name)
        && label.batch == Some(header.batch)
        && label.skeleton == Some(header.skeleton)
        && label.point == Some(header.point)
}

fn search(args: &Args) -> anyhow::Result<(String, String)> {
    let dir = &args.dir;
    let record = read_search(&dir.join(SearchRecord::FILE))?;
    let published = Tables::of(&args.accuracies, [&record])?.of_found(&record);
    let search = ShownSearch { name: dir.display().to_string(), record, published };
    let html = search_page(&search)
        .with_context(|| format!("{}", dir.join(SearchRecord::FILE).display()))?;
    Ok((html, format!("search {}, {} epochs", search.name, search.record.log.len())))
}

fn front(args: &Args) -> anyhow::Result<(String, String)> {
    let dir = &args.dir;
    let (mut searches, mut evaluations) = (Vec::new(), Vec::new());
    for place in folders(dir)? {
        let name = place.strip_prefix(dir).unwrap_or(&place).display().to_string();
        let file = place.join(SearchRecord::FILE);
        if file.exists() {
            let record = read_search(&file)?;
            searches.push(ShownSearch { name: name.clone(), record, published: None });
        }
        let file = place.join(EvaluationRecord::FILE);
        if file.exists() {
            evaluations.push(ShownEvaluation { name, record: read_evaluation(&file)? });
        }
    }
    if searches.is_empty() {
        return Err(bad(format!(
            "expected run.json of a profile run or search.json of a search in {} or its folders, found neither",
            dir.display()
        )));
    }
    let name = dir.display().to_string();
    let line =
        format!("{} searches and {} evaluations in {name}", searches.len(), evaluations.len());
    let tables = Tables::of(&args.accuracies, searches.iter().map(|search| &search.record))?;
    for search in &mut searches {
        search.published = tables.of_found(&search.record);
    }
    let records: Vec<&SearchRecord> = searches.iter().map(|search| &search.record).collect();
    let fronts = tables.fronts(args.predictor.as_deref(), &records)?;
    Ok((front_page(&name, &searches, &evaluations, &fronts), line))
}

/// The folder and those below it, by name.
fn folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = vec![dir.to_owned()];
    let mut level = all.clone();
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for dir in &level {
            let entries = std::fs::read_dir(dir)
                .map_err(|e| bad(format!("expected to read {}, found: {e}", dir.display())))?;
            // Links may lead round in circles.
            let is_dir = |e: &std::fs::DirEntry| e.file_type().is_ok_and(|t| t.is_dir());
            below.extend(entries.flatten().filter(is_dir).map(|entry| entry.path()));
        }
        below.sort();
        all.extend(below.iter().cloned());
        level = below;
    }
    Ok(all)
}
