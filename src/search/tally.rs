//! Sums the reports of an epoch's steps, reading them from the device every few steps.

use crate::device_scalar::DeviceScalar;
use crate::error::SearchError;
use crate::methods::StepReport;
use crate::supernet::Ranks;

/// Steps between two reads. Only a read waits for the device.
const READ_EVERY: usize = 16;

/// Sums over an epoch.
pub(super) struct Tally {
    /// Number of the epoch, from 1.
    epoch: u32,
    /// Reports not yet read, each with its number of images.
    waiting: Vec<(StepReport, usize)>,
    /// Number of steps already read.
    n_steps: usize,
    loss: f64,
    n_correct: f64,
    n_images: usize,
    /// The processes whose reports are averaged; None for a single process.
    ranks: Option<Ranks>,
}

impl Tally {
    /// A tally for an epoch (numbered from 1), in which each of these processes reports on its own images.
    pub(super) fn new(epoch: u32, ranks: Option<Ranks>) -> Self {
        let (waiting, loss, n_correct) = (Vec::new(), 0.0, 0.0);
        Self { epoch, waiting, n_steps: 0, loss, n_correct, n_images: 0, ranks }
    }

    /// Adds the report of a step on `n_images` images, counted over all processes.
    ///
    /// # Errors
    /// [`SearchError::NotANumber`] with the step, if a loss is NaN or infinite. It may come up to [`READ_EVERY`] steps later.
    pub(super) fn add(&mut self, report: StepReport, n_images: usize) -> Result<(), SearchError> {
        self.waiting.push((report, n_images));
        if self.waiting.len() < READ_EVERY { Ok(()) } else { self.read() }
    }

    /// Average cross entropy, accuracy in percent, and the number of steps.
    ///
    /// # Errors
    /// The errors of [`Tally::add`].
    pub(super) fn finish(mut self) -> Result<(f64, f64, usize), SearchError> {
        self.read()?;
        let n = self.n_images as f64;
        Ok((self.loss / n, 100.0 * self.n_correct / n, self.n_steps))
    }

    fn read(&mut self) -> Result<(), SearchError> {
        let waiting = std::mem::take(&mut self.waiting);
        let scalars = waiting.iter().flat_map(|(report, _)| {
            [&report.train_loss, &report.n_correct].into_iter().chain(&report.valid_loss)
        });
        let mut values = DeviceScalar::values(scalars);
        let mut n_ranks = 1.0;
        if let Some(ranks) = self.ranks.as_ref().filter(|_| !values.is_empty()) {
            values = ranks.means(&values)?;
            n_ranks = f64::from(ranks.size());
        }
        let mut values = values.into_iter();
        for (report, n_images) in &waiting {
            let mut next = || values.next().expect("a value per scalar");
            let (train_loss, n_correct) = (next(), next());
            self.n_steps += 1;
            self.check("training loss", train_loss)?;
            if report.valid_loss.is_some() {
                self.check("validation loss", next())?;
            }
            self.loss += train_loss * *n_images as f64;
            self.n_correct += n_correct * n_ranks;
            self.n_images += n_images;
        }
        Ok(())
    }

    fn check(&self, what: &'static str, value: f64) -> Result<(), SearchError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(SearchError::NotANumber { what, value, epoch: self.epoch, step: self.n_steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(train_loss: f64, valid_loss: Option<f64>) -> StepReport {
        StepReport {
            train_loss: train_loss.into(),
            n_correct: 3.0.into(),
            valid_loss: valid_loss.map(Into::into),
        }
    }

    #[test]
    fn means_are_weighted_by_images() {
        let mut tally = Tally::new(1, None);
        for step in 0..=READ_EVERY {
            let (loss, n) = if step == 0 { (18.0, 17) } else { (1.0, 10) };
            tally.add(report(loss, (step % 2 == 0).then_some(0.5)), n).unwrap();
        }
        let n = 17.0 + 160.0;
        let (loss, accuracy, n_steps) = tally.finish().unwrap();
        assert!((loss - (18.0 * 17.0 + 160.0) / n).abs() < 1e-12, "{loss}");
        assert!((accuracy - 100.0 * 51.0 / n).abs() < 1e-12, "{accuracy}");
        assert_eq!(n_steps, READ_EVERY + 1);
    }

    #[test]
    fn the_step_that_went_wrong_is_named() {
        for (bad, what) in [
            (report(f64::NAN, None), "training loss"),
            (report(f64::INFINITY, Some(1.0)), "training loss"),
            (report(1.0, Some(f64::NAN)), "validation loss"),
        ] {
            let mut tally = Tally::new(4, None);
            tally.add(report(1.0, None), 8).unwrap();
            tally.add(bad, 8).unwrap();
            tally.add(report(1.0, None), 8).unwrap();
            let error = tally.finish().unwrap_err();
            let SearchError::NotANumber { what: found, epoch, step, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((found, epoch, step), (what, 4, 2));
        }
    }
}
