//! Contracts of all spaces: texts, draws, codes.

use std::collections::HashSet;

use lat::supernet::{Gating, SharedGates};
use lat_space::{Architecture, FeatureMap, SPACES, SearchSpace, architecture_at};
use tch::{Device, Tensor};

use crate::{setup, toy};

/// The number of draws: 200, or the size of the space if that is smaller.
fn n_draws(space: &dyn SearchSpace) -> u64 {
    space.size().min(200) as u64
}

fn draws(space: &dyn SearchSpace, seed: u64) -> Vec<Architecture> {
    (0..n_draws(space)).map(|i| architecture_at(space, seed, i).unwrap()).collect()
}

#[test]
fn text_comes_back_as_the_architecture_it_was() {
    for space in SPACES.iter().map(|build| build()) {
        let mut texts = HashSet::new();
        for architecture in draws(space.as_ref(), 0) {
            let text = space.format(&architecture);
            assert_eq!(space.parse(&text), Ok(architecture), "{} {text}", space.id());
            texts.insert(text);
        }
        assert_eq!(
            texts.len() as u64,
            n_draws(space.as_ref()),
            "texts of {} tell architectures apart",
            space.id()
        );
    }
}

#[test]
fn every_cell_reads_one_value_and_computes_one() {
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        let numbers: HashSet<u16> = graph.sites().map(|(_, cell, _)| cell).collect();
        let cells = graph.cells();
        assert_eq!(cells.len(), numbers.len(), "{}", space.id());
        let sites = |range: (usize, usize)| {
            graph.sites().filter(|(node, ..)| range.0 < *node && *node <= range.1).count()
        };
        let within: usize = cells.iter().map(|&cell| sites(cell)).sum();
        assert_eq!(within, graph.sites().count(), "{}: each site is within a cell", space.id());
        for pair in cells.windows(2) {
            assert!(pair[0].0 < pair[0].1 && pair[0].1 <= pair[1].0, "{}: {pair:?}", space.id());
        }
    }
}

#[test]
fn draws_are_valid_and_distinct() {
    for space in SPACES.iter().map(|build| build()) {
        let all = draws(space.as_ref(), 3);
        for (i, architecture) in all.iter().enumerate() {
            assert_eq!(space.check(architecture), Ok(()), "{} {i}", space.id());
        }
        assert_eq!(
            all.iter().collect::<HashSet<_>>().len() as u64,
            n_draws(space.as_ref()),
            "{}",
            space.id()
        );
    }
}

#[test]
fn a_draw_depends_on_space_seed_and_number_alone() {
    for build in SPACES {
        let (space, again) = (build(), build());
        let all = draws(space.as_ref(), 5);
        for (i, architecture) in all.iter().enumerate().rev() {
            let alone = architecture_at(again.as_ref(), 5, i as u64).unwrap();
            assert_eq!(&alone, architecture, "{} {i}", space.id());
        }
        assert_ne!(draws(space.as_ref(), 6), all, "{}: the seed matters", space.id());
    }
}

#[test]
fn the_code_of_an_architecture_is_that_of_the_gates_a_supernet_gets() {
    setup::ready();
    for space in SPACES.iter().map(|build| build()) {
        let decisions = space.decisions();
        for encoding in [space.encoding(), space.counts_encoding()] {
            let map = FeatureMap::of_encoding(&encoding);
            for architecture in draws(space.as_ref(), 1).iter().take(50) {
                let hard = map.encode(&architecture.gates(decisions));
                let gates = SharedGates::hard(decisions, architecture, Device::Cpu);
                let weights: Vec<Tensor> =
                    (0..decisions.len()).map(|d| gates.gate(d, 0).weights).collect();
                let soft = Vec::<f32>::try_from(&Tensor::cat(&weights, 0)).unwrap();
                let soft = map.encode(&soft);
                assert_eq!(hard, soft, "{} {}", space.id(), encoding.id);
                let taken = architecture.choices.iter().zip(decisions).map(|(set, decision)| {
                    set.iter().filter(|&c| Some(c) != decision.none()).count()
                });
                let sum: f32 = hard.iter().sum();
                assert_eq!(sum, taken.sum::<usize>() as f32, "{} {}", space.id(), encoding.id);
            }
        }
    }
}

#[test]
fn one_hot_codes_tell_architectures_apart() {
    for space in SPACES.iter().map(|build| build()) {
        let map = FeatureMap::of_encoding(&space.encoding());
        let code = |a: &Architecture| {
            let code = map.encode(&a.gates(space.decisions()));
            code.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let codes: HashSet<Vec<u32>> = draws(space.as_ref(), 2).iter().map(code).collect();
        assert_eq!(codes.len() as u64, n_draws(space.as_ref()), "{}", space.id());
    }
}
