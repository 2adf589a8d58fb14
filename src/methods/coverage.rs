//! Which spaces a method can search.

use lat_space::{ChoiceSet, SPACES, SearchSpace};

use super::{MethodEntry, Options, Preset};
use crate::error::SearchError;

impl MethodEntry {
    /// Whether the method searches this space.
    pub fn covers(&self, space: &dyn SearchSpace) -> bool {
        (self.build)(Preset::Quick, &Options::new(), space, 0).is_ok()
    }
}

/// Refuses a space that lacks what a method needs; `what` completes "method ... searches spaces ...".
pub(super) fn covered(
    method: &str,
    space: &dyn SearchSpace,
    what: &str,
    holds: fn(&dyn SearchSpace) -> bool,
) -> Result<(), SearchError> {
    if holds(space) {
        return Ok(());
    }
    let all = SPACES.iter().map(|build| build()).filter(|s| holds(s.as_ref()));
    let known: Vec<String> = all.map(|s| s.id().to_owned()).collect();
    Err(SearchError::Settings(format!(
        "method {method} searches spaces {what} ({}); found {}. Choose another --space or --method",
        known.join(", "),
        space.id()
    )))
}

/// Refuses a space whose decisions are not the edges of cells, such as a chain of layers.
pub(super) fn covered_cells(method: &str, space: &dyn SearchSpace) -> Result<(), SearchError> {
    covered(method, space, "whose decisions are the edges of cells", |space| {
        let is_edge = |d: &lat_space::Decision| {
            let ends = d.name.rsplit('/').next().and_then(|edge| edge.split_once('-'));
            ends.is_some_and(|(from, to)| [from, to].iter().all(|n| n.parse::<usize>().is_ok()))
        };
        space.decisions().iter().all(is_edge)
    })
}

/// Whether an architecture may have two operations on one edge.
pub(super) fn holds_several(space: &dyn SearchSpace) -> bool {
    let mut architecture = space.at(0);
    let is_edge = |d: &usize| {
        let decision = &space.decisions()[*d];
        !decision.none().is_some_and(|none| architecture.choices[*d].contains(none))
    };
    let Some(d) = (0..space.decisions().len()).find(is_edge) else { return false };
    let decision = &space.decisions()[d];
    let ops = (0..decision.choices.len()).filter(|&c| Some(c) != decision.none());
    architecture.choices[d] = ChoiceSet::of(ops.take(2));
    architecture.choices[d].len() == 2 && space.check(&architecture).is_ok()
}
