//! A whole folder of results as one page with links to a page of each.

mod finish;

use std::path::{Path, PathBuf};

use anyhow::Context;
use lat::record::SearchRecord;
use lat::report::{
    JudgedPredictions, Link, Place, ProfileRun, ShownEvaluation, ShownPredictor, ShownProfile,
    ShownSearch, profile_page,
};
use lat_data::{Measurement, RunHeader, read_run, superseded};
use lat_predictor::Predictor;
use lat_profiler::Verdict;

use super::Args;
use super::pages::Pages;
use super::predictions::{fits, judged};
use crate::cli::failure::sentence;
use crate::cli::output::Screen;
use crate::cli::records::{read_evaluation, read_search};
use crate::cli::results::{Result, Results};
use crate::cli::runs::predictor_file;

/// The state of the work on a folder, step by step.
struct Work<'a> {
    dir: &'a Path,
    pages: Pages,
    predictors: Vec<OnePredictor>,
    profiles: Vec<ShownProfile>,
    searches: Vec<ShownSearch>,
    evaluations: Vec<ShownEvaluation>,
    left_out: Vec<(String, String)>,
}

/// A predictor with its file, and its judgement on the run that it was trained on.
struct OnePredictor {
    path: PathBuf,
    predictor: Predictor,
    shown: ShownPredictor,
    predictions: Option<JudgedPredictions>,
}

/// Writes the folder's page and all pages that it links to. Returns a line that says what was found.
pub(super) fn write(
    args: &Args,
    out: &Path,
    results: &Results,
    screen: Screen,
) -> anyhow::Result<String> {
    let dir = args.dir.as_path();
    let pages = Pages::beside(out)?;
    let (profiles, searches, evaluations) = (Vec::new(), Vec::new(), Vec::new());
    let predictors = Vec::new();
    let left_out = Vec::new();
    let mut work = Work { dir, pages, predictors, profiles, searches, evaluations, left_out };
    let bar = screen.bar("results");
    bar.set_length(results.paths().count() as u64);
    for result in &results.predictors {
        work.predictor(result);
        bar.inc(1);
    }
    for result in results.profiles.iter().chain(&results.begun_profiles) {
        work.profile(result)?;
        bar.inc(1);
    }
    for result in &results.searches {
        work.search(result);
        bar.inc(1);
    }
    for result in &results.evaluations {
        work.evaluation(result);
        bar.inc(1);
    }
    for result in &results.begun {
        work.leave_out(
            &result.path,
            "not finished: run the same command again to go on".to_owned(),
        );
        bar.inc(1);
    }
    for (path, why) in &results.closed {
        work.leave_out(path, why.clone());
    }
    let line = work.finish(args, out)?;
    bar.finish_and_clear();
    Ok(line)
}

impl Work<'_> {
    fn name(&self, path: &Path) -> String {
        let name = path.strip_prefix(self.dir).unwrap_or(path).display().to_string();
        if name.is_empty() { self.dir.display().to_string() } else { name }
    }

    fn leave_out(&mut self, path: &Path, why: String) {
        self.left_out.push((self.name(path), why));
    }

    /// The place of a result, with the address of its page.
    fn place(&mut self, result: &Result) -> Place {
        let name = self.name(&result.path);
        let file = self.pages.name(&name);
        let page = Some(self.pages.address(&file));
        Place { name, when: result.when, page, from: None }
    }

    fn predictor(&mut self, result: &Result) {
        match Predictor::load(&result.path) {
            Ok(predictor) => {
                let place = self.place(result);
                let shown = ShownPredictor { place, label: predictor.label().clone() };
                let path = result.path.clone();
                self.predictors.push(OnePredictor { path, predictor, shown, predictions: None });
            }
            Err(error) => self.leave_out(&result.path, sentence(&error.into())),
        }
    }

    /// Reads a run, judges the predictors that fit it, and writes its page. A run that cannot be read is left out; a page that
    /// cannot be written is an error.
    fn profile(&mut self, result: &Result) -> anyhow::Result<()> {
        let (header, rows) = match read_run(&result.path) {
            Ok(read) => read,
            Err(error) => {
                self.leave_out(&result.path, sentence(&error.into()));
                return Ok(());
            }
        };
        if rows.is_empty() {
            self.leave_out(
                &result.path,
                "no row is measured yet: the same `lat profile` command goes on".to_owned(),
            );
            return Ok(());
        }
        let finished = lat_data::sealed_table(&result.path).is_some();
        let place = self.place(result);
        let best = if finished { self.judge(&result.path, &header, &place) } else { None };
        let shown_with = best.as_ref().and_then(|(i, _)| link(&self.predictors[*i].shown.place));
        let links = self.links([shown_with]);
        let html = profile_page(&ProfileRun {
            name: &place.name,
            header: &header,
            rows: &rows,
            finished,
            predictions: best.as_ref().map(|(_, judged)| judged),
            links: &links,
        });
        self.write_page(&place, &html)?;
        self.profiles.push(shown_profile(place, header, &rows, finished));
        Ok(())
    }

    /// Notes which predictors were trained on the run. Returns the one to show on its page: the newest of these, else the newest
    /// that fits.
    fn judge(
        &mut self,
        dir: &Path,
        header: &RunHeader,
        place: &Place,
    ) -> Option<(usize, JudgedPredictions)> {
        let mut best: Option<(usize, JudgedPredictions)> = None;
        for (i, one) in self.predictors.iter_mut().enumerate() {
            let label = one.predictor.label();
            if !fits(&one.predictor, header) {
                continue;
            }
            let is_named =
                predictor_file(dir, &[], &label.column).file_name() == one.path.file_name();
            let source = one.path.display().to_string();
            let Ok(found) = judged(dir, header, &one.predictor, &source) else { continue };
            let is_of_run = found.held_out || is_named;
            if is_of_run && one.shown.place.from.is_none() {
                one.shown.place.from = link(place);
                one.predictions = Some(found.clone());
            }
            let is_better = best.as_ref().is_none_or(|(_, b)| found.held_out && !b.held_out);
            if label.column == "latency_ms" && is_better {
                best = Some((i, found));
            }
        }
        best
    }

    fn search(&mut self, result: &Result) {
        let file = result.path.join(SearchRecord::FILE);
        match read_search(&file) {
            Ok(record) => {
                let mut place = self.place(result);
                place.from = record.predictor.as_deref().and_then(|path| self.source(path));
                self.searches.push(ShownSearch { place, record, published: None });
            }
            Err(error) => self.leave_out(&file, sentence(&error)),
        }
    }

    /// The predictor that a search names: the same file, or one of the same name if the folder has moved.
    fn source(&self, path: &Path) -> Option<Link> {
        let is_same = |one: &&OnePredictor| match (one.path.canonicalize(), path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        let same_name = |one: &&OnePredictor| one.path.file_name() == path.file_name();
        let found = self.predictors.iter().find(is_same);
        let found = found.or_else(|| self.predictors.iter().find(same_name));
        found.and_then(|one| link(&one.shown.place))
    }

    fn evaluation(&mut self, result: &Result) {
        let file = result.path.join(lat::record::EvaluationRecord::FILE);
        match read_evaluation(&file) {
            Ok(record) => {
                let place = self.place(result);
                self.evaluations.push(ShownEvaluation { place, record });
            }
            Err(error) => self.leave_out(&file, sentence(&error)),
        }
    }

    /// The links on a page, first the one to the index.
    fn links(&self, others: impl IntoIterator<Item = Option<Link>>) -> Vec<Link> {
        let others =
            others.into_iter().flatten().map(|link| Link { href: in_folder(&link.href), ..link });
        std::iter::once(self.pages.back()).chain(others).collect()
    }

    fn write_page(&self, place: &Place, html: &str) -> anyhow::Result<()> {
        let page = place.page.as_deref().context("every result that is shown has a page")?;
        self.pages.write(&in_folder(page), html)
    }
}

/// A link to the page of a result, with the address that the index uses.
fn link(place: &Place) -> Option<Link> {
    Some(Link { text: place.name.clone(), href: place.page.clone()? })
}

/// Converts the address of a page as used on the index to one used on another page of the folder.
fn in_folder(href: &str) -> String {
    let name = Path::new(href).file_name();
    name.map_or_else(|| href.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn shown_profile(
    place: Place,
    header: RunHeader,
    rows: &[Measurement],
    finished: bool,
) -> ShownProfile {
    let n_rows = superseded(rows).iter().filter(|dead| !**dead).count();
    let verdict = Verdict::of_rows(rows, n_rows as u64);
    ShownProfile { place, header, n_rows, finished, verdict }
}
