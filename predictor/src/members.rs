//! A few small networks trained side by side, each without another fold of the rows.
//!
//! All members of a layer lie in one tensor, so a step costs a few calls whatever their number.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Reduction, Tensor};

use crate::folds::Folds;
use crate::one_thread::OneThread;

/// Looks at the held-out rows in the course of one training.
const CHECKS: usize = 40;
/// Looks without a better one after which training ends.
const PATIENCE: usize = 12;

/// Networks of one shape; the output is their mean.
#[derive(Debug)]
pub(crate) struct Members {
    /// Weights `[k, n_in, n_out]` and biases `[k, 1, n_out]`.
    pub(crate) layers: Vec<(Tensor, Tensor)>,
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    /// Number of networks, at most that of the folds.
    pub(crate) n_members: usize,
    /// Widths of the hidden layers.
    pub(crate) widths: Vec<usize>,
    /// Rows per step and member.
    pub(crate) batch: usize,
    /// Steps at most.
    pub(crate) steps: usize,
    /// Learning rate of the first step; a cosine leads it to zero.
    pub(crate) lr: f64,
    /// Decoupled weight decay.
    pub(crate) weight_decay: f64,
    /// Seed of first weights and batches.
    pub(crate) seed: u64,
}

impl Members {
    /// Inputs `[b, n_inputs]` to the members' mean `[b]`.
    pub(crate) fn forward(&self, inputs: &Tensor) -> Tensor {
        self.run(&inputs.unsqueeze(0)).mean_dim([0i64].as_slice(), false, None::<Kind>)
    }

    /// The same and the variance among the members, `[b]` each.
    pub(crate) fn forward_with_variance(&self, inputs: &Tensor) -> (Tensor, Tensor) {
        let outputs = self.run(&inputs.unsqueeze(0));
        let mean = outputs.mean_dim([0i64].as_slice(), false, None::<Kind>);
        let variance = (outputs - &mean).square().mean_dim([0i64].as_slice(), false, None::<Kind>);
        (mean, variance)
    }

    /// `[k, b, n_inputs]` (or 1 for k: the same rows for all) to `[k, b]`.
    fn run(&self, code: &Tensor) -> Tensor {
        let mut h = code.shallow_clone();
        for (i, (weights, biases)) in self.layers.iter().enumerate() {
            // Smooth, so that the slope which a search follows does not jump.
            let input = if i == 0 { h } else { h.silu() };
            h = input.matmul(weights) + biases;
        }
        h.squeeze_dim(-1)
    }

    /// One member's output, `[b, n_features]` to `[b]`.
    fn run_one(&self, member: i64, code: &Tensor) -> Tensor {
        let one = |(w, b): &(Tensor, Tensor)| (w.narrow(0, member, 1), b.narrow(0, member, 1));
        Self { layers: self.layers.iter().map(one).collect() }
            .run(&code.unsqueeze(0))
            .squeeze_dim(0)
    }

    /// The same with its output multiplied.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        if let Some((weights, biases)) = self.layers.last_mut() {
            (*weights, *biases) = (&*weights * factor, &*biases * factor);
        }
        self
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        let layers = self.layers.iter().map(|(w, b)| (w.to_device(device), b.to_device(device)));
        Self { layers: layers.collect() }
    }

    fn detached_copy(&self) -> Self {
        let layers = self.layers.iter().map(|(w, b)| (w.detach().copy(), b.detach().copy()));
        Self { layers: layers.collect() }
    }

    fn copy_member(&mut self, from: &Self, member: i64) {
        tch::no_grad(|| {
            for ((w, b), (new_w, new_b)) in self.layers.iter().zip(&from.layers) {
                w.get(member).copy_(&new_w.get(member));
                b.get(member).copy_(&new_b.get(member));
            }
        });
    }
}

/// What members learn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Inputs `[n, n_inputs]`.
    pub(crate) x: &'a Tensor,
    /// Targets `[n]` of about unit spread.
    pub(crate) target: &'a Tensor,
    /// What an error of each row counts, `[n]`.
    pub(crate) weight: &'a Tensor,
    /// Member i does not see part i.
    pub(crate) folds: &'a Folds,
}

/// Trains members. Gives them at their best moment, and per row the output of the member that has not seen it, where there is
/// one.
pub(crate) fn train(rows: &Rows<'_>, recipe: &Recipe) -> (Members, Vec<Option<f64>>) {
    let Rows { x, target, weight, folds } = *rows;
    let _threads = OneThread::start();
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let store = nn::VarStore::new(Device::Cpu);
    let members = untrained(x, recipe, &store, &mut rng);
    let mut watch = Watch::new(rows, &members, recipe.n_members);
    let mut batches: Vec<Batches> =
        (0..recipe.n_members).map(|k| Batches::new(folds.kept(k), recipe.batch)).collect();
    let decay = nn::AdamW { wd: recipe.weight_decay, ..nn::AdamW::default() };
    let mut optimizer = decay.build(&store, recipe.lr).expect("AdamW takes these options");
    let every = recipe.steps.div_ceil(CHECKS);
    let size = [recipe.n_members as i64, recipe.batch as i64];
    for step in 0..recipe.steps {
        let turn = std::f64::consts::PI * step as f64 / recipe.steps as f64;
        optimizer.set_lr(recipe.lr * f64::midpoint(1.0, turn.cos()));
        let rows: Vec<i64> = batches.iter_mut().flat_map(|b| b.next(&mut rng)).collect();
        let rows = Tensor::from_slice(&rows);
        let code = x.index_select(0, &rows).view([size[0], size[1], x.size()[1]]);
        let wanted = target.index_select(0, &rows).view(size);
        let weight = weight.index_select(0, &rows).view(size);
        // Huber: a few disturbed measurements must not bend the fit.
        let losses = members.run(&code).huber_loss(&wanted, Reduction::None, 1.0) * weight;
        optimizer.backward_step(&(losses.mean(Kind::Float) * size[0] as f64));
        if (step + 1) % every == 0 && !tch::no_grad(|| watch.look(&members)) {
            break;
        }
    }
    watch.finish()
}

/// Members with uniform first weights that keep the spread of the activations. The last layer starts at zero: the correction
/// starts as none.
fn untrained(x: &Tensor, recipe: &Recipe, store: &nn::VarStore, rng: &mut ChaCha8Rng) -> Members {
    let k = recipe.n_members as i64;
    // One-hot inputs are sparse: what counts is how many entries are not zero.
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

/// Shuffled rows, again and again.
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

/// Keeps each member as it was when best on its held-out rows.
struct Watch {
    /// Per member its held-out rows.
    rows: Vec<HeldOut>,
    n_rows: usize,
    best: Members,
    losses: Vec<f64>,
    idle: usize,
}

/// Rows that a member does not learn from, with their inputs, targets and weights.
struct HeldOut {
    rows: Vec<usize>,
    inputs: Tensor,
    target: Tensor,
    weight: Tensor,
}

impl Watch {
    fn new(rows: &Rows<'_>, members: &Members, n: usize) -> Self {
        let Rows { x, target, weight, folds } = *rows;
        let held_out = |k| {
            let rows = folds.held_out(k).to_vec();
            let index = Tensor::from_slice(&rows.iter().map(|&r| r as i64).collect::<Vec<_>>());
            let of = |all: &Tensor| all.index_select(0, &index);
            HeldOut { rows, inputs: of(x), target: of(target), weight: of(weight) }
        };
        let rows: Vec<_> = (0..n).map(held_out).collect();
        let losses = (0..n).map(|k| loss(members, k, &rows[k])).collect();
        let n_rows = x.size()[0] as usize;
        Self { rows, n_rows, best: members.detached_copy(), losses, idle: 0 }
    }

    /// Whether to go on.
    fn look(&mut self, members: &Members) -> bool {
        self.idle += 1;
        for k in 0..self.losses.len() {
            let loss = loss(members, k, &self.rows[k]);
            if loss < self.losses[k] {
                (self.losses[k], self.idle) = (loss, 0);
                self.best.copy_member(members, k as i64);
            }
        }
        self.idle < PATIENCE
    }

    fn finish(self) -> (Members, Vec<Option<f64>>) {
        let mut outputs = vec![None; self.n_rows];
        for (k, held) in self.rows.iter().enumerate() {
            let output = || crate::model::to_vec(&self.best.run_one(k as i64, &held.inputs));
            for (&row, value) in held.rows.iter().zip(tch::no_grad(output)) {
                outputs[row] = Some(f64::from(value));
            }
        }
        (self.best, outputs)
    }
}

/// Mean weighted absolute error of a member on its held-out rows.
fn loss(members: &Members, member: usize, held: &HeldOut) -> f64 {
    tch::no_grad(|| {
        let error = members.run_one(member as i64, &held.inputs) - &held.target;
        (error.abs() * &held.weight).mean(Kind::Double).double_value(&[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(steps: usize) -> Recipe {
        let widths = vec![16, 8];
        Recipe { n_members: 2, widths, batch: 16, steps, lr: 3e-3, weight_decay: 1e-4, seed: 3 }
    }

    fn learn(x: &Tensor, target: &Tensor, recipe: &Recipe) -> (Members, Vec<Option<f64>>) {
        let folds = Folds::new(200, 4, 0);
        let weight = Tensor::ones([200], (Kind::Float, Device::Cpu));
        train(&Rows { x, target, weight: &weight, folds: &folds }, recipe)
    }

    /// Exclusive or of two bits, with six idle ones.
    fn problem() -> (Tensor, Tensor) {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let bits: Vec<f32> =
            (0..200 * 8).map(|_| f32::from(u8::from(rng.r#gen::<bool>()))).collect();
        let xor: Vec<f32> = bits.chunks(8).map(|b| if b[0] == b[1] { -1.0 } else { 1.0 }).collect();
        (Tensor::from_slice(&bits).view([200, 8]), Tensor::from_slice(&xor))
    }

    #[test]
    fn members_learn_what_no_linear_part_can() {
        let (x, target) = problem();
        let (members, held_out) = learn(&x, &target, &recipe(600));
        let right = crate::model::to_vec(&target);
        let seen: Vec<_> =
            held_out.iter().zip(&right).filter_map(|(h, t)| h.map(|h| (h, t))).collect();
        assert_eq!(seen.len(), 100);
        let error = seen.iter().map(|(h, t)| (h - f64::from(**t)).abs()).sum::<f64>() / 100.0;
        // No correction at all is off by 1.
        assert!(error < 0.3, "{error}");
        assert!(members.layers.iter().all(|(w, b)| !w.requires_grad() && !b.requires_grad()));
        let mean = crate::model::to_vec(&members.forward(&x));
        let halved = crate::model::to_vec(&members.scaled(0.5).forward(&x));
        assert!(mean.iter().zip(halved).all(|(a, b)| (a / 2.0 - b).abs() < 1e-5));
    }

    #[test]
    fn untrained_members_correct_nothing() {
        let (x, target) = problem();
        let (members, held_out) = learn(&x, &target, &recipe(0));
        assert!(crate::model::to_vec(&members.forward(&x)).iter().all(|&v| v == 0.0));
        assert!(held_out.iter().flatten().all(|&v| v == 0.0));
    }

    #[test]
    fn same_seed_same_members() {
        let (x, target) = problem();
        let outputs = |seed| {
            let recipe = Recipe { seed, ..recipe(60) };
            learn(&x, &target, &recipe).1
        };
        assert_eq!(outputs(1), outputs(1));
        assert_ne!(outputs(1), outputs(2));
    }

    #[test]
    fn batches_go_through_all_rows_before_any_again() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut batches = Batches::new((0..10).collect(), 4);
        let mut drawn: Vec<i64> = (0..5).flat_map(|_| batches.next(&mut rng)).collect();
        drawn.sort_unstable();
        assert_eq!(drawn, (0..10).flat_map(|r| [r, r]).collect::<Vec<_>>());
    }
}
