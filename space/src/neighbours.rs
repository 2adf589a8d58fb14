//! The architectures that are one change away from a given one.

use crate::{Architecture, ChoiceSet, SearchSpace};

/// All architectures one change away whose output depends on the image. A change is another operation on a kept edge, another
/// choice of a decision that belongs to no group, or a kept edge of a group exchanged for one that is not kept.
pub fn neighbours(space: &dyn SearchSpace, current: &Architecture) -> Vec<Architecture> {
    let decisions = space.decisions();
    let with = |changes: &[(usize, ChoiceSet)]| {
        let mut neighbour = current.clone();
        for &(d, choice) in changes {
            neighbour.choices[d] = choice;
        }
        neighbour
    };
    let none_of = |d: usize| decisions[d].none().map(ChoiceSet::one);
    let is_grouped = |d: usize| space.groups().iter().any(|g| g.decisions.contains(&d));
    let mut all = Vec::new();
    for (d, decision) in decisions.iter().enumerate() {
        let others = (0..decision.choices.len()).map(ChoiceSet::one);
        let others = others.filter(|&c| c != current.choices[d]);
        if !is_grouped(d) {
            all.extend(others.map(|c| with(&[(d, c)])));
        } else if Some(current.choices[d]) != none_of(d) {
            all.extend(others.filter(|&c| Some(c) != none_of(d)).map(|c| with(&[(d, c)])));
        }
    }
    for group in space.groups() {
        let none = none_of(group.decisions[0]).expect("groups compete by `none`");
        let (gone, kept): (Vec<usize>, Vec<usize>) =
            group.decisions.iter().partition(|&&d| current.choices[d] == none);
        for &from in &kept {
            all.extend(gone.iter().map(|&to| with(&[(from, none), (to, current.choices[from])])));
        }
    }
    all.retain(|neighbour| space.reads_input(neighbour));
    all
}
