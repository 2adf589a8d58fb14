//! Stages of a search, each with a supernet of its own.

use lat_space::{ChoiceSet, Graph, Op, SearchSpace, Site, Skeleton, SpaceError, Step};
use serde::{Deserialize, Serialize};

/// A part of a search that has a supernet of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Number of the stage, from 0.
    pub number: usize,
    /// Cells of its supernet; None for the number in the search's skeleton.
    pub cells: Option<u16>,
    /// For each decision the choices that are still searched; None for all.
    pub live: Option<Vec<ChoiceSet>>,
    /// Whether its supernet starts with the weights of the previous stage that have the same names; if the sizes differ, with the
    /// first channels. If false, all weights are new.
    #[serde(default)]
    pub keeps_weights: bool,
}

impl Stage {
    /// A stage with the skeleton's network and all choices.
    pub fn of_whole(number: usize) -> Self {
        Self { number, cells: None, live: None, keeps_weights: false }
    }

    /// The stage that an epoch (from 0) belongs to, if `epochs` epochs are divided into `n` stages of equal length.
    pub fn at(epoch: u32, epochs: u32, n: usize) -> usize {
        (u64::from(epoch) * n as u64 / u64::from(epochs.max(1))) as usize
    }

    /// The finished share of stage `number` of `n`, when the share `progress` of the whole search is done.
    pub fn progress(progress: f64, number: usize, n: usize) -> f64 {
        (progress * n as f64 - number as f64).clamp(0.0, 1.0)
    }

    /// The stage's supernet, in which `none` replaces every choice that is no longer searched.
    ///
    /// # Errors
    /// [`SpaceError`] if the space cannot build this number of cells.
    pub fn graph(&self, space: &dyn SearchSpace, skeleton: &Skeleton) -> Result<Graph, SpaceError> {
        let skeleton = Skeleton { layers: self.cells.unwrap_or(skeleton.layers), ..*skeleton };
        space.check_skeleton(&skeleton)?;
        let mut graph = space.graph(&skeleton);
        let Some(live) = &self.live else { return Ok(graph) };
        for node in &mut graph.nodes {
            let Step::Searched { site: Site::Choice { decision, candidates }, .. } = &mut node.step
            else {
                continue;
            };
            for (choice, candidate) in candidates.iter_mut().enumerate() {
                if !live[*decision].contains(choice) {
                    candidate.largest.op = Op::None;
                }
            }
        }
        Ok(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::Stage;

    #[test]
    fn epochs_are_cut_into_stages_of_equal_length() {
        let stages = |epochs| (0..epochs).map(|e| Stage::at(e, epochs, 3)).collect::<Vec<_>>();
        assert_eq!(stages(6), [0, 0, 1, 1, 2, 2]);
        assert_eq!(stages(3), [0, 1, 2]);
        assert_eq!(stages(75).iter().filter(|s| **s == 1).count(), 25);
    }
}
