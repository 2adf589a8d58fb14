//! Writes the pages that show several results together, and the index, after everything has been read.

use std::path::Path;

use lat::record::SearchRecord;
use lat::report::{
    Index, ShownPredictor, ShownSearch, evaluation_page, index_page, predictor_page, search_page,
};

use super::super::Args;
use super::super::published::Tables;
use super::{Work, link};
use crate::cli::output::write_whole;

impl Work<'_> {
    /// Writes the remaining pages, which show several results together, and the index.
    pub(super) fn finish(mut self, args: &Args, out: &Path) -> anyhow::Result<String> {
        let searched = self.searches.iter().map(|search| search.record.settings.space.as_str());
        let evaluated = self.evaluations.iter().map(|e| e.record.settings.space.as_str());
        let tables = Tables::of(&args.accuracies, searched.chain(evaluated))?;
        for ShownSearch { record, published, .. } in &mut self.searches {
            let found = (record.settings.space.as_str(), record.architecture.as_str());
            *published = tables.of_found(found, &record.published);
        }
        for one in &self.predictors {
            let links = self.links([one.shown.place.from.clone()]);
            let html = predictor_page(&one.shown, one.predictions.as_ref(), &links);
            self.write_page(&one.shown.place, &html)?;
        }
        self.write_searches()?;
        self.write_evaluations(&tables)?;
        let records: Vec<&SearchRecord> = self.searches.iter().map(|s| &s.record).collect();
        let fronts = tables.fronts(args.predictor.as_deref(), &records)?;
        let name = self.dir.display().to_string();
        let predictors: Vec<ShownPredictor> =
            self.predictors.iter().map(|one| one.shown.clone()).collect();
        let index = Index {
            name: &name,
            profiles: &self.profiles,
            predictors: &predictors,
            searches: &self.searches,
            evaluations: &self.evaluations,
            fronts: &fronts,
            left_out: &self.left_out,
        };
        write_whole(out, &index_page(&index))?;
        let left_out = match self.left_out.len() {
            0 => String::new(),
            n => format!("; {n} not shown, the page says why"),
        };
        Ok(format!(
            "{} in {name}{left_out}; its pages: {}",
            index.counts(),
            self.pages.folder().display()
        ))
    }

    /// Writes the pages of searches. Searches whose architecture this program cannot read are left out.
    fn write_searches(&mut self) -> anyhow::Result<()> {
        for search in std::mem::take(&mut self.searches) {
            let links = self.links([search.place.from.clone()]);
            match search_page(&search, &links) {
                Ok(html) => {
                    self.write_page(&search.place, &html)?;
                    self.searches.push(search);
                }
                Err(error) => self.left_out.push((search.place.name, error.to_string())),
            }
        }
        Ok(())
    }

    fn write_evaluations(&mut self, tables: &Tables) -> anyhow::Result<()> {
        for evaluation in std::mem::take(&mut self.evaluations) {
            let of = &evaluation.record.settings;
            let found = self.searches.iter().find(|search| {
                (&search.record.settings.space, &search.record.architecture)
                    == (&of.space, &of.architecture)
            });
            let links = self.links([found.and_then(|search| link(&search.place))]);
            let noted = &evaluation.record.published;
            let published = tables.of_found((&of.space, &of.architecture), noted);
            match evaluation_page(&evaluation, published.as_ref(), &links) {
                Ok(html) => {
                    self.write_page(&evaluation.place, &html)?;
                    self.evaluations.push(evaluation);
                }
                Err(error) => self.left_out.push((evaluation.place.name, error.to_string())),
            }
        }
        Ok(())
    }
}
