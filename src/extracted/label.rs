//! The label in the file of an extracted network.

use lat_data::Dataset;
use lat_space::{Architecture, SearchSpace, Skeleton};
use serde::{Deserialize, Serialize};

use crate::error::SearchError;

/// The label in the file of an extracted network: where it comes from, and the input it needs.
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
    /// Subtracted from each channel of an image whose pixels are between 0 and 1.
    pub mean: [f32; 3],
    /// Divides each channel after that.
    pub std: [f32; 3],
    /// The data set that the weights were trained on.
    pub dataset: String,
    /// Checksum of the data set's images.
    pub images: String,
    /// How batch norm's statistics were computed; None if they are the supernet's.
    pub recalibration: Option<Recalibration>,
    /// The search that the weights come from.
    pub search: Origin,
}

/// How batch norm's statistics were computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalibration {
    /// Name of the rule, see [`lat_nn::BnRule`].
    pub rule: String,
    /// Number of images.
    pub n_images: usize,
    /// Images per batch.
    pub batch: usize,
    /// Seed for choosing the images.
    pub seed: u64,
}

/// The search that weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The search's method.
    pub method: String,
    /// Epochs that the weights were trained for.
    pub epochs: u32,
    /// The search's seed.
    pub seed: u64,
}

impl NetLabel {
    /// The space and the architecture that the label names.
    ///
    /// # Errors
    /// [`SearchError::Space`] if this program does not know the space, or the space not the architecture.
    pub fn named(&self) -> Result<(Box<dyn SearchSpace>, Architecture), SearchError> {
        super::named(self)
    }

    /// Normalises the images as in the network's training.
    ///
    /// # Errors
    /// [`SearchError::Dataset`] if size or classes differ from the network's.
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
