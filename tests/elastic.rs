//! Elastic networks: prices, shapes and results, over all or many architectures of a small space.

use std::collections::BTreeMap;

use lat::methods::{METHODS, MethodEntry, Options, Preset};
use lat::supernet::{AllChannels, CellSupernet, SharedGates, Supernet};
use lat_nn::DropPath;
use lat_predictor::{CostModel, CountCost, TableCost};
use lat_space::{
    Architecture, Graph, OpSpec, SearchSpace, Skeleton, Space, Step, count, peak_memory_bytes,
};
use tch::{Device, Kind, Tensor};

use crate::stretch_space::StretchSpace;
use crate::{formula, setup};

fn skeleton(space: &StretchSpace) -> Skeleton {
    space.skeletons()[0].skeleton
}

fn all(space: &StretchSpace) -> impl Iterator<Item = Architecture> + '_ {
    (0..space.size()).map(|i| space.at(i))
}

fn graph(space: &StretchSpace) -> Graph {
    space.graph(&skeleton(space))
}

/// How often each operation occurs in a derived network.
fn operations(graph: &Graph) -> BTreeMap<OpSpec, usize> {
    let mut found = BTreeMap::new();
    graph.operations().for_each(|op| *found.entry(op).or_insert(0) += 1);
    found
}

#[test]
fn variants_under_an_architecture_are_the_operations_derived() {
    let space = StretchSpace::new();
    let graph = graph(&space);
    let variants: Vec<_> = graph.variants().collect();
    for architecture in all(&space) {
        let stands = |&(d, c): &(usize, usize)| architecture.choices[d].contains(c);
        let mut found = BTreeMap::new();
        for variant in variants.iter().filter(|v| v.when.iter().all(stands)) {
            *found.entry(variant.op).or_insert(0) += 1;
        }
        let expected = operations(&graph.derive(&architecture));
        assert_eq!(found, expected, "{}", space.format(&architecture));
    }
}

#[test]
fn derived_networks_are_fixed_and_their_shapes_follow_from_one_another() {
    let space = StretchSpace::new();
    let graph = graph(&space);
    for architecture in all(&space) {
        let derived = graph.derive(&architecture);
        assert!(!derived.is_elastic() && derived.sites().next().is_none());
        for node in &derived.nodes {
            let Step::Fixed { from, op, .. } = node.step else { continue };
            let input = derived.nodes[from].shape;
            assert_eq!((op.c_in, op.hw_in), (input.c, input.hw), "{}", node.name);
            assert_eq!((op.c_out, op.hw_out()), (node.shape.c, node.shape.hw), "{}", node.name);
        }
        assert!(count(&derived).params <= count(&graph).params);
        assert!(peak_memory_bytes(&derived, 1, 4) > 0);
    }
}

#[test]
fn counts_price_products_of_gates_exactly() {
    let space = StretchSpace::new();
    let graph = graph(&space);
    for column in CountCost::COLUMNS {
        let cost = CountCost::new(&space, &skeleton(&space), column).unwrap();
        for architecture in all(&space) {
            let counted = count(&graph.derive(&architecture));
            let expected = if column == "params" { counted.params } else { counted.multiply_adds };
            let found = cost.cost(&architecture).unwrap();
            assert_eq!(found, expected as f64, "{column} {}", space.format(&architecture));
        }
    }
}

#[test]
fn the_cost_of_mean_gates_is_the_mean_cost() {
    let space = StretchSpace::new();
    let look_up = |op: &OpSpec| Some(f64::from(op.c_in * op.c_out + u32::from(op.hw_in)).sqrt());
    let table = TableCost::look_up(&space, &skeleton(&space), "latency_ms", 1.0, &look_up).unwrap();
    let n: i64 = space.decisions().iter().map(|d| d.choices.len() as i64).sum();
    let raw = Tensor::arange(n, (Kind::Float, Device::Cpu)).sin();
    let mut first = 0;
    let probabilities: Vec<Vec<f32>> = space
        .decisions()
        .iter()
        .map(|d| {
            let own = raw.narrow(0, first, d.choices.len() as i64).softmax(0, Kind::Float);
            first += d.choices.len() as i64;
            Vec::<f32>::try_from(&own).unwrap()
        })
        .collect();
    let chance = |architecture: &Architecture| -> f64 {
        let taken = architecture.choices.iter().zip(&probabilities);
        taken.map(|(set, p)| f64::from(p[set.only().unwrap()])).product()
    };
    let mean: f64 = all(&space).map(|a| chance(&a) * table.cost(&a).unwrap()).sum();
    let gates = Tensor::from_slice(&probabilities.concat());
    let relaxed = table.relaxed(&gates).unwrap().double_value(&[]);
    assert!((relaxed / mean - 1.0).abs() < 1e-5, "{relaxed} {mean}");
}

/// Every 37th architecture, so that each choice of each decision occurs.
fn some(space: &StretchSpace) -> Vec<Architecture> {
    all(space).step_by(37).collect()
}

fn supernet(space: &StretchSpace) -> CellSupernet {
    let net = CellSupernet::new(graph(space), &AllChannels, Device::Cpu).unwrap();
    formula::fill(net.weights());
    net
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    let largest = b.abs().max().double_value(&[]);
    a.size() == b.size() && (a - b).abs().max().double_value(&[]) <= 1e-5 * largest
}

#[test]
fn an_extracted_network_computes_what_the_supernet_computes() {
    let _generator = setup::exclusive();
    let space = StretchSpace::new();
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    for architecture in some(&space) {
        let net = supernet(&space);
        let alone = net.extract(&architecture).unwrap();
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        for train in [false, true] {
            let found = net.forward_t(&images, &gates, train);
            let expected = alone.forward_t(&images, train, DropPath::OFF).main;
            assert!(close(&found, &expected), "{} {train}", space.format(&architecture));
        }
    }
}

#[test]
fn one_hot_soft_gates_mask_to_what_hard_gates_slice() {
    let _generator = setup::exclusive();
    let space = StretchSpace::new();
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    for architecture in some(&space) {
        let hard = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        let one_hot: Vec<Tensor> = (0..space.decisions().len())
            .map(|d| lat::supernet::Gating::gate(&hard, d, 0).weights)
            .collect();
        let soft = SharedGates::soft(space.decisions(), &one_hot, None);
        for train in [false, true] {
            let (masked, sliced) = (supernet(&space), supernet(&space));
            let found = masked.forward_t(&images, &soft, train);
            let expected = sliced.forward_t(&images, &hard, train);
            assert!(close(&found, &expected), "{} {train}", space.format(&architecture));
        }
    }
}

#[test]
fn soft_gates_learn_and_what_hard_gates_leave_out_rests() {
    let _generator = setup::exclusive();
    let space = StretchSpace::new();
    let images = formula::tensor("x", &[4, 3, 8, 8]);
    let net = supernet(&space);
    let leaves: Vec<Tensor> = space
        .decisions()
        .iter()
        .map(|d| {
            let uniform = Tensor::ones([d.choices.len() as i64], (Kind::Float, Device::Cpu));
            (uniform / d.choices.len() as f64).set_requires_grad(true)
        })
        .collect();
    let gates = SharedGates::soft(space.decisions(), &leaves, None);
    net.forward_t(&images, &gates, true).square().sum(Kind::Float).backward();
    for (d, leaf) in leaves.iter().enumerate() {
        assert!(leaf.grad().abs().max().double_value(&[]) > 0.0, "{}", space.decisions()[d].name);
    }

    // The second block is not picked, so neither its weights nor its statistics change.
    let net = supernet(&space);
    let before = formula::values(net.weights());
    let shallow = Architecture::new(space.id(), [1, 1, 1, 1, 1, 1, 0, 0, 1, 1]);
    let hard = SharedGates::hard(space.decisions(), &shallow, Device::Cpu);
    net.forward_t(&images, &hard, true).square().sum(Kind::Float).backward();
    let after = formula::values(net.weights());
    let graph = graph(&space);
    let second = graph.sites().nth(1).map(|(node, ..)| graph.nodes[node].name.clone()).unwrap();
    let of_second: Vec<_> =
        after.iter().filter(|(name, _)| name.starts_with(&format!("{second}."))).collect();
    assert!(!of_second.is_empty());
    for (name, value) in of_second {
        assert_eq!(*value, before[name], "{name}");
        let weight = &net.weights().variables()[name];
        assert!(!weight.requires_grad() || !weight.grad().defined(), "{name}");
    }
}

#[test]
fn methods_that_choose_among_operations_refuse_a_space_that_stretches_with_a_sentence() {
    let (space, mut n_of_cuts) = (StretchSpace::new(), 0);
    let of_gates = METHODS.iter().filter(|entry| !entry.is_two_stage);
    let (covering, others): (Vec<&MethodEntry>, Vec<&MethodEntry>) =
        of_gates.partition(|m| m.covers(&space));
    assert_eq!(covering.iter().map(|m| m.name).collect::<Vec<_>>(), ["fbnetv2"]);
    for entry in others {
        let error = entry.build(Preset::Quick, &Options::new(), &space, 0).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("searches spaces") && text.contains("found stretch"), "{text}");
        n_of_cuts += usize::from(text.contains("choose among operations and cut none down"));
    }
    assert!(n_of_cuts > 0);
}
