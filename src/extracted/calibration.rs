//! The images by which batch norm is recalibrated.

use lat_data::{Dataset, split_stratified};
use lat_nn::BnRule;
use tch::{Device, Tensor};

use super::Recalibration;
use crate::batches::Images;
use crate::error::SearchError;

/// The images by which batch norm is recalibrated, and the rule: one set serves many networks.
#[derive(Debug)]
pub struct Calibration {
    /// How the statistics of batches become one.
    pub rule: BnRule,
    /// Training images as they are, normalised, `[n, 3, h, w]` each.
    pub batches: Vec<Tensor>,
    n_images: usize,
    batch: usize,
    seed: u64,
}

impl Calibration {
    /// `n` training images, all where there are fewer, each class with its share; which ones and in what order the seed says. The last
    /// batch may be smaller.
    ///
    /// # Errors
    /// [`SearchError::Nn`] where libtorch has no room for them.
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

    /// For the label of a network.
    pub fn record(&self) -> Recalibration {
        let Self { rule, n_images, batch, seed, .. } = *self;
        Recalibration { rule: rule.name().to_owned(), n_images, batch, seed }
    }
}
