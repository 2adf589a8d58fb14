//! Contracts of all methods, on a loss and a cost whose best answers are known.

use std::collections::HashMap;

use lat::methods::{METHODS, MethodEntry, Options, Preset};
use lat::objective::{Estimator, Goal, Objective};
use lat::relaxed::{EdgeSets, Relaxed, Topology, subsets};
use lat_predictor::CostModel;
use lat_space::{Architecture, Group, SPACES, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::stretch_space::StretchSpace;
use crate::toy;
use crate::toy_net::{ToyNet, steps, steps_by};

/// The architecture after some steps in the middle of a search, for a task that prefers expensive choices: the cheaper a choice,
/// the more it harms, and `none` harms most.
fn derived(space: &dyn SearchSpace, entry: &MethodEntry, lambda: f64) -> Architecture {
    let prices = toy::prices(space);
    let dearest = prices.iter().copied().fold(0.0, f64::max);
    let harms: Vec<f64> = prices.iter().map(|price| 0.3 * (dearest - price)).collect();
    let net = ToyNet::new(space, &harms);
    let cost = toy::cost(space);
    let mut objective = Objective::new(space, &cost, Goal::Lambda(lambda), Estimator::Expected)
        .unwrap()
        .joining(lat::steering::Joining::Sum);
    let mut method = entry.build(Preset::Quick, &Options::new(), space, 1).unwrap();
    method.begin(&net);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // Until the answer has not changed for some rounds: methods that draw need longer than those that compute everything.
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

/// The most rounds of 40 steps that a method may take to settle.
const MOST_ROUNDS: usize = 30;

/// Whether a method's belief depends on random draws, not only on its losses.
fn draws(space: &dyn SearchSpace, entry: &MethodEntry) -> bool {
    let prices = toy::prices(space);
    let believed = [0, 1].map(|seed| {
        let net = ToyNet::new(space, &prices);
        let mut method = entry.build(Preset::Quick, &Options::new(), space, 1).unwrap();
        method.begin(&net);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        steps_by(&mut rng, method.as_mut(), space, &net, None, (2, 0.5));
        Tensor::cat(&method.relaxed().probs, 0)
    });
    believed[0] != believed[1]
}

/// The smallest and the largest cost of an architecture that the topology allows: from the cheapest and the most expensive choice
/// of each decision, and, for decisions that are kept together, from each set of them. If edges do not compete, a group keeps any
/// number of its members from one on.
fn extremes(space: &dyn SearchSpace, topology: &Topology) -> (f64, f64) {
    let together: Vec<(Vec<usize>, Tensor)> = match topology {
        Topology::Sets(sets) => {
            sets.iter().map(|s| (s.decisions.clone(), s.members.shallow_clone())).collect()
        }
        free_or_strengths => {
            let is_free = matches!(free_or_strengths, Topology::Free);
            let of_group = |g: &Group| {
                let n = g.decisions.len();
                let sizes = if is_free { 1..=n } else { g.keep..=g.keep };
                (g.decisions.clone(), subsets(n, sizes))
            };
            space.groups().iter().map(of_group).collect()
        }
    };
    let is_alone = |d: usize| !together.iter().any(|(members, _)| members.contains(&d));
    let prices = toy::prices(space);
    let (mut offset, mut ranges) = (0, Vec::new());
    for (d, decision) in space.decisions().iter().enumerate() {
        let open = (0..decision.choices.len())
            .filter(|c| is_alone(d) || Some(*c) != decision.none())
            .map(|c| prices[offset + c]);
        let least = open.clone().fold(f64::INFINITY, f64::min);
        ranges.push((least, open.fold(0.0, f64::max)));
        offset += decision.choices.len();
    }
    let (mut low, mut high) = (2.0, 2.0);
    for (decisions, sets) in &together {
        let sets = Vec::<Vec<f32>>::try_from(sets).unwrap();
        let sum = |set: &[f32], of: fn(&(f64, f64)) -> f64| -> f64 {
            decisions.iter().zip(set).map(|(&d, &m)| f64::from(m) * of(&ranges[d])).sum()
        };
        low += sets.iter().map(|set| sum(set, |r| r.0)).fold(f64::INFINITY, f64::min);
        high += sets.iter().map(|set| sum(set, |r| r.1)).fold(0.0, f64::max);
    }
    for (_, (least, largest)) in ranges.iter().enumerate().filter(|(d, _)| is_alone(*d)) {
        low += least;
        high += largest;
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
        let topology = Relaxed::uniform(space.as_ref()).topology;
        assert_eq!(extremes(space.as_ref(), &topology), (low, high), "{}", space.id());
    }
    assert!(n_spaces > 0);
}

/// The smallest cost of a network that reads its input, for spaces small enough to enumerate. In other spaces every network does,
/// and this is None.
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
    // Computed once per space.
    let mut connected: HashMap<String, Option<f64>> = HashMap::new();
    for (space, entry) in pairs().filter(|(_, entry)| !entry.is_two_stage) {
        let cost = toy::cost(space.as_ref());
        let ladder = [0.0, 2.0, 20.0, 1000.0];
        let costs: Vec<f64> = ladder
            .iter()
            .map(|&lambda| cost.cost(&derived(space.as_ref(), entry, lambda)).unwrap())
            .collect();
        let name = format!("{} on {}: {costs:?} at lambda {ladder:?}", entry.name, space.id());
        // A method that learns from draws may take the second best operation somewhere, which costs one more. In a long chain,
        // where each draw has many decisions, it may do so in a quarter of the layers.
        let layers = if space.groups().is_empty() { space.decisions().len() } else { 0 };
        let often = if layers > 8 { layers as f64 / 4.0 } else { 1.0 };
        let slack = if draws(space.as_ref(), entry) { often } else { 0.0 };
        assert!(costs.is_sorted_by(|a, b| a + slack >= *b), "{name}");
        assert!(costs.first() > costs.last(), "{name}");
        if entry.is_sampling || layers > 8 {
            // The best of the drawn architectures is rarely the best of all, and so few steps do not settle all layers of a long
            // chain.
            continue;
        }
        let relaxed =
            entry.build(Preset::Quick, &Options::new(), space.as_ref(), 1).unwrap().relaxed();
        let (low, high) = extremes(space.as_ref(), &relaxed.topology);
        // If every node keeps an input, every network reads the image.
        let low = match relaxed.topology {
            Topology::Sets(_) => low,
            _ => connected
                .entry(space.id().to_owned())
                .or_insert_with(|| cheapest_connected(space.as_ref()))
                .unwrap_or(low),
        };
        assert!(costs[0] >= high - slack, "without the cost the dearest wins; {name}");
        assert!(costs[3] <= low + slack, "with the cost alone the cheapest wins; {name}");
    }
}

#[test]
fn every_method_restores_its_state() {
    for (space, entry) in pairs() {
        let name = format!("{} on {}", entry.name, space.id());
        let prices = toy::prices(space.as_ref());
        let build = |seed| entry.build(Preset::Quick, &Options::new(), space.as_ref(), seed);
        let net = ToyNet::new(space.as_ref(), &prices);
        let mut method = build(1).unwrap();
        method.begin(&net);
        steps(method.as_mut(), space.as_ref(), &net, None, (5, 0.5));
        let state: lat::optimizer::StateMap =
            method.state().into_iter().map(|(n, t)| (n, t.copy())).collect();

        let other_net = ToyNet::new(space.as_ref(), &prices);
        let mut other = build(2).unwrap();
        other.begin(&other_net);
        for missing in state.keys() {
            let rest = state.iter().filter(|(n, _)| *n != missing);
            let rest = rest.map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
            assert!(other.load(&rest).is_err(), "{name}: {missing} is needed");
        }
        other.load(&state).unwrap();
        for (method, net) in [(&mut method, &net), (&mut other, &other_net)] {
            steps(method.as_mut(), space.as_ref(), net, None, (5, 0.5));
        }
        let bits = |Relaxed { mut probs, topology }: Relaxed| {
            match topology {
                Topology::Free => {}
                Topology::Strengths(strengths) => probs.extend(strengths),
                Topology::Sets(sets) => probs.extend(sets.into_iter().map(|s| s.logits)),
            }
            probs.iter().map(toy::tensor_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(method.relaxed()), bits(other.relaxed()), "{name}");
    }
}

#[test]
fn probabilities_sum_to_one_and_topologies_are_whole() {
    for (space, entry) in pairs().chain(supernet_pairs()) {
        let build = entry.build(Preset::Paper, &Options::new(), space.as_ref(), 3);
        let relaxed = build.unwrap().relaxed();
        assert_eq!(relaxed.probs.len(), space.decisions().len());
        let is_positive = |s: &Tensor| s.double_value(&[]) > 0.0;
        match &relaxed.topology {
            Topology::Free => {}
            Topology::Strengths(strengths) => {
                assert_eq!(strengths.len(), space.decisions().len(), "{}", entry.name);
                assert!(strengths.iter().all(is_positive), "{}", entry.name);
            }
            Topology::Sets(sets) => {
                let mut grouped: Vec<usize> =
                    sets.iter().flat_map(|s| s.decisions.clone()).collect();
                grouped.sort_unstable();
                assert!(grouped.is_sorted_by(|a, b| a < b), "{}: each once", entry.name);
                let sum = |s: &EdgeSets| s.probs().sum(tch::Kind::Double).double_value(&[]);
                assert!(sets.iter().all(|s| (sum(s) - 1.0).abs() < 1e-6), "{}", entry.name);
            }
        }
        for (d, decision) in space.decisions().iter().enumerate() {
            let probs = &relaxed.probs[d];
            assert_eq!(probs.size(), [decision.choices.len() as i64]);
            assert!((probs.sum(tch::Kind::Double).double_value(&[]) - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn unknown_options_are_errors_that_name_them() {
    for (space, entry) in pairs().chain(supernet_pairs()) {
        let options = Options::from_iter([("no_such_option".to_owned(), 1.into())]);
        let error = entry.build(Preset::Quick, &options, space.as_ref(), 0).unwrap_err();
        assert!(error.to_string().contains("no_such_option"), "{}: {error}", entry.name);
        assert!(error.is_bad_input());
    }
}

#[test]
fn every_method_covers_a_space_and_names_those_it_covers() {
    crate::setup::ready();
    for entry in METHODS {
        let spaces = || SPACES.iter().map(|build| build());
        let (covered, others): (Vec<_>, Vec<_>) = spaces().partition(|s| entry.covers(s.as_ref()));
        assert!(!covered.is_empty(), "{}", entry.name);
        for space in others {
            let error = entry.build(Preset::Quick, &Options::new(), space.as_ref(), 0).unwrap_err();
            let text = error.to_string();
            assert!(error.is_bad_input(), "{text}");
            assert!(text.contains(&format!("found {}", space.id())), "{text}");
            for known in &covered {
                assert!(text.contains(known.id()), "{text}");
            }
        }
    }
}

/// A space and a method that covers it.
pub(super) type Pair = (Box<dyn SearchSpace>, &'static MethodEntry);

/// Every method whose steps change its belief, with every space that it covers.
pub(super) fn pairs() -> impl Iterator<Item = Pair> {
    crate::setup::ready();
    let all = SPACES.iter().flat_map(|build| METHODS.iter().map(|method| (build(), method)));
    all.filter(|(space, method)| !method.is_two_stage && method.covers(space.as_ref()))
}

/// Every method that only trains a supernet, with the smallest space that it covers and with a small one that contains everything
/// elastic. (Each step trains several networks, and the spaces that are chains have dozens of blocks.)
pub(super) fn supernet_pairs() -> Vec<Pair> {
    crate::setup::ready();
    let mut pairs: Vec<Pair> = Vec::new();
    for entry in METHODS.iter().filter(|entry| entry.is_two_stage) {
        let all = SPACES.iter().map(|build| build());
        let plain = all.filter(|s| s.size() < 100_000 && entry.covers(s.as_ref()));
        pairs.extend(plain.min_by_key(|space| space.size()).map(|space| (space, entry)));
        let stretching: Box<dyn SearchSpace> = Box::new(StretchSpace::new());
        pairs.extend(entry.covers(stretching.as_ref()).then_some((stretching, entry)));
    }
    pairs
}
