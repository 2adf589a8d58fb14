//! The page of one search.

use lat_space::{SpaceError, find_space};

use super::cell;
use super::entry::Link;
use super::html::{Page, number, percent};
use super::search_plots::{alphas, diagnostics, plots};
use super::shown::{ShownSearch, known};
use crate::finalists::Finalist;
use crate::record::SearchRecord;
use crate::search::{EpochReport, SearchSettings};

/// The page of a search, with links to other pages.
///
/// # Errors
/// [`SpaceError`] if the record's space is unknown, or its architecture does not belong to the space.
pub fn search_page(search: &ShownSearch, links: &[Link]) -> Result<String, SpaceError> {
    let ShownSearch { place, record, published } = search;
    let SearchSettings { space: id, skeleton, method, dataset, goal, .. } = &record.settings;
    let space = find_space(id)?;
    let architecture = space.parse(&record.architecture)?;
    space.check_skeleton(skeleton)?;
    let mut page = Page::new(&format!("{method} on {id} with {dataset}, {goal}"));
    page.links(links);
    page.facts(&settings(&place.name, record));
    page.section("The architecture found");
    page.code(&record.architecture);
    if let Some(published) = published {
        page.text(&sentence(&published.to_string()));
    }
    cell::add(&mut page, space.as_ref(), skeleton, &architecture);
    cost(&mut page, record);
    front(&mut page, record);
    page.section("The search, epoch by epoch");
    page.figures(&plots(record));
    let state = diagnostics(record);
    if !state.is_empty() {
        page.section("How healthy it was");
        if let Some(collapse) = &record.collapse {
            let end = if record.stopped_on_collapse {
                "The search was stopped there, and the architecture above is that of epoch"
            } else {
                "--stop-on-collapse would have taken the architecture of epoch"
            };
            page.verdict(
                false,
                &format!(
                    "Collapsed at epoch {}: {}. {end} {}.",
                    collapse.epoch, collapse.reason, collapse.keep
                ),
            );
        }
        page.figures(&state);
    }
    let probabilities = alphas(space.as_ref(), record);
    if !probabilities.is_empty() {
        page.section("The choices, epoch by epoch");
        page.text("Probabilities of each decision's choices. Where two lines run side by side to the end the derived architecture is a close call.");
        page.figures(&probabilities);
    }
    epochs(&mut page, record);
    Ok(page.finish())
}

/// Turns one of the program's lines into a sentence: a capital letter first, a full stop at the end.
pub(super) fn sentence(line: &str) -> String {
    let mut letters = line.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

fn settings(name: &str, record: &SearchRecord) -> Vec<(&'static str, String)> {
    let of = &record.settings;
    vec![
        ("search", name.to_owned()),
        ("space", of.space.clone()),
        ("method", of.method.clone()),
        ("options", of.options.clone()),
        ("goal", of.goal.clone()),
        ("data set", of.dataset.clone()),
        ("supernet", of.skeleton.to_string()),
        ("epochs, batch", format!("{}, {}", record.log.len(), of.batch)),
        ("seed", of.seed.to_string()),
        ("took", format!("{:.0} s", record.seconds)),
        ("parameters", record.params.to_string()),
        ("multiply-adds", record.multiply_adds.to_string()),
    ]
}

/// The three costs (relaxed, predicted, measured), each with an explanation.
fn cost(page: &mut Page, record: &SearchRecord) {
    let Some(column) = &record.column else {
        return page.text("The search had no cost: it was after accuracy alone.");
    };
    page.section(&format!("Its {column}"));
    let unit = record.unit();
    let of = |value: Option<f64>| number(value, unit);
    let against = |value: Option<f64>, base: Option<f64>| match (value, base) {
        (Some(value), Some(base)) if base > 0.0 => {
            format!("{:+.1} %", 100.0 * (value / base - 1.0))
        }
        _ => "-".to_owned(),
    };
    let row = |what: &str, value, meaning: &str| {
        vec![what.to_owned(), of(value), against(value, record.reference), meaning.to_owned()]
    };
    let measured = format!("what a stopwatch shows, {}", record.measurement);
    page.table(
        &[column, "value", "against the average", "meaning"],
        &[
            row("relaxed", record.relaxed, "expected over the choice probabilities when the search ended: far from the next where they are still undecided"),
            row("predicted", record.predicted, "what the predictor says of the architecture above"),
            row("measured", record.measured, &measured),
            row("average", record.reference, "predicted for the average architecture (T_ref), which the penalty is relative to"),
        ],
    );
    if let (Some(predicted), Some(measured)) = (record.predicted, record.measured) {
        let error = percent((predicted / measured - 1.0).abs());
        page.text(&format!("The prediction is {error} off the measurement."));
    }
}

/// The front of a trained supernet's subnets and the answer to each target, predicted and measured.
fn front(page: &mut Page, record: &SearchRecord) {
    let is_judged = |f: &&Finalist| f.inherited_accuracy.is_some();
    if !record.front.iter().chain(record.answers.iter().map(|a| &a.best)).any(|f| is_judged(&f)) {
        return;
    }
    let unit = record.unit();
    let row = |what: String, f: &Finalist| {
        let accuracy = f.inherited_accuracy.map_or_else(|| "-".to_owned(), |a| format!("{a:.2}"));
        vec![what, number(f.cost, unit), number(f.measured, unit), accuracy, f.architecture.clone()]
    };
    page.section("The front of the supernet's subnets");
    page.text("Accuracies are those of the weights that each part inherits, on images that these were not trained with; training a part by itself gives another one.");
    let of_targets = record.answers.iter().map(|a| row(format!("at most {}", a.target), &a.best));
    let rows = record.front.iter().map(|f| row("front".to_owned(), f)).chain(of_targets);
    page.table(
        &["", "predicted", "measured", "accuracy %", "architecture"],
        &rows.collect::<Vec<_>>(),
    );
}

fn epochs(page: &mut Page, record: &SearchRecord) {
    let fixed = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"))
    };
    let row = |e: &EpochReport| {
        vec![
            e.epoch.to_string(),
            fixed(known(e.train_loss), 4),
            fixed(known(e.train_accuracy), 2),
            fixed(known(e.valid_loss), 4),
            fixed(known(e.valid_accuracy), 2),
            fixed(e.relaxed_cost, 4),
            fixed(e.derived_cost, 4),
            fixed(known(e.alpha_entropy), 3),
            e.skips.iter().map(|(cell, n)| format!("{cell} {n}")).collect::<Vec<_>>().join(", "),
            fixed(known(e.seconds), 1),
        ]
    };
    let header = [
        "epoch",
        "training loss",
        "accuracy %",
        "validation loss",
        "accuracy %",
        "relaxed",
        "derived",
        "entropy",
        "skips",
        "s",
    ];
    page.table(&header, &record.log.iter().map(row).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Diagnostics;
    use crate::record::SEARCH;
    use crate::report::shown::Place;

    fn page(search: &ShownSearch) -> String {
        search_page(search, &[]).unwrap()
    }

    fn search() -> ShownSearch {
        let record = SearchRecord::read(SEARCH).unwrap();
        ShownSearch { place: Place::named("runs/<b>"), record, published: None }
    }

    #[test]
    fn the_page_shows_all_of_a_search_and_escapes_it() {
        let html = page(&search());
        for text in ["runs/&lt;b&gt;", "on CPU &lt;1&gt;", "Entropy", "skip_connect", "0.2800 ms"] {
            assert!(html.contains(text), "{text}");
        }
        // Predicted 0.27 against measured 0.28; measured against the average of 0.43.
        assert!(html.contains("3.6 % off the measurement") && html.contains("-34.9 %"));
        assert_eq!(html.matches("<figure>").count(), 6);
        assert!(!html.contains("How healthy"), "written before there were diagnostics");
        assert!(!html.contains("Nothing to draw"));
    }

    #[test]
    fn published_accuracies_are_shown_where_there_are_any() {
        let mut search = search();
        assert!(!page(&search).to_lowercase().contains("published accuracy"));
        let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
        let space = find_space("nasbench201").unwrap();
        let architecture = space.parse(&search.record.architecture).unwrap();
        search.published = table.of(space.as_ref(), &architecture);
        let line = "Published accuracy (NAS-Bench-201, 200 epochs): CIFAR-10 91.21 %,";
        assert!(page(&search).contains(line));
    }

    #[test]
    fn diagnostics_and_probabilities_are_drawn_where_there_are_any() {
        let mut search = search();
        for epoch in &mut search.record.log {
            // Values that are not numbers are not drawn.
            let gap = f64::NAN;
            let found =
                Diagnostics { free_mass: 0.6, generalisation_gap: gap, ..Diagnostics::default() };
            epoch.diagnostics = Some(found);
            epoch.probabilities = vec![vec![0.2; 5]; 6];
        }
        let collapse = r#"{"epoch": 2, "keep": 1, "reason": "<skips>"}"#;
        search.record.collapse = serde_json::from_str(collapse).unwrap();
        let html = page(&search);
        // One figure of the diagnostics, six decisions, and the six of every search.
        assert_eq!(html.matches("<figure>").count(), 13);
        for text in
            ["Collapsed at epoch 2: &lt;skips&gt;", "cell/0-1", "nor_conv_1x1", "without weights"]
        {
            assert!(html.contains(text), "{text}");
        }
        assert!(!html.contains("Nothing to draw") && !html.contains("Curvature"));
    }

    #[test]
    fn the_front_of_judged_parts_is_shown_and_no_other() {
        let mut search = search();
        let finalist = r#"{"architecture": "a<b", "cost": 0.25, "patterns": null, "correlation": null, "score": 0.875,
            "inherited_accuracy": 87.5, "measured": 0.26}"#;
        search.record.front = vec![serde_json::from_str(finalist).unwrap()];
        let html = page(&search);
        for text in ["The front of", "a&lt;b", "0.2500 ms", "0.2600 ms", "87.50"] {
            assert!(html.contains(text), "{text}");
        }
        search.record.front[0].inherited_accuracy = None;
        assert!(!page(&search).contains("The front of"), "of untrained networks");
    }

    #[test]
    fn an_architecture_without_a_path_is_marked_in_words_and_in_its_picture() {
        let mut search = search();
        let mark = "no path from input to output";
        assert!(!page(&search).contains(mark));
        search.record.architecture =
            "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|".into();
        let html = page(&search);
        assert!(html.contains(&format!("Cell type cell: {mark}")) && html.contains("cell cut"));
        assert!(html.contains("verdict bad") && html.contains("the same to every image"));
        search.record.architecture =
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|".into();
        assert!(page(&search).contains("nothing with weights") && !page(&search).contains(mark));
    }

    #[test]
    fn a_search_without_cost_says_so_and_a_foreign_architecture_is_an_error() {
        let mut search = search();
        search.record.column = None;
        assert!(page(&search).contains("after accuracy alone"));
        search.record.architecture = "|nonsense~0|".into();
        assert!(search_page(&search, &[]).is_err());
    }
}
