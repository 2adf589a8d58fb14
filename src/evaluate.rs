//! The evaluation phase: trains an architecture from scratch and tests it (DARTS, arXiv 1806.09055, section 3.2).
//!
//! Reference: `cnn/train.py` of <https://github.com/quark0/darts>. Deviation: below 8x8 pixels the auxiliary head pools
//! adaptively, since its 5x5 window does not fit.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use lat_data::Dataset;
use lat_nn::{DropPath, Phase, StaticNet, WeightInit};
use lat_space::{Architecture, Cost, SearchSpace, Skeleton, count};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::accuracy::accuracy;
use crate::batches::{Images, epoch_rng, shuffled};
use crate::checkpoint::Checkpoint;
use crate::error::SearchError;
use crate::extracted::ExtractedNet;
use crate::methods::{Batch, Preset};
use crate::optimizer::{Sgd, cosine, ordered_weights};
use crate::spent::{Meter, Spent};

/// How an architecture is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingPlan {
    /// Passes over the training images.
    pub epochs: u32,
    /// Images per batch.
    pub batch: u32,
    /// SGD's learning rate at the start; it falls to zero along a cosine.
    pub lr: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// L2 weight decay.
    pub decay: f64,
    /// Bound on the gradient's norm.
    pub clip: f64,
    /// Weight of the auxiliary head's loss; 0 means no such head.
    pub auxiliary: f64,
    /// Probability of drop path at the last epoch, rising linearly from 0.
    pub drop_path: f64,
}

impl TrainingPlan {
    /// The paper's plan, or one that takes minutes on two CPU cores: fewer epochs, a higher learning rate to match, and no
    /// regularisers, which only help in long training.
    pub fn preset(preset: Preset) -> Self {
        let paper = Self {
            epochs: 600,
            batch: 96,
            lr: 0.025,
            momentum: 0.9,
            decay: 3e-4,
            clip: 5.0,
            auxiliary: 0.4,
            drop_path: 0.2,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => {
                Self { epochs: 30, batch: 64, lr: 0.1, auxiliary: 0.0, drop_path: 0.0, ..paper }
            }
        }
    }
}

/// The settings that identify an evaluation. A checkpoint with other settings is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSettings {
    /// The architecture as text.
    pub architecture: String,
    /// Id of the architecture's space.
    pub space: String,
    /// Name of the data set.
    pub dataset: String,
    /// Checksum of its images and labels, [`Dataset::checksum`]; empty in files of older versions.
    #[serde(default)]
    pub images: String,
    /// The network's skeleton.
    pub skeleton: Skeleton,
    /// How it is trained.
    pub plan: TrainingPlan,
    /// Seed for everything random.
    pub seed: u64,
    /// Checksum of the extracted network that training starts from; None if it starts from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

impl EvaluationSettings {
    /// The first setting in which two evaluations differ, as (name, this, other).
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let images =
            if self.images.is_empty() || other.images.is_empty() { "" } else { &self.images };
        let theirs = if images.is_empty() { "" } else { &other.images };
        let number = |a: f64, b: f64| (a.to_string(), b.to_string());
        let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let begun =
            |weights: &Option<String>| weights.clone().unwrap_or_else(|| "drawn anew".into());
        let (plan, old) = (&self.plan, &other.plan);
        let pairs = [
            ("architecture", text(&self.architecture, &other.architecture)),
            ("space", text(&self.space, &other.space)),
            ("data set", text(&self.dataset, &other.dataset)),
            ("content of the data set", text(images, theirs)),
            ("skeleton", (self.skeleton.to_string(), other.skeleton.to_string())),
            ("epochs", (plan.epochs.to_string(), old.epochs.to_string())),
            ("batch", (plan.batch.to_string(), old.batch.to_string())),
            ("seed", (self.seed.to_string(), other.seed.to_string())),
            ("learning rate", number(plan.lr, old.lr)),
            ("momentum", number(plan.momentum, old.momentum)),
            ("weight decay", number(plan.decay, old.decay)),
            ("bound of the gradient", number(plan.clip, old.clip)),
            ("weight of the auxiliary head", number(plan.auxiliary, old.auxiliary)),
            ("drop path", number(plan.drop_path, old.drop_path)),
            ("first weights", (begun(&self.weights), begun(&other.weights))),
        ];
        let differs = pairs.into_iter().find(|(_, (ours, theirs))| ours != theirs);
        differs.map(|(name, (ours, theirs))| (name, ours, theirs))
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedEpoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Average cross entropy during training.
    pub train_loss: f64,
    /// Share of correct answers during training, percent.
    pub train_accuracy: f64,
    /// Seconds the epoch took.
    pub seconds: f64,
}

/// An event while an architecture is trained.
#[derive(Debug, Clone, Copy)]
pub enum TrainingEvent<'a> {
    /// A step is finished: (steps since the first epoch, steps of all epochs).
    Step(u64, u64),
    /// An epoch is finished.
    Epoch(&'a TrainedEpoch),
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of correct answers on the test images after the last epoch, percent.
    pub test_accuracy: f64,
    /// Cross entropy on the test images.
    pub test_loss: f64,
    /// Parameters and multiply-adds, without the auxiliary head.
    pub cost: Cost,
    /// The log, one entry per epoch.
    pub epochs: Vec<TrainedEpoch>,
    /// Seconds of training and test, added up over all processes.
    pub seconds: f64,
}

/// The label of a checkpoint: everything except tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    settings: EvaluationSettings,
    epochs: Vec<TrainedEpoch>,
    /// Time and memory spent so far; checkpoints of older versions lack it.
    #[serde(default)]
    spent: Option<Spent>,
}

/// An architecture being trained.
struct Training<'a> {
    settings: &'a EvaluationSettings,
    net: StaticNet,
    sgd: Sgd,
    train: Images,
    checkpoint: PathBuf,
    meter: Meter,
}

/// Trains the architecture from scratch, or continues from the checkpoint, and tests it.
///
/// # Errors
/// [`SearchError::NotANumber`] if a loss is NaN or infinite, [`SearchError::Checkpoint`] if the checkpoint belongs to another
/// evaluation, [`SearchError::Interrupted`] if the user stops it.
pub fn evaluate(
    (space, architecture): (&dyn SearchSpace, &Architecture),
    settings: &EvaluationSettings,
    (dataset, device): (&Dataset, Device),
    checkpoint: PathBuf,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(TrainingEvent<'_>),
) -> Result<Evaluation, SearchError> {
    let meter = Meter::begin(None);
    tch::manual_seed(settings.seed as i64);
    let graph = space.graph(&settings.skeleton).derive(architecture);
    let cost = count(&graph);
    let net = StaticNet::new(
        graph.pruned(settings.plan.auxiliary > 0.0),
        device,
        Phase::Evaluation,
        WeightInit::Uniform,
    )?;
    let train = Images::training(dataset, device);
    let training = Training::new(settings, net, train, (checkpoint, meter));
    training.run((dataset, device), cost, stop, on_event)
}

/// Continues training an extracted network (whose layers stay those of the search phase), or resumes from the checkpoint, and tests
/// it. A plan of no epochs only tests. The images should be [`crate::extracted::NetLabel::normalised`].
///
/// # Errors
/// Those of [`evaluate`]; [`SearchError::Space`] if the file's label names a space or architecture that this program does not know.
pub fn go_on(
    extracted: ExtractedNet,
    settings: &EvaluationSettings,
    (dataset, device): (&Dataset, Device),
    checkpoint: PathBuf,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(TrainingEvent<'_>),
) -> Result<Evaluation, SearchError> {
    let meter = Meter::begin(None);
    let (space, architecture) = extracted.label.named()?;
    let cost = count(&space.graph(&settings.skeleton).derive(&architecture));
    let train = Images::training(dataset, device);
    let training = Training::new(settings, extracted.net, train, (checkpoint, meter));
    training.run((dataset, device), cost, stop, on_event)
}

impl<'a> Training<'a> {
    fn new(
        settings: &'a EvaluationSettings,
        net: StaticNet,
        train: Images,
        (checkpoint, meter): (PathBuf, Meter),
    ) -> Self {
        let weights = ordered_weights(net.weights());
        let sgd = Sgd::new(weights, settings.plan.momentum, settings.plan.decay);
        Self { settings, net, sgd, train, checkpoint, meter }
    }

    /// Runs the remaining epochs and the test.
    fn run(
        self,
        (dataset, device): (&Dataset, Device),
        cost: Cost,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(TrainingEvent<'_>),
    ) -> Result<Evaluation, SearchError> {
        let mut training = self;
        let plan = training.settings.plan;
        let mut epochs = training.resume()?;
        while (epochs.len() as u32) < plan.epochs {
            let epoch = epochs.len() as u32;
            let report = lat_nn::guard(|| training.epoch(epoch, stop, on_event))??;
            on_event(TrainingEvent::Epoch(&report));
            epochs.push(report);
            training.save(&epochs)?;
        }
        let test = Images::testing(dataset, device);
        let all: Vec<usize> = (0..test.len()).collect();
        let net = &training.net;
        let forward = |batch: &Batch| net.forward_t(&batch.images, false, DropPath::OFF).main;
        let (test_loss, test_accuracy) =
            lat_nn::guard(|| accuracy(&test, &all, plan.batch as usize, forward))?;
        let seconds = training.meter.spent().seconds;
        Ok(Evaluation { test_accuracy, test_loss, cost, epochs, seconds })
    }

    fn epoch(
        &mut self,
        epoch: u32,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(TrainingEvent<'_>),
    ) -> Result<TrainedEpoch, SearchError> {
        let start = std::time::Instant::now();
        let plan = self.settings.plan;
        let mut rng = epoch_rng(self.settings.seed, epoch);
        // Drop path draws its masks from libtorch's generator. Seeding it per epoch makes a resumed run draw the same masks.
        tch::manual_seed((self.settings.seed as i64).wrapping_add(i64::from(epoch) + 1));
        let all: Vec<usize> = (0..self.train.len()).collect();
        let batches = shuffled(&all, plan.batch as usize, &mut rng);
        let progress = f64::from(epoch) / f64::from(plan.epochs);
        let drop_path = DropPath(plan.drop_path * progress);
        let (mut loss, mut correct, mut seen) = (0.0, 0, 0);
        for (step, indices) in batches.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            let batch = self.train.batch(indices, &mut rng);
            let (value, hits) = self.step(&batch, drop_path, cosine(plan.lr, 0.0, progress));
            if !value.is_finite() {
                let what = "training loss";
                return Err(SearchError::NotANumber {
                    what,
                    value,
                    epoch: epoch + 1,
                    step: step + 1,
                });
            }
            loss += value * indices.len() as f64;
            correct += hits;
            seen += indices.len();
            let steps = batches.len() as u64;
            let done = u64::from(epoch) * steps + step as u64 + 1;
            on_event(TrainingEvent::Step(done, u64::from(plan.epochs) * steps));
        }
        Ok(TrainedEpoch {
            epoch: epoch + 1,
            train_loss: loss / seen as f64,
            train_accuracy: 100.0 * correct as f64 / seen as f64,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// One SGD step. Returns the main head's loss and its number of correct answers.
    fn step(&mut self, batch: &Batch, drop_path: DropPath, lr: f64) -> (f64, i64) {
        let logits = self.net.forward_t(&batch.images, true, drop_path);
        let main = logits.main.cross_entropy_for_logits(&batch.labels);
        let loss = match &logits.auxiliary {
            Some(auxiliary) => {
                &main
                    + auxiliary.cross_entropy_for_logits(&batch.labels)
                        * self.settings.plan.auxiliary
            }
            None => main.shallow_clone(),
        };
        let weights: Vec<&Tensor> = self.sgd.weights().iter().collect();
        let gradients = Tensor::run_backward(&[loss], &weights, false, false);
        self.sgd.step(&gradients, lr, self.settings.plan.clip);
        let hits = logits.main.argmax(-1, false).eq_tensor(&batch.labels).sum(Kind::Int64);
        (main.double_value(&[]), hits.int64_value(&[]))
    }

    fn save(&self, epochs: &[TrainedEpoch]) -> Result<(), SearchError> {
        let spent = Some(self.meter.spent());
        let label = Label { settings: self.settings.clone(), epochs: epochs.to_vec(), spent };
        let label = serde_json::to_string(&label).expect("settings are plain values");
        let mut tensors: Vec<(String, Tensor)> =
            self.net.weights().variables().into_iter().collect();
        tensors.extend(self.sgd.state("sgd"));
        Checkpoint::save(&self.checkpoint, &label, tensors)
    }

    fn resume(&mut self) -> Result<Vec<TrainedEpoch>, SearchError> {
        if !self.checkpoint.exists() {
            return Ok(Vec::new());
        }
        let path = self.checkpoint.clone();
        let wrong = |reason: String| SearchError::Checkpoint { path: path.clone(), reason };
        let saved = Checkpoint::load(&self.checkpoint)?;
        let label: Label = serde_json::from_str(&saved.label).map_err(|e| {
            wrong(format!("its label cannot be read ({e}); delete it to start over"))
        })?;
        if let Some((what, ours, theirs)) = self.settings.difference(&label.settings) {
            return Err(wrong(format!(
                "it belongs to an evaluation with {what} {theirs}, this one has {ours}; name another --out, or repeat the old settings"
            )));
        }
        let missing =
            |name: String| wrong(format!("expected {name}, found none; delete it to start over"));
        tch::no_grad(|| -> Result<(), String> {
            for (name, mut tensor) in self.net.weights().variables() {
                let old = saved.tensors.get(&name).filter(|t| t.size() == tensor.size());
                tensor.copy_(old.ok_or_else(|| name.clone())?);
            }
            Ok(())
        })
        .map_err(missing)?;
        self.sgd.load("sgd", &saved.tensors).map_err(missing)?;
        self.meter.go_on(Spent::recorded(label.spent, label.epochs.iter().map(|e| e.seconds)));
        Ok(label.epochs)
    }
}
