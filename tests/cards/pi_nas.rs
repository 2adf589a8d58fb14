//! Pi-NAS, arXiv 2108.09671.
//!
//! Tested elsewhere: 1 in `src/methods/pi_nas/paths.rs`, 5 and 6 in `contrast.rs` beside it, 7 in `nn/src/recalibration.rs`; a
//! step against the official code in `tests/parity/pi_nas.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use lat::error::SearchError;
use lat::methods::{Method, Options, find_method};
use lat::supernet::{CellSupernet, SharedGates, Supernet};
use lat_predictor::CostModel;
use lat_space::{SearchSpace, architecture_at, find_space};
use tch::{Device, Kind, Tensor};

use super::paths::{built, real_net, refused, steps_on_images};
use crate::toy::{self, Plan};
use crate::toy_net::{begin_with, parameter};
use crate::{formula, setup};

/// Spaces whose decisions do not compete.
const SPACES: [&str; 4] = ["nasbench201", "nasbench-macro", "proxyless", "pinas"];

/// Small sizes, for batches of 4.
const SMALL: [(&str, i64); 3] = [("queue", 8), ("neck_hidden", 16), ("neck_out", 8)];

fn small(space: &dyn SearchSpace) -> Box<dyn Method> {
    let small = SMALL.map(|(name, value)| (name, value.into()));
    built("pi-nas", space, &[&small[..], &[("decay", 0.0.into())]].concat())
}

/// Decision and choice of each candidate that has weights, by the prefix of its weights' names.
fn candidates(net: &CellSupernet) -> Vec<(String, (usize, usize))> {
    let all = net.own_choices().into_iter();
    all.map(|c| (format!("{}.", c.path), (c.decision, c.choice))).collect()
}

// Numbers 2 and 3 of the list.
#[test]
fn pi_nas_2_the_teacher_follows_what_paths_use_and_twice_what_they_share() {
    for id in ["nasbench-macro", "pinas"] {
        let space = find_space(id).unwrap();
        let net = real_net(space.as_ref());
        let mut method = small(space.as_ref());
        method.begin(&net);
        // A teacher of zeros shows which weights it takes over.
        let zeros: Vec<(String, Tensor)> = method
            .state()
            .into_iter()
            .filter(|(name, _)| name.starts_with("teacher."))
            .map(|(name, t)| (name, t.zeros_like()))
            .collect();
        let zeros: Vec<(&str, Tensor)> = zeros.iter().map(|(n, t)| (&**n, t.copy())).collect();
        begin_with(method.as_mut(), &net, &zeros);
        let before = formula::values(net.weights());
        steps_on_images(method.as_mut(), space.as_ref(), &net);

        let candidates = candidates(&net);
        let head = net.graph().nodes.last().unwrap().name.clone();
        let mut taken: BTreeMap<usize, HashSet<usize>> = BTreeMap::new();
        let mut names: Vec<String> =
            zeros.iter().map(|(n, _)| n["teacher.".len()..].to_owned()).collect();
        names.retain(|name| !name.starts_with("neck."));
        names.sort();
        let mut n_twice = 0;
        for (place, name) in names.iter().enumerate() {
            let (found, student) =
                (parameter(method.as_ref(), &format!("teacher.{name}")), &before[name]);
            assert!(!found.requires_grad());
            let once = student * (1.0 - 0.999);
            let twice = &once * 0.999 + &once;
            let zero = found.zeros_like();
            let gradient = parameter(method.as_ref(), &format!("weights.momentum.{place}"));
            let learns = gradient.abs().max().double_value(&[]) > 0.0;
            let of = candidates.iter().find(|(prefix, _)| name.starts_with(prefix));
            match of {
                Some((_, (decision, choice))) if found != zero => {
                    assert!(found == once, "{id}: {name}");
                    taken.entry(*decision).or_default().insert(*choice);
                }
                Some(_) => assert!(!learns, "{id}: {name} rests"),
                None if name.starts_with(&head) => {
                    assert!(found == zero && !learns, "{id}: {name}");
                }
                None => {
                    assert!(found == twice, "{id}: {name}");
                    n_twice += 1;
                }
            }
        }
        // Convolution, scale and shift of three convolutions in the stem and of four shortcuts.
        assert!(n_twice == 3 * 7 || id != "pinas", "{n_twice}");
        assert!(n_twice > 0, "{id}: a stem");
        // At most two candidates with weights follow at each decision, and at some decision both do.
        assert!(taken.values().all(|choices| choices.len() <= 2), "{id}: {taken:?}");
        assert!(taken.values().any(|choices| choices.len() == 2), "{id}: {taken:?}");
    }
}

// Numbers 3 and 4 of the list: weights that a path does not use get no gradient from its loss.
#[test]
fn pi_nas_4_what_a_path_uses_is_what_its_features_have_gradients_for() {
    for id in SPACES {
        let space = find_space(id).unwrap();
        let net = real_net(space.as_ref());
        let images = formula::tensor("train", &[2, 3, 8, 8]);
        let mut named: Vec<(String, Tensor)> =
            net.weights().variables().into_iter().filter(|(_, w)| w.requires_grad()).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let weights: Vec<Tensor> = named.iter().map(|(_, w)| w.shallow_clone()).collect();
        for number in 0..2 {
            let path = architecture_at(space.as_ref(), 5, number).unwrap();
            if !space.reads_input(&path) {
                continue;
            }
            let gates = SharedGates::hard(space.decisions(), &path, Device::Cpu);
            let features = net.features_t(&images, &gates, true);
            assert_eq!(features.size()[1], net.width());
            assert_eq!(net.classify(&features), net.forward_t(&images, &gates, true), "{id}");
            let used = net.used(&gates);
            let gradients = net.gradients(&features.sum(Kind::Float), &weights);
            for ((name, _), gradient) in named.iter().zip(gradients) {
                // A weight on a branch that `none` cuts is not used either.
                assert!(!gradient.defined() || used.contains(name), "{id}: {name} is used");
                assert!(
                    gradient.defined() || !used.contains(name) || id == "nasbench201",
                    "{id}: {name}"
                );
            }
            assert!(used.len() < net.weights().variables().len());
        }
    }
}

#[test]
fn a_twin_answers_alike_and_learns_nothing() {
    let space = find_space("nasbench-macro").unwrap();
    let net = real_net(space.as_ref());
    let twin = {
        let _generator = setup::exclusive();
        net.twin(&lat::supernet::AllChannels).unwrap()
    };
    let path = architecture_at(space.as_ref(), 5, 0).unwrap();
    let gates = SharedGates::hard(space.decisions(), &path, Device::Cpu);
    let images = formula::tensor("train", &[2, 3, 8, 8]);
    let [ours, theirs] =
        [&net as &dyn Supernet, twin.as_ref()].map(|n| n.forward_t(&images, &gates, false));
    assert!(ours == theirs && ours.requires_grad() && !theirs.requires_grad());
}

#[test]
fn the_second_stage_trains_the_classifier_alone_by_a_rate_that_falls_in_steps() {
    let space = find_space("nasbench-macro").unwrap();
    let net = real_net(space.as_ref());
    let mut method = small(space.as_ref());
    assert_eq!((method.n_views(), method.n_stages()), (4, 2));
    let stage = method.stage(1);
    assert!(stage.keeps_weights);
    method.enter(&stage);
    method.begin(&net);
    assert_eq!(method.n_views(), 1);
    let before = formula::values(net.weights());
    // The second stage begins in the middle of the search.
    steps_on_images(method.as_mut(), space.as_ref(), &net);
    let after: HashMap<String, Tensor> = formula::values(net.weights());
    let head = format!("{}.", net.graph().nodes.last().unwrap().name);
    let mut n_statistics = 0;
    for (name, value) in &after {
        let moved = *value != before[name];
        if name.contains("running_") {
            n_statistics += usize::from(moved);
            continue;
        }
        assert_eq!(moved, name.starts_with(&head), "{name}");
    }
    assert!(n_statistics > 0, "batch norm is in training mode");
    // The state of the first stage is gone.
    assert!(method.state().iter().all(|(name, _)| name.starts_with("weights.")));
}

#[test]
fn a_queue_that_is_no_multiple_of_the_batch_is_refused_with_numbers_that_fit() {
    setup::ready();
    let space = find_space("nasbench-macro").unwrap();
    let entry = find_method("pi-nas").unwrap();
    let options = Options::from_iter([("queue".to_owned(), 40.into())]);
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { options, ..Plan::new(2) };
    let file = dir.path().join("c");
    let error = toy::search(space.as_ref(), entry, &plan, None, &file).unwrap_err();
    assert!(matches!(error, SearchError::Settings(_)) && error.is_bad_input());
    let text = error.to_string();
    assert!(text.contains("a multiple of the batch of 16") && text.contains("found 40"), "{text}");
    assert!(text.contains("queue=48"), "{text}");
    let small = built("pi-nas", space.as_ref(), &[("queue", 8.into())]);
    assert!(small.check_batch(16).unwrap_err().contains("queue=16"));
    assert!(small.check_batch(4).is_ok());
}

#[test]
fn pi_nas_refuses_options_out_of_range_and_spaces_whose_decisions_compete() {
    refused("pi-nas", ("m", 1.5.into()), "m from 0 to 1");
    refused("pi-nas", ("temperature", 0.into()), "temperature above 0");
    refused("pi-nas", ("queue", 0.into()), "queue of at least 1");
    refused("pi-nas", ("linear_lr", (-1).into()), "linear_lr of at least 0");
    refused("pi-nas", ("m", 0.9.into()), "whose decisions stand alone");
}

// Number 8 of the list.
#[test]
fn pi_nas_8_the_expected_cost_of_one_path_is_the_sum_of_its_rows() {
    setup::ready();
    let space = find_space("pinas").unwrap();
    let (cost, prices) = (toy::cost(space.as_ref()), toy::prices(space.as_ref()));
    for number in 0..5 {
        let path = architecture_at(space.as_ref(), 5, number).unwrap();
        let gates = path.gates(space.decisions());
        let sum: f64 =
            gates.iter().zip(&prices).map(|(gate, price)| f64::from(*gate) * price).sum();
        let relaxed = cost.relaxed(&Tensor::from_slice(&gates)).unwrap().double_value(&[]);
        assert!((relaxed - 2.0 - sum).abs() < 1e-5, "{relaxed}, {sum}");
    }
}
