//! Architecture parameters: one row of logits per decision.

use lat_space::Decision;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::weights::WeightConfig;

/// How architecture parameters learn; part of a method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlphaConfig {
    /// Learning rate of Adam.
    pub alpha_lr: f64,
    /// Weight decay of Adam.
    pub alpha_decay: f64,
    /// Share of the search before alpha starts to learn.
    pub warmup: f64,
}

/// How weights and architecture parameters learn; part of a method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoreConfig {
    #[serde(flatten)]
    pub weights: WeightConfig,
    #[serde(flatten)]
    pub alpha: AlphaConfig,
}

impl AlphaConfig {
    /// DARTS' values.
    pub(crate) const DARTS: Self = Self { alpha_lr: 3e-4, alpha_decay: 1e-3, warmup: 0.0 };

    /// Settings for Adam with these options and the betas of DARTS' family.
    pub(crate) fn learning(&self) -> Learning {
        Learning { lr: self.alpha_lr, decay: self.alpha_decay, betas: (0.5, 0.999) }
    }
}

impl CoreConfig {
    /// DARTS' values.
    pub(crate) const DARTS: Self = Self { weights: WeightConfig::DARTS, alpha: AlphaConfig::DARTS };

    /// Whether alpha is still constant at this share of the search.
    pub(crate) fn is_warming_up(&self, progress: f64) -> bool {
        progress < self.alpha.warmup
    }
}

/// Settings of one Adam.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learning {
    pub lr: f64,
    pub decay: f64,
    pub betas: (f64, f64),
}

/// Scale of the initial values: 1e-3 * N(0, 1), in all methods of the family.
const INIT_SCALE: f32 = 1e-3;

/// A trainable tensor on the CPU. It is tiny, and the cost's many small operations are fastest there; probabilities go to the
/// network's device in one copy.
pub(crate) fn init(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let values = normals(shape.iter().product(), rng).map(|value| value * INIT_SCALE);
    let values: Vec<f32> = values.collect();
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    Tensor::from_slice(&values).view(shape.as_slice()).set_requires_grad(true)
}

/// Draws from N(0, 1) by Box-Muller, which saves a dependency.
pub(crate) fn normals(n: usize, rng: &mut ChaCha8Rng) -> impl Iterator<Item = f32> {
    use rand::distributions::{Distribution, Uniform};
    let uniform = Uniform::new(f64::MIN_POSITIVE, 1.0);
    (0..n).map(move |_| {
        let (u, v) = (uniform.sample(rng), uniform.sample(rng));
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    })
}

/// The generator of a method's initial parameters.
pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed ^ 0xa1fa)
}

/// Alpha's shape: number of decisions, and largest number of choices of any decision. Shorter rows are padded, see [`mask`].
pub(crate) fn shape(decisions: &[Decision]) -> [usize; 2] {
    let widest = decisions.iter().map(|d| d.choices.len()).max();
    [decisions.len(), widest.unwrap_or(0)]
}

/// Initial logits of all decisions, `[n_decisions, n_choices]`; padding is 0.
pub(crate) fn init_logits(decisions: &[Decision], rng: &mut ChaCha8Rng) -> Tensor {
    let logits = init(&shape(decisions), rng);
    if decisions.iter().any(|d| d.choices.len() != decisions[0].choices.len()) {
        let is_choice = mask(decisions, |_, _| true);
        let _ = tch::no_grad(|| logits.shallow_clone().g_mul_(&is_choice));
    }
    logits
}

/// The index of the choice in each row of a one-hot `[n_decisions, n_choices]`.
pub(crate) fn chosen(one_hot: &Tensor) -> Vec<usize> {
    let chosen = Vec::<i64>::try_from(&one_hot.argmax(-1, false)).expect("one number per row");
    chosen.into_iter().map(|c| c as usize).collect()
}

/// Softmax of each row over the choices where `mask` is not 0; 0 elsewhere.
pub(crate) fn masked_softmax(logits: &Tensor, mask: &Tensor) -> Tensor {
    logits.masked_fill(&mask.eq(0.0), f64::NEG_INFINITY).softmax(-1, Kind::Float)
}

/// `[n_decisions, n_choices]`: 1 if `holds` is true for the decision and the index of the choice, else 0; 0 for padding.
pub(crate) fn mask(decisions: &[Decision], holds: impl Fn(usize, usize) -> bool) -> Tensor {
    let [n, widest] = shape(decisions);
    let is_on = |d: usize, c: usize| c < decisions[d].choices.len() && holds(d, c);
    let row = |d: usize| (0..widest).map(move |c| (d, c));
    let entries = (0..n).flat_map(row).map(|(d, c)| f32::from(u8::from(is_on(d, c))));
    Tensor::from_slice(&entries.collect::<Vec<_>>()).view([n as i64, -1])
}

/// Edge strength in DARTS: the largest of the row's probabilities (`[n_decisions, n_choices]`), not counting `none`.
pub(crate) fn strengths(decisions: &[Decision], probs: &Tensor) -> Vec<Tensor> {
    let kept = mask(decisions, |d, c| Some(c) != decisions[d].none()).to_device(probs.device());
    (probs * kept).amax([-1i64].as_slice(), false).unbind(0)
}
