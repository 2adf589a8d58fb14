//! Values that depend on choices, such as the width of a map behind a searched operation.

use crate::{Condition, DecisionId};

/// The value under each condition. The conditions exclude one another and together cover all architectures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cases<T>(pub(crate) Vec<(Condition, T)>);

impl<T: Clone + PartialEq> Cases<T> {
    /// The value, whatever is chosen.
    pub(crate) fn always(value: T) -> Self {
        Self(vec![(vec![], value)])
    }

    /// Joins the cases of each choice of a decision. Cases in which the choice makes no difference are merged.
    pub(crate) fn by_choice(decision: DecisionId, cases: Vec<Self>) -> Self {
        let n = cases.len();
        let mut all = Vec::new();
        for (choice, own) in cases.into_iter().enumerate() {
            let of_choice = vec![(decision, choice)];
            for (condition, value) in own.0 {
                all.extend(both(&of_choice, &condition).map(|condition| (condition, value)));
            }
        }
        Self(all).merged(decision, n)
    }

    pub(crate) fn map<U>(&self, of: impl Fn(&T) -> U) -> Cases<U> {
        Cases(self.0.iter().map(|(condition, value)| (condition.clone(), of(value))).collect())
    }

    /// Pairs of both values, for all conditions that can hold together.
    pub(crate) fn with<U: Clone>(&self, other: &Cases<U>) -> Cases<(T, U)> {
        let mut all = Vec::new();
        for (a, first) in &self.0 {
            for (b, second) in &other.0 {
                let values = || (first.clone(), second.clone());
                all.extend(both(a, b).map(|condition| (condition, values())));
            }
        }
        Cases(all)
    }

    /// Merges cases that differ only in the choice of this decision (which has `n` choices), if they have the same value for
    /// every choice.
    pub(crate) fn merged(self, decision: DecisionId, n: usize) -> Self {
        let rest = |condition: &Condition| -> Condition {
            condition.iter().copied().filter(|(d, _)| *d != decision).collect()
        };
        let mut merged: Vec<(Condition, T)> = Vec::new();
        for (condition, value) in &self.0 {
            let short = rest(condition);
            let is_alike = |(c, v): &&(Condition, T)| v == value && rest(c) == short;
            let alike = self.0.iter().filter(is_alike).count();
            if short.len() == condition.len() || alike < n {
                merged.push((condition.clone(), value.clone()));
            } else if !merged.contains(&(short.clone(), value.clone())) {
                merged.push((short, value.clone()));
            }
        }
        Self(merged)
    }
}

/// Both conditions joined into one; None if they contradict each other.
pub(crate) fn both(a: &Condition, b: &Condition) -> Option<Condition> {
    let mut all = a.clone();
    for &(decision, choice) in b {
        match a.iter().find(|(d, _)| *d == decision) {
            Some((_, other)) if *other != choice => return None,
            Some(_) => {}
            None => all.push((decision, choice)),
        }
    }
    all.sort_unstable();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(decision: DecisionId, values: &[u32]) -> Cases<u32> {
        Cases::by_choice(decision, values.iter().map(|&v| Cases::always(v)).collect())
    }

    #[test]
    fn choices_without_a_difference_are_no_condition() {
        assert_eq!(of(0, &[4, 4, 4]), Cases::always(4));
        assert_eq!(of(0, &[4, 8]).0, [(vec![(0, 0)], 4), (vec![(0, 1)], 8)]);
        // Decision 1 gives the same values under either choice of decision 0.
        assert_eq!(Cases::by_choice(0, vec![of(1, &[4, 8]); 2]), of(1, &[4, 8]));
    }

    #[test]
    fn contradictions_are_left_out_and_conditions_are_in_order() {
        let (a, b) = (of(3, &[1, 2]), of(1, &[5, 6]));
        assert_eq!(a.with(&b).0.len(), 4);
        assert!(a.with(&b).0.iter().all(|(condition, _)| condition[0].0 == 1));
        assert_eq!(a.with(&a).map(|(x, y)| x + y).0, [(vec![(3, 0)], 2), (vec![(3, 1)], 4)]);
    }
}
