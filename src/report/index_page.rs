//! The page of a folder of results: its contents, with links to the page of each.

use super::entry::Entry;
use super::front::TrueFront;
use super::front_section;
use super::html::{Page, number, percent};
use super::shown::{ShownEvaluation, ShownPredictor, ShownProfile, ShownSearch, remarked};

/// The contents of a folder, each kind in the order in which it is listed.
#[derive(Debug)]
pub struct Index<'a> {
    /// The folder's name as shown.
    pub name: &'a str,
    /// Profile runs.
    pub profiles: &'a [ShownProfile],
    /// Predictors.
    pub predictors: &'a [ShownPredictor],
    /// Searches.
    pub searches: &'a [ShownSearch],
    /// Evaluations.
    pub evaluations: &'a [ShownEvaluation],
    /// Fronts of whole spaces, drawn behind the searches of their space and cost.
    pub fronts: &'a [TrueFront],
    /// Files and folders that are not shown, each with the reason.
    pub left_out: &'a [(String, String)],
}

impl Index<'_> {
    /// The contents in words: `2 profiles, 1 predictor, 3 searches, 1 evaluation`.
    pub fn counts(&self) -> String {
        let kinds = [
            (self.profiles.len(), "profile", "profiles"),
            (self.predictors.len(), "predictor", "predictors"),
            (self.searches.len(), "search", "searches"),
            (self.evaluations.len(), "evaluation", "evaluations"),
        ];
        let counts = kinds.map(|(n, one, many)| format!("{n} {}", if n == 1 { one } else { many }));
        counts.join(", ")
    }
}

/// The page of a folder.
pub fn index_page(index: &Index<'_>) -> String {
    let mut page = Page::new(&format!("Results in {}", index.name));
    let unshown = match index.left_out.len() {
        0 => String::new(),
        n => format!(" What is not shown ({n}) is named at the end."),
    };
    page.text(&format!("{}; of each kind the newest first.{unshown}", index.counts()));
    front_section::add(&mut page, index.searches, index.evaluations, index.fronts);
    evaluations(&mut page, index);
    predictors(&mut page, index.predictors);
    profiles(&mut page, index.profiles);
    left_out(&mut page, index);
    page.finish()
}

fn evaluations(page: &mut Page, index: &Index<'_>) {
    if index.evaluations.is_empty() {
        return;
    }
    page.section("Evaluations");
    let row = |evaluation: &ShownEvaluation| {
        let ShownEvaluation { place, record } = evaluation;
        let of = &record.settings;
        let found = index.searches.iter().find(|search| {
            (&search.record.settings.space, &search.record.architecture)
                == (&of.space, &of.architecture)
        });
        vec![
            Entry::linked(&of.space, place.page.as_ref()),
            of.dataset.clone().into(),
            of.plan.epochs.to_string().into(),
            format!("{:.2}", record.test_accuracy).into(),
            number(record.latency_ms, "ms").into(),
            record.device_name.clone().into(),
            record.params.to_string().into(),
            remarked(&of.space, &of.architecture).into(),
            found.map_or_else(
                || Entry::from("-".to_owned()),
                |search| Entry::linked(&search.place.name, search.place.page.as_ref()),
            ),
            place.when().into(),
            place.name.clone().into(),
        ]
    };
    let header = [
        "space",
        "data set",
        "epochs",
        "test %",
        "one image",
        "device",
        "parameters",
        "architecture",
        "found by",
        "written (UTC)",
        "folder",
    ];
    page.linked_table(&header, &index.evaluations.iter().map(row).collect::<Vec<_>>());
}

fn predictors(page: &mut Page, predictors: &[ShownPredictor]) {
    if predictors.is_empty() {
        return;
    }
    page.section("Predictors");
    let row = |predictor: &ShownPredictor| {
        let ShownPredictor { place, label } = predictor;
        let errors = label.errors.as_ref();
        vec![
            Entry::linked(&label.space, place.page.as_ref()),
            label.column.clone().into(),
            label.device_name.clone().unwrap_or_else(|| "-".to_owned()).into(),
            label.regressor.clone().into(),
            label.n_train.to_string().into(),
            number(errors.map(|e| e.mape), "%").into(),
            number(label.noise_floor, "%").into(),
            errors.map_or_else(|| "-".to_owned(), |e| format!("{:.3}", e.kendall)).into(),
            Entry::from(place.from.as_ref()),
            place.when().into(),
            place.name.clone().into(),
        ]
    };
    let header = [
        "space",
        "target",
        "device",
        "regressor",
        "trained on",
        "error (MAPE)",
        "noise floor",
        "Kendall",
        "profile",
        "written (UTC)",
        "file",
    ];
    page.linked_table(&header, &predictors.iter().map(row).collect::<Vec<_>>());
    page.text("Error: mean over architectures that training left out. Noise floor: what a perfect predictor would still show on these data.");
}

fn profiles(page: &mut Page, profiles: &[ShownProfile]) {
    if profiles.is_empty() {
        return;
    }
    page.section("Profiles");
    let row = |profile: &ShownProfile| {
        let ShownProfile { place, header, n_rows, finished, verdict } = profile;
        let judged = match (finished, verdict.valid) {
            (false, _) => "not finished: the same `lat profile` command goes on".to_owned(),
            (true, true) => "VALID".to_owned(),
            (true, false) => verdict.text.clone(),
        };
        vec![
            Entry::linked(&header.space, place.page.as_ref()),
            header.device_name.clone().into(),
            header.batch.to_string().into(),
            header.skeleton.to_string().into(),
            header.point.to_string().into(),
            n_rows.to_string().into(),
            judged.into(),
            verdict.noise_floor.map_or_else(|| "-".to_owned(), percent).into(),
            verdict.drift.map_or_else(|| "-".to_owned(), percent).into(),
            place.when().into(),
            place.name.clone().into(),
        ]
    };
    let header = [
        "space",
        "device",
        "batch",
        "network",
        "mode",
        "rows",
        "verdict",
        "noise floor",
        "drift",
        "written (UTC)",
        "folder",
    ];
    page.linked_table(&header, &profiles.iter().map(row).collect::<Vec<_>>());
}

fn left_out(page: &mut Page, index: &Index<'_>) {
    if index.left_out.is_empty() {
        return;
    }
    page.section("Not shown");
    let row = |(name, why): &(String, String)| vec![name.clone(), why.clone()];
    page.table(&["what", "why"], &index.left_out.iter().map(row).collect::<Vec<_>>());
}
