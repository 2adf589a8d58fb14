//! The macro architecture: everything about a network that is not searched.

use serde::{Deserialize, Serialize};

use crate::{SearchSpace, SpaceError};

/// How the network begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// One 3x3 convolution at full resolution.
    Cifar,
    /// Three stride-2 3x3 convolutions: cells start at an eighth of the resolution.
    ImageNet,
}

/// The macro architecture: everything about a network that is not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Skeleton {
    /// Channels of the first cells (`C` in the papers).
    pub channels: u32,
    /// Number of searched cells.
    pub layers: u16,
    /// Height (= width) of the input image in pixels.
    pub resolution: u16,
    /// Number of classes.
    pub classes: u32,
    /// How the network begins.
    pub stem: Stem,
}

impl std::fmt::Display for Skeleton {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { channels, layers, resolution, classes, .. } = self;
        write!(f, "C={channels}, {layers} cells, {resolution}x{resolution}, {classes} classes")
    }
}

/// A skeleton with a name.
#[derive(Debug, Clone, Copy)]
pub struct SkeletonPreset {
    /// The name for `--preset`.
    pub name: &'static str,
    /// Its values.
    pub skeleton: Skeleton,
}

/// The space's skeleton with this name.
///
/// # Errors
/// [`SpaceError::Unknown`] lists the names.
pub fn find_skeleton(space: &dyn SearchSpace, name: &str) -> Result<Skeleton, SpaceError> {
    let presets = space.skeletons();
    presets.iter().find(|p| p.name == name).map(|p| p.skeleton).ok_or_else(|| SpaceError::Unknown {
        kind: "skeleton preset",
        name: name.to_owned(),
        known: presets.iter().map(|p| p.name).collect::<Vec<_>>().join(", "),
    })
}
