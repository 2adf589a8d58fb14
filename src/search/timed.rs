//! Steps of a search, timed: how long one takes and how much memory, without a search's end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lat_data::Dataset;
use tch::Device;

use super::epoch::Halves;
use super::{CellSupernet, Search};
use crate::batches::{epoch_rng, shuffled};
use crate::error::SearchError;
use crate::methods::Batches;

impl Search<'_, '_> {
    /// Milliseconds by the clock of each of `n` steps of the first stage, behind `warm_up` steps that are not counted. Images are read,
    /// cut and moved to the device within a step, as in a search. Whatever `on_step` needs is told after each step, counted or not.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn time_steps(
        mut self,
        dataset: &Dataset,
        (warm_up, n): (usize, usize),
        stop: &AtomicBool,
        on_step: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, SearchError> {
        let halves = self.halves(dataset)?;
        self.check_batch()?;
        let stage = self.method.stage(0);
        let net = self.enter(&stage, None, &mut |_| {})?;
        lat_nn::guard(|| self.timed(&net, &halves, (warm_up, n), stop, on_step))?
    }

    fn timed(
        &mut self,
        net: &CellSupernet,
        halves: &Halves,
        (warm_up, n): (usize, usize),
        stop: &AtomicBool,
        on_step: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, SearchError> {
        let mut rng = epoch_rng(self.settings.seed, 0);
        let batch = self.settings.batch as usize;
        let train = shuffled(&halves.train, batch, &mut rng);
        let valid = shuffled(&halves.valid, batch, &mut rng);
        let mut times_ms = Vec::with_capacity(n);
        for step in 0..warm_up + n {
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            let begun = Instant::now();
            let batches = Batches {
                train: halves.images.views(
                    &train[step % train.len()],
                    self.method.n_views(),
                    &mut rng,
                ),
                valid: halves.images.batch(&valid[step % valid.len()], &mut rng),
            };
            let progress = step as f64 / (warm_up + n) as f64;
            self.step(net, &batches, progress, &mut rng)?;
            wait_for(self.device);
            if step >= warm_up {
                times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            on_step(step + 1);
        }
        Ok(times_ms)
    }
}

/// Waits until the device has done all that it was given.
fn wait_for(device: Device) {
    if let Device::Cuda(ordinal) = device {
        tch::Cuda::synchronize(ordinal as i64);
    }
}
