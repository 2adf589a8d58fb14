//! What a file of an extracted network says of it.

use lat_data::Dataset;
use lat_space::{Architecture, SearchSpace, Skeleton};
use serde::{Deserialize, Serialize};

use crate::error::SearchError;

/// What a file of an extracted network says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetLabel {
    /// Id of the search space.
    pub space: String,
    /// The architecture as the space writes it.
    pub architecture: String,
    /// The network's skeleton: resolution and classes are those of the images.
    pub skeleton: Skeleton,
    /// Names of the classes in the order of the logits.
    pub class_names: Vec<String>,
    /// What is taken off each channel of an image, whose pixels go from 0 to 1.
    pub mean: [f32; 3],
    /// What each channel is then divided by.
    pub std: [f32; 3],
    /// The data set that the weights were trained on.
    pub dataset: String,
    /// Checksum of its images.
    pub images: String,
    /// How batch norm's statistics were made; nothing where they are the supernet's.
    pub recalibration: Option<Recalibration>,
    /// The search that the weights are from.
    pub search: Origin,
}

/// How batch norm's statistics were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalibration {
    /// Name of the rule, see [`lat_nn::BnRule`].
    pub rule: String,
    /// Images.
    pub n_images: usize,
    /// Images per batch.
    pub batch: usize,
    /// Seed of their choice.
    pub seed: u64,
}

/// The search that weights are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its method.
    pub method: String,
    /// Epochs behind the weights.
    pub epochs: u32,
    /// Its seed.
    pub seed: u64,
}

impl NetLabel {
    /// The space and the architecture.
    ///
    /// # Errors
    /// [`SearchError::Space`] where this program lacks the space, or it the architecture.
    pub fn named(&self) -> Result<(Box<dyn SearchSpace>, Architecture), SearchError> {
        super::named(self)
    }

    /// The images as the network was trained to see them.
    ///
    /// # Errors
    /// [`SearchError::Dataset`] where size or classes are not the network's.
    pub fn normalised(&self, dataset: Dataset) -> Result<Dataset, SearchError> {
        let (hw, classes) = (dataset.train.hw, dataset.train.classes);
        let Skeleton { resolution, classes: wanted, .. } = self.skeleton;
        if (hw, classes) == (usize::from(resolution), wanted as usize) {
            return Ok(Dataset { mean: self.mean, std: self.std, ..dataset });
        }
        Err(SearchError::Dataset {
            name: dataset.train.name,
            reason: format!(
                "expected images of {resolution}x{resolution} in {wanted} classes, which the network was made for; found \
                 {hw}x{hw} in {classes}: name another --dataset"
            ),
        })
    }
}
