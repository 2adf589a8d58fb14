//! How the decisions of a space act together.

use crate::{Architecture, Decision, DecisionId};

/// Up to this number of blocks all pairs of blocks count as neighbours; if there are more, only consecutive ones.
const FEW_BLOCKS: usize = 8;

/// The condition for a decision's slot to exist: another decision takes one of these choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The deciding decision, such as a stage's depth.
    pub decision: DecisionId,
    /// Its choices with which the slot exists.
    pub choices: Vec<usize>,
}

/// Decisions as the edges of a small directed graph. Only edges between input and output have an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edges {
    /// Per decision the nodes that it joins; None for decisions that are not edges.
    pub ends: Vec<Option<(usize, usize)>>,
    /// The node that all paths begin at.
    pub input: usize,
    /// The node that all paths end at.
    pub output: usize,
}

/// How the decisions of a space act together. Predictors derive their features from it; nothing in it is a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    /// Per decision its class. Choices of the decisions of one class are counted together.
    pub classes: Vec<usize>,
    /// Per decision the number that each choice stands for, if its choices are numbers (a width, a depth).
    pub values: Vec<Option<Vec<f64>>>,
    /// Per decision the condition for its slot to exist; None if it always exists.
    pub presence: Vec<Option<Presence>>,
    /// Decisions that describe one layer together, such as its kernel size and its expansion. Scales are in no block.
    pub blocks: Vec<Vec<DecisionId>>,
    /// Blocks that work on maps of one size, by number. Empty if this is not known.
    pub stages: Vec<Vec<usize>>,
    /// Decisions that multiply the work of all others, such as the resolution.
    pub scales: Vec<DecisionId>,
    /// Blocks that may affect each other, by number.
    pub pairs: Vec<(usize, usize)>,
    /// The graph, if decisions are edges and the runtime may leave dead ends out.
    pub edges: Option<Edges>,
}

impl Structure {
    /// Whether anything with weights lies between input and output: on a path of edges between them or, if decisions are not
    /// edges, anywhere. `none` leads nowhere.
    pub fn learns(&self, decisions: &[Decision], architecture: &Architecture) -> bool {
        let taken = |d: DecisionId| architecture.choices[d].iter();
        let Some(edges) = &self.edges else {
            return (0..decisions.len())
                .any(|d| taken(d).any(|choice| !decisions[d].is_weightless(choice)));
        };
        // Nodes that a signal reaches, and those reached by a signal that has passed something with weights.
        let (mut reached, mut learned) = (vec![edges.input], Vec::new());
        loop {
            let before = (reached.len(), learned.len());
            for (d, ends) in edges.ends.iter().enumerate() {
                let Some((from, to)) = *ends else { continue };
                for choice in taken(d).filter(|&choice| decisions[d].none() != Some(choice)) {
                    let arrives = reached.contains(&from);
                    let has_weights = arrives && !decisions[d].is_weightless(choice);
                    if arrives && !reached.contains(&to) {
                        reached.push(to);
                    }
                    if (has_weights || learned.contains(&from)) && !learned.contains(&to) {
                        learned.push(to);
                    }
                }
            }
            if before == (reached.len(), learned.len()) {
                return learned.contains(&edges.output);
            }
        }
    }

    /// The structure in which each decision is a block of its own, counted with those of its cell type that have the same
    /// choices.
    pub fn independent(decisions: &[Decision]) -> Self {
        let class_of = |d: &Decision| {
            let is_same = |o: &Decision| o.cell_type() == d.cell_type() && o.choices == d.choices;
            decisions.iter().position(is_same).expect("a decision is like itself")
        };
        let blocks: Vec<Vec<DecisionId>> = (0..decisions.len()).map(|d| vec![d]).collect();
        Self {
            classes: decisions.iter().map(class_of).collect(),
            values: vec![None; decisions.len()],
            presence: vec![None; decisions.len()],
            pairs: neighbours(blocks.len()),
            blocks,
            stages: Vec::new(),
            scales: Vec::new(),
            edges: None,
        }
    }
}

/// All pairs if there are few blocks; if there are many, each with the next.
pub(crate) fn neighbours(n_blocks: usize) -> Vec<(usize, usize)> {
    let is_pair = |&(a, b): &(usize, usize)| a < b && (n_blocks <= FEW_BLOCKS || b == a + 1);
    (0..n_blocks).flat_map(|a| (a + 1..n_blocks).map(move |b| (a, b))).filter(is_pair).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Darts, NasBench201, Space};

    #[test]
    fn darts_has_two_classes_and_neighbours() {
        let structure = Darts::new().structure();
        assert_eq!(structure.classes[..14], [0; 14]);
        assert_eq!(structure.classes[14..], [14; 14]);
        assert_eq!(structure.pairs.len(), 27);
    }

    #[test]
    fn nasbench201_is_a_graph_of_four_nodes() {
        let structure = NasBench201::new().structure();
        assert_eq!(structure.pairs.len(), 15);
        let edges = structure.edges.unwrap();
        assert_eq!((edges.ends.len(), edges.input, edges.output), (6, 0, 3));
    }
}
