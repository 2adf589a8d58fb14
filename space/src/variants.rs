//! Every operation that can stand at a node, with the choices under which it does.

use crate::{DecisionId, Graph, OpSpec, Site, Step, ValueId};

/// Choices that hold together, by decision in ascending order; of no choices: always.
pub type Condition = Vec<(DecisionId, usize)>;

/// An operation that can stand at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The node.
    pub node: ValueId,
    /// The choices under which it stands there.
    pub when: Condition,
    /// The operation; [`crate::Op::None`] where a choice leaves the place empty.
    pub op: OpSpec,
}

impl Graph {
    /// Every operation that can stand at a node, node by node in the order of the choices: what a latency table needs entries for,
    /// and what counters add up.
    pub fn variants(&self) -> impl Iterator<Item = Variant> {
        self.nodes.iter().enumerate().flat_map(|(node, n)| {
            let found: Vec<(Condition, OpSpec)> = match &n.step {
                Step::Fixed { op, .. } => vec![(vec![], *op)],
                Step::Searched { site: Site::Choice { decision, candidates }, .. } => {
                    let when = |choice| vec![(*decision, choice)];
                    candidates.iter().enumerate().map(|(c, op)| (when(c), *op)).collect()
                }
                _ => vec![],
            };
            found.into_iter().map(move |(when, op)| Variant { node, when, op })
        })
    }
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
