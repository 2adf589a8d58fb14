//! Every operation that a node can have, and the choices under which it does.

use crate::cases::Cases;
use crate::{
    Candidate, Cut, DecisionId, Graph, Interpolation, Op, OpSpec, Shape, Site, Step, ValueId,
};

/// Choices that hold together, by decision in ascending order; an empty list always holds.
pub type Condition = Vec<(DecisionId, usize)>;

/// An operation that a node can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The node.
    pub node: ValueId,
    /// The choices under which the node has it.
    pub when: Condition,
    /// The operation; [`crate::Op::None`] if a choice leaves the place empty.
    pub op: OpSpec,
}

/// The channels and the size that a value can have.
#[derive(Debug, Clone)]
struct ValueCases {
    c: Cases<u32>,
    hw: Cases<u16>,
}

impl Graph {
    /// Every operation that a node can have, node by node in the order of the choices: these are the entries that a latency table
    /// needs, and what counters add up. If each decision takes one choice, two variants of a node never occur together, except
    /// the candidates of a choice that takes several.
    pub fn variants(&self) -> impl Iterator<Item = Variant> {
        let (values, presence) = (self.value_cases(), self.presence());
        self.nodes.iter().enumerate().flat_map(move |(node, n)| {
            let standing = standing_at(&n.step, &values).with(&presence[node]).0.into_iter();
            let standing = standing.filter(|(_, (_, is_present))| *is_present);
            standing.map(move |(when, (op, _))| Variant { node, when, op }).collect::<Vec<_>>()
        })
    }

    /// The operations that a node can have, whether or not the node is needed.
    pub(crate) fn operations_at(&self, node: ValueId) -> Vec<OpSpec> {
        let found = standing_at(&self.nodes[node].step, &self.value_cases());
        found.0.into_iter().map(|(_, op)| op).collect()
    }

    /// The shapes that a value can have, each with its condition.
    pub fn shapes_of(&self, value: ValueId) -> Vec<(Condition, Shape)> {
        let ValueCases { c, hw } = &self.value_cases()[value];
        c.with(hw).map(|&(c, hw)| Shape { c, hw }).0
    }

    /// Per value, whether its number of channels depends on the architecture.
    pub fn varying_widths(&self) -> Vec<bool> {
        if !self.is_elastic() {
            return vec![false; self.nodes.len()];
        }
        self.value_cases().iter().map(|value| value.c.0.len() > 1).collect()
    }

    fn value_cases(&self) -> Vec<ValueCases> {
        let mut all: Vec<ValueCases> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            all.push(cases_of(&node.step, node.shape, &all));
        }
        all
    }

    /// Per node the conditions under which it is needed, see [`Graph::needed`].
    fn presence(&self) -> Vec<Cases<bool>> {
        let readers = self.readers();
        let picks: Vec<(DecisionId, usize)> =
            self.nodes.iter().filter_map(|n| n.step.pick()).collect();
        let mut all = vec![Cases::always(true); self.nodes.len()];
        for id in (0..self.nodes.len()).rev().filter(|&id| !readers[id].is_empty()) {
            let reads = readers[id].iter().map(|&reader| match &self.nodes[reader].step {
                Step::Pick { from, decision } => {
                    let is_picked = from.iter().map(|&v| Cases::always(v == id)).collect();
                    let picked = all[reader].with(&Cases::by_choice(*decision, is_picked));
                    picked.map(|&(there, picked)| there && picked)
                }
                _ => all[reader].clone(),
            });
            let any = |any: Cases<bool>, read: Cases<bool>| any.with(&read).map(|&(a, b)| a || b);
            let present = reads.fold(Cases::always(false), any);
            all[id] = picks.iter().fold(present, |present, &(d, n)| present.merged(d, n));
        }
        all
    }

    /// Per node the nodes that read it.
    fn readers(&self) -> Vec<Vec<ValueId>> {
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            node.step.inputs().into_iter().for_each(|from| readers[from].push(id));
        }
        readers
    }

    /// Per node, whether it is needed if picks take the choices for which `takes` is true. A node is not needed if it is read
    /// only by picks that pick another value. Nodes that nothing reads at all stay, as they do in published parameter counts.
    pub fn needed(&self, takes: &dyn Fn(DecisionId, usize) -> bool) -> Vec<bool> {
        let mut needed: Vec<bool> = self.readers().iter().map(Vec::is_empty).collect();
        // Readers come after what they read.
        for id in (0..self.nodes.len()).rev() {
            if !needed[id] {
                continue;
            }
            match &self.nodes[id].step {
                Step::Pick { from, decision } => {
                    for (choice, &v) in from.iter().enumerate() {
                        needed[v] |= takes(*decision, choice);
                    }
                }
                step => step.inputs().into_iter().for_each(|v| needed[v] = true),
            }
        }
        needed
    }
}

/// The operations of a step, if its node is needed.
fn standing_at(step: &Step, values: &[ValueCases]) -> Cases<OpSpec> {
    let input = |from: ValueId| values[from].c.with(&values[from].hw);
    let shape = |&(c, hw): &(u32, u16)| Shape { c, hw };
    match step {
        Step::Fixed { from, op, .. } => input(*from).map(|i| op.behind(shape(i))),
        Step::Searched { from, site, .. } => {
            let input = input(*from).map(shape);
            match site {
                Site::Choice { decision, candidates } => {
                    let of = |(choice, candidate): (usize, &Candidate)| {
                        let own = operations(candidate, &input);
                        own.with(&Cases(vec![(vec![(*decision, choice)], ())])).0
                    };
                    let all = candidates.iter().enumerate().flat_map(of);
                    Cases(all.map(|(when, (op, ()))| (when, op)).collect())
                }
                Site::Elastic(candidate) => operations(candidate, &input),
            }
        }
        Step::Resize { from, decision, hw, by } => resizes(&input(*from), *decision, hw, *by),
        _ => Cases(vec![]),
    }
}

fn cases_of(step: &Step, largest: Shape, before: &[ValueCases]) -> ValueCases {
    let behind = |from: ValueId, op: &OpSpec| ValueCases {
        c: before[from].c.map(|&c| op.behind(Shape { c, hw: op.hw_in }).c_out),
        hw: before[from].hw.map(|&hw| op.behind(Shape { c: op.c_in, hw }).hw_out()),
    };
    match step {
        Step::Input | Step::Head { .. } | Step::Auxiliary { .. } => {
            ValueCases { c: Cases::always(largest.c), hw: Cases::always(largest.hw) }
        }
        Step::Fixed { from, op, .. } => behind(*from, op),
        Step::Searched { from, site, .. } => {
            let first = &site.candidates()[0].largest;
            let out = |candidate: &Candidate| {
                let cut = candidate.cuts.iter().find(|cut| cut.of == crate::Measure::Out);
                cut.map_or_else(|| behind(*from, &candidate.largest).c, of_cut)
            };
            let c = match site {
                Site::Elastic(candidate) => out(candidate),
                Site::Choice { decision, candidates } => {
                    Cases::by_choice(*decision, candidates.iter().map(out).collect())
                }
            };
            ValueCases { c, ..behind(*from, first) }
        }
        Step::Sum(from) => match from.first() {
            Some(&first) => before[first].clone(),
            None => cases_of(&Step::Input, largest, before),
        },
        Step::Concat(from) => {
            let add = |sum: Cases<u32>, &v: &ValueId| sum.with(&before[v].c).map(|(a, b)| a + b);
            let c = from.iter().fold(Cases::always(0), add);
            ValueCases { c, hw: before[from[0]].hw.clone() }
        }
        Step::Pick { from, decision } => {
            let c = from.iter().map(|&v| before[v].c.clone()).collect();
            let hw = from.iter().map(|&v| before[v].hw.clone()).collect();
            ValueCases { c: Cases::by_choice(*decision, c), hw: Cases::by_choice(*decision, hw) }
        }
        Step::Resize { from, decision, hw, .. } => {
            let sizes = hw.iter().map(|&hw| Cases::always(hw)).collect();
            ValueCases { c: before[*from].c.clone(), hw: Cases::by_choice(*decision, sizes) }
        }
    }
}

/// The resizes that a step can be; a map that already has the size stays as it is.
fn resizes(
    input: &Cases<(u32, u16)>,
    decision: DecisionId,
    hw: &[u16],
    by: Interpolation,
) -> Cases<OpSpec> {
    let sizes = hw.iter().map(|&hw| Cases::always(hw)).collect();
    let all = input.with(&Cases::by_choice(decision, sizes)).0.into_iter();
    let changes = all.filter(|(_, ((_, from), to))| from != to);
    let op =
        |(c, hw_in), hw| OpSpec { op: Op::Resize { hw, by }, c_in: c, c_out: c, stride: 1, hw_in };
    Cases(changes.map(|(when, (from, to))| (when, op(from, to))).collect())
}

/// The size that a cut leaves, for each choice.
fn of_cut(cut: &Cut) -> Cases<u32> {
    Cases::by_choice(cut.decision, cut.values.iter().map(|&v| Cases::always(v)).collect())
}

/// The operations that a candidate can be, behind these inputs.
fn operations(candidate: &Candidate, input: &Cases<Shape>) -> Cases<OpSpec> {
    let uncut = input.map(|&input| candidate.largest.behind(input));
    candidate.cuts.iter().fold(uncut, |specs, cut| {
        specs.with(&of_cut(cut)).map(|&(spec, value)| spec.cut(cut.of, value))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{Op, SPACES, Step, architecture_at};

    #[test]
    fn what_stands_under_an_architecture_is_what_is_derived() {
        for space in SPACES.iter().map(|build| build()) {
            let graph = space.graph(&space.skeletons()[0].skeleton);
            for i in 0..10 {
                let architecture = architecture_at(space.as_ref(), 1, i).unwrap();
                let mut expected = BTreeMap::new();
                for node in &graph.derive(&architecture).nodes {
                    if let Step::Fixed { op, .. } = node.step {
                        *expected.entry(op).or_insert(0) += 1;
                    }
                }
                let mut found = BTreeMap::new();
                let stands = |&(d, c): &(usize, usize)| architecture.choices[d].contains(c);
                for variant in graph.variants().filter(|v| v.when.iter().all(stands)) {
                    if variant.op.op != Op::None {
                        *found.entry(variant.op).or_insert(0) += 1;
                    }
                }
                assert_eq!(found, expected, "{}", space.format(&architecture));
            }
        }
    }
}
