//! The page of several searches: accuracy against cost.

use lat_data::PublishedAccuracy;

use super::front::{
    Accuracy, Cost, Found, Mean, TrueFront, View, groups, mixed, over_seeds, pareto, views,
};
use super::html::{Figure, Page, number};
use super::plot::{Mark, Plot};
use super::shown::{ShownEvaluation, ShownSearch, known};
use crate::record::SearchRecord;

/// The page of the searches and evaluations that lie in folders below `name`, each with its place. Fronts of whole spaces are
/// drawn beneath the searches of their space and cost.
pub fn front_page(
    name: &str,
    searches: &[ShownSearch],
    evaluations: &[ShownEvaluation],
    fronts: &[TrueFront],
) -> String {
    let mut page = Page::new(&format!("{} searches in {name}", searches.len()));
    let groups = groups(searches, evaluations);
    if groups.len() > 1 {
        page.text("Searches of different spaces, data sets, networks or costs say nothing about each other, so they stand in pictures of their own.");
    }
    for group in &groups {
        section(&mut page, group, fronts);
    }
    page.finish()
}

fn section(page: &mut Page, group: &[Found<'_>], fronts: &[TrueFront]) {
    let search = &group[0].search.settings;
    page.section(&format!(
        "{} with {}, supernet {}",
        search.space, search.dataset, search.skeleton
    ));
    let views = views(group);
    if views.is_empty() {
        page.text("No cost is known from one place for all of these searches, so there is no picture: search with one predictor, or run lat evaluate on each on one device.");
    } else {
        let beneath = |view: &View| true_front(group, view, fronts);
        let figure = |view: &View| figure(group, view, beneath(view));
        page.figures(&views.iter().map(figure).collect::<Vec<_>>());
        for view in &views {
            means(page, group, view);
        }
    }
    table(page, group, &views);
    for places in mixed(group) {
        page.text(&format!(
            "The table holds costs that are not to be compared, and no picture does: {}.",
            places.join("; ")
        ));
    }
}

/// The front of the whole space that belongs beneath a view.
fn true_front<'a>(
    group: &[Found<'_>],
    view: &View,
    fronts: &'a [TrueFront],
) -> Option<&'a TrueFront> {
    let Accuracy::Published(i) = view.accuracy else { return None };
    let name = &published(group)?.columns.get(i)?.0.name;
    let space = &group[0].search.settings.space;
    let column = group.iter().find_map(|f| f.search.column.as_ref())?;
    let fits = |f: &&TrueFront| (&f.space, &f.column, &f.accuracy) == (space, column, name);
    fronts.iter().find(fits)
}

fn published<'a>(group: &[Found<'a>]) -> Option<&'a PublishedAccuracy> {
    group.iter().find_map(|f| f.published)
}

/// Title, label of the accuracy, and what it is.
fn words(group: &[Found<'_>], accuracy: Accuracy) -> (String, String, String) {
    let (title, label, meaning) = match accuracy {
        Accuracy::Test => (
            "Test accuracy against cost",
            "test accuracy, %",
            "Accuracy after training from scratch (lat evaluate).",
        ),
        Accuracy::Supernet => (
            "Supernets' accuracy against cost",
            "supernet's accuracy, %",
            "Accuracy with the supernet's shared weights, which ranks roughly: lat evaluate says what the architectures are worth.",
        ),
        Accuracy::Published(i) => {
            let published = published(group).expect("a view of it has some");
            let label = &published.columns[i].0.label;
            return (
                format!("Published accuracy against cost: {label}"),
                format!("published accuracy, {label}, %"),
                format!("Accuracy of the architecture found as published ({}).", published.source),
            );
        }
    };
    (title.to_owned(), label.to_owned(), meaning.to_owned())
}

fn figure(group: &[Found<'_>], view: &View, beneath: Option<&TrueFront>) -> Figure {
    let (title, y_label, meaning) = words(group, view.accuracy);
    let mut methods: Vec<&str> = group.iter().map(|f| f.search.settings.method.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    let mut plot = Plot::new(&cost_label(group, view.cost), &y_label);
    for method in methods {
        let own = group.iter().enumerate().filter(|(_, f)| f.search.settings.method == method);
        let own = own.filter_map(|(i, _)| Some((view.points[i]?, (i + 1).to_string())));
        let (points, labels): (Vec<_>, Vec<_>) = own.unzip();
        plot = plot.with(method, Mark::Labels(labels), points);
    }
    let points = view.points.iter().zip(&view.best);
    let mut front: Vec<(f64, f64)> = points.filter(|(_, b)| **b).filter_map(|(p, _)| *p).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let drawn = || view.points.iter().flatten();
    let worst = (
        drawn().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max),
        drawn().map(|p| p.1).fold(f64::INFINITY, f64::min),
    );
    let mut plot = plot.with("Pareto front", Mark::Line, stairs(&front, worst));
    // A predicted front says nothing about costs measured elsewhere.
    let whole = beneath.filter(|_| view.cost == Cost::Predicted);
    if let Some(whole) = whole.filter(|whole| !whole.points.is_empty()) {
        let end = whole.points.iter().map(|p| p.0).fold(worst.0, f64::max);
        let line = stairs(&whole.points, (end, whole.points[0].1));
        plot = plot.with("front of the whole space", Mark::Line, line);
    }
    let said = whole.map_or_else(String::new, |whole| format!(" {}", whole.said));
    let place = (0..group.len()).find(|&i| view.points[i].is_some());
    let place = place.map_or_else(String::new, |i| group[i].place(view.cost));
    Figure::new(
        &title,
        &plot,
        &format!(
            "Numbers are those of the table. Up and left is better; what lies on the stairs nothing beats. {meaning} Cost: {place}.{said}"
        ),
    )
}

/// Mean and spread over seeds of each method and goal, where some were run with several.
fn means(page: &mut Page, group: &[Found<'_>], view: &View) {
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

fn cost_label(group: &[Found<'_>], cost: Cost) -> String {
    if cost == Cost::Evaluated {
        return "latency of one image, ms".to_owned();
    }
    let search = group.iter().map(|f| f.search).find(|s| s.column.is_some());
    let column = search.and_then(|s| s.column.as_deref()).unwrap_or("cost");
    let unit = search.map_or("", SearchRecord::unit);
    format!("{column}, {unit}").trim_end_matches(", ").to_owned()
}

/// The border of what the front beats, from the least accuracy up to the highest cost: what can be had for a cost is the
/// accuracy of the last point before it.
fn stairs(front: &[(f64, f64)], worst: (f64, f64)) -> Vec<(f64, f64)> {
    let mut accuracy = worst.1;
    let mut path = Vec::new();
    for point in front {
        path.extend([(point.0, accuracy), *point]);
        accuracy = point.1;
    }
    path.push((worst.0, accuracy));
    path
}

fn table(page: &mut Page, group: &[Found<'_>], views: &[View]) {
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
        vec![
            (i + 1).to_string(),
            fronts(i),
            search.settings.method.clone(),
            search.settings.goal.clone(),
            search.settings.seed.to_string(),
            share(accuracy),
            share(found.evaluation.map(|e| e.test_accuracy)),
            published_cell(found),
            number(search.relaxed, search.unit()),
            number(search.predicted, search.unit()),
            number(search.measured, search.unit()),
            number(found.evaluation.and_then(|e| e.latency_ms), "ms"),
            search.params.to_string(),
            found.name.to_owned(),
        ]
    };
    let header = [
        "no.",
        "on the front",
        "method",
        "goal",
        "seed",
        "supernet %",
        "test %",
        "published %",
        "relaxed",
        "predicted",
        "measured",
        "evaluated",
        "parameters",
        "folder",
    ];
    page.table(&header, &group.iter().enumerate().map(row).collect::<Vec<_>>());
    page.text("Supernet: accuracy on the validation half with shared weights. Test: after training from scratch. Published: what others measured the architecture found to be worth. Relaxed, predicted, measured: the cost expected over the probabilities at the end, predicted for the derived architecture, and measured by the search. Evaluated: latency of one image as lat evaluate measured it.");
}

fn published_cell(found: &Found<'_>) -> String {
    let cell = |p: &PublishedAccuracy| {
        let values = p.columns.iter().map(|(_, value)| format!("{value:.2}"));
        values.collect::<Vec<_>>().join(" / ")
    };
    found.published.map_or_else(|| "-".to_owned(), cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SEARCH;

    fn search(seed: u64, change: impl Fn(&mut ShownSearch)) -> ShownSearch {
        let record = SearchRecord::read(SEARCH).unwrap();
        let name = format!("dir/search-{seed}");
        let mut search = ShownSearch { name, record, published: None };
        search.record.settings.seed = seed;
        change(&mut search);
        search
    }

    #[test]
    fn the_stairs_go_right_before_they_go_up() {
        let front = [(1.0, 90.0), (2.0, 95.0)];
        let path = [(1.0, 80.0), (1.0, 90.0), (2.0, 90.0), (2.0, 95.0), (3.0, 95.0)];
        assert_eq!(stairs(&front, (3.0, 80.0)), path);
    }

    #[test]
    fn all_searches_are_named_and_those_on_the_front_are_marked() {
        let with = |seed, measured, goal: &str| {
            search(seed, |s| {
                s.record.measured = measured;
                s.record.settings.goal = goal.into();
            })
        };
        // Of equal accuracy the cheaper one wins.
        let searches = [with(1, Some(0.3), "lambda 0"), with(2, Some(0.2), "<lambda>")];
        let html = front_page("dir", &searches, &[], &[]);
        assert!(html.contains("dir/search-1") && html.contains("&lt;lambda&gt;"));
        assert_eq!(html.matches("<td>supernet</td>").count(), 1);
        assert!(html.contains("measured on CPU &lt;1&gt;") && html.contains("ranks roughly"));
        let unknown = [1, 2]
            .map(|seed| search(seed, |s| (s.record.measured, s.record.predicted) = (None, None)));
        assert!(front_page("dir", &unknown, &[], &[]).contains("No cost is known from one place"));
    }

    #[test]
    fn published_accuracies_are_drawn_over_the_front_of_the_whole_space() {
        let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
        let space = lat_space::find_space("nasbench201").unwrap();
        let with = |seed, predicted| {
            search(seed, |s| {
                let architecture = space.parse(&s.record.architecture).unwrap();
                s.published = table.of(space.as_ref(), &architecture);
                s.record.predicted = Some(predicted);
            })
        };
        let searches = [with(1, 0.3), with(2, 0.2)];
        let whole = |points| TrueFront {
            space: "nasbench201".into(),
            column: "latency_ms".into(),
            accuracy: "cifar10_test_acc".into(),
            points,
            said: "By <p.lat>.".into(),
        };
        let drawn = |points| front_page("dir", &searches, &[], &[whole(points)]);
        let html = drawn(vec![(0.1, 90.0), (0.2, 94.0)]);
        for text in ["Published accuracy against cost: ImageNet16-120", "91.21 / 64.92 / 36.53"] {
            assert!(html.contains(text), "{text}");
        }
        assert_eq!(html.matches("By &lt;p.lat&gt;.").count(), 1, "beneath one of three");
        assert!(html.contains("front of the whole space"));
        let without = drawn(Vec::new());
        assert!(without.contains("By &lt;p.lat&gt;."), "a sentence where there is no front");
        assert!(!without.contains("front of the whole space"));
    }
}
