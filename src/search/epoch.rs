//! One epoch of a search: its steps, and the report about it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lat_data::{Dataset, split_stratified};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::tally::Tally;
use super::{EpochReport, Search, SearchEvent};
use crate::accuracy::accuracy;
use crate::batches::{Images, epoch_rng, shuffled};
use crate::diagnostics::{Diagnostics, Subject, entropy};
use crate::error::SearchError;
use crate::methods::{Batch, Batches, Context, StepReport};
use crate::objective::Objective;
use crate::supernet::{CellSupernet, Supernet};

/// Architectures drawn for an epoch's relaxation gap.
const EPOCH_SAMPLES: i64 = 200;

/// Images used for an epoch's validation accuracy, which gives it to about one point. All images of a large set would take a sixth
/// of the epoch.
const VALIDATED: usize = 2048;

/// The two halves of the training images.
pub(super) struct Halves {
    pub(super) images: Images,
    pub(super) train: Vec<usize>,
    pub(super) valid: Vec<usize>,
}

/// The sums of an epoch's steps.
struct Trained {
    /// Average cross entropy.
    loss: f64,
    /// Accuracy in percent.
    accuracy: f64,
    n_steps: usize,
    begun: Instant,
}

impl Search<'_, '_> {
    /// Splits the training images into two halves with equal class shares. A one-level method trains on both; the second half is
    /// still used for the log.
    pub(super) fn halves(&self, dataset: &Dataset) -> Result<Halves, SearchError> {
        let labels = &dataset.train.labels;
        let (mut train, valid) = split_stratified(labels, labels.len() / 2, self.settings.seed)?;
        if self.method.is_one_level() {
            train.extend(&valid);
        }
        let batch = self.settings.batch as usize;
        if train.len().min(valid.len()) < batch {
            return Err(SearchError::Dataset {
                name: self.settings.dataset.clone(),
                reason: format!(
                    "expected at least {} training images for two halves of one batch of {batch}, found {}; lower --batch",
                    2 * batch,
                    dataset.train.n
                ),
            });
        }
        // Cutout is off in a search (DARTS' default); it belongs to the evaluation phase.
        Ok(Halves { images: Images::training(dataset, self.device).without_cutout(), train, valid })
    }

    /// One pass over the training half, and its report.
    pub(super) fn epoch(
        &mut self,
        net: &CellSupernet,
        halves: &Halves,
        epoch: u32,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<EpochReport, SearchError> {
        let trained = self.train(net, halves, epoch, stop, on_event)?;
        if let Some(ranks) = &self.ranks {
            ranks.settle_statistics(net)?;
        }
        self.judge(net, halves, epoch, &trained)
    }

    /// All steps of an epoch.
    fn train(
        &mut self,
        net: &CellSupernet,
        halves: &Halves,
        epoch: u32,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<Trained, SearchError> {
        let begun = Instant::now();
        let mut rng = epoch_rng(self.settings.seed, epoch);
        let batch = self.settings.batch as usize;
        let train = shuffled(&halves.train, batch, &mut rng);
        let valid = shuffled(&halves.valid, batch, &mut rng);
        let mut tally = Tally::new(epoch + 1, self.ranks.clone());
        for (step, indices) in train.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            // Each process draws the whole batch, so that all generators stay in the same state.
            let batches = Batches {
                train: self.share(halves.images.views(indices, self.method.n_views(), &mut rng)),
                valid: self.share(halves.images.batch(&valid[step % valid.len()], &mut rng)),
            };
            let at = f64::from(epoch) + step as f64 / train.len() as f64;
            let progress = at / f64::from(self.settings.epochs);
            let report = self.step(net, &batches, progress, &mut rng)?;
            let n_ranks = self.ranks.as_ref().map_or(1, |ranks| ranks.size() as usize);
            tally.add(report, indices.len() / n_ranks * n_ranks)?;
            on_event(SearchEvent::Step(step + 1, train.len(), epoch + 1));
        }
        let (loss, accuracy, n_steps) = tally.finish()?;
        Ok(Trained { loss, accuracy, n_steps, begun })
    }

    /// The report of an epoch.
    fn judge(
        &mut self,
        net: &CellSupernet,
        halves: &Halves,
        epoch: u32,
        trained: &Trained,
    ) -> Result<EpochReport, SearchError> {
        let (valid_loss, valid_accuracy) = self.validate(net, halves);
        // A loss that diverged in the epoch's last update shows here first, before the checkpoint is overwritten.
        if !valid_loss.is_finite() {
            let (what, epoch, step) = ("validation loss", epoch + 1, trained.n_steps);
            return Err(SearchError::NotANumber { what, value: valid_loss, epoch, step });
        }
        let now = self.method.derive(self.space);
        let relaxed = self.method.relaxed();
        let cost_share = self.objective.as_mut().and_then(Objective::take_share);
        let objective = self.objective.as_ref();
        let gap = |o: &Objective<'_>| o.relaxation_gap(&relaxed, EPOCH_SAMPLES, self.settings.seed);
        let gap = objective.map(gap).transpose()?;
        let diagnostics = self.diagnose(net, halves, epoch + 1)?;
        let gap_of = trained.accuracy - valid_accuracy;
        let diagnostics =
            diagnostics.map(|found| Diagnostics { generalisation_gap: gap_of, ..found });
        Ok(EpochReport {
            epoch: epoch + 1,
            train_loss: trained.loss,
            train_accuracy: trained.accuracy,
            valid_loss,
            valid_accuracy,
            relaxed_cost: gap.map(|gap| gap.expected),
            derived_cost: objective.map(|o| o.cost().cost(&now)).transpose()?,
            relaxation_gap_percent: gap.map(|gap| gap.percent()),
            cost_share,
            skips: now.skip_counts(self.space.decisions()),
            alpha_entropy: relaxed.probs.iter().map(entropy).sum::<f64>()
                / relaxed.probs.len() as f64,
            probabilities: relaxed.probs.iter().map(rounded).collect(),
            diagnostics,
            architecture: self.space.format(&now),
            seconds: trained.begun.elapsed().as_secs_f64(),
        })
    }

    pub(super) fn step(
        &mut self,
        net: &CellSupernet,
        batches: &Batches,
        progress: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<StepReport, SearchError> {
        let parallel;
        let net: &dyn Supernet = match &self.ranks {
            Some(ranks) => {
                parallel = ranks.over(net);
                &parallel
            }
            None => net,
        };
        let mut cx =
            Context { space: self.space, net, objective: self.objective.as_mut(), progress, rng };
        self.method.step(&mut cx, batches)
    }

    /// This process's rows of a batch.
    fn share(&self, batch: Batch) -> Batch {
        match &self.ranks {
            Some(ranks) => ranks.share(&batch),
            None => batch,
        }
    }

    fn diagnose(
        &self,
        net: &CellSupernet,
        halves: &Halves,
        epoch: u32,
    ) -> Result<Option<Diagnostics>, SearchError> {
        let every = self.watch.hessian_every;
        let subject = Subject {
            space: self.space,
            net,
            method: self.method.as_ref(),
            objective: self.objective.as_ref(),
            images: &halves.images,
            valid: &halves.valid,
            batch: self.settings.batch as usize,
        };
        let hessian = every > 0 && epoch.is_multiple_of(every);
        self.watch.diagnostics.then(|| subject.examine(hessian)).transpose()
    }

    /// Loss and accuracy (percent) of the supernet on the first images of the validation half, in eval mode and without augmentation.
    fn validate(&self, net: &CellSupernet, halves: &Halves) -> (f64, f64) {
        let gates = self.method.gates(self.space, net);
        let forward = |batch: &Batch| net.forward_t(&batch.images, gates.as_ref(), false);
        let looked_at = &halves.valid[..VALIDATED.min(halves.valid.len())];
        accuracy(&halves.images, looked_at, self.settings.batch as usize, forward)
    }
}

/// Probabilities rounded to four digits.
fn rounded(probs: &Tensor) -> Vec<f64> {
    let probs = Vec::<f64>::try_from(&probs.to_kind(Kind::Double)).expect("one dimension");
    probs.into_iter().map(|p| (1e4 * p).round() / 1e4).collect()
}
