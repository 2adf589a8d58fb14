//! Pi-NAS: Improving Neural Architecture Search by Reducing Supernet Training Consistency Shift. Peng, Zhang, Li, Wang, Lin, Chang,
//! ICCV 2021, arXiv 2108.09671. Reference: <https://github.com/Ernie1/Pi-NAS>, `OpenSelfSup/openselfsup/models/pinas.py`.
//!
//! There are two stages. The first uses no labels: in each step two paths without a common candidate see two views each, one through
//! the student, one through the mean teacher, and the features of each path must match the teacher's of the *other* path (`InfoNCE`
//! against a queue of earlier keys). In the second stage the backbone is frozen and one linear classifier is trained on uniform
//! paths.
//!
//! Deviations: the reference shuffles a batch over several devices to keep batch norm from revealing positives; with one device
//! there is nothing to shuffle over, so this is left out. Views are mirrored only if the data set allows it, and blurred in
//! proportion to their size (`src/batches/contrastive.rs` lists the other differences to `MoCo` v2). Each stage takes half of the
//! epochs, both with the same batch size (192 in the paper's preset; the reference has 256 in the second) and in full precision;
//! both train on one half of the training images, so that the other half is new when paths are ranked. The last batch of an epoch
//! may be smaller, so writing into the queue wraps around its end. Blocks that end in BN start with its scale at 1, not 0. If `none`
//! can cut a path from its input, the pair is drawn again. On spaces whose candidates share no shortcut, only stem, neck and fixed
//! layers follow the student twice per step. The reference's tree search over paths is not part of the training; the derived path
//! here is simply the one with most multiply-adds, and all choices count as equally good. The quick preset has a shorter queue and a
//! smaller neck. Its rate and the teacher's momentum are the paper's: with a faster teacher, queries recognise keys by their age,
//! and the loss rises as the rate falls.

mod contrast;
mod neck;
mod paths;
mod teacher;

use lat_space::sample;

use super::tools::alphas::{normals, rng};
use super::tools::needs::PAIRS;
use super::tools::prelude::*;
use super::tools::sandwich::Ends;
use super::tools::stage::Stage;
use crate::supernet::Loss;
use contrast::{Contrast, enqueue, normalised};
use neck::Neck;
use teacher::Teacher;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "pi-nas",
    "supernet trained without labels: disjoint paths must agree by a mean teacher; then a linear classifier",
    "Pi-NAS: Improving Neural Architecture Search by Reducing Supernet Training Consistency Shift, 2021, arXiv 2108.09671",
    [(24, 64), (200, 192)],
)
.two_stage(PAIRS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// For the first stage. The second stage uses its momentum, Nesterov's form and clip too; label smoothing applies only to the second.
    #[serde(flatten)]
    weights: WeightConfig,
    /// Share of the teacher's weights that is kept each time it follows the student.
    m: f64,
    /// Temperature: divides the products of queries and keys.
    temperature: f64,
    /// Number of keys of earlier batches that serve as negatives; a multiple of the batch.
    queue: u32,
    /// Output size of the neck's first layer.
    neck_hidden: u32,
    /// Length of queries and keys.
    neck_out: u32,
    /// Learning rate at the start of the second stage; divided by 10 after 60 % and again after 80 % of it. There is no weight decay.
    linear_lr: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig {
            lr: 0.03,
            lr_min: 0.0,
            decay: 1e-4,
            clip: f64::INFINITY,
            ..WeightConfig::DARTS
        };
        let (neck_hidden, neck_out) = (2048, 128);
        Self {
            weights,
            m: 0.999,
            temperature: 0.2,
            queue: 49_152,
            neck_hidden,
            neck_out,
            linear_lr: 30.0,
        }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            clip = 5.0
            queue = 512
            neck_hidden = 128
            neck_out = 64
            linear_lr = 0.02
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        let Self { m, temperature, queue, neck_hidden, neck_out, linear_lr, .. } = self;
        ensure((0.0..=1.0).contains(m), || format!("m from 0 to 1, found {m}"))?;
        ensure(*temperature > 0.0, || format!("temperature above 0, found {temperature}"))?;
        ensure(*linear_lr >= 0.0, || format!("linear_lr of at least 0, found {linear_lr}"))?;
        let numbers = [("queue", queue), ("neck_hidden", neck_hidden), ("neck_out", neck_out)];
        let zero = numbers.into_iter().find(|(_, n)| **n == 0);
        zero.map_or(Ok(()), |(name, _)| Err(format!("{name} of at least 1, found 0")))
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(PiNas {
            core: Core::bare(space.decisions(), self.weights),
            config: self,
            seed,
            ends: Ends::default(),
            uniform: Relaxed::uniform(space),
            training: None,
            stage: CONTRASTIVE,
        }))
    }
}

/// Numbers of the two stages.
const CONTRASTIVE: usize = 0;
const LINEAR: usize = 1;

/// Name of the state entry with the queue `[neck_out, queue]`: one key per column.
const QUEUE: &str = "queue";
/// Name of the state entry with the pointer `[1]`: the column that is written next.
const POINTER: &str = "pointer";

#[derive(Debug)]
struct PiNas {
    core: Core,
    config: Config,
    seed: u64,
    ends: Ends,
    uniform: Relaxed,
    /// Set during the first stage, once it has a supernet.
    training: Option<Training>,
    /// Number of the current stage.
    stage: usize,
}

/// The networks that the first stage uses besides the supernet: the neck and the teacher.
#[derive(Debug)]
struct Training {
    neck: Neck,
    teacher: Teacher,
}

impl PiNas {
    /// One step of the first stage.
    fn contrast(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> StepReport {
        let paths = paths::disjoint(cx.space, cx.rng).map(|path| self.core.hard(&path));
        let views = batch.views();
        let [v0, v1, v2, v3] = &views[..] else { unreachable!("a batch has the views asked for") };
        let Training { neck, teacher } = self.training.as_ref().expect("begin comes before step");
        let Config { m, temperature, .. } = self.config;
        // The teacher answers for the first path before it follows the second.
        let q0 = neck.forward(&cx.net.features_t(v0, &paths[0], true));
        let k0 = teacher.keys(cx.net, v1, &paths[0], m);
        let q1 = neck.forward(&cx.net.features_t(v2, &paths[1], true));
        let k1 = teacher.keys(cx.net, v3, &paths[1], m);
        let queue = self.core.kept(QUEUE);
        // Each query is compared with the other path's keys, and with the queue from before this step.
        let across = [(&q0, &k1), (&q1, &k0)].map(|(q, k)| Contrast::of(q, k, queue, temperature));
        let loss = &across[0].value + &across[1].value;
        let n_correct = across.each_ref().map(Contrast::n_correct);
        let gradients = cx.net.gradients(&loss, self.core.weights.weights());
        enqueue(queue, self.core.kept(POINTER), &((k0 + k1) / 2.0));
        self.core.weights.apply(&gradients, cx.progress);
        StepReport {
            train_loss: DeviceScalar::of(&loss),
            n_correct: DeviceScalar::of(&((&n_correct[0] + &n_correct[1]) / 2.0)),
            valid_loss: None,
        }
    }

    /// One step of the second stage: trains the classifier on a uniform path. Batch norm uses the batch's statistics.
    fn classify(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> StepReport {
        let path = self.core.hard(&sample(cx.space, cx.rng));
        let features = tch::no_grad(|| cx.net.features_t(&batch.images, &path, true));
        let smoothing = self.config.weights.label_smoothing;
        let loss = Loss::of(cx.net.classify(&features), batch, smoothing);
        let gradients = cx.net.gradients(&loss.value, self.core.weights.weights());
        let lr = linear_rate(self.config.linear_lr, cx.progress);
        self.core.weights.apply_at(&gradients, lr);
        StepReport::of(&loss)
    }
}

/// The second stage's learning rate when this share of it is done.
fn linear_rate(begin: f64, progress: f64) -> f64 {
    let passed = [0.6, 0.8].into_iter().filter(|step| progress >= *step).count();
    begin * 0.1f64.powi(passed as i32)
}

/// Random queue `[c, length]`: columns of length one in random directions.
fn random_queue(c: u32, length: u32, rng: &mut rand_chacha::ChaCha8Rng) -> Tensor {
    let values: Vec<f32> = normals(c as usize * length as usize, rng).collect();
    normalised(&Tensor::from_slice(&values).view([i64::from(length), i64::from(c)]))
        .tr()
        .contiguous()
}

impl Method for PiNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn n_views(&self) -> usize {
        if self.stage == CONTRASTIVE { 4 } else { 1 }
    }

    fn check_batch(&self, n_images: u32) -> Result<(), String> {
        let queue = self.config.queue;
        ensure(n_images > 0 && queue.is_multiple_of(n_images), || {
            let (below, above) = (queue / n_images.max(1), queue.div_ceil(n_images.max(1)));
            let fitting = [below, above].map(|n| n.max(1) * n_images);
            format!(
                "a queue that is a multiple of the batch of {n_images} images, found {queue}; set --set queue={} or another --batch",
                if fitting[0] < queue { fitting[1] } else { fitting[0] }
            )
        })
    }

    /// Not data-parallel, because the queue holds only keys of images that this process saw.
    fn is_data_parallel(&self) -> bool {
        false
    }

    fn initialise(&self, space: &dyn SearchSpace, net: &dyn Supernet) {
        self.ends.of(space, net.graph());
    }

    fn n_stages(&self) -> usize {
        2
    }

    fn stage(&self, number: usize) -> Stage {
        Stage { keeps_weights: true, ..Stage::of_whole(number) }
    }

    fn enter(&mut self, stage: &Stage) {
        self.stage = stage.number;
        self.training = None;
        let decay = if self.stage == LINEAR { 0.0 } else { self.config.weights.decay };
        let weights = WeightConfig { decay, ..self.config.weights };
        self.core = Core::bare(&self.core.decisions, weights);
    }

    fn prepare(&mut self, net: &dyn Supernet) {
        if self.stage == LINEAR {
            return;
        }
        let Config { queue, neck_hidden, neck_out, .. } = self.config;
        let (mut rng, device) = (rng(self.seed), self.core.device);
        let kind = self.core.weights.weights().first().map_or(Kind::Float, Tensor::kind);
        let sizes = [neck_hidden, neck_out].map(i64::from);
        let neck = Neck::new(net.width(), sizes, &mut rng, (kind, device));
        let teacher = Teacher::new(net, &neck);
        let core = &mut self.core;
        core.weights.begin_with(net, neck.weights());
        let queue = random_queue(neck_out, queue, &mut rng).to_device(device);
        core.keep(QUEUE, queue.to_kind(kind));
        core.keep(POINTER, Tensor::zeros([1], (Kind::Int64, device)));
        for (name, weight) in neck::NAMES.into_iter().zip(neck.weights()) {
            core.keep(name, weight);
        }
        for (name, weight) in teacher.named() {
            core.keep(name, weight);
        }
        self.training = Some(Training { neck, teacher });
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let cx = &mut cx.at(Stage::progress(cx.progress, self.stage, self.n_stages()));
        Ok(match self.stage {
            CONTRASTIVE => self.contrast(cx, &batches.train),
            _ => self.classify(cx, &batches.train),
        })
    }

    fn sees_cost(&self) -> bool {
        false
    }

    fn relaxed(&self) -> Relaxed {
        self.uniform.shallow_clone()
    }

    /// The path with most multiply-adds; among equals the later choice.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        self.ends.largest(space)
    }
}
