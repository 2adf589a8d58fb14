//! Architecture parameters of a cell space: one row of logits per decision, some methods one logit per decision beside it.

use lat_space::{Decision, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

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

/// Edge strength of DARTS: the largest probability of an operation other than `none`.
pub(super) fn strengths(decisions: &[Decision], probs: &[Tensor]) -> Vec<Tensor> {
    let strength = |(decision, p): (&Decision, &Tensor)| {
        let kept: Vec<i64> = (0..decision.choices.len() as i64)
            .filter(|&c| Some(c as usize) != decision.none())
            .collect();
        p.index_select(0, &Tensor::from_slice(&kept).to_device(p.device())).max()
    };
    decisions.iter().zip(probs).map(strength).collect()
}
