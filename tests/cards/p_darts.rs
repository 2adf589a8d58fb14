//! P-DARTS, arXiv 1904.12760.

use std::collections::HashMap;
use std::sync::Arc;

use lat::methods::{Method, Stage};
use lat::optimizer::StateMap;
use lat::supernet::{BuildMixedOp, CellSupernet, DroppedSkips, Gate, Path, SkipDropout, Supernet};
use lat_nn::{LayerBuilder, Phase, WeightInit};
use lat_predictor::{CostModel, TableCost};
use lat_space::{ChoiceSet, Darts, DecisionId, SearchSpace, Skeleton, Space};
use tch::{Device, Kind, Tensor, nn};

use super::paths::{built, steps_on_images};
use crate::toy_net::{ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup, toy};

const EDGES: i64 = 28;
const SKIP: usize = 3;

/// Enters a stage and returns its supernet, with weights set by the formula.
fn enter(method: &mut dyn Method, space: &dyn SearchSpace, stage: &Stage) -> CellSupernet {
    method.enter(stage);
    let graph = stage.graph(space, &toy::skeleton(space)).unwrap();
    let net = {
        let _generator = setup::exclusive();
        CellSupernet::new(graph, method.mixed_op().as_ref(), Device::Cpu).unwrap()
    };
    formula::fill(net.weights());
    method.begin(&net);
    net
}

/// The method with shallow stages, so that the networks of a test stay small.
fn shallow(space: &dyn SearchSpace) -> Box<dyn Method> {
    built("p-darts", space, &[("cells", toml::Value::from(vec![3, 4, 5]))])
}

/// Goes through the stages with alpha set by the formula in each. Returns the stages, which say which operations are live.
fn stages(method: &mut dyn Method, space: &dyn SearchSpace) -> Vec<Stage> {
    let net = ToyNet::indifferent(space);
    let mut stages = Vec::new();
    for number in 0..method.n_stages() {
        let stage = method.stage(number);
        method.enter(&stage);
        let alpha = formula::tensor(&format!("alpha{number}"), &[EDGES, 8]);
        begin_with(method, &net, &[("alpha", alpha)]);
        stages.push(stage);
    }
    stages
}

#[test]
fn p_darts_1_8_5_3_and_1_operations_are_left() {
    let space = Darts::new();
    let mut method = built("p-darts", &space, &[]);
    let stages = stages(method.as_mut(), &space);
    let live = |stage: &Stage, d: DecisionId| {
        stage.live.as_ref().map_or(ChoiceSet::of(0..8), |sets| sets[d])
    };
    let derived = method.derive(&space);
    for d in 0..EDGES as usize {
        let sets: Vec<ChoiceSet> = stages.iter().map(|s| live(s, d)).collect();
        assert_eq!(sets.iter().map(|s| s.len()).collect::<Vec<_>>(), [8, 5, 3]);
        for pair in sets.windows(2) {
            assert!(pair[1].iter().all(|c| pair[0].contains(c)), "{d}: {pair:?}");
        }
        let chosen = derived.choices[d].only().unwrap();
        // An edge that is not kept has `none`, whether or not `none` is live.
        assert!(chosen == 0 || sets[2].contains(chosen), "{d}: {chosen}");
    }
}

#[test]
fn p_darts_2_stages_have_5_11_and_17_cells() {
    let space = Darts::new();
    let method = built("p-darts", &space, &[]);
    for (number, cells, reductions) in [(0, 5, [1, 3]), (1, 11, [3, 7]), (2, 17, [5, 11])] {
        let stage = Stage { live: None, ..method.stage(number) };
        assert_eq!(stage.cells, Some(cells));
        let graph =
            stage.graph(&space, &Skeleton { channels: 2, ..toy::skeleton(&space) }).unwrap();
        let sites: HashMap<u16, DecisionId> =
            graph.choices().map(|(_, cell, decision, _)| (cell, decision)).collect();
        assert_eq!(sites.len(), usize::from(cells));
        let mut reduces: Vec<u16> = sites.into_iter().filter(|s| s.1 >= 14).map(|s| s.0).collect();
        reduces.sort_unstable();
        assert_eq!(reduces, reductions);
    }
}

/// Output of an edge's candidates with this stride if only the skip connection has weight, and the input.
fn skip(stride: u8, train: bool) -> (Tensor, Tensor, Tensor) {
    let space = Darts::new();
    let graph = space.graph(&Skeleton { channels: 16, ..toy::skeleton(&space) });
    let mut sites = graph.choices().map(|(_, _, _, candidates)| candidates);
    let candidates = sites.find(|c| c[SKIP].stride == stride).unwrap();
    let dropout = Arc::new(SkipDropout::default());
    let builder =
        LayerBuilder { phase: Phase::Search, pools_normalised: true, init: WeightInit::Uniform };
    let store = nn::VarStore::new(Device::Cpu);
    let site = {
        let _generator = setup::exclusive();
        DroppedSkips(Arc::clone(&dropout)).build(&builder, &store.root(), &candidates)
    };
    formula::fill(&store);
    let x = formula::tensor("x", &[2, i64::from(candidates[SKIP].c_in), 8, 8]);
    let weights = Tensor::ones([8], tch::kind::FLOAT_CPU);
    let paths = (0..8).map(|c| if c == SKIP { Path::On } else { Path::Off }).collect();
    let gate = Gate { weights, paths, edge: None };
    dropout.set(0.5, 1);
    let dropped = site.forward_t(&x, &gate, train);
    dropout.set(0.0, 1);
    let plain = site.forward_t(&x, &gate, train);
    (x, dropped, plain)
}

#[test]
fn p_darts_3_only_a_skip_of_stride_1_drops_and_only_in_training() {
    let (x, dropped, plain) = skip(1, true);
    assert_eq!(plain, x);
    let zeros = dropped.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((zeros - 0.5).abs() < 0.05, "{zeros}");
    let kept = dropped.ne(0.0).to_kind(Kind::Float);
    assert!(dropped.allclose(&(&x * 2.0 * kept), 1e-6, 0.0, false), "what stays is doubled");
    let (x, dropped, _) = skip(1, false);
    assert_eq!(dropped, x);
    let (_, dropped, plain) = skip(2, true);
    assert_eq!(dropped, plain);
}

#[test]
fn p_darts_4_a_stage_begins_anew_and_alpha_rests_in_its_first_epochs() {
    let space = Darts::new();
    let mut method = shallow(&space);
    let first = method.stage(0);
    let net = enter(method.as_mut(), &space, &first);
    let untouched = parameter(method.as_ref(), "alpha");
    // The toy's step is in the middle of the search; the first stage is the first third of it.
    let toy = ToyNet::indifferent(&space);
    drop(net);
    begin_with(method.as_mut(), &toy, &[]);
    let last_of_warmup = (10.0 - 0.01) / 75.0;
    let report = steps(method.as_mut(), &space, &toy, None, (1, last_of_warmup));
    assert!(report.valid_loss.is_none());
    assert_eq!(parameter(method.as_ref(), "alpha"), untouched);
    let report = steps(method.as_mut(), &space, &toy, None, (3, 10.0 / 75.0));
    assert!(report.valid_loss.unwrap().value().is_finite());
    let old = parameter(method.as_ref(), "alpha");
    assert_ne!(old, untouched);

    let second = method.stage(1);
    let net = enter(method.as_mut(), &space, &second);
    let before: Vec<(String, Tensor)> = formula::values(net.weights()).into_iter().collect();
    assert!(!before.is_empty());
    let alpha = parameter(method.as_ref(), "alpha");
    assert_ne!(alpha, old);
    assert!(alpha.abs().max().double_value(&[]) < 0.01, "alpha is near 0 again");
    let state: StateMap = method.state().into_iter().collect();
    for (name, tensor) in state.iter().filter(|(name, _)| *name != "alpha") {
        assert_eq!(tensor.abs().max().double_value(&[]), 0.0, "{name} is empty");
    }
    let rests = steps(method.as_mut(), &space, &toy, None, (1, 25.0 / 75.0));
    assert!(rests.valid_loss.is_none(), "the second stage warms up too");
}

#[test]
fn p_darts_5_what_was_given_up_is_gone() {
    let space = Darts::new();
    let mut method = shallow(&space);
    let first = method.stage(0);
    let toy = ToyNet::indifferent(&space);
    method.enter(&first);
    begin_with(method.as_mut(), &toy, &[("alpha", formula::tensor("alpha", &[EDGES, 8]))]);
    let second = method.stage(1);
    let net = enter(method.as_mut(), &space, &second);
    let live = second.live.as_ref().unwrap();
    let names: Vec<String> = net.weights().variables().into_keys().collect();
    let graph = space.graph(&Skeleton { layers: 4, ..toy::skeleton(&space) }).pruned(false);
    let (mut gone, mut there) = (0, 0);
    for (node, _, decision, candidates) in graph.choices() {
        for (c, spec) in candidates.iter().enumerate().filter(|(_, s)| !s.op.is_parameter_free()) {
            let prefix = format!("{}.{}.", graph.nodes[node].name, spec.op.name());
            let owns = names.iter().any(|name| name.starts_with(&prefix));
            assert_eq!(owns, live[decision].contains(c), "{prefix}");
            if owns { there += 1 } else { gone += 1 }
        }
    }
    assert!(gone > 0 && there > 0);
    let watched = Watched::new(&net, &space);
    steps_on_images(method.as_mut(), &space, &watched);
    for pass in watched.passes() {
        let sums = pass.weights.sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        assert!(sums.allclose(&sums.ones_like(), 0.0, 1e-6, false));
        for (d, paths) in pass.paths.iter().enumerate() {
            for (c, path) in paths.iter().enumerate() {
                let is_live = live[d].contains(c);
                assert!(is_live || *path == Path::Off, "{d} {c}");
                let weight = pass.weights.double_value(&[d as i64, c as i64]);
                assert_eq!(is_live, weight > 0.0, "{d} {c}: {weight}");
            }
        }
    }
}

/// The method in its last stage, with all operations live and these alphas.
fn with_alpha(space: &Darts, most_skips: i64, alpha: &Tensor) -> Box<dyn Method> {
    let most_skips = ("most_skips", toml::Value::from(most_skips));
    let mut method = built("p-darts", space, &[most_skips]);
    let last = Stage { number: 2, cells: None, live: None, keeps_weights: false };
    method.enter(&last);
    begin_with(method.as_mut(), &ToyNet::indifferent(space), &[("alpha", alpha.shallow_clone())]);
    method
}

/// Alphas for which the normal cell keeps four skip connections, two to the first node and two to the second, in descending
/// strength. On each of these edges `sep_conv_3x3` is second. The reduction cell has skip connections only.
fn skips_everywhere() -> Tensor {
    setup::ready();
    let alpha = Tensor::zeros([EDGES, 8], tch::kind::FLOAT_CPU);
    let set = |edge: i64, choice: i64, value: f64| {
        let _ = alpha.get(edge).get(choice).fill_(value);
    };
    for edge in 0..14 {
        // sep_conv_3x3 is second on all normal edges; dil_conv_5x5 is best on the first two edges of the last two nodes.
        set(edge, 4, 2.0);
    }
    for (edge, strength) in [(0, 6.0), (1, 5.0), (2, 4.0), (3, 3.0)] {
        set(edge, SKIP as i64, strength);
    }
    for edge in [5, 6, 9, 10] {
        set(edge, 7, 7.0);
    }
    for edge in 14..EDGES {
        set(edge, SKIP as i64, 5.0);
    }
    alpha
}

#[test]
fn p_darts_6_the_cap_takes_the_weakest_skips_of_the_normal_cell() {
    let space = Darts::new();
    let alpha = skips_everywhere();
    let free = with_alpha(&space, 8, &alpha).derive(&space);
    assert_eq!(free.skip_counts(space.decisions()), [("normal".into(), 4), ("reduce".into(), 8)]);
    let capped = with_alpha(&space, 2, &alpha).derive(&space);
    assert_eq!(capped.skip_counts(space.decisions()), [("normal".into(), 2), ("reduce".into(), 8)]);
    assert_eq!(capped.choices[14..], free.choices[14..], "the reduction cell is left alone");
    let of = |edge: usize| capped.choices[edge].only().unwrap();
    assert_eq!([of(0), of(1)], [SKIP, SKIP], "the two strongest stay");
    // Edges 2 to 4 lead to the second node. On all of them sep_conv_3x3 is second best, with equal strength except for the
    // softmax.
    let kept: Vec<usize> = (2..5).map(of).filter(|&op| op != 0).collect();
    assert_eq!(kept, [4, 4], "what lost its skip falls back or makes room for a stronger edge");
    assert_ne!(of(4), 0, "the edge without a skip beside it is the stronger one now");
}

#[test]
fn p_darts_7_a_cap_above_the_count_changes_nothing() {
    let space = Darts::new();
    let alpha = skips_everywhere();
    let derived = [4, 8].map(|most| with_alpha(&space, most, &alpha).derive(&space));
    assert_eq!(derived[0], derived[1]);
    assert!((0..2).all(|edge| !derived[0].choices[edge].contains(0)), "node 0 keeps both inputs");
    let random = formula::tensor("alpha", &[EDGES, 8]) * 3.0;
    let derived = with_alpha(&space, 2, &random).derive(&space);
    assert!((0..2).all(|edge| !derived.choices[edge].contains(0)));
}

#[test]
fn p_darts_8_the_cost_of_a_stage_is_that_of_what_is_live() {
    let space = Darts::new();
    let mut method = built("p-darts", &space, &[]);
    let stages = stages(method.as_mut(), &space);
    let live = stages[2].live.as_ref().unwrap();
    let relaxed = method.relaxed();
    let mut live_alone = toy::prices(&space);
    for (d, probs) in relaxed.probs.iter().enumerate() {
        for c in 0..8 {
            let is_live = live[d].contains(c);
            assert_eq!(is_live, probs.double_value(&[c as i64]) > 0.0, "{d} {c}");
            if !is_live {
                live_alone[8 * d + c] = 1e6;
            }
        }
    }
    let gates = Tensor::cat(&relaxed.probs, 0);
    let cost = |prices: Vec<f64>| {
        let table = TableCost::new(&space, "latency_ms", 2.0, prices).unwrap();
        table.relaxed(&gates).unwrap().double_value(&[])
    };
    let (all, alone) = (cost(toy::prices(&space)), cost(live_alone));
    assert!((all - alone).abs() < 1e-4, "{all} {alone}");
}

#[test]
fn p_darts_lists_of_unequal_length_are_refused() {
    use super::paths::refused;
    refused(
        "p-darts",
        ("cells", toml::Value::from(vec![5, 11])),
        "for 2 stages in cells 1 numbers",
    );
    refused("p-darts", ("drop", toml::Value::from(vec![3, 4])), "at least 2 of");
    refused("p-darts", ("skip_dropout", toml::Value::from(vec![0.0, 0.4, 1.0])), "below 1");
    refused("p-darts", ("cells", toml::Value::from(vec![1, 2, 3])), "cells");
}
