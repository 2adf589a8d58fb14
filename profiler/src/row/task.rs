//! Which row is to be measured.

use lat_data::Role;
use lat_space::{Architecture, SearchSpace, architecture_at};

use crate::ProfileError;

/// The anchors are the first of this draw: the same in all runs of a space, so that runs and devices can be compared by them.
const ANCHOR_SEED: u64 = 0x616e_6368_6f72;

/// One row to be measured; its three fields are the row's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Task {
    /// Why.
    pub role: Role,
    /// Number of the architecture: in the run's draw, or in the anchors'.
    pub index: u64,
    /// How often the same was measured before under this role.
    pub occurrence: u32,
}

impl Task {
    /// What its row is known by.
    pub fn identity(&self) -> (Role, u64, u32) {
        (self.role, self.index, self.occurrence)
    }

    /// The architecture to measure.
    ///
    /// # Errors
    /// [`lat_space::SpaceError::TooMany`] where the space has fewer.
    pub fn architecture(
        &self,
        space: &dyn SearchSpace,
        seed: u64,
    ) -> Result<Architecture, ProfileError> {
        let seed = if self.role == Role::Anchor { ANCHOR_SEED } else { seed };
        Ok(architecture_at(space, seed, self.index)?)
    }
}
