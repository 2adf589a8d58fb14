//! Judges subnets of a supernet with the weights that they inherit.

use std::cmp::Ordering;

use lat_nn::BnRule;
use lat_space::{Architecture, Decision};
use tch::{Device, Tensor};

use crate::accuracy::accuracy;
use crate::batches::Images;
use crate::supernet::{SharedGates, Supernet};

/// Number of images in the first round: enough to tell subnets apart by some points, because hundreds are judged.
const FIRST_LOOK: usize = 1024;
/// Number of images for batch norm's statistics (once-for-all's number).
const CALIBRATION: usize = 2000;

/// The results of a subnet on images that it was not trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    /// Percent of correct answers.
    pub(crate) accuracy: f64,
    /// Average cross entropy.
    pub(crate) loss: f64,
}

impl Worth {
    /// Compares by accuracy; among equals the one with the smaller loss is greater.
    pub(crate) fn total_cmp(&self, other: &Self) -> Ordering {
        self.accuracy.total_cmp(&other.accuracy).then(other.loss.total_cmp(&self.loss))
    }
}

/// Judges subnets of a supernet: recomputes batch norm's statistics for each, then evaluates it.
pub(crate) struct Judge<'a> {
    net: &'a dyn Supernet,
    decisions: &'a [Decision],
    images: &'a Images,
    /// Indices of the images used for judging.
    valid: &'a [usize],
    /// Batches `[n, 3, h, w]` of training images for batch norm's statistics.
    calibration: Vec<Tensor>,
    batch: usize,
    rule: BnRule,
    device: Device,
}

impl<'a> Judge<'a> {
    /// Judges on the images `valid`, with statistics from the images `train`, in batches of `batch`.
    pub(crate) fn new(
        (net, decisions): (&'a dyn Supernet, &'a [Decision]),
        images: &'a Images,
        (train, valid): (&[usize], &'a [usize]),
        batch: usize,
        rule: BnRule,
        device: Device,
    ) -> Self {
        let train = &train[..train.len().min(CALIBRATION)];
        // A last batch of a few images would count as much as a full one.
        let whole = train.chunks(batch).filter(|chunk| chunk.len() == batch.min(train.len()));
        let calibration = whole.map(|chunk| images.plain(chunk).images).collect();
        Self { net, decisions, images, valid, calibration, batch, rule, device }
    }

    /// Judges on some of the images.
    pub(crate) fn first_look(&self, architecture: &Architecture) -> Worth {
        let n = self.valid.len().min(FIRST_LOOK);
        self.look(architecture, &self.calibration[..self.calibration.len().div_ceil(2)], n)
    }

    /// Judges on all images.
    pub(crate) fn second_look(&self, architecture: &Architecture) -> Worth {
        self.look(architecture, &self.calibration, self.valid.len())
    }

    fn look(&self, architecture: &Architecture, calibration: &[Tensor], n: usize) -> Worth {
        let gates = SharedGates::hard(self.decisions, architecture, self.device);
        self.net.recalibrate(calibration, &gates, self.rule);
        let forward =
            |batch: &crate::methods::Batch| self.net.forward_t(&batch.images, &gates, false);
        let (loss, accuracy) = accuracy(self.images, &self.valid[..n], self.batch, forward);
        Worth { accuracy, loss }
    }
}
