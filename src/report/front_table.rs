//! The tables of comparable searches: each search, and averages over their seeds.

use lat_data::PublishedAccuracy;

use super::entry::Entry;
use super::front::{Accuracy, Found, Mean, View, over_seeds, pareto};
use super::front_section::{cost_label, published, words};
use super::html::{Page, number};
use super::shown::{known, remarked};

/// Average and spread over seeds for each method and goal, if some were run with several seeds.
pub(super) fn means(page: &mut Page, group: &[Found<'_>], view: &View) {
    let means = over_seeds(group, view);
    if means.iter().all(|mean| mean.n < 2) {
        return;
    }
    let best = pareto(&means.iter().map(|m| Some((m.cost.0, m.accuracy.0))).collect::<Vec<_>>());
    let with_sd = |(mean, sd): (f64, Option<f64>), digits: usize| match sd {
        Some(sd) => format!("{mean:.digits$} ± {sd:.digits$}"),
        None => format!("{mean:.digits$}"),
    };
    let row = |(mean, best): (&Mean<'_>, &bool)| {
        vec![
            mean.method.to_owned(),
            mean.goal.to_owned(),
            mean.n.to_string(),
            with_sd(mean.accuracy, 2),
            with_sd(mean.cost, 4),
            if *best { "yes".to_owned() } else { String::new() },
        ]
    };
    let accuracy = match view.accuracy {
        Accuracy::Test => "test %".to_owned(),
        Accuracy::Supernet => "supernet %".to_owned(),
        Accuracy::Published(_) => words(group, view.accuracy).1,
    };
    let cost = cost_label(group, view.cost);
    page.table(
        &["method", "goal", "seeds", &accuracy, &cost, "on the front of means"],
        &means.iter().zip(&best).map(row).collect::<Vec<_>>(),
    );
}

/// All searches of a group, with what is known about the architectures they found.
pub(super) fn table(page: &mut Page, group: &[Found<'_>], views: &[View]) {
    let fronts = |i: usize| {
        let label = |i: usize| published(group).map_or("", |p| p.columns[i].0.label.as_str());
        let name = |view: &View| match view.accuracy {
            Accuracy::Test => "test",
            Accuracy::Supernet => "supernet",
            Accuracy::Published(i) => label(i),
        };
        let on = views.iter().filter(|view| view.best[i]).map(name);
        on.collect::<Vec<_>>().join(", ")
    };
    let row = |(i, found): (usize, &Found<'_>)| {
        let search = found.search;
        let accuracy = search.log.last().and_then(|e| known(e.valid_accuracy));
        let share = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
        let link = Entry::linked(&search.settings.method, found.lies.page.as_ref());
        let mut row = vec![Entry::from((i + 1).to_string()), link];
        row.extend(
            [
                search.settings.goal.clone(),
                search.settings.seed.to_string(),
                fronts(i),
                published_cell(found),
                share(found.evaluation.map(|e| e.test_accuracy)),
                share(accuracy),
                number(search.predicted, search.unit()),
                number(search.measured, search.unit()),
                number(found.evaluation.and_then(|e| e.latency_ms), "ms"),
                search.params.to_string(),
                remarked(&search.settings.space, &search.architecture),
            ]
            .map(Entry::from),
        );
        row.extend([Entry::from(found.lies.from.as_ref()), found.lies.when().into()]);
        row.push(found.lies.name.clone().into());
        row
    };
    let header = [
        "no.",
        "method",
        "goal",
        "seed",
        "on the front",
        "published %",
        "test %",
        "supernet %",
        "predicted",
        "measured",
        "evaluated",
        "parameters",
        "architecture",
        "predictor",
        "written (UTC)",
        "folder",
    ];
    page.linked_table(&header, &group.iter().enumerate().map(row).collect::<Vec<_>>());
}

fn published_cell(found: &Found<'_>) -> String {
    let cell = |p: &PublishedAccuracy| {
        let values = p.columns.iter().map(|(_, value)| format!("{value:.2}"));
        values.collect::<Vec<_>>().join(" / ")
    };
    found.published.map_or_else(|| "-".to_owned(), cell)
}
