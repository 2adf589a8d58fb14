//! Images and rule for recalibrating batch norm.

use lat_data::{Dataset, split_stratified};
use lat_nn::BnRule;
use tch::{Device, Tensor};

use super::Recalibration;
use crate::batches::Images;
use crate::error::SearchError;

/// Images and rule for recalibrating batch norm; one set serves many networks.
#[derive(Debug)]
pub struct Calibration {
    /// How the statistics of several batches are combined.
    pub rule: BnRule,
    /// Batches of training images `[n, 3, h, w]`, normalised, without augmentation.
    pub batches: Vec<Tensor>,
    n_images: usize,
    batch: usize,
    seed: u64,
}

impl Calibration {
    /// Takes `n` training images (all if there are fewer) with the classes in proportion, chosen and ordered by the seed. The last
    /// batch may be smaller.
    ///
    /// # Errors
    /// [`SearchError::Nn`] if libtorch has no memory for them.
    pub fn new(
        dataset: &Dataset,
        device: Device,
        rule: BnRule,
        (n, batch): (usize, usize),
        seed: u64,
    ) -> Result<Self, SearchError> {
        let labels = &dataset.train.labels;
        let n_images = n.min(labels.len());
        let (_, chosen) = split_stratified(labels, n_images, seed)?;
        let batches = lat_nn::guard(|| {
            let images = Images::training(dataset, device);
            chosen.chunks(batch).map(|chunk| images.plain(chunk).images).collect()
        })?;
        Ok(Self { rule, batches, n_images, batch, seed })
    }

    /// The settings, for a network's label.
    pub fn record(&self) -> Recalibration {
        let Self { rule, n_images, batch, seed, .. } = *self;
        Recalibration { rule: rule.name().to_owned(), n_images, batch, seed }
    }
}
