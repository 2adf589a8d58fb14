//! The page of several searches: accuracy against cost.

use super::front::{Accuracy, Cost, Found, Mean, View, groups, over_seeds, pareto, views};
use super::html::{Figure, Page, number};
use super::plot::{Mark, Plot};
use super::record::{EvaluationRecord, SearchRecord};

/// The page of the searches and evaluations that lie in folders below `name`, each with its place.
pub fn front_page(
    name: &str,
    searches: &[(String, SearchRecord)],
    evaluations: &[(String, EvaluationRecord)],
) -> String {
    let mut page = Page::new(&format!("{} searches in {name}", searches.len()));
    let groups = groups(searches, evaluations);
    if groups.len() > 1 {
        page.text("Searches of different spaces, data sets, networks or costs say nothing about each other, so they stand in pictures of their own.");
    }
    for group in &groups {
        section(&mut page, group);
    }
    page.finish()
}

fn section(page: &mut Page, group: &[Found<'_>]) {
    let search = group[0].search;
    page.section(&format!(
        "{} with {}, supernet {}",
        search.space, search.dataset, search.skeleton
    ));
    let views = views(group);
    if views.is_empty() {
        page.text("No cost is known for all of these searches, so there is no picture: search with a predictor, or run lat evaluate on each.");
    } else {
        page.figures(&views.iter().map(|view| figure(group, view)).collect::<Vec<_>>());
        for view in &views {
            means(page, group, view);
        }
    }
    table(page, group, &views);
}

fn figure(group: &[Found<'_>], view: &View) -> Figure {
    let (title, y_label, meaning) = match view.accuracy {
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
    };
    let mut methods: Vec<&str> = group.iter().map(|f| f.search.method.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    let mut plot = Plot::new(&cost_label(group, view.cost), y_label);
    for method in methods {
        let own = group.iter().enumerate().filter(|(_, f)| f.search.method == method);
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
    let plot = plot.with("Pareto front", Mark::Line, stairs(&front, worst));
    let place = (0..group.len()).find(|&i| view.points[i].is_some());
    let place = place.map_or_else(String::new, |i| group[i].place(view.cost));
    Figure::new(
        title,
        &plot,
        &format!(
            "Numbers are those of the table. Up and left is better; what lies on the stairs nothing beats. {meaning} Cost: {place}."
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
        Accuracy::Test => "test %",
        Accuracy::Supernet => "supernet %",
    };
    let cost = cost_label(group, view.cost);
    page.table(
        &["method", "goal", "seeds", accuracy, &cost, "on the front of means"],
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
        let name = |view: &View| match view.accuracy {
            Accuracy::Test => "test",
            Accuracy::Supernet => "supernet",
        };
        let on = views.iter().filter(|view| view.best[i]).map(name);
        on.collect::<Vec<_>>().join(", ")
    };
    let row = |(i, found): (usize, &Found<'_>)| {
        let search = found.search;
        let accuracy = search.log.last().and_then(|e| e.valid_accuracy);
        let share = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
        vec![
            (i + 1).to_string(),
            fronts(i),
            search.method.clone(),
            search.goal.clone(),
            search.seed.to_string(),
            share(accuracy),
            share(found.evaluation.map(|e| e.test_accuracy)),
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
        "relaxed",
        "predicted",
        "measured",
        "evaluated",
        "parameters",
        "folder",
    ];
    page.table(&header, &group.iter().enumerate().map(row).collect::<Vec<_>>());
    page.text("Supernet: accuracy on the validation half with shared weights. Test: after training from scratch. Relaxed, predicted, measured: the cost expected over the probabilities at the end, predicted for the derived architecture, and measured by the search. Evaluated: latency of one image as lat evaluate measured it.");
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::SEARCH;
    use super::*;

    #[test]
    fn the_stairs_go_right_before_they_go_up() {
        let front = [(1.0, 90.0), (2.0, 95.0)];
        let path = [(1.0, 80.0), (1.0, 90.0), (2.0, 90.0), (2.0, 95.0), (3.0, 95.0)];
        assert_eq!(stairs(&front, (3.0, 80.0)), path);
    }

    #[test]
    fn all_searches_are_named_and_those_on_the_front_are_marked() {
        let search = |seed, measured, goal: &str| {
            let record = SearchRecord::read(SEARCH).unwrap();
            let record = SearchRecord { seed, measured, goal: goal.into(), ..record };
            (format!("dir/search-{seed}"), record)
        };
        // Of equal accuracy the cheaper one wins.
        let searches = [search(1, Some(0.3), "lambda 0"), search(2, Some(0.2), "<lambda>")];
        let html = front_page("dir", &searches, &[]);
        assert!(html.contains("dir/search-1") && html.contains("&lt;lambda&gt;"));
        assert_eq!(html.matches("<td>supernet</td>").count(), 1);
        assert!(html.contains("measured on CPU &lt;1&gt;") && html.contains("ranks roughly"));
        let unknown = [search(1, None, "a"), search(2, None, "b")]
            .map(|(n, s)| (n, SearchRecord { predicted: None, ..s }));
        assert!(front_page("dir", &unknown, &[]).contains("No cost is known"));
    }
}
