//! Helpers for the lists of several methods: which operations were computed and which learnt, and how often each was drawn.

use std::collections::{HashMap, HashSet};

use lat::methods::{Batch, Batches, Context, Method, Options, Preset, StepReport, find_method};
use lat::supernet::{AllChannels, BuildMixedOp, CellSupernet, Path, Supernet};
use lat_space::{Architecture, SPACES, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::toy_net::Pass;
use crate::{formula, setup, toy};

/// The method with the paper's settings, except for some options.
pub(super) fn built(
    method: &str,
    space: &dyn SearchSpace,
    options: &[(&str, toml::Value)],
) -> Box<dyn Method> {
    setup::ready();
    let options: Options = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    find_method(method).unwrap().build(Preset::Paper, &options, space, 1).unwrap()
}

/// Checks that some space rejects the option with a sentence that contains this text.
pub(super) fn refused(method: &str, (key, value): (&str, toml::Value), expected: &str) {
    setup::ready();
    let options = Options::from_iter([(key.to_owned(), value)]);
    let entry = find_method(method).unwrap();
    let spaces = SPACES.iter().map(|build| build());
    let mut errors =
        spaces.filter_map(|s| entry.build(Preset::Paper, &options, s.as_ref(), 1).err());
    let found = errors.find(|e| e.is_bad_input() && e.to_string().contains(expected));
    assert!(found.is_some(), "{key}: nothing says '{expected}'");
}

/// A small supernet of the space, with weights set by the formula.
pub(super) fn real_net(space: &dyn SearchSpace) -> CellSupernet {
    net_of(space, &AllChannels)
}

/// A small supernet whose sites are of this kind.
pub(super) fn net_of(space: &dyn SearchSpace, sites: &dyn BuildMixedOp) -> CellSupernet {
    let _generator = setup::exclusive();
    let graph = space.graph(&toy::skeleton(space));
    let net = CellSupernet::new(graph, sites, Device::Cpu).unwrap();
    formula::fill(net.weights());
    net
}

/// Makes one step in the middle of the search, on arbitrary images.
pub(super) fn steps_on_images(
    method: &mut dyn Method,
    space: &dyn SearchSpace,
    net: &dyn Supernet,
) -> StepReport {
    let batch = |name: &str, n_views: usize| Batch {
        images: formula::tensor(name, &[4 * n_views as i64, 3, 8, 8]),
        labels: Tensor::from_slice(&[3i64, 7, 1, 9]),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut cx = Context { space, net, objective: None, progress: 0.5, rng: &mut rng };
    method
        .step(
            &mut cx,
            &Batches { train: batch("train", method.n_views()), valid: batch("valid", 1) },
        )
        .unwrap()
}

/// For each decision the choice with the largest weight.
pub(super) fn drawn(pass: &Pass) -> Vec<usize> {
    let drawn = Vec::<i64>::try_from(&pass.weights.argmax(-1, false)).unwrap();
    drawn.into_iter().map(|c| c as usize).collect()
}

/// How often each choice was drawn, over all decisions and passes.
pub(super) fn frequencies(passes: &[Pass]) -> Vec<f64> {
    let n_choices = passes[0].weights.size()[1] as usize;
    let mut counts = vec![0.0; n_choices];
    let all: Vec<usize> = passes.iter().flat_map(drawn).collect();
    for &c in &all {
        counts[c] += 1.0;
    }
    counts.into_iter().map(|n| n / all.len() as f64).collect()
}

/// Checks that exactly the architecture's operations have run in one cell: the running statistics of all others are unchanged.
pub(super) fn assert_cell_ran(
    space: &dyn SearchSpace,
    net: &CellSupernet,
    before: &HashMap<String, Tensor>,
    cell: u16,
    architecture: &Architecture,
) {
    let after = formula::values(net.weights());
    let graph = space.graph(&toy::skeleton(space)).pruned(false);
    let mut seen = HashSet::new();
    for (node, _, decision, candidates) in graph.choices().filter(|s| s.1 == cell) {
        for (choice, spec) in candidates.iter().enumerate() {
            let prefix = format!("{}.{}.", graph.nodes[node].name, spec.op.name());
            let of_op = after.iter().filter(|(name, _)| name.starts_with(&prefix));
            for (name, value) in of_op.filter(|(name, _)| name.contains("running_")) {
                let expected = architecture.choices[decision].contains(choice);
                assert_eq!(*value != before[name], expected, "{name}");
                seen.insert(expected);
            }
        }
    }
    assert_eq!(seen.len(), 2, "some operations rest, some do not");
}

/// Checks that exactly the operations on a path of `computed` have run (their running statistics moved), and that exactly those
/// on an open path of `trained` have learnt (their weights moved).
pub(super) fn assert_computed(
    space: &dyn SearchSpace,
    net: &CellSupernet,
    before: &HashMap<String, Tensor>,
    trained: &[Pass],
    computed: &[Pass],
) {
    let after = formula::values(net.weights());
    let is_open = |passes: &[Pass], d: usize, c: usize, probed: bool| {
        let open = |path: Path| path == Path::On || (probed && path == Path::Probe);
        passes.iter().any(|pass| open(pass.paths[d][c]))
    };
    let mut seen = [HashSet::new(), HashSet::new()];
    let graph = space.graph(&toy::skeleton(space)).pruned(false);
    for (node, _, decision, candidates) in graph.choices() {
        for (choice, spec) in candidates.iter().enumerate() {
            let prefix = format!("{}.{}.", graph.nodes[node].name, spec.op.name());
            for (name, value) in after.iter().filter(|(name, _)| name.starts_with(&prefix)) {
                let moved = *value != before[name];
                let is_statistic = name.contains("running_");
                let expected = if is_statistic {
                    is_open(computed, decision, choice, true)
                } else {
                    is_open(trained, decision, choice, false)
                };
                seen[usize::from(is_statistic)].insert(expected);
                assert_eq!(moved, expected, "{name}");
            }
        }
    }
    assert!(seen.iter().all(|s| s.len() == 2), "some operations rest, some do not");
}
