//! Accuracy against cost over several searches, and which of them no other beats.

use lat_data::PublishedAccuracy;

use super::shown::{Place, ShownEvaluation, ShownSearch, known};
use crate::record::{EvaluationRecord, SearchRecord};

/// One search with its evaluation, if it has one.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    /// Place of the search's results.
    pub(super) lies: &'a Place,
    pub(super) search: &'a SearchRecord,
    pub(super) published: Option<&'a PublishedAccuracy>,
    pub(super) evaluation: Option<&'a EvaluationRecord>,
}

/// The cost that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Measured by the searches, all in the same way.
    Measured,
    /// Measured by the evaluations, all on one device.
    Evaluated,
    /// Predicted.
    Predicted,
}

/// The accuracy that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accuracy {
    /// On the test images, after training from scratch.
    Test,
    /// Accuracy of the supernet with its shared weights.
    Supernet,
    /// Published accuracy of the architecture found: the column of the first search with this index.
    Published(usize),
}

/// Searches that may be compared: those with the same space, data set, skeleton, device and cost.
pub(super) type Group<'a> = Vec<Found<'a>>;

/// One picture of a group: the searches that have one kind of accuracy, by a cost that they all have.
#[derive(Debug)]
pub(super) struct View {
    pub(super) accuracy: Accuracy,
    pub(super) cost: Cost,
    /// For each search of the group its point (cost, accuracy in percent), if it has one.
    pub(super) points: Vec<Option<(f64, f64)>>,
    /// For each search whether no other point beats it.
    pub(super) best: Vec<bool>,
}

/// Pairs searches with the evaluation of their architecture (if there are several, the one in the nearest folder), and groups those
/// that may be compared.
pub(super) fn groups<'a>(
    searches: &'a [ShownSearch],
    evaluations: &'a [ShownEvaluation],
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for ShownSearch { place: lies, record: search, published } in searches {
        let fits = |e: &&ShownEvaluation| {
            let of = &e.record.settings;
            (&of.space, &of.dataset, &of.architecture)
                == (&search.settings.space, &search.settings.dataset, &search.architecture)
        };
        let nearest = |e: &&ShownEvaluation| common_prefix(&lies.name, &e.place.name);
        let evaluation = evaluations.iter().filter(fits).max_by_key(nearest).map(|e| &e.record);
        let found = Found { lies, search, published: published.as_ref(), evaluation };
        let alike = |group: &&mut Group<'a>| comparable(group[0].search, search);
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    // The largest groups come first; the sort is stable.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

fn comparable(a: &SearchRecord, b: &SearchRecord) -> bool {
    // A search without a cost can be compared with any.
    let one_column = a.column == b.column || a.column.is_none() || b.column.is_none();
    let one_device = match (device(a), device(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let (of, by) = (&a.settings, &b.settings);
    let one_task = (&of.space, &of.dataset, &of.skeleton) == (&by.space, &by.dataset, &by.skeleton);
    one_task && one_column && one_device
}

/// The device whose latency a search used, if it is known.
pub(super) fn device(search: &SearchRecord) -> Option<&str> {
    search.place.as_ref().map(|place| place.device_name.as_str())
}

/// The front of a whole space, which no search of it can beat, by predicted cost and published accuracy.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueFront {
    /// Id of the space.
    pub space: String,
    /// Column of the cost.
    pub column: String,
    /// Name of the accuracy's column.
    pub accuracy: String,
    /// Points (cost, accuracy in percent) that no other beats, cheapest first; empty if the front is not known.
    pub points: Vec<(f64, f64)>,
    /// A sentence about where it comes from, or why it is not known and what to do.
    pub said: String,
}

/// The views of a group: for published accuracies, for test accuracies if there are any, and for the supernets' accuracies (which
/// rank only roughly) if neither of the others is known for all searches.
pub(super) fn views(group: &[Found<'_>]) -> Vec<View> {
    let published = group.iter().find_map(|f| f.published);
    let n_published = published.map_or(0, |p| p.columns.len());
    let mut kinds: Vec<Accuracy> = (0..n_published).map(Accuracy::Published).collect();
    kinds.extend(group.iter().any(|f| f.evaluation.is_some()).then_some(Accuracy::Test));
    let is_missing = |all: &dyn Fn(&Found<'_>) -> bool| !group.iter().all(all);
    let is_unknown =
        is_missing(&|f| f.evaluation.is_some()) && is_missing(&|f| f.published.is_some());
    kinds.extend(is_unknown.then_some(Accuracy::Supernet));
    kinds.into_iter().filter_map(|kind| view(group, kind)).collect()
}

/// A view with the first cost that all searches with this accuracy have in the same way; None if there is no such cost.
fn view(group: &[Found<'_>], accuracy: Accuracy) -> Option<View> {
    let members: Vec<&Found<'_>> =
        group.iter().filter(|f| f.accuracy(accuracy).is_some()).collect();
    let first = members.first()?;
    let is_known = |cost: &Cost| {
        let alike =
            |f: &&Found<'_>| f.cost(*cost).is_some() && f.place(*cost) == first.place(*cost);
        members.iter().all(alike)
    };
    let costs = match accuracy {
        // The front of the whole space is predicted, so predicted costs come first.
        Accuracy::Published(_) => [Cost::Predicted, Cost::Measured, Cost::Evaluated],
        _ => [Cost::Measured, Cost::Evaluated, Cost::Predicted],
    };
    let cost = costs.into_iter().find(is_known)?;
    let points: Vec<Option<(f64, f64)>> =
        group.iter().map(|f| f.cost(cost).zip(f.accuracy(accuracy))).collect();
    let best = pareto(&points);
    Some(View { accuracy, cost, points, best })
}

/// For each kind of cost that was obtained in several ways, these ways; no picture compares such costs.
pub(super) fn mixed(group: &[Found<'_>]) -> Vec<Vec<String>> {
    let places = |kind: Cost| {
        let known = group.iter().filter(|f| f.cost(kind).is_some());
        let mut places: Vec<String> = known.map(|f| f.place(kind)).collect();
        places.sort();
        places.dedup();
        places
    };
    let all = [Cost::Measured, Cost::Evaluated, Cost::Predicted].map(places);
    all.into_iter().filter(|places| places.len() > 1).collect()
}

impl Found<'_> {
    fn accuracy(&self, kind: Accuracy) -> Option<f64> {
        match kind {
            Accuracy::Test => self.evaluation.map(|e| e.test_accuracy),
            Accuracy::Supernet => known(self.search.log.last()?.valid_accuracy),
            Accuracy::Published(column) => {
                self.published?.columns.get(column).map(|(_, value)| *value)
            }
        }
    }

    fn cost(&self, kind: Cost) -> Option<f64> {
        match kind {
            Cost::Measured => self.search.measured,
            Cost::Evaluated => self.evaluation?.latency_ms,
            Cost::Predicted => self.search.predicted,
        }
    }

    /// How and where the cost was obtained, in words. Costs can only be compared if this is equal.
    pub(super) fn place(&self, kind: Cost) -> String {
        match kind {
            Cost::Measured => format!("measured {}", self.search.measurement),
            Cost::Evaluated => self.evaluation.map_or_else(String::new, evaluated_place),
            Cost::Predicted => match &self.search.place {
                Some(place) => format!("predicted for networks {place}; not measured"),
                None => "predicted, not measured".to_owned(),
            },
        }
    }
}

/// How an evaluation timed its network; older versions did not record it.
fn evaluated_place(evaluation: &EvaluationRecord) -> String {
    let EvaluationRecord { settings, device_name, operating_point, .. } = evaluation;
    let point = operating_point.map_or("how is not said".to_owned(), |point| point.to_string());
    format!("one image, measured by lat evaluate on {device_name}, {}, {point}", settings.skeleton)
}

/// The searches with the same method and goal, which differ in their seeds.
#[derive(Debug)]
pub(super) struct Mean<'a> {
    pub(super) method: &'a str,
    pub(super) goal: &'a str,
    pub(super) n: usize,
    /// Average and standard deviation (with n - 1; None for one search).
    pub(super) accuracy: (f64, Option<f64>),
    pub(super) cost: (f64, Option<f64>),
}

/// Averages over seeds of a view's points, by method and goal in the order of their first search.
pub(super) fn over_seeds<'a>(group: &[Found<'a>], view: &View) -> Vec<Mean<'a>> {
    // Method, goal and the points of their searches.
    type Kind<'k> = (&'k str, &'k str, Vec<(f64, f64)>);
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for (found, point) in group.iter().zip(&view.points) {
        let Some(point) = point else { continue };
        let of = &found.search.settings;
        let (method, goal) = (of.method.as_str(), of.goal.as_str());
        match kinds.iter_mut().find(|kind| (kind.0, kind.1) == (method, goal)) {
            Some(kind) => kind.2.push(*point),
            None => kinds.push((method, goal, vec![*point])),
        }
    }
    let spread = |values: ndarray::Array1<f64>| {
        let sd = (values.len() > 1).then(|| values.std(1.0));
        (values.mean().unwrap_or(f64::NAN), sd)
    };
    let mean = |(method, goal, points): (&'a str, &'a str, Vec<(f64, f64)>)| Mean {
        method,
        goal,
        n: points.len(),
        accuracy: spread(points.iter().map(|p| p.1).collect()),
        cost: spread(points.iter().map(|p| p.0).collect()),
    };
    kinds.into_iter().map(mean).collect()
}

/// Which of the points (cost, accuracy) no other beats. A point beats another if it costs no more, is at least as accurate, and differs.
pub(super) fn pareto(points: &[Option<(f64, f64)>]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
    let is_best = |p: &(f64, f64)| !points.iter().flatten().any(|other| beats(other, p));
    points.iter().map(|p| p.as_ref().is_some_and(is_best)).collect()
}

#[cfg(test)]
mod tests {
    use lat_data::{Mode, OperatingPoint};

    use super::*;
    use crate::evaluate::{EvaluationSettings, TrainingPlan};
    use crate::methods::Preset;
    use crate::record::{CostPlace, Published, SEARCH};

    fn shown(name: &str, record: SearchRecord) -> ShownSearch {
        ShownSearch { place: Place::named(name), record, published: None }
    }

    fn search(measured: Option<f64>) -> SearchRecord {
        SearchRecord { measured, ..SearchRecord::read(SEARCH).unwrap() }
    }

    fn evaluation(name: &str, of: &SearchRecord, test_accuracy: f64) -> ShownEvaluation {
        let record = EvaluationRecord {
            settings: EvaluationSettings {
                architecture: of.architecture.clone(),
                space: of.settings.space.clone(),
                dataset: of.settings.dataset.clone(),
                images: String::new(),
                skeleton: of.settings.skeleton,
                plan: TrainingPlan::preset(Preset::Quick),
                seed: 0,
                weights: None,
            },
            published: Published::default(),
            test_accuracy,
            test_loss: 0.3,
            params: of.params,
            multiply_adds: of.multiply_adds,
            latency_ms: Some(0.3),
            device_name: "CPU".into(),
            operating_point: Some(OperatingPoint::default()),
            seconds: 1.0,
        };
        ShownEvaluation { place: Place::named(name), record }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [(1.0, 90.0), (2.0, 95.0), (2.0, 94.0), (3.0, 95.0), (0.5, 80.0), (1.0, 90.0)];
        let mut points: Vec<_> = points.into_iter().map(Some).collect();
        points.push(None);
        assert_eq!(pareto(&points), [true, true, false, false, true, true, false]);
    }

    #[test]
    fn seeds_of_one_goal_are_one_mean() {
        let of = |seed, measured| {
            let mut record = search(Some(measured));
            record.settings.seed = seed;
            shown("s", record)
        };
        let mut other = of(0, 0.9);
        other.record.settings.goal = "lambda 0".into();
        let searches = [of(0, 0.3), of(1, 0.5), other];
        let groups = groups(&searches, &[]);
        let means = over_seeds(&groups[0], &views(&groups[0])[0]);
        assert_eq!(means.iter().map(|m| m.n).collect::<Vec<_>>(), [2, 1]);
        assert!((means[0].cost.0 - 0.4).abs() < 1e-12);
        assert!((means[0].cost.1.unwrap() - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!((means[1].cost, means[1].goal), ((0.9, None), "lambda 0"));
    }

    #[test]
    fn what_all_have_from_one_place_is_compared() {
        let compared = |searches: Vec<SearchRecord>, n_evaluated: usize| {
            let searches: Vec<_> = searches.into_iter().map(|s| shown("s", s)).collect();
            let evaluated = searches.iter().take(n_evaluated);
            let evaluations: Vec<_> = evaluated.map(|s| evaluation("e", &s.record, 91.0)).collect();
            let groups = groups(&searches, &evaluations);
            assert_eq!(groups.len(), 1);
            let views = views(&groups[0]);
            views.iter().map(|v| (v.accuracy, v.cost)).collect::<Vec<_>>()
        };
        let (a, b) = (search(Some(0.3)), search(Some(0.4)));
        let supernets = |cost| vec![(Accuracy::Supernet, cost)];
        assert_eq!(compared(vec![a.clone(), b.clone()], 0), supernets(Cost::Measured));
        let elsewhere = SearchRecord { measurement: "on a GPU".into(), ..b.clone() };
        let mixed = vec![a.clone(), elsewhere];
        assert_eq!(compared(mixed.clone(), 2), [(Accuracy::Test, Cost::Evaluated)]);
        assert_eq!(compared(mixed, 0), supernets(Cost::Predicted));
        let none = SearchRecord { predicted: None, ..search(None) };
        assert_eq!(compared(vec![a.clone(), none], 0), []);
        let other = SearchRecord { architecture: "another".into(), ..b };
        let both = [(Accuracy::Test, Cost::Measured), (Accuracy::Supernet, Cost::Measured)];
        assert_eq!(compared(vec![a, other], 1), both, "one of two has an evaluation");
    }

    #[test]
    fn costs_of_two_operating_points_are_not_compared() {
        let graph = OperatingPoint { mode: Mode::Graph, ..OperatingPoint::default() };
        let eager = OperatingPoint::default();
        let compared = |evaluated: [Option<OperatingPoint>; 2], predicted: [OperatingPoint; 2]| {
            let (mut a, mut b) = (search(Some(0.3)), search(None));
            // The two are distinguished by their architectures.
            b.architecture = "another".into();
            for (search, point) in [&mut a, &mut b].into_iter().zip(predicted) {
                let (skeleton, batch) = (search.settings.skeleton, 1);
                let device_name = "Some GPU".into();
                search.place = Some(CostPlace { device_name, skeleton, batch, point });
            }
            let mut evaluations = [evaluation("e", &a, 91.0), evaluation("e", &b, 92.0)];
            for (evaluation, point) in evaluations.iter_mut().zip(evaluated) {
                evaluation.record.operating_point = point;
            }
            let searches = [shown("s", a), shown("s", b)];
            let groups = groups(&searches, &evaluations);
            let mixed: Vec<usize> = mixed(&groups[0]).iter().map(Vec::len).collect();
            (views(&groups[0]).first().map(|view| view.cost), mixed)
        };
        let one = [graph; 2];
        assert_eq!(compared([Some(graph); 2], one), (Some(Cost::Evaluated), vec![]));
        assert_eq!(compared([Some(graph), Some(eager)], one), (Some(Cost::Predicted), vec![2]));
        assert_eq!(compared([Some(graph), None], one), (Some(Cost::Predicted), vec![2]), "older");
        assert_eq!(compared([Some(graph), Some(eager)], [graph, eager]), (None, vec![2, 2]));
    }

    #[test]
    fn other_networks_are_another_group_and_the_nearest_evaluation_counts() {
        let (a, mut b) = (search(Some(0.3)), search(Some(0.4)));
        b.settings.skeleton.channels = 32;
        let evaluations = [evaluation("y/e", &b, 92.0), evaluation("x/e", &a, 91.0)];
        let searches = [shown("x/s1", a), shown("y/s2", b)];
        let groups = groups(&searches, &evaluations);
        let points: Vec<_> = groups.iter().map(|group| views(group)[0].points.clone()).collect();
        assert_eq!(points, [[Some((0.3, 91.0))], [Some((0.4, 92.0))]]);
    }
}
