//! Several searches on the page of a folder: accuracy against cost, and a table of them.

use lat_data::PublishedAccuracy;

use super::front::{Accuracy, Cost, Found, TrueFront, View, device, groups, mixed, views};
use super::front_table::{means, table};
use super::html::{Figure, Page};
use super::plot::{Mark, Plot, SOFT, STRONG};
use super::shown::{ShownEvaluation, ShownSearch};
use crate::record::SearchRecord;

/// Legend names of the fronts.
const FRONT: &str = "Pareto front of the searches";
const WHOLE: &str = "front of the whole space";

/// Adds the searches, each with its evaluation. Searches that can be compared share pictures and a table. Fronts of whole spaces are
/// drawn behind the searches of their space and cost.
pub(super) fn add(
    page: &mut Page,
    searches: &[ShownSearch],
    evaluations: &[ShownEvaluation],
    fronts: &[TrueFront],
) {
    let groups = groups(searches, evaluations);
    if groups.len() > 1 {
        page.text("Searches of different spaces, data sets, networks, devices or costs say nothing about each other, so they stand in pictures of their own.");
    }
    let methods = methods(searches);
    for group in &groups {
        section(page, group, &methods, fronts);
    }
    if !groups.is_empty() {
        page.text("Published: what others measured the architecture found to be worth. Test: after training from scratch. Supernet: accuracy on the validation half with shared weights. Predicted, measured: the cost of the derived architecture by the predictor, and as the search measured it. Evaluated: latency of one image as lat evaluate measured it.");
    }
}

/// The methods of all searches, sorted by name: a method's index is its colour in all pictures.
fn methods(searches: &[ShownSearch]) -> Vec<&str> {
    let mut methods: Vec<&str> =
        searches.iter().map(|search| search.record.settings.method.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    methods
}

fn section(page: &mut Page, group: &[Found<'_>], methods: &[&str], fronts: &[TrueFront]) {
    let search = &group[0].search.settings;
    let device = group.iter().find_map(|f| device(f.search));
    let device = device.map_or_else(String::new, |device| format!(" for {device}"));
    page.section(&format!(
        "Searches: {} with {}{device}, supernet {}",
        search.space, search.dataset, search.skeleton
    ));
    let views = views(group);
    if views.is_empty() {
        page.text("No cost is known from one place for all of these searches, so there is no picture: search with one predictor, or run lat evaluate on each on one device.");
    }
    pictures(page, group, &views, methods, fronts);
    for view in &views {
        means(page, group, view);
    }
    table(page, group, &views);
    for places in mixed(group) {
        page.text(&format!(
            "The table holds costs that are not to be compared, and no picture does: {}.",
            places.join("; ")
        ));
    }
}

/// The pictures of a group that show more than one point, with a common legend.
fn pictures(
    page: &mut Page,
    group: &[Found<'_>],
    views: &[View],
    methods: &[&str],
    fronts: &[TrueFront],
) {
    let with_front = views.iter().map(|view| (view, true_front(group, view, fronts)));
    let compares = |(view, beneath): &(&View, Option<&TrueFront>)| {
        view.points.iter().flatten().count() > 1 || drawn(view, *beneath).is_some()
    };
    let shown: Vec<_> = with_front.filter(compares).collect();
    if shown.is_empty() {
        return;
    }
    let mut legend: Vec<(String, usize)> =
        own(group, methods).map(|(colour, name)| (name.to_owned(), colour)).collect();
    legend.push((FRONT.to_owned(), STRONG));
    if shown.iter().any(|(view, beneath)| drawn(view, *beneath).is_some()) {
        legend.push((WHOLE.to_owned(), SOFT));
    }
    page.legend(&legend);
    let figure = |(view, beneath): &(&View, _)| figure(group, view, methods, *beneath);
    page.figures(&shown.iter().map(figure).collect::<Vec<_>>());
}

/// The front of the whole space that belongs to a view.
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

pub(super) fn published<'a>(group: &[Found<'a>]) -> Option<&'a PublishedAccuracy> {
    group.iter().find_map(|f| f.published)
}

/// Title, label of the accuracy, and its explanation.
pub(super) fn words(group: &[Found<'_>], accuracy: Accuracy) -> (String, String, String) {
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

/// The methods of a group with their colours.
fn own<'a>(group: &[Found<'_>], methods: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    let has = |method: &str| group.iter().any(|f| f.search.settings.method == method);
    methods.iter().copied().enumerate().filter(move |(_, method)| has(method))
}

/// The front of the whole space, if it can be drawn: a predicted front tells nothing about measured costs.
fn drawn<'a>(view: &View, beneath: Option<&'a TrueFront>) -> Option<&'a TrueFront> {
    beneath.filter(|whole| view.cost == Cost::Predicted && !whole.points.is_empty())
}

fn figure(
    group: &[Found<'_>],
    view: &View,
    methods: &[&str],
    beneath: Option<&TrueFront>,
) -> Figure {
    let (title, y_label, meaning) = words(group, view.accuracy);
    let mut plot = Plot::new(&cost_label(group, view.cost), &y_label);
    let shown = || view.points.iter().flatten();
    let worst = (
        shown().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max),
        shown().map(|p| p.1).fold(f64::INFINITY, f64::min),
    );
    if let Some(whole) = drawn(view, beneath) {
        let end = whole.points.iter().map(|p| p.0).fold(worst.0, f64::max);
        let line = stairs(&whole.points, (end, whole.points[0].1));
        plot = plot.coloured((WHOLE, SOFT), Mark::Line, line);
    }
    let points = view.points.iter().zip(&view.best);
    let mut front: Vec<(f64, f64)> = points.filter(|(_, b)| **b).filter_map(|(p, _)| *p).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    plot = plot.coloured((FRONT, STRONG), Mark::Line, stairs(&front, worst));
    for (colour, method) in own(group, methods) {
        let own = group.iter().enumerate().filter(|(_, f)| f.search.settings.method == method);
        let own = own.filter_map(|(i, _)| Some((view.points[i]?, (i + 1).to_string())));
        let (points, labels): (Vec<_>, Vec<_>) = own.unzip();
        plot = plot.coloured((method, colour), Mark::Labels(labels), points);
    }
    // If the front is missing, the reason is given in its place.
    let whole = beneath.filter(|_| view.cost == Cost::Predicted);
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
    .without_legend()
}

pub(super) fn cost_label(group: &[Found<'_>], cost: Cost) -> String {
    if cost == Cost::Evaluated {
        return "latency of one image, ms".to_owned();
    }
    let search = group.iter().map(|f| f.search).find(|s| s.column.is_some());
    let column = search.and_then(|s| s.column.as_deref()).unwrap_or("cost");
    let unit = search.map_or("", SearchRecord::unit);
    format!("{column}, {unit}").trim_end_matches(", ").to_owned()
}

/// The stepped border of the area that the front dominates, from the lowest accuracy to the highest cost. The accuracy available for
/// a cost is that of the last point before it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SEARCH;
    use crate::report::shown::Place;

    fn page(searches: &[ShownSearch], fronts: &[TrueFront]) -> String {
        let mut page = Page::new("dir");
        add(&mut page, searches, &[], fronts);
        page.finish()
    }

    fn search(seed: u64, change: impl Fn(&mut ShownSearch)) -> ShownSearch {
        let record = SearchRecord::read(SEARCH).unwrap();
        let place = Place::named(&format!("dir/search-{seed}"));
        let mut search = ShownSearch { place, record, published: None };
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
        // Among searches of equal accuracy the cheaper one wins.
        let searches = [with(1, Some(0.3), "lambda 0"), with(2, Some(0.2), "<lambda>")];
        let html = page(&searches, &[]);
        assert!(html.contains("dir/search-1") && html.contains("&lt;lambda&gt;"));
        assert_eq!(html.matches(">supernet</td>").count(), 1);
        assert!(html.contains("measured on CPU &lt;1&gt;") && html.contains("ranks roughly"));
        let unknown = [1, 2]
            .map(|seed| search(seed, |s| (s.record.measured, s.record.predicted) = (None, None)));
        assert!(page(&unknown, &[]).contains("No cost is known from one place"));
    }

    #[test]
    fn a_legend_lists_each_method_once_and_each_has_its_colour_in_all_pictures() {
        let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
        let space = lat_space::find_space("nasbench201").unwrap();
        let with = |seed, method: &str, column: &str| {
            search(seed, |s| {
                let architecture = space.parse(&s.record.architecture).unwrap();
                s.published = table.of(space.as_ref(), &architecture);
                s.record.settings.method = method.into();
                s.record.column = Some(column.into());
            })
        };
        let searches = [
            with(1, "snas", "latency_ms"),
            with(2, "darts", "latency_ms"),
            with(3, "snas", "latency_ms"),
            with(4, "snas", "params"),
        ];
        let html = page(&searches, &[]);
        // There are two groups; the second has one point and no picture of it.
        assert_eq!(html.matches("<figure>").count(), 3);
        assert_eq!(html.matches("</svg>darts</li>").count(), 1);
        assert_eq!(html.matches("fill=\"var(--s1)\"/></svg>snas</li>").count(), 1);
        assert!(!html.contains(">supernet</td>"), "published accuracies are known of all");
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
        let drawn = |points| page(&searches, &[whole(points)]);
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
