//! PARSEC: Probabilistic Neural Architecture Search. Casale, Gordon, Fusi, 2019, arXiv 1902.05116. No reference code is public.
//!
//! Choices of ours for what we do not know of the paper: operations and in-edges have separate logits. A node's in-edges are drawn
//! as a set without replacement; the stronger their logits together, the more probable the set. `none` is not an option for an edge
//! that was drawn (if edges do not compete, as in NAS-Bench-201, it is a choice like others). Optimizers, rates and epochs are
//! DARTS'. Operations of children that were not drawn, or whose weight is negligible, keep their weights. The quick preset draws
//! fewer children and raises the learning rate of the logits so that some hundred steps suffice.

use rand::RngCore;

use super::tools::alphas::{init, rng};
use super::tools::prelude::*;
use crate::relaxed::Blocks;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "parsec",
    "a distribution over single-path children, fitted by importance-weighted samples",
    "Probabilistic Neural Architecture Search, 2019, arXiv 1902.05116",
    [(16, 64), (50, 64)],
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// Alpha's options apply to the logits of operations and edges.
    #[serde(flatten)]
    core: CoreConfig,
    /// K: children drawn per half of a step.
    children: u32,
    /// Factor of a child's log-likelihood, which sums over the batch. 1 is the literal reading, where one child gets nearly all the
    /// importance; 1 over the batch size makes the importances more even.
    kappa: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let alpha = AlphaConfig { alpha_lr: 3e-3, alpha_decay: 0.0, warmup: 0.0 };
        Self { core: CoreConfig { alpha, ..CoreConfig::DARTS }, children: 16, kappa: 1.0 }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        quick_rates_and(toml! { children = 8 })
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        let Self { children, kappa, .. } = self;
        // A single child always has importance 1, whatever its loss, so nothing would be learned.
        ensure(*children >= 2, || format!("children of at least 2, found {children}"))?;
        ensure(*kappa > 0.0, || format!("kappa above 0, found {kappa}"))
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let decisions = space.decisions();
        // [n_decisions]: logits of the edges.
        let edges = init(&[decisions.len()], &mut rng(seed ^ 1));
        let core = Core::new(decisions, self.core, seed);
        let core = core.with([("edges", edges)], self.core.alpha.learning());
        Ok(Box::new(Parsec { core, config: self, blocks: Blocks::new(space) }))
    }
}

/// Children below this importance are left out of the weights' gradient.
const NEGLIGIBLE: f64 = 1e-3;

#[derive(Debug)]
struct Parsec {
    core: Core,
    config: Config,
    blocks: Blocks,
}

/// K children and their log-probabilities.
struct Children {
    /// Single-path networks: only the drawn operations are computed.
    gates: Vec<SharedGates>,
    /// `[k]`, differentiable.
    log_prob: Tensor,
}

impl Parsec {
    /// The prior over architectures: independent categoricals of operations and of sets of in-edges.
    fn prior(&self) -> Relaxed {
        let [_, edges] = &self.core.parameters()[..] else { unreachable!("it has two") };
        Relaxed::competing(self.core.per_decision(&self.core.probs()), edges.exp().unbind(0))
    }

    fn children(&self, rng: &mut dyn RngCore) -> Children {
        let samples = self.blocks.sample(&self.prior(), self.config.children.into(), None, rng);
        let child = |gates: Tensor| {
            let gates = self.core.table(&gates);
            self.core.partly(&gates, &gates)
        };
        let gates = samples.gates.detach().unbind(0).into_iter().map(child).collect();
        Children { gates, log_prob: samples.log_prob }
    }

    /// Average cross entropies of the children on one batch, and their importances.
    fn importances(&self, net: &dyn Supernet, children: &Children, batch: &Batch) -> Importances {
        let losses: Vec<f64> = tch::no_grad(|| {
            let loss =
                |g: &SharedGates| net.mean_over_ranks(&net.loss(batch, g).value).double_value(&[]);
            children.gates.iter().map(loss).collect()
        });
        let n_images = batch.images.size()[0] as f64 * f64::from(net.n_ranks());
        let weights = importances(&losses, self.config.kappa * n_images);
        Importances { losses, weights }
    }

    /// The logits' half of a step: they move along the importance-weighted log-probability of the drawn children.
    fn step_prior(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<DeviceScalar> {
        let children = self.children(cx.rng);
        let found = self.importances(cx.net, &children, &batches.valid);
        let weights = Tensor::from_slice(&found.weights).to_kind(Kind::Float);
        // The marginal log-likelihood sums over the batch. It is divided by the number of images, because the cost is added to an
        // average over images, as in all methods.
        let n_images = batches.valid.images.size()[0] as f64 * f64::from(cx.net.n_ranks());
        let task =
            -(weights * &children.log_prob).sum(Kind::Float) / (self.config.kappa * n_images);
        let loss = found.mean_loss().into();
        let gradients = self.core.surrogate_gradients(cx, (&task, &loss), &self.prior())?;
        self.core.apply(&gradients);
        Ok(found.mean_loss().into())
    }

    /// The weights' half of a step: sums the gradients of the children that matter, with one child's network in memory at a time.
    fn step_weights(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> StepReport {
        let children = self.children(cx.rng);
        let found = self.importances(cx.net, &children, batch);
        let step = &mut self.core.weights;
        let mut sums: Vec<Tensor> = step.weights().iter().map(|_| Tensor::new()).collect();
        let mut n_correct = Tensor::from(0.0).to_device(self.core.device);
        for (gates, &importance) in children.gates.iter().zip(&found.weights) {
            if importance < NEGLIGIBLE {
                continue;
            }
            let loss = step.loss(cx.net, gates, batch);
            n_correct += loss.n_correct().to_kind(Kind::Double) * importance;
            let gradients = cx.net.gradients(&(loss.value * importance), step.weights());
            for (sum, gradient) in sums.iter_mut().zip(gradients).filter(|(_, g)| g.defined()) {
                *sum = if sum.defined() { &*sum + gradient } else { gradient };
            }
        }
        step.apply(&sums, cx.progress);
        StepReport {
            train_loss: found.mean_loss().into(),
            n_correct: DeviceScalar::of(&n_correct.round()),
            valid_loss: None,
        }
    }
}

/// Losses and importances of the children on one batch.
struct Importances {
    losses: Vec<f64>,
    /// The importances; they sum to 1.
    weights: Vec<f64>,
}

impl Importances {
    fn mean_loss(&self) -> f64 {
        self.losses.iter().zip(&self.weights).map(|(loss, weight)| loss * weight).sum()
    }
}

/// Softmax of the log-likelihoods `-factor * loss`. The best child's is subtracted first, so that nothing underflows.
fn importances(losses: &[f64], factor: f64) -> Vec<f64> {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let raw: Vec<f64> = losses.iter().map(|loss| (-factor * (loss - least)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|r| r / sum).collect()
}

impl Method for Parsec {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let is_warming_up = self.config.core.is_warming_up(cx.progress);
        let valid_loss = if is_warming_up { None } else { Some(self.step_prior(cx, batches)?) };
        Ok(StepReport { valid_loss, ..self.step_weights(cx, &batches.train) })
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.prior())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::methods::tools::alphas::chosen;
    use crate::optimizer::gradients;

    #[test]
    fn parsec_1_importances_are_the_softmax_of_log_likelihoods() {
        let found = importances(&[1.0, 1.5, 3.0], 2.0);
        let raw: Vec<f64> = [-2.0, -3.0, -6.0].map(f64::exp).to_vec();
        for (found, raw_one) in found.iter().zip(&raw) {
            assert!((found - raw_one / raw.iter().sum::<f64>()).abs() < 1e-12);
        }
        let shifted = importances(&[101.0, 101.5, 103.0], 2.0);
        assert!(found.iter().zip(shifted).all(|(a, b)| (a - b).abs() < 1e-12));
        let far = importances(&[1e5, 2e5], 1.0);
        assert_eq!(far, [1.0, 0.0], "log-likelihoods of -1e5 underflow nothing");
    }

    /// Average over repeats of the prior's gradient, for one categorical of four architectures with these likelihoods.
    fn mean_gradient(likelihoods: [f64; 4], k: i64, repeats: usize) -> (Vec<f64>, Tensor) {
        let logits = Tensor::from_slice(&[0.2f32, -0.3, 0.5, 0.0]).set_requires_grad(true);
        let log_probs = logits.log_softmax(-1, Kind::Float);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut mean = vec![0.0; 4];
        for _ in 0..repeats {
            let noisy = log_probs.detach() + crate::relaxed::gumbel_noise(&[k, 4], &mut rng);
            let drawn = chosen(&noisy);
            let losses: Vec<f64> = drawn.iter().map(|&a| -likelihoods[a].ln()).collect();
            for (a, weight) in drawn.into_iter().zip(importances(&losses, 1.0)) {
                mean[a] += weight / repeats as f64;
            }
        }
        // The gradient of log prob of architecture a is one-hot(a) - probs.
        let probs = log_probs.exp();
        for (c, m) in mean.iter_mut().enumerate() {
            *m -= probs.double_value(&[c as i64]);
        }
        let p: Tensor =
            (probs * Tensor::from_slice(&likelihoods).to_kind(Kind::Float)).sum(Kind::Float).log();
        let exact = gradients(&p, &[logits]).remove(0);
        (mean, exact)
    }

    #[test]
    fn parsec_2_many_children_give_the_gradient_of_the_marginal_likelihood() {
        let (mean, exact) = mean_gradient([0.1, 0.6, 0.3, 0.9], 256, 2000);
        let size = exact.abs().max().double_value(&[]);
        for (c, found) in mean.into_iter().enumerate() {
            let expected = exact.double_value(&[c as i64]);
            assert!((found - expected).abs() < 0.03 * size, "{c}: {found}, {expected}");
        }
    }

    #[test]
    fn parsec_3_equal_likelihoods_move_nothing_on_average() {
        let (n, k) = (5000, 4);
        let (mean, _) = mean_gradient([0.5; 4], k, n);
        // The variance of an average of n * k draws of an indicator is at most 1/4 divided by their number.
        let three_sigma = 3.0 * (0.25 / (n as f64 * k as f64)).sqrt();
        assert!(mean.iter().all(|m| m.abs() < three_sigma), "{mean:?}");
    }
}
