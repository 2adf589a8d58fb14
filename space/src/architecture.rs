//! Architectures, and the sets of choices that they are made of.

use serde::{Deserialize, Serialize};

use crate::number::number_of;
use crate::{Choice, Decision, DecisionId};

/// Decisions that compete for `keep` places, such as a node's in-edges in DARTS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The decisions that compete.
    pub decisions: Vec<DecisionId>,
    /// How many of them a published architecture keeps.
    pub keep: usize,
}

/// The choices taken at one decision. Nearly always there is exactly one. Some methods derive several operations on one edge, so
/// the type allows more (EnTranNAS-DST). At a decision that is a number the set holds that number, as the one choice that
/// [`crate::choice_of`] makes of it.
///
/// Stored as one bit per choice, or as the number together with its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChoiceSet(u64);

impl ChoiceSet {
    /// Exactly one choice.
    pub fn one(choice: usize) -> Self {
        if number_of(choice).is_some() {
            return Self(choice as u64);
        }
        assert!(choice < 32, "a decision has at most 32 choices");
        Self(1 << choice)
    }

    /// The set of these choices; duplicates count once.
    pub fn of(choices: impl IntoIterator<Item = usize>) -> Self {
        Self(choices.into_iter().map(Self::one).fold(0, |bits, c| bits | c.0))
    }

    /// Whether the set contains the choice.
    pub fn contains(self, choice: usize) -> bool {
        match number_of(choice) {
            Some(_) => self.0 == choice as u64,
            None => self.number().is_none() && choice < 32 && self.0 >> choice & 1 == 1,
        }
    }

    /// Whether the two sets share a choice.
    pub fn intersects(self, other: Self) -> bool {
        match (self.number(), other.number()) {
            (None, None) => self.0 & other.0 != 0,
            _ => self == other,
        }
    }

    /// The choices in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let (number, mut left) = match self.number() {
            Some(_) => (Some(self.0 as usize), 0),
            None => (None, self.0),
        };
        let choices = std::iter::from_fn(move || {
            let next = left.trailing_zeros() as usize;
            (left != 0).then(|| {
                left &= left - 1;
                next
            })
        });
        number.into_iter().chain(choices)
    }

    /// The number of choices in the set.
    pub fn len(self) -> usize {
        if self.number().is_some() { 1 } else { self.0.count_ones() as usize }
    }

    /// Whether the set is empty (never the case in a checked architecture).
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The choice, if there is exactly one.
    pub fn only(self) -> Option<usize> {
        match self.number() {
            Some(_) => Some(self.0 as usize),
            None => (self.len() == 1).then(|| self.0.trailing_zeros() as usize),
        }
    }

    /// The number, if the decision is a number.
    pub fn number(self) -> Option<f32> {
        number_of(self.0 as usize)
    }
}

/// A point of a search space: the choices taken at each decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Architecture {
    /// Id of the space.
    pub space: String,
    /// One set per decision, in the space's order.
    pub choices: Box<[ChoiceSet]>,
}

impl Architecture {
    /// One choice per decision.
    pub fn new(space: &str, choices: impl IntoIterator<Item = usize>) -> Self {
        Self { space: space.to_owned(), choices: choices.into_iter().map(ChoiceSet::one).collect() }
    }

    /// The gate vector over all decisions and choices, `none` included, 0 or 1 each; at decisions that are numbers
    /// [`crate::NumberRange::gates`].
    pub fn gates(&self, decisions: &[Decision]) -> Vec<f32> {
        let n: usize = decisions.iter().map(Decision::n_gates).sum();
        let mut gates = vec![0.0; n];
        self.write_gates(decisions, &mut gates, 1, 0);
        gates
    }

    /// Writes this architecture's gates into `columns`, which must hold zeros for row `row` of `n`: gate g is at `g * n + row`.
    pub fn write_gates(&self, decisions: &[Decision], columns: &mut [f32], n: usize, row: usize) {
        let mut first = 0;
        for (decision, set) in decisions.iter().zip(&self.choices) {
            match (decision.number, set.number()) {
                (Some(range), Some(value)) => {
                    for (gate, value) in range.gates(value).into_iter().enumerate() {
                        columns[(first + gate) * n + row] = value;
                    }
                }
                _ => set.iter().for_each(|choice| columns[(first + choice) * n + row] = 1.0),
            }
            first += decision.n_gates();
        }
    }

    /// How many decisions take a skip connection, per cell type. Cell types are in the order in which they first appear.
    pub fn skip_counts(&self, decisions: &[Decision]) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for (decision, set) in decisions.iter().zip(&self.choices) {
            let skips = set.iter().any(|c| decision.choices.get(c).is_some_and(Choice::is_skip));
            match counts.iter_mut().find(|(cell, _)| cell == decision.cell_type()) {
                Some((_, n)) => *n += usize::from(skips),
                None => counts.push((decision.cell_type().to_owned(), usize::from(skips))),
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weightless_choices_are_those_of_the_operations() {
        for space in crate::SPACES.iter().map(|build| build()) {
            let graph = space.graph(&space.skeletons()[0].skeleton);
            for crate::Variant { when, op: spec, .. } in graph.variants() {
                let [(d, c)] = when[..] else { continue };
                let decision = &space.decisions()[d];
                // A skip that halves or widens the map has weights, but they belong to the path, not to the choice.
                let changes = spec.stride > 1 || spec.c_in != spec.c_out;
                let is_path = changes && decision.choices[c].is_skip();
                let expected = spec.op.is_parameter_free() || is_path;
                assert_eq!(decision.is_weightless(c), expected, "{}", decision.choices[c]);
            }
        }
    }

    #[test]
    fn gates_by_column_are_those_by_row() {
        for space in crate::SPACES.iter().map(|build| build()) {
            let decisions = space.decisions();
            let all: Vec<_> =
                (0..3).map(|i| crate::architecture_at(space.as_ref(), 1, i).unwrap()).collect();
            let width = all[0].gates(decisions).len();
            let mut columns = vec![0.0; 3 * width];
            for (row, architecture) in all.iter().enumerate() {
                architecture.write_gates(decisions, &mut columns, 3, row);
            }
            for (row, architecture) in all.iter().enumerate() {
                let found: Vec<f32> = (0..width).map(|g| columns[g * 3 + row]).collect();
                assert_eq!(found, architecture.gates(decisions));
            }
        }
    }

    #[test]
    fn choice_sets_hold_what_was_put_in() {
        let set = ChoiceSet::of([3, 1, 3]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!((set.len(), set.only(), set.contains(2)), (2, None, false));
        assert!(set.intersects(ChoiceSet::one(3)) && !set.intersects(ChoiceSet::of([0, 2])));
        assert_eq!(ChoiceSet::one(5).only(), Some(5));
    }
}
