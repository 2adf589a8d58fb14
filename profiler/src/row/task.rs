//! The task of a row: which architecture to measure, and why.

use lat_data::Role;
use lat_space::{Architecture, SearchSpace, architecture_at};

use crate::ProfileError;

/// The anchors are the first architectures of this draw. They are the same in all runs of a space, so runs and devices can be
/// compared by them.
const ANCHOR_SEED: u64 = 0x616e_6368_6f72;

/// A row to be measured. Its three fields identify the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Task {
    /// The reason.
    pub role: Role,
    /// Number of the architecture, in the run's draw or in the anchors'.
    pub index: u64,
    /// How often the same architecture came before under this role.
    pub occurrence: u32,
}

impl Task {
    /// The key of its row.
    pub fn identity(&self) -> (Role, u64, u32) {
        (self.role, self.index, self.occurrence)
    }

    /// The architecture to measure.
    ///
    /// # Errors
    /// [`lat_space::SpaceError::TooMany`] if the space has fewer.
    pub fn architecture(
        &self,
        space: &dyn SearchSpace,
        seed: u64,
    ) -> Result<Architecture, ProfileError> {
        let seed = if self.role == Role::Anchor { ANCHOR_SEED } else { seed };
        Ok(architecture_at(space, seed, self.index)?)
    }
}
