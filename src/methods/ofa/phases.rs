//! The phases of progressive shrinking: the choices drawn in each, and when each begins.

use lat_space::{
    Architecture, ChoiceSet, DecisionId, Graph, Measure, SearchSpace, Site, Step, count,
};

/// The largest number of phases in a search.
pub(super) const N_PHASES: usize = 6;

/// The part of a network that a decision shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The image, whose size is drawn in all phases.
    Size,
    /// Kernels, or operations if these are chosen.
    Kernel,
    /// The number of blocks in a stage.
    Depth,
    /// Channels.
    Width,
}

/// The order in which parts shrink: the part, and how many of its choices are drawn, largest first. An inner None means all of them.
const STAGES: [Option<(Part, Option<usize>)>; N_PHASES] = [
    None,
    Some((Part::Kernel, None)),
    Some((Part::Depth, Some(2))),
    Some((Part::Depth, None)),
    Some((Part::Width, Some(2))),
    Some((Part::Width, None)),
];

/// A phase of a search.
#[derive(Debug)]
pub(super) struct Phase {
    /// Its number among all possible phases; 0 trains the teacher.
    pub(super) number: usize,
    /// For each decision the choices that sub-networks are drawn from.
    pub(super) live: Vec<ChoiceSet>,
    /// Whether channels are sorted before its first step.
    pub(super) sorts: bool,
    /// Where it begins and ends, as shares of the search.
    from: f64,
    to: f64,
}

/// The phases of a search in order, without those that shrink nothing.
#[derive(Debug)]
pub(super) struct Phases {
    pub(super) all: Vec<Phase>,
    /// Decisions for the image size, which is the same for all networks of a step.
    pub(super) sizes: Vec<DecisionId>,
    pub(super) largest: Architecture,
}

impl Phases {
    /// The phases for a network with this largest architecture; `shares` are the proportions in which they share the search.
    pub(super) fn of(
        space: &dyn SearchSpace,
        graph: &Graph,
        largest: Architecture,
        shares: &[f64],
    ) -> Self {
        let n = space.decisions().len();
        let parts = parts(graph, n);
        let descending: Vec<Vec<usize>> =
            (0..n).map(|d| descending(space, graph, &largest, d)).collect();
        let mut live: Vec<ChoiceSet> = (0..n)
            .map(|d| match parts[d] {
                Part::Size => ChoiceSet::of(descending[d].iter().copied()),
                _ => largest.choices[d],
            })
            .collect();
        let mut all: Vec<Phase> = Vec::new();
        for (number, stage) in STAGES.iter().enumerate() {
            let before = live.clone();
            for d in 0..n {
                let Some((_, most)) = stage.filter(|(part, _)| *part == parts[d]) else { continue };
                let most = most.unwrap_or(descending[d].len());
                live[d] = ChoiceSet::of(descending[d].iter().copied().take(most));
            }
            if number == 0 || live != before {
                let sorts = stage.is_some_and(|(part, _)| part == Part::Width);
                all.push(Phase { number, live: live.clone(), sorts, from: 0.0, to: 0.0 });
            }
        }
        let sum: f64 = all.iter().map(|phase| shares[phase.number]).sum();
        let mut from = 0.0;
        for phase in &mut all {
            (phase.from, phase.to) = (from, from + shares[phase.number] / sum);
            from = phase.to;
        }
        let sizes = (0..n).filter(|&d| parts[d] == Part::Size).collect();
        Self { all, sizes, largest }
    }

    /// Index of the phase when this share of the search is done.
    pub(super) fn at(&self, progress: f64) -> usize {
        self.all.iter().rposition(|phase| phase.from <= progress).unwrap_or(0)
    }
}

impl Phase {
    /// Share of the phase that is done, from 0 to 1.
    pub(super) fn progress(&self, progress: f64) -> f64 {
        ((progress - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// The part that each decision shrinks. A decision that does not occur in this network counts as a kernel, which shrinks nothing.
fn parts(graph: &Graph, n: usize) -> Vec<Part> {
    let mut parts = vec![Part::Kernel; n];
    for node in &graph.nodes {
        match &node.step {
            Step::Resize { decision, .. } => parts[*decision] = Part::Size,
            Step::Pick { decision, .. } => parts[*decision] = Part::Depth,
            Step::Searched { site, .. } => of_site(site, &mut parts),
            _ => {}
        }
    }
    parts
}

fn of_site(site: &Site, parts: &mut [Part]) {
    for cut in site.candidates().iter().flat_map(|candidate| &candidate.cuts) {
        parts[cut.decision] = match cut.of {
            Measure::Kernel | Measure::TransformedKernel => Part::Kernel,
            Measure::Out | Measure::Middle | Measure::Expansion => Part::Width,
        };
    }
}

/// A decision's choices by the multiply-adds of the largest network with each, in descending order; ties put the last one first.
fn descending(
    space: &dyn SearchSpace,
    graph: &Graph,
    largest: &Architecture,
    decision: DecisionId,
) -> Vec<usize> {
    let multiply_adds = |choice: usize| {
        let mut architecture = largest.clone();
        architecture.choices[decision] = ChoiceSet::one(choice);
        count(&graph.derive(&architecture)).multiply_adds
    };
    let n = space.decisions()[decision].choices.len();
    let mut choices: Vec<(u64, usize)> = (0..n).map(|c| (multiply_adds(c), c)).collect();
    choices.sort_unstable_by(|a, b| b.cmp(a));
    choices.into_iter().map(|(_, choice)| choice).collect()
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::methods::tools::subnets::Extremes;

    const SHARES: [f64; N_PHASES] = [180.0, 125.0, 25.0, 125.0, 25.0, 125.0];

    fn phases(id: &str) -> (Box<dyn SearchSpace>, Phases) {
        let space = find_space(id).unwrap();
        let graph = space.graph(&find_skeleton(space.as_ref(), "quick").unwrap());
        let largest = Extremes::of(space.as_ref(), &graph).largest;
        let phases = Phases::of(space.as_ref(), &graph, largest, &SHARES);
        (space, phases)
    }

    /// The choices, by name, that a phase draws this decision from.
    fn names(space: &dyn SearchSpace, phase: &Phase, decision: &str) -> Vec<String> {
        let d = space.decisions().iter().position(|d| d.name == decision).unwrap();
        let names = space.decisions()[d].names();
        phase.live[d].iter().map(|c| names[c].clone()).collect()
    }

    // The table of the paper's repository.
    #[test]
    fn ofa_shrinks_kernels_then_depths_then_expansions() {
        let (space, phases) = phases("ofa");
        let table = [
            ("7", "4", "6"),
            ("3 5 7", "4", "6"),
            ("3 5 7", "3 4", "6"),
            ("3 5 7", "2 3 4", "6"),
            ("3 5 7", "2 3 4", "4 6"),
            ("3 5 7", "2 3 4", "3 4 6"),
        ];
        assert_eq!(phases.all.len(), N_PHASES);
        for (phase, (kernels, depths, expansions)) in phases.all.iter().zip(table) {
            let of = |decision| names(space.as_ref(), phase, decision).join(" ");
            assert_eq!(of("stage1/kernel1"), kernels);
            assert_eq!(of("stage2/depth"), depths);
            assert_eq!(of("stage3/expansion2"), expansions);
            assert_eq!(names(space.as_ref(), phase, "resolution").len(), 25, "from the start");
            assert_eq!(phase.sorts, phase.number >= 4);
        }
        assert_eq!(phases.sizes, [0]);
    }

    #[test]
    fn phases_take_their_shares_and_those_that_shrink_nothing_none() {
        let (_, ofa) = phases("ofa");
        for (epoch, expected) in
            [(0.0, 0), (179.9, 0), (180.1, 1), (305.1, 2), (330.1, 3), (455.1, 4), (480.1, 5)]
        {
            assert_eq!(ofa.at(epoch / 605.0), expected, "{epoch}");
        }
        assert_eq!(ofa.at(1.0), 5);
        assert!((ofa.all[1].progress(242.5 / 605.0) - 0.5).abs() < 1e-9);
        // No depths there: everything depends on operations and widths.
        let (_, fbnetv2) = phases("fbnetv2");
        let numbers: Vec<usize> = fbnetv2.all.iter().map(|phase| phase.number).collect();
        assert_eq!(numbers, [0, 1, 4, 5]);
        assert!((fbnetv2.all[3].to - 1.0).abs() < 1e-9);
    }
}
