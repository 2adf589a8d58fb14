//! The search loop: epochs, batches, checkpoints and the log. It knows methods, spaces and costs by their traits only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use lat_data::{Dataset, split_stratified};
use lat_space::{Architecture, Graph, SearchSpace};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::batches::{Images, epoch_rng, shuffled};
use crate::checkpoint::Checkpoint;
use crate::diagnostics::{Collapse, Diagnostics, Subject, Watch, collapse, entropy};
use crate::error::SearchError;
use crate::finalists::{Contest, Finals, n_images};
use crate::methods::{Batch, Batches, Context, Method, Stage};
use crate::objective::{Objective, RelaxationGap};
use crate::optimizer::StateMap;
pub use crate::search_log::{EpochReport, NO_COST, SearchSettings};
use crate::spent::{Meter, Spent};
use crate::supernet::{CellSupernet, Supernet};

/// Architectures drawn for the relaxation gap at the end, and after each epoch.
const GAP_SAMPLES: i64 = 1000;
const EPOCH_SAMPLES: i64 = 200;

/// Images behind an epoch's validation accuracy, which is then known to a point: all of a large set would take a sixth of the epoch.
const VALIDATED: usize = 2048;

/// What a search leaves.
#[derive(Debug)]
pub struct SearchOutcome {
    /// The architecture.
    pub architecture: Architecture,
    /// What the method's own rule derives; the same where there are no finalists.
    pub most_probable: Architecture,
    /// The finalists, and what the goal allowed them.
    pub finals: Finals,
    /// The log, one entry per epoch.
    pub epochs: Vec<EpochReport>,
    /// Expected cost of the relaxed architecture at the end.
    pub relaxed_cost: Option<f64>,
    /// The same beside the mean over 1000 architectures drawn.
    pub relaxation_gap: Option<RelaxationGap>,
    /// `T_ref`.
    pub reference_cost: Option<f64>,
    /// Where the search collapsed, as far as its diagnostics tell.
    pub collapse: Option<Collapse>,
    /// Whether it ended there; the architecture is then the one from before.
    pub stopped: bool,
    /// What it took, all processes together that worked on it.
    pub spent: Spent,
}

/// What happens while a search runs.
#[derive(Debug)]
pub enum SearchEvent<'a> {
    /// Taken up again after so many epochs.
    Resumed(u32),
    /// A stage begins, of a search that has several: (the stage, how many there are).
    Stage(&'a Stage, usize),
    /// A step is done: (step, steps of the epoch, epoch from 1).
    Step(usize, usize, u32),
    /// An epoch is done.
    Epoch(&'a EpochReport),
    /// The epoch just done shows for the first time that the search collapses.
    Collapsed(&'a Collapse),
}

/// A search, set up.
pub struct Search<'a, 'c> {
    /// The space.
    pub space: &'a dyn SearchSpace,
    /// The method.
    pub method: Box<dyn Method>,
    /// The cost, where there is one.
    pub objective: Option<Objective<'c>>,
    /// Settings.
    pub settings: SearchSettings,
    /// Where the supernet computes.
    pub device: Device,
    /// The checkpoint's file.
    pub checkpoint: PathBuf,
    /// What to look at between epochs.
    pub watch: Watch,
    /// Whether the checkpoint may be that of a search with another cost model, where the steps do not see it: one that was copied
    /// into a folder of its own, to meet a target on another device. Where it lies among that search's results, it may not.
    pub may_adopt: bool,
    /// What it takes; begun with whatever belongs to the search.
    pub meter: Meter,
}

/// The label of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    settings: SearchSettings,
    epochs: Vec<EpochReport>,
    /// Of the last of these epochs; checkpoints of searches without stages may lack it.
    #[serde(default)]
    stage: Option<Stage>,
    /// What it took up to here; checkpoints of older programs lack it.
    #[serde(default)]
    spent: Option<Spent>,
}

/// Both halves of the training images.
struct Halves {
    images: Images,
    train: Vec<usize>,
    valid: Vec<usize>,
}

impl Search<'_, '_> {
    /// Runs to the end, or continues from the checkpoint. `stop` interrupts between steps; whole epochs are kept.
    ///
    /// # Errors
    /// [`SearchError::Dataset`] for a set too small for the batch, [`SearchError::NotANumber`] for a loss that is none,
    /// [`SearchError::Checkpoint`] for another search's checkpoint, [`SearchError::Interrupted`].
    pub fn run(
        mut self,
        dataset: &Dataset,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<SearchOutcome, SearchError> {
        let halves = self.halves(dataset)?;
        let saved = self.saved()?;
        let (mut epochs, stage) = saved.as_ref().map_or_else(Default::default, |(label, _)| {
            (label.epochs.clone(), label.stage.clone())
        });
        let mut stage = stage.unwrap_or_else(|| self.method.stage(0));
        let mut net = self.enter(&stage, on_event)?;
        if let Some((label, tensors)) = &saved {
            self.restore(&net, tensors)?;
            self.meter.go_on(Spent::recorded(label.spent, epochs.iter().map(|e| e.seconds)));
            on_event(SearchEvent::Resumed(epochs.len() as u32));
        }
        let mut collapsed = collapse(&epochs, self.settings.epochs);
        while (epochs.len() as u32) < self.settings.epochs && !self.is_over(collapsed.as_ref()) {
            let epoch = epochs.len() as u32;
            let number = Stage::at(epoch, self.settings.epochs, self.method.n_stages());
            if number != stage.number {
                stage = self.method.stage(number);
                net = self.enter(&stage, on_event)?;
            }
            let report = lat_nn::guard(|| self.epoch(&net, &halves, epoch, stop, on_event))??;
            on_event(SearchEvent::Epoch(&report));
            epochs.push(report);
            self.save(&net, &epochs, &stage)?;
            let before = collapsed.is_some();
            collapsed = collapsed.or_else(|| collapse(&epochs, self.settings.epochs));
            if let (false, Some(collapsed)) = (before, &collapsed) {
                on_event(SearchEvent::Collapsed(collapsed));
            }
        }
        let stopped = self.is_over(collapsed.as_ref());
        let finals = match &collapsed {
            Some(collapsed) if stopped => {
                let kept = &epochs[collapsed.keep as usize - 1].architecture;
                Finals::only(self.space.parse(kept)?)
            }
            _ => lat_nn::guard(|| self.finals(&halves))??,
        };
        let relaxed = self.method.relaxed();
        let seed = self.settings.seed;
        let objective = self.objective.as_ref();
        let relaxation_gap =
            objective.map(|o| o.relaxation_gap(&relaxed, GAP_SAMPLES, seed)).transpose()?;
        Ok(SearchOutcome {
            architecture: finals.winner.clone(),
            most_probable: self.method.derive(self.space),
            finals,
            epochs,
            collapse: collapsed,
            stopped,
            relaxed_cost: relaxation_gap.map(|gap| gap.expected),
            relaxation_gap,
            reference_cost: self.objective.as_ref().map(Objective::reference),
            spent: self.meter.spent(),
        })
    }

    /// The last step: the most probable architecture, or the best of several.
    fn finals(&self, halves: &Halves) -> Result<Finals, SearchError> {
        let most_probable = self.method.derive(self.space);
        if self.settings.finalists <= 1 {
            return Ok(Finals::only(most_probable));
        }
        let looked_at = &halves.valid[..n_images().min(halves.valid.len())];
        let contest = Contest {
            space: self.space,
            skeleton: &self.settings.skeleton,
            objective: self.objective.as_ref(),
            batch: halves.images.plain(looked_at),
            device: self.device,
            seed: self.settings.seed,
            n: self.settings.finalists as usize,
        };
        contest.run(&self.method.proposal(self.space), &most_probable)
    }

    fn is_over(&self, collapsed: Option<&Collapse>) -> bool {
        self.watch.stop_on_collapse && collapsed.is_some()
    }

    /// The supernet of a stage, with the method at its begin.
    fn enter(
        &mut self,
        stage: &Stage,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<CellSupernet, SearchError> {
        self.method.enter(stage);
        let graph: Graph = stage.graph(self.space, &self.settings.skeleton)?;
        let mixed_op = self.method.mixed_op();
        for variant in graph.variants().filter(|variant| !variant.when.is_empty()) {
            mixed_op.check(&variant.op).map_err(SearchError::Settings)?;
        }
        // The initial weights are drawn by libtorch: the one place where its generator is seeded before an epoch does it.
        tch::manual_seed((self.settings.seed as i64).wrapping_add(stage.number as i64));
        let net = CellSupernet::new(graph, mixed_op.as_ref(), self.device)?;
        self.method.begin(&net)?;
        let n_stages = self.method.n_stages();
        if n_stages > 1 {
            on_event(SearchEvent::Stage(stage, n_stages));
        }
        Ok(net)
    }

    /// Cuts the training images in two halves of equal class shares. A method of one level trains on both; the second still
    /// serves the log.
    fn halves(&self, dataset: &Dataset) -> Result<Halves, SearchError> {
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

    fn epoch(
        &mut self,
        net: &CellSupernet,
        halves: &Halves,
        epoch: u32,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<EpochReport, SearchError> {
        let start = std::time::Instant::now();
        let mut rng = epoch_rng(self.settings.seed, epoch);
        let batch = self.settings.batch as usize;
        let train = shuffled(&halves.train, batch, &mut rng);
        let valid = shuffled(&halves.valid, batch, &mut rng);
        let (mut loss, mut correct, mut seen) = (0.0, 0, 0);
        for (step, indices) in train.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            let batches = Batches {
                train: halves.images.batch(indices, &mut rng),
                valid: halves.images.batch(&valid[step % valid.len()], &mut rng),
            };
            let at = f64::from(epoch) + step as f64 / train.len() as f64;
            let progress = at / f64::from(self.settings.epochs);
            let report = self.step(net, &batches, progress, &mut rng)?;
            for (what, value) in
                [("training loss", report.train_loss), ("validation loss", report.valid_loss)]
            {
                // The validation loss is NaN by contract while the architecture rests.
                if value.is_infinite() || (value.is_nan() && what == "training loss") {
                    return Err(SearchError::NotANumber {
                        what,
                        value,
                        epoch: epoch + 1,
                        step: step + 1,
                    });
                }
            }
            loss += report.train_loss * indices.len() as f64;
            correct += report.n_correct;
            seen += indices.len();
            on_event(SearchEvent::Step(step + 1, train.len(), epoch + 1));
        }
        let (valid_loss, valid_accuracy) = self.validate(net, halves);
        // The last update of an epoch shows here first, before the checkpoint is written over.
        if !valid_loss.is_finite() {
            let (what, epoch, step) = ("validation loss", epoch + 1, train.len());
            return Err(SearchError::NotANumber { what, value: valid_loss, epoch, step });
        }
        let now = self.method.derive(self.space);
        let relaxed = self.method.relaxed();
        let cost_share = self.objective.as_mut().and_then(Objective::take_share);
        let objective = self.objective.as_ref();
        let gap = |o: &Objective<'_>| o.relaxation_gap(&relaxed, EPOCH_SAMPLES, self.settings.seed);
        let gap = objective.map(gap).transpose()?;
        let train_accuracy = 100.0 * correct as f64 / seen as f64;
        let diagnostics = self.diagnose(net, halves, epoch + 1)?;
        let gap_of = train_accuracy - valid_accuracy;
        let diagnostics =
            diagnostics.map(|found| Diagnostics { generalisation_gap: gap_of, ..found });
        Ok(EpochReport {
            epoch: epoch + 1,
            train_loss: loss / seen as f64,
            train_accuracy,
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
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn step(
        &mut self,
        net: &CellSupernet,
        batches: &Batches,
        progress: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<crate::methods::StepReport, SearchError> {
        let mut cx =
            Context { space: self.space, net, objective: self.objective.as_mut(), progress, rng };
        self.method.step(&mut cx, batches)
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

    /// Loss and accuracy in percent of the supernet on the first images of the validation half, in eval mode and without augmentation.
    fn validate(&self, net: &CellSupernet, halves: &Halves) -> (f64, f64) {
        let gates = self.method.gates(self.space);
        let forward = |batch: &Batch| net.forward_t(&batch.images, gates.as_ref(), false);
        let looked_at = &halves.valid[..VALIDATED.min(halves.valid.len())];
        accuracy(&halves.images, looked_at, self.settings.batch as usize, forward)
    }

    fn save(
        &self,
        net: &CellSupernet,
        epochs: &[EpochReport],
        stage: &Stage,
    ) -> Result<(), SearchError> {
        let label = Label {
            settings: self.settings.clone(),
            epochs: epochs.to_vec(),
            stage: Some(stage.clone()),
            spent: Some(self.meter.spent()),
        };
        let label = serde_json::to_string(&label).expect("settings are plain values");
        let mut tensors: Vec<(String, Tensor)> = net
            .weights()
            .variables()
            .into_iter()
            .map(|(name, tensor)| (format!("net.{name}"), tensor))
            .collect();
        tensors.extend(self.method.state().into_iter().map(|(n, t)| (format!("method.{n}"), t)));
        if let Some(objective) = &self.objective {
            tensors.extend(objective.state());
        }
        Checkpoint::save(&self.checkpoint, &label, tensors)
    }

    /// The checkpoint of this very search, where there is one.
    fn saved(&self) -> Result<Option<(Label, StateMap)>, SearchError> {
        if !self.checkpoint.exists() {
            return Ok(None);
        }
        let saved = Checkpoint::load(&self.checkpoint)?;
        let mut label: Label = serde_json::from_str(&saved.label).map_err(|e| {
            self.wrong(format!("its label cannot be read ({e}); delete it to start over"))
        })?;
        if let Some((what, ours, theirs)) = self.settings.difference(&label.settings) {
            return Err(self.wrong(format!(
                "it belongs to a search with {what} {theirs}, this one has {ours}; name another --out, or repeat the old settings"
            )));
        }
        if let Some((ours, theirs)) = self.settings.other_cost(&label.settings) {
            if self.settings.steps_see_cost() || !self.may_adopt {
                return Err(self.wrong(format!(
                    "it belongs to a search with the cost model {theirs}, this one has {ours}; name another --out, or repeat the \
                     search with the old cost model"
                )));
            }
            self.adopt(&mut label, &saved.tensors)?;
        }
        Ok(Some((label, saved.tensors)))
    }

    /// Makes another search's checkpoint this one's, at once: from here on the folder belongs to this cost model. What the epochs
    /// cost by the other one is forgotten, so that no log mixes the two; nothing else in a label or in the state depends on it.
    fn adopt(&self, label: &mut Label, tensors: &StateMap) -> Result<(), SearchError> {
        label.settings = self.settings.clone();
        for epoch in &mut label.epochs {
            epoch.relaxed_cost = None;
            epoch.derived_cost = None;
            epoch.relaxation_gap_percent = None;
        }
        let text = serde_json::to_string(label).expect("settings are plain values");
        let same = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Checkpoint::save(&self.checkpoint, &text, same.collect())
    }

    fn wrong(&self, reason: String) -> SearchError {
        SearchError::Checkpoint { path: self.checkpoint.clone(), reason }
    }

    /// Takes supernet, method and objective back to where they were.
    fn restore(&mut self, net: &CellSupernet, tensors: &StateMap) -> Result<(), SearchError> {
        let checkpoint = self.checkpoint.clone();
        let missing = |name: String| SearchError::Checkpoint {
            path: checkpoint.clone(),
            reason: format!("expected {name}, found none; delete it to start over"),
        };
        tch::no_grad(|| -> Result<(), String> {
            for (name, mut tensor) in net.weights().variables() {
                let name = format!("net.{name}");
                let old = tensors.get(&name).ok_or_else(|| name.clone())?;
                if old.size() != tensor.size() {
                    return Err(name);
                }
                tensor.copy_(old);
            }
            Ok(())
        })
        .map_err(missing)?;
        let state = tensors
            .iter()
            .filter_map(|(n, t)| Some((n.strip_prefix("method.")?.to_owned(), t.shallow_clone())))
            .collect();
        self.method.load(&state).map_err(missing)?;
        match &mut self.objective {
            Some(objective) if !objective.is_idle() => objective.load(tensors).map_err(missing),
            _ => Ok(()),
        }
    }
}

/// Mean loss and accuracy in percent over some images in eval mode, unaugmented.
pub(crate) fn accuracy(
    images: &Images,
    indices: &[usize],
    batch: usize,
    forward: impl Fn(&Batch) -> Tensor,
) -> (f64, f64) {
    let (mut loss, mut correct) = (0.0, 0);
    tch::no_grad(|| {
        for chunk in indices.chunks(batch) {
            let batch = images.plain(chunk);
            let logits = forward(&batch);
            let entropy = logits.cross_entropy_for_logits(&batch.labels);
            loss += entropy.double_value(&[]) * chunk.len() as f64;
            let hits = logits.argmax(-1, false).eq_tensor(&batch.labels).sum(Kind::Int64);
            correct += hits.int64_value(&[]);
        }
    });
    (loss / indices.len() as f64, 100.0 * correct as f64 / indices.len() as f64)
}

/// Probabilities to four digits.
fn rounded(probs: &Tensor) -> Vec<f64> {
    let probs = Vec::<f64>::try_from(&probs.to_kind(Kind::Double)).expect("one dimension");
    probs.into_iter().map(|p| (1e4 * p).round() / 1e4).collect()
}
