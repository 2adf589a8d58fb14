//! Derives one architecture from a distribution, with the conditions that every derived one must meet.

use lat_space::{Architecture, DecisionId, Group, SearchSpace};
use tch::Tensor;

use crate::relaxed::{EdgeSets, Relaxed, Topology};

/// Up to this many undecided decisions, all ways to reconnect a network are compared.
const MOST_COMPARED: usize = 12;

/// DARTS' rule: in each group keep the strongest decisions, each with its most probable choice other than `none`. A decision outside
/// groups takes its most probable choice. In a tie the earlier one wins.
///
/// If sets of edges are chosen as a whole (`TopoNAS`), the most probable set is kept, which need not consist of the strongest edges.
///
/// If edges do not compete (SNAS), every decision takes its most probable choice, including `none`. A group that would lose all its
/// edges keeps the one that gives up the least log-probability: a published cell has no node without input.
///
/// If `none` then cuts every path from image to output (possible in NAS-Bench-201, and a large lambda leads there), the most
/// probable reconnected architecture is taken instead: a network that ignores its input is useless.
pub fn derive(space: &dyn SearchSpace, relaxed: &Relaxed) -> Architecture {
    let decisions = space.decisions();
    let dropped = dropped(space, &relaxed.topology);
    let grouped: Vec<usize> = dropped.iter().map(|(d, _)| *d).collect();
    let probs: Vec<Vec<f64>> = relaxed.probs.iter().map(values).collect();
    let without_none = |d: usize| best(&probs[d], decisions[d].none());
    let mut choices: Vec<usize> = (0..decisions.len())
        .map(|d| if grouped.contains(&d) { without_none(d) } else { best(&probs[d], None) })
        .collect();
    for (d, _) in dropped.into_iter().filter(|(_, is_dropped)| *is_dropped) {
        choices[d] = decisions[d].none().expect("edges are dropped by `none`");
    }
    let is_none = |d: usize, choices: &[usize]| Some(choices[d]) == decisions[d].none();
    let loss_of =
        |d: usize, choices: &[usize]| (probs[d][choices[d]] / probs[d][without_none(d)]).ln();
    if matches!(relaxed.topology, Topology::Free) {
        for group in space.groups() {
            if group.decisions.iter().all(|&d| is_none(d, &choices)) {
                let loss = |&d: &usize| (d, loss_of(d, &choices));
                let least = group.decisions.iter().map(loss).min_by(|a, b| a.1.total_cmp(&b.1));
                let (kept, _) = least.expect("groups have members");
                choices[kept] = without_none(kept);
            }
        }
    }
    let architecture = Architecture::new(space.id(), choices.iter().copied());
    if space.reads_input(&architecture) {
        return architecture;
    }
    let cut: Vec<(usize, usize, f64)> = (0..decisions.len())
        .filter(|&d| !grouped.contains(&d) && is_none(d, &choices))
        .map(|d| (d, without_none(d), loss_of(d, &choices)))
        .collect();
    reconnected(space, &choices, cut).unwrap_or(architecture)
}

/// The decisions that are kept or dropped together with others, with a flag that says whether they are dropped.
fn dropped(space: &dyn SearchSpace, topology: &Topology) -> Vec<(DecisionId, bool)> {
    match topology {
        Topology::Free => Vec::new(),
        Topology::Strengths(strengths) => {
            space.groups().iter().flat_map(|group| weakest(group, strengths)).collect()
        }
        Topology::Sets(sets) => sets.iter().flat_map(outside).collect(),
    }
}

/// Marks all but a group's `keep` strongest decisions as dropped.
fn weakest(group: &Group, strengths: &[Tensor]) -> Vec<(DecisionId, bool)> {
    let strength = |d: &DecisionId| strengths[*d].double_value(&[]);
    let mut order = group.decisions.clone();
    // The sort is stable: among equals the earlier one comes first.
    order.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
    order.into_iter().enumerate().map(|(place, d)| (d, place >= group.keep)).collect()
}

/// Marks every decision outside the most probable set as dropped.
fn outside(sets: &EdgeSets) -> Vec<(DecisionId, bool)> {
    let members = values(&sets.members.get(best(&values(&sets.logits), None) as i64));
    sets.decisions.iter().zip(members).map(|(&d, member)| (d, member < 0.5)).collect()
}

/// The connected architecture that gives up the least log-probability by replacing some `none`; `cut` lists for each `none` the
/// decision, the replacement and the lost log-probability.
fn reconnected(
    space: &dyn SearchSpace,
    choices: &[usize],
    mut cut: Vec<(usize, usize, f64)>,
) -> Option<Architecture> {
    cut.sort_by(|a, b| a.2.total_cmp(&b.2));
    cut.truncate(MOST_COMPARED);
    let picked = |bits: u32| (0..cut.len()).filter(move |i| bits >> i & 1 == 1);
    let mut subsets: Vec<(f64, u32)> =
        (1u32..1 << cut.len()).map(|bits| (picked(bits).map(|i| cut[i].2).sum(), bits)).collect();
    subsets.sort_by(|a, b| a.0.total_cmp(&b.0));
    subsets.into_iter().find_map(|(_, bits)| {
        let mut choices = choices.to_vec();
        picked(bits).for_each(|i| choices[cut[i].0] = cut[i].1);
        let architecture = Architecture::new(space.id(), choices);
        space.reads_input(&architecture).then_some(architecture)
    })
}

/// Whether an operation with weights lies between a cell's input and output. With only skips, pools and `none`, just the network's
/// fixed layers can learn.
pub fn learns(space: &dyn SearchSpace, architecture: &Architecture) -> bool {
    space.structure().learns(space.decisions(), architecture)
}

fn best(probs: &[f64], without: Option<usize>) -> usize {
    let candidates = (0..probs.len()).filter(|c| Some(*c) != without);
    candidates.reduce(|a, b| if probs[b] > probs[a] { b } else { a }).unwrap_or(0)
}

fn values(probs: &Tensor) -> Vec<f64> {
    (0..probs.size()[0]).map(|c| probs.double_value(&[c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lat_space::{NasBench201, Space};

    #[test]
    fn a_network_that_ignores_its_input_is_reconnected_at_the_least_loss() {
        let space = NasBench201::new();
        let edge = |skip: f32| Tensor::from_slice(&[0.5f32, skip, 0.1, 0.1, 0.3 - skip]);
        let probs = vec![edge(0.2), edge(0.2), edge(0.2), edge(0.29), edge(0.2), edge(0.2)];
        let strengths = (0..6).map(|_| Tensor::from(1.0f32)).collect();
        let derived = derive(&space, &Relaxed::competing(probs, strengths));
        let expected = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";
        assert_eq!(space.format(&derived), expected);
    }
}
