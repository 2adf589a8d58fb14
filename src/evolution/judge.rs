//! What a part of a supernet is worth with the weights that it inherits.

use std::cmp::Ordering;

use lat_nn::BnRule;
use lat_space::{Architecture, Decision};
use tch::{Device, Tensor};

use crate::accuracy::accuracy;
use crate::batches::Images;
use crate::supernet::{SharedGates, Supernet};

/// Images of a first look: enough to tell parts apart by some points, since hundreds are looked at.
const FIRST_LOOK: usize = 1024;
/// Images that batch norm's statistics are made from (once-for-all's number).
const CALIBRATION: usize = 2000;

/// What a part of a supernet does on images it was not trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    /// Percent.
    pub(crate) accuracy: f64,
    /// Mean cross entropy.
    pub(crate) loss: f64,
}

impl Worth {
    /// By accuracy; of equals the one with less loss is greater.
    pub(crate) fn total_cmp(&self, other: &Self) -> Ordering {
        self.accuracy.total_cmp(&other.accuracy).then(other.loss.total_cmp(&self.loss))
    }
}

/// Judges parts of a supernet: batch norm's statistics are made anew for each, then it is evaluated.
pub(crate) struct Judge<'a> {
    net: &'a dyn Supernet,
    decisions: &'a [Decision],
    images: &'a Images,
    /// Which of them judge.
    valid: &'a [usize],
    /// Batches `[n, 3, h, w]` of training images for the statistics.
    calibration: Vec<Tensor>,
    batch: usize,
    rule: BnRule,
    device: Device,
}

impl<'a> Judge<'a> {
    /// Judges on `valid`, with statistics of `train`, in batches of `batch`.
    pub(crate) fn new(
        (net, decisions): (&'a dyn Supernet, &'a [Decision]),
        images: &'a Images,
        (train, valid): (&[usize], &'a [usize]),
        batch: usize,
        rule: BnRule,
        device: Device,
    ) -> Self {
        let train = &train[..train.len().min(CALIBRATION)];
        // A last batch of a few images would count as much as a whole one.
        let whole = train.chunks(batch).filter(|chunk| chunk.len() == batch.min(train.len()));
        let calibration = whole.map(|chunk| images.plain(chunk).images).collect();
        Self { net, decisions, images, valid, calibration, batch, rule, device }
    }

    /// A look at some of the images.
    pub(crate) fn first_look(&self, architecture: &Architecture) -> Worth {
        let n = self.valid.len().min(FIRST_LOOK);
        self.look(architecture, &self.calibration[..self.calibration.len().div_ceil(2)], n)
    }

    /// A look at all of them.
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
