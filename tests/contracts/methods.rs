//! Contracts of all methods on a loss and a cost whose best answers are known.

use lat::methods::{METHODS, MethodEntry, Options, Preset};
use lat::objective::{Estimator, Goal, Objective};
use lat_predictor::CostModel;
use lat_space::{Architecture, SPACES, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::toy;
use crate::toy_net::{ToyNet, steps, steps_by};

/// The architecture after some steps in the middle of a search, for a task that wants the expensive choices: what costs less
/// harms more, and `none` harms most.
fn derived(space: &dyn SearchSpace, entry: &MethodEntry, lambda: f64) -> Architecture {
    let prices = toy::prices(space);
    let dearest = prices.iter().copied().fold(0.0, f64::max);
    let harms: Vec<f64> = prices.iter().map(|price| 0.3 * (dearest - price)).collect();
    let net = ToyNet::new(space, &harms);
    let cost = toy::cost(space);
    let mut objective =
        Objective::new(space, &cost, Goal::Lambda(lambda), Estimator::Expected).unwrap();
    let mut method = (entry.build)(Preset::Quick, &Options::new(), space, 1).unwrap();
    method.begin(&net).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // Until the answer has stood for some rounds: methods that draw need longer than those that see everything.
    let (mut answer, mut stood) = (None, 0);
    for _ in 0..MOST_ROUNDS {
        steps_by(&mut rng, method.as_mut(), space, &net, Some(&mut objective), (40, 0.5));
        let now = method.derive(space);
        stood = if answer.as_ref() == Some(&now) { stood + 1 } else { 0 };
        answer = Some(now);
        if stood == 2 {
            break;
        }
    }
    answer.expect("at least one round")
}

/// Rounds of 40 steps after which a method must have settled.
const MOST_ROUNDS: usize = 30;

/// Whether what a method believes hangs on random draws, not on its losses alone.
fn draws(space: &dyn SearchSpace, entry: &MethodEntry) -> bool {
    let prices = toy::prices(space);
    let believed = [0, 1].map(|seed| {
        let net = ToyNet::new(space, &prices);
        let mut method = (entry.build)(Preset::Quick, &Options::new(), space, 1).unwrap();
        method.begin(&net).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        steps_by(&mut rng, method.as_mut(), space, &net, None, (2, 0.5));
        Tensor::cat(&method.relaxed().probs, 0)
    });
    believed[0] != believed[1]
}

/// The least and the largest cost of an architecture of the published form, by taking each decision's cheapest and dearest choice
/// and each group's cheapest and dearest members. Where edges do not compete a group keeps from one to all of its members.
fn extremes(space: &dyn SearchSpace, compete: bool) -> (f64, f64) {
    let prices = toy::prices(space);
    let mut offset = 0;
    let (mut least, mut largest) = (Vec::new(), Vec::new());
    for (d, decision) in space.decisions().iter().enumerate() {
        let is_grouped = space.groups().iter().any(|g| g.decisions.contains(&d));
        let open = (0..decision.choices.len())
            .filter(|c| !(is_grouped && Some(*c) == decision.none()))
            .map(|c| prices[offset + c]);
        least.push(open.clone().fold(f64::INFINITY, f64::min));
        largest.push(open.fold(0.0, f64::max));
        offset += decision.choices.len();
    }
    let (mut low, mut high) = (2.0, 2.0);
    for group in space.groups() {
        let sum = |of: &[f64], descending: bool| {
            let mut values: Vec<f64> = group.decisions.iter().map(|&d| of[d]).collect();
            values.sort_by(f64::total_cmp);
            if descending {
                values.reverse();
            }
            let keep = match (compete, descending) {
                (true, _) => group.keep,
                (false, true) => values.len(),
                (false, false) => 1,
            };
            values[..keep].iter().sum::<f64>()
        };
        low += sum(&least, false);
        high += sum(&largest, true);
    }
    for (d, (least, largest)) in least.iter().zip(&largest).enumerate() {
        if !space.groups().iter().any(|g| g.decisions.contains(&d)) {
            low += least;
            high += largest;
        }
    }
    (low, high)
}

#[test]
fn the_extremes_of_a_small_space_are_those_of_its_enumeration() {
    let spaces = SPACES.iter().map(|build| build()).filter(|space| space.size() < 100_000);
    let mut n_spaces = 0;
    for space in spaces {
        n_spaces += 1;
        let cost = toy::cost(space.as_ref());
        let costs = (0..space.size()).map(|i| cost.cost(&space.at(i)).unwrap());
        let (low, high) =
            costs.fold((f64::INFINITY, 0.0), |(low, high), c| (c.min(low), c.max(high)));
        assert_eq!(extremes(space.as_ref(), true), (low, high), "{}", space.id());
    }
    assert!(n_spaces > 0);
}

/// Least cost of a network that reads its input, in spaces small enough to enumerate; in others every network does.
fn cheapest_connected(space: &dyn SearchSpace) -> Option<f64> {
    if space.size() >= 100_000 {
        return None;
    }
    let (cost, graph) = (toy::cost(space), space.graph(&space.skeletons()[0].skeleton));
    let all = (0..space.size()).map(|i| space.at(i));
    let connected = all.filter(|a| graph.derive(a).is_connected());
    connected.map(|a| cost.cost(&a).unwrap()).reduce(f64::min)
}

#[test]
fn larger_lambda_never_gives_a_costlier_architecture() {
    for (space, entry) in pairs() {
        let cost = toy::cost(space.as_ref());
        let ladder = [0.0, 2.0, 20.0, 1000.0];
        let costs: Vec<f64> = ladder
            .iter()
            .map(|&lambda| cost.cost(&derived(space.as_ref(), entry, lambda)).unwrap())
            .collect();
        let name = format!("{} on {}: {costs:?} at lambda {ladder:?}", entry.name, space.id());
        // A method that learns from draws may take the second best operation somewhere, at a price of one.
        let slack = if draws(space.as_ref(), entry) { 1.0 } else { 0.0 };
        assert!(costs.is_sorted_by(|a, b| a + slack >= *b), "{name}");
        assert!(costs.first() > costs.last(), "{name}");
        if entry.is_sampling {
            // The best of what it drew is seldom the best of all.
            continue;
        }
        let relaxed =
            (entry.build)(Preset::Quick, &Options::new(), space.as_ref(), 1).unwrap().relaxed();
        let (low, high) = extremes(space.as_ref(), !relaxed.strengths.is_empty());
        let low = cheapest_connected(space.as_ref()).unwrap_or(low);
        assert!(costs[0] >= high - slack, "without the cost the dearest wins; {name}");
        assert!(costs[3] <= low + slack, "with the cost alone the cheapest wins; {name}");
    }
}

#[test]
fn every_method_restores_its_state() {
    for (space, entry) in pairs() {
        let name = format!("{} on {}", entry.name, space.id());
        let prices = toy::prices(space.as_ref());
        let build = |seed| (entry.build)(Preset::Quick, &Options::new(), space.as_ref(), seed);
        let net = ToyNet::new(space.as_ref(), &prices);
        let mut method = build(1).unwrap();
        method.begin(&net).unwrap();
        steps(method.as_mut(), space.as_ref(), &net, None, (5, 0.5));
        let state: lat::optimizer::StateMap =
            method.state().into_iter().map(|(n, t)| (n, t.copy())).collect();

        let other_net = ToyNet::new(space.as_ref(), &prices);
        let mut other = build(2).unwrap();
        other.begin(&other_net).unwrap();
        for missing in state.keys() {
            let rest = state.iter().filter(|(n, _)| *n != missing);
            let rest = rest.map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
            assert!(other.load(&rest).is_err(), "{name}: {missing} is needed");
        }
        other.load(&state).unwrap();
        for (method, net) in [(&mut method, &net), (&mut other, &other_net)] {
            steps(method.as_mut(), space.as_ref(), net, None, (5, 0.5));
        }
        let bits = |relaxed: lat::relaxed::Relaxed| {
            let all = relaxed.probs.iter().chain(&relaxed.strengths);
            all.map(toy::tensor_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(method.relaxed()), bits(other.relaxed()), "{name}");
    }
}

#[test]
fn probabilities_sum_to_one_and_strengths_are_positive() {
    for (space, entry) in pairs() {
        let build = (entry.build)(Preset::Paper, &Options::new(), space.as_ref(), 3);
        let relaxed = build.unwrap().relaxed();
        assert_eq!(relaxed.probs.len(), space.decisions().len());
        // Or none at all, where edges do not compete.
        let n_strengths = relaxed.strengths.len();
        assert!([0, space.decisions().len()].contains(&n_strengths), "{}", entry.name);
        for (d, decision) in space.decisions().iter().enumerate() {
            let probs = &relaxed.probs[d];
            assert_eq!(probs.size(), [decision.choices.len() as i64]);
            assert!((probs.sum(tch::Kind::Double).double_value(&[]) - 1.0).abs() < 1e-6);
            assert!(relaxed.strengths.get(d).is_none_or(|s| s.double_value(&[]) > 0.0));
        }
    }
}

#[test]
fn unknown_options_are_errors_that_name_them() {
    for (space, entry) in pairs() {
        let options = Options::from_iter([("no_such_option".to_owned(), 1.into())]);
        let error = (entry.build)(Preset::Quick, &options, space.as_ref(), 0).unwrap_err();
        assert!(error.to_string().contains("no_such_option"), "{}: {error}", entry.name);
        assert!(error.is_bad_input());
    }
}

/// Every space with every method.
pub(super) fn pairs() -> impl Iterator<Item = (Box<dyn SearchSpace>, &'static MethodEntry)> {
    crate::setup::ready();
    SPACES.iter().flat_map(|build| METHODS.iter().map(|method| (build(), method)))
}
