//! Trains several networks side by side on the residual of the linear part.

mod watch;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Reduction, Tensor};

use crate::model::members::{Members, Recipe, Rows};
use crate::progress::{FitEvent, Progress};
use crate::structured::one_thread::OneThread;
use watch::Watch;

/// Number of checks on the held-out rows during one training.
const CHECKS: usize = 40;

/// Trains members. Returns them as they were at their best, and for each row the output of the member that has not seen it (None
/// if every member has seen it).
pub(crate) fn train(
    rows: &Rows<'_>,
    recipe: &Recipe,
    progress: &Progress,
) -> (Members, Vec<Option<f64>>) {
    let _threads = OneThread::start();
    let mut training = Training::new(*rows, recipe);
    let mut watch = Watch::new(rows, &training.members, recipe.n_members);
    let every = recipe.steps.div_ceil(CHECKS);
    for step in 1..=recipe.steps {
        training.step();
        progress.tell(FitEvent::Step(step as u64, recipe.steps as u64));
        if step % every == 0 && !tch::no_grad(|| watch.look(&training.members)) {
            break;
        }
    }
    watch.finish()
}

/// A training in progress.
pub(crate) struct Training<'a> {
    rows: Rows<'a>,
    recipe: &'a Recipe,
    pub(crate) members: Members,
    batches: Vec<Batches>,
    optimizer: nn::Optimizer,
    rng: ChaCha8Rng,
    steps_done: usize,
}

impl<'a> Training<'a> {
    pub(crate) fn new(rows: Rows<'a>, recipe: &'a Recipe) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        let store = nn::VarStore::new(Device::Cpu);
        let members = untrained(rows.x, recipe, &store, &mut rng);
        let batches = |k| Batches::new(rows.folds.kept(k), recipe.batch);
        let batches = (0..recipe.n_members).map(batches).collect();
        let decay = nn::AdamW { wd: recipe.weight_decay, ..nn::AdamW::default() };
        let optimizer = decay.build(&store, recipe.lr).expect("AdamW takes these options");
        Self { rows, recipe, members, batches, optimizer, rng, steps_done: 0 }
    }

    /// One step, with one batch for each member.
    pub(crate) fn step(&mut self) {
        let Rows { x, target, weight, .. } = self.rows;
        let turn = std::f64::consts::PI * self.steps_done as f64 / self.recipe.steps as f64;
        self.optimizer.set_lr(self.recipe.lr * f64::midpoint(1.0, turn.cos()));
        let size = [self.recipe.n_members as i64, self.recipe.batch as i64];
        let rng = &mut self.rng;
        let rows: Vec<i64> = self.batches.iter_mut().flat_map(|b| b.next(rng)).collect();
        let rows = Tensor::from_slice(&rows);
        let code = x.index_select(0, &rows).view([size[0], size[1], x.size()[1]]);
        let wanted = target.index_select(0, &rows).view(size);
        let weight = weight.index_select(0, &rows).view(size);
        // Huber loss, so that a few disturbed measurements do not bend the fit.
        let losses = self.members.run(&code).huber_loss(&wanted, Reduction::None, 1.0) * weight;
        self.optimizer.backward_step(&(losses.mean(Kind::Float) * size[0] as f64));
        self.steps_done += 1;
    }
}

/// Members with uniform initial weights that preserve the spread of the activations. The last layer starts at zero, so the
/// correction starts as zero.
fn untrained(x: &Tensor, recipe: &Recipe, store: &nn::VarStore, rng: &mut ChaCha8Rng) -> Members {
    let k = recipe.n_members as i64;
    // One-hot inputs are sparse, so the number of entries that are not zero counts.
    let ones = x.square().sum(Kind::Double).double_value(&[]) / x.size()[0] as f64;
    let (mut fan_in, mut n_in) = (ones.max(1.0), x.size()[1]);
    let mut layers = Vec::new();
    for (i, n_out) in recipe.widths.iter().map(|&w| w as i64).chain([1]).enumerate() {
        let path = &store.root() / i as i64;
        let zeros = Tensor::zeros([k, 1, n_out], (Kind::Float, Device::Cpu));
        let biases = path.var_copy("biases", &zeros);
        let bound = if i == recipe.widths.len() { 0.0 } else { (3.0 / fan_in).sqrt() as f32 };
        let draw: Vec<f32> =
            (0..k * n_in * n_out).map(|_| bound * rng.gen_range(-1.0f32..1.0)).collect();
        let weights = path.var_copy("weights", &Tensor::from_slice(&draw).view([k, n_in, n_out]));
        layers.push((weights, biases));
        (n_in, fan_in) = (n_out, n_out as f64);
    }
    Members { layers }
}

/// Shuffled rows, repeated endlessly.
struct Batches {
    rows: Vec<usize>,
    at: usize,
    size: usize,
}

impl Batches {
    fn new(rows: Vec<usize>, size: usize) -> Self {
        Self { at: rows.len(), rows, size }
    }

    fn next(&mut self, rng: &mut ChaCha8Rng) -> Vec<i64> {
        let mut batch = Vec::with_capacity(self.size);
        while batch.len() < self.size {
            if self.at == self.rows.len() {
                self.rows.shuffle(rng);
                self.at = 0;
            }
            let end = self.rows.len().min(self.at + self.size - batch.len());
            batch.extend(self.rows[self.at..end].iter().map(|&r| r as i64));
            self.at = end;
        }
        batch
    }
}

#[cfg(test)]
mod tests;
