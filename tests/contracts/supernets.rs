//! Contracts between a space's graph, the layers, the static network and the supernet.

use std::collections::HashSet;

use lat::supernet::{AllChannels, CellSupernet, SharedGates, Supernet};
use lat_nn::{BnRule, DropPath, LayerBuilder, Phase, WeightInit, slice_like};
use lat_space::{OpSpec, SPACES, architecture_at};
use tch::{Device, Kind, Tensor, nn};

use crate::{formula, setup, toy};

#[test]
fn every_operation_gives_the_shape_that_the_graph_says() {
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let mut specs: HashSet<OpSpec> = HashSet::new();
        // 7 and 8 pixels, so that reductions are tested on odd and on even maps.
        for resolution in [7, 8] {
            let skeleton = lat_space::Skeleton { resolution, ..toy::skeleton(space.as_ref()) };
            specs.extend(space.graph(&skeleton).operations());
        }
        assert!(specs.len() > 10, "{}", space.id());
        for (spec, phase) in
            specs.iter().flat_map(|s| [Phase::Search, Phase::Evaluation].map(|p| (s, p)))
        {
            let store = nn::VarStore::new(Device::Cpu);
            let builder = LayerBuilder { phase, pools_normalised: true, init: WeightInit::Uniform };
            let (c, hw) = (i64::from(spec.c_in), i64::from(spec.hw_in));
            let ys = builder
                .layer(&store.root(), spec)
                .forward_t(&formula::tensor("x", &[2, c, hw, hw]), true);
            let (c, hw) = (i64::from(spec.c_out), i64::from(spec.hw_out()));
            assert_eq!(ys.size(), [2, c, hw, hw], "{} {}", space.id(), spec.key());
        }
    }
}

#[test]
fn a_supernet_with_hard_gates_is_the_derived_network() {
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let supernet = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        let images = formula::tensor("x", &[4, 3, 8, 8]);
        for i in 0..5 {
            let architecture = architecture_at(space.as_ref(), 7, i).unwrap();
            let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
            for train in [false, true] {
                // Each weight equals what extraction makes: copies of the supernet's weights, with kernels transformed by their
                // matrices.
                formula::fill(supernet.weights());
                let net = supernet.extract(&architecture).unwrap();
                let expected = net.forward_t(&images, train, DropPath::OFF).main;
                let found = supernet.forward_t(&images, &gates, train);
                let largest = expected.abs().max().double_value(&[]);
                let error = (&found - &expected).abs().max().double_value(&[]);
                let text = space.format(&architecture);
                assert!(error <= 1e-6 * largest, "{text}, train {train}: {error} of {largest}");
            }
        }
    }
}

/// Whether two tensors are equal, except for the rounding of many normalised layers.
fn close(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && error(a, b) <= 3e-4
}

/// The largest difference, as a share of the largest number.
fn error(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

#[test]
fn features_are_what_the_classifier_reads() {
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let head = graph.nodes.last().unwrap().name.clone();
        let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        formula::fill(net.weights());
        let images = formula::tensor("x", &[4, 3, 8, 8]);
        let architecture = architecture_at(space.as_ref(), 7, 0).unwrap();
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        let features = net.features_t(&images, &gates, false);
        let all = net.weights().variables();
        let [weight, bias] = ["weight", "bias"].map(|name| &all[&format!("{head}.linear.{name}")]);
        let pooled = features.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        // If its input's width is searched, the classifier reads the first channels.
        let weight = slice_like(weight, &[weight.size()[0], pooled.size()[1]]);
        let expected = pooled.linear(&weight, Some(bias));
        assert!(close(&net.forward_t(&images, &gates, false), &expected), "{}", space.id());
    }
}

#[test]
fn recalibrated_statistics_are_those_of_the_images() {
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        formula::fill(net.weights());
        // Enough images that the variance of a map of one pixel is not computed from a few numbers; then each layer would
        // increase rounding errors.
        let images = formula::tensor("x", &[32, 3, 8, 8]);
        let architecture = architecture_at(space.as_ref(), 7, 0).unwrap();
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        let expected = net.forward_t(&images, &gates, true);
        assert!(!close(&net.forward_t(&images, &gates, false), &expected), "{}", space.id());
        // With biased variances, evaluation computes the same as training on the same images, however often they come.
        for times in [1, 3] {
            let batches: Vec<Tensor> = (0..times).map(|_| images.shallow_clone()).collect();
            net.recalibrate(&batches, &gates, BnRule::PerImage);
            let found = net.forward_t(&images, &gates, false);
            let error = error(&found, &expected);
            assert!(close(&found, &expected), "{} {times}: {error}", space.id());
        }
        net.recalibrate(&[images.shallow_clone()], &gates, BnRule::PerBatch);
        assert!(!close(&net.forward_t(&images, &gates, false), &expected), "{}", space.id());
    }
}

#[test]
fn architectures_differ_in_what_the_supernet_computes() {
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let supernet = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        formula::fill(supernet.weights());
        let images = formula::tensor("x", &[4, 3, 8, 8]);
        let logits = |i| {
            let architecture = architecture_at(space.as_ref(), 7, i).unwrap();
            let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
            toy::tensor_bits(&supernet.forward_t(&images, &gates, false))
        };
        let all: HashSet<Vec<u64>> = (0..5).map(logits).collect();
        assert_eq!(all.len(), 5, "{}", space.id());
    }
}

#[test]
fn the_cost_adds_no_gradient_to_the_operation_weights() {
    use lat::objective::{Estimator, Goal, Objective};
    use lat::relaxed::Relaxed;
    let _generator = setup::exclusive();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        // No method mixes choices in graphs where masks and slices give different results.
        if !graph.is_maskable() {
            continue;
        }
        let net = CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap();
        let (cost, images) = (toy::cost(space.as_ref()), formula::tensor("x", &[4, 3, 8, 8]));
        for estimator in [Estimator::Expected, Estimator::StraightThrough, Estimator::ScoreFunction]
        {
            let gradients = |lambda: f64| {
                formula::fill(net.weights());
                let mut leaves = Vec::new();
                let mut relaxed = Relaxed::uniform(space.as_ref());
                for p in &mut relaxed.probs {
                    let leaf = Tensor::zeros_like(p).set_requires_grad(true);
                    *p = leaf.softmax(0, tch::Kind::Float);
                    leaves.push(leaf);
                }
                let gates = SharedGates::soft(space.decisions(), &relaxed.probs, None);
                let logits = net.forward_t(&images, &gates, true);
                let task = logits.cross_entropy_for_logits(&Tensor::from_slice(&[3i64, 7, 1, 9]));
                let goal = Goal::Lambda(lambda);
                let mut objective = Objective::new(space.as_ref(), &cost, goal, estimator).unwrap();
                match objective.term(&relaxed).unwrap() {
                    Some(term) => (task + term).backward(),
                    None => task.backward(),
                }
                let mut all: Vec<(String, Tensor)> =
                    net.weights().variables().into_iter().collect();
                all.sort_by(|a, b| a.0.cmp(&b.0));
                let trainable = all.iter().filter(|(_, w)| w.requires_grad());
                let weights: Vec<_> = trainable
                    .map(|(name, w)| (name.clone(), toy::tensor_bits(&w.grad())))
                    .collect();
                let leaves: Vec<_> = leaves.iter().map(|l| toy::tensor_bits(&l.grad())).collect();
                (weights, leaves)
            };
            let (without, with) = (gradients(0.0), gradients(100.0));
            assert!(without.0 == with.0, "{} {estimator:?}", space.id());
            assert_ne!(without.1, with.1, "{} {estimator:?} moves alpha", space.id());
        }
    }
}
