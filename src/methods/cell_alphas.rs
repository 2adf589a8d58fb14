//! Architecture parameters of a cell space: one row of logits per decision, some methods one logit per decision beside it.

use lat_space::{Decision, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::Context;
use super::bilevel::gradients;
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{SharedGates, Supernet};

/// How architecture parameters learn; part of a method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct AlphaConfig {
    /// Learning rate of Adam.
    pub alpha_lr: f64,
    /// Its weight decay.
    pub alpha_decay: f64,
    /// Share of the search before alpha moves.
    pub warmup: f64,
}

impl AlphaConfig {
    /// DARTS' values.
    pub(super) const DARTS: Self = Self { alpha_lr: 3e-4, alpha_decay: 1e-3, warmup: 0.0 };
    /// Some hundred steps suffice.
    pub(super) const QUICK: Self = Self { alpha_lr: 3e-2, alpha_decay: 1e-3, warmup: 0.2 };
}

/// Betas of alpha's Adam in DARTS and most of its family.
pub(super) const ALPHA_BETAS: (f64, f64) = (0.5, 0.999);

/// One row of logits per decision, with their optimizer.
#[derive(Debug)]
pub(super) struct CellAlphas {
    /// The space's decisions.
    pub decisions: Vec<Decision>,
    /// `[n_decisions, n_choices]`, on the CPU.
    pub logits: Tensor,
    /// Where the supernet computes.
    pub device: Device,
    adam: Adam,
    lr: f64,
}

impl CellAlphas {
    pub(super) fn new(
        space: &dyn SearchSpace,
        config: AlphaConfig,
        betas: (f64, f64),
        seed: u64,
    ) -> Self {
        let logits = init(space.decisions().len(), n_choices(space), &mut rng(seed));
        Self {
            decisions: space.decisions().to_vec(),
            adam: Adam::new(vec![logits.shallow_clone()], betas, config.alpha_decay),
            lr: config.alpha_lr,
            device: Device::Cpu,
            logits,
        }
    }

    /// New logits and a new optimizer, as if built with this seed.
    pub(super) fn restart(&mut self, config: AlphaConfig, betas: (f64, f64), seed: u64) {
        let [rows, columns] = self.logits.size()[..] else { unreachable!("logits are a matrix") };
        self.logits = init(rows as usize, columns as usize, &mut rng(seed));
        self.adam = Adam::new(vec![self.logits.shallow_clone()], betas, config.alpha_decay);
    }

    /// Learns where the supernet computes.
    pub(super) fn begin(&mut self, net: &dyn Supernet) {
        self.device = net.weights().device();
    }

    /// `[n_decisions, n_choices]`: softmax of each row.
    pub(super) fn probs(&self) -> Tensor {
        self.logits.softmax(-1, Kind::Float)
    }

    /// Rows of a CPU tensor where the supernet computes, one per decision.
    pub(super) fn rows(&self, weights: &Tensor) -> Vec<Tensor> {
        weights.to_device(self.device).unbind(0)
    }

    /// Everything computed and weighted by its probability, without a gradient: DARTS' supernet.
    pub(super) fn soft_gates(&self) -> SharedGates {
        SharedGates::soft(&self.decisions, &self.rows(&self.probs().detach()), None)
    }

    /// What the logits say, differentiable; edges as strong as their best operation (DARTS).
    pub(super) fn relaxed(&self) -> Relaxed {
        let probs = self.probs();
        Relaxed::competing(probs.unbind(0), strengths(&self.decisions, &probs))
    }

    /// A step down the gradients of the task's loss and of the cost of `relaxed`, which comes from these logits.
    pub(super) fn descend(
        &mut self,
        cx: &mut Context<'_, '_>,
        task: &Tensor,
        relaxed: &Relaxed,
    ) -> Result<(), SearchError> {
        let parameters = [self.logits.shallow_clone()];
        let cost = cx.cost_gradient(relaxed, &parameters)?;
        let gradients = cx.joined(gradients(task, &parameters), cost);
        self.apply(&gradients);
        Ok(())
    }

    /// A step along a gradient.
    pub(super) fn apply(&mut self, gradients: &[Tensor]) {
        self.adam.step(gradients, self.lr);
    }

    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.adam.state("alpha.adam");
        state.push(("alpha".into(), self.logits.detach()));
        state
    }

    pub(super) fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.adam.load("alpha.adam", state)?;
        load_parameter(&mut self.logits, "alpha", state)
    }
}

/// Copies a saved parameter back.
pub(super) fn load_parameter(
    parameter: &mut Tensor,
    name: &str,
    state: &StateMap,
) -> Result<(), String> {
    let saved = state.get(name).ok_or(name)?;
    if saved.size() != parameter.size() {
        return Err(format!("{name} of shape {:?}", parameter.size()));
    }
    tch::no_grad(|| parameter.copy_(saved));
    Ok(())
}

/// Scale of the initial values: 1e-3 * N(0, 1) (all methods of the family).
const INIT_SCALE: f32 = 1e-3;

/// A trainable `[rows, columns]` tensor on the CPU. It is tiny, and the cost's many small operations are fastest there; its
/// probabilities go to the network's device in one copy.
pub(super) fn init(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Tensor {
    use rand::distributions::Distribution;
    // Box-Muller spares a dependency for a few hundred normal numbers.
    let uniform = rand::distributions::Uniform::new(f64::MIN_POSITIVE, 1.0);
    let mut normal = || {
        let (u, v) = (uniform.sample(rng), uniform.sample(rng));
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32 * INIT_SCALE
    };
    let values: Vec<f32> = (0..rows * columns).map(|_| normal()).collect();
    Tensor::from_slice(&values).view([rows as i64, columns as i64]).set_requires_grad(true)
}

/// The generator of a method's initial parameters.
pub(super) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed ^ 0xa1fa)
}

/// Which choice each row of a one-hot `[n_decisions, n_choices]` takes.
pub(super) fn chosen(one_hot: &Tensor) -> Vec<usize> {
    let chosen = Vec::<i64>::try_from(&one_hot.argmax(-1, false)).expect("one number per row");
    chosen.into_iter().map(|c| c as usize).collect()
}

/// Number of choices that all decisions of a cell space share.
pub(super) fn n_choices(space: &dyn SearchSpace) -> usize {
    let n = space.decisions()[0].choices.len();
    assert!(space.decisions().iter().all(|d| d.choices.len() == n), "cell spaces have one op list");
    n
}

/// Softmax of each row, one tensor `[n_choices]` per decision, on `device`.
pub(super) fn probs(alpha: &Tensor, device: Device) -> Vec<Tensor> {
    alpha.softmax(-1, Kind::Float).to_device(device).unbind(0)
}

/// Softmax of each row over the choices where `mask` is not 0; 0 elsewhere.
pub(super) fn masked_softmax(logits: &Tensor, mask: &Tensor) -> Tensor {
    logits.masked_fill(&mask.eq(0.0), f64::NEG_INFINITY).softmax(-1, Kind::Float)
}

/// Edge strength of DARTS: the largest of the row's probabilities (`[n_decisions, n_choices]`) other than that of `none`.
pub(super) fn strengths(decisions: &[Decision], probs: &Tensor) -> Vec<Tensor> {
    let kept = |d: &Decision| {
        (0..d.choices.len()).map(|c| f32::from(u8::from(Some(c) != d.none()))).collect()
    };
    let kept: Vec<Vec<f32>> = decisions.iter().map(kept).collect();
    let kept = Tensor::from_slice(&kept.concat()).view_as(probs).to_device(probs.device());
    (probs * kept).amax([-1i64].as_slice(), false).unbind(0)
}
