//! PARSEC: Probabilistic Neural Architecture Search. Casale, Gordon, Fusi, 2019, arXiv 1902.05116. No reference code is public.
//!
//! What is not known of the paper and chosen here: operations and in-edges have logits of their own, a node's in-edges are drawn as a
//! set without replacement, the more probable the stronger their logits together; `none` is no operation of an edge that was drawn
//! (where edges do not compete, as in NAS-Bench-201, it is one choice of many); optimizers, rates and epochs are DARTS'. Operations of
//! children that were not drawn, or whose weight is negligible, rest. The quick preset draws fewer children and raises the learning
//! rate of the logits so that some hundred steps suffice.

use lat_space::SearchSpace;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, init, load_parameter, rng};
use super::{
    Batch, Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::{Blocks, Relaxed};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, Path, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "parsec",
    summary: "a distribution over single-path children, fitted by importance-weighted samples",
    paper: "Probabilistic Neural Architecture Search, 2019, arXiv 1902.05116",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 16, batch: 64 },
        Preset::Paper => Schedule { epochs: 50, batch: 64 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("parsec", Config::preset(preset), options, space)?;
        let Config { children, kappa, .. } = config;
        // With one child its importance is 1 whatever its loss, so nothing is learnt.
        expect("parsec", children >= 2, || format!("children of at least 2, found {children}"))?;
        expect("parsec", kappa > 0.0, || format!("kappa above 0, found {kappa}"))?;
        Ok(Box::new(Parsec::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Of the logits of operations and edges.
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// K: children drawn per half of a step.
    children: u32,
    /// Factor of a child's log-likelihood, which sums over the batch: 1 is the literal reading, where nearly all importance goes
    /// to one child; 1 over the batch's size tempers it.
    kappa: f64,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig::DARTS,
            alpha: AlphaConfig { alpha_lr: 3e-3, alpha_decay: 0.0, warmup: 0.0 },
            children: 16,
            kappa: 1.0,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig { alpha_decay: 0.0, ..AlphaConfig::QUICK },
                children: 8,
                ..paper
            },
        }
    }
}

/// Children below this importance are left out of the weights' gradient.
const NEGLIGIBLE: f64 = 1e-3;

#[derive(Debug)]
struct Parsec {
    config: Config,
    /// Logits of operations.
    alphas: CellAlphas,
    /// `[n_decisions]`: logits of edges.
    edges: Tensor,
    edges_adam: Adam,
    blocks: Blocks,
    weights: WeightStep,
}

/// K children and how probable each was.
struct Children {
    gates: Vec<SharedGates>,
    /// `[k]`, differentiable.
    log_prob: Tensor,
}

impl Parsec {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let edges = init(space.decisions().len(), 1, &mut rng(seed ^ 1)).detach().view([-1]);
        let edges = edges.set_requires_grad(true);
        let decay = config.alpha.alpha_decay;
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            edges_adam: Adam::new(vec![edges.shallow_clone()], ALPHA_BETAS, decay),
            edges,
            blocks: Blocks::new(space),
            weights: WeightStep::new(config.weights),
            config,
        }
    }

    /// The prior over architectures: independent categoricals of operations and of sets of in-edges.
    fn prior(&self) -> Relaxed {
        Relaxed::competing(self.alphas.probs().unbind(0), self.edges.exp().unbind(0))
    }

    fn children(&self, rng: &mut dyn RngCore) -> Children {
        let samples = self.blocks.sample(&self.prior(), self.config.children.into(), None, rng);
        let n_decisions = self.alphas.decisions.len() as i64;
        let child = |gates: Tensor| self.child(&gates.view([n_decisions, -1]));
        let gates = samples.gates.detach().unbind(0).into_iter().map(child).collect();
        Children { gates, log_prob: samples.log_prob }
    }

    /// One plain network: only its own operations are computed.
    fn child(&self, gates: &Tensor) -> SharedGates {
        let taken = super::cell_alphas::chosen(gates);
        SharedGates::with_paths(&self.alphas.decisions, &self.alphas.rows(gates), |d, c| {
            if taken[d] == c { Path::On } else { Path::Off }
        })
    }

    /// Mean cross entropies of the children on one batch, and their importances.
    fn importances(&self, net: &dyn Supernet, children: &Children, batch: &Batch) -> Importances {
        let losses: Vec<f64> = tch::no_grad(|| {
            children.gates.iter().map(|g| task_loss(net, g, batch).double_value(&[])).collect()
        });
        let weights = importances(&losses, self.config.kappa * batch.images.size()[0] as f64);
        Importances { losses, weights }
    }

    /// The logits' half: they move along the importance-weighted log probability of the children drawn.
    fn step_prior(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let children = self.children(cx.rng);
        let found = self.importances(cx.net, &children, &batches.valid);
        let weights = Tensor::from_slice(&found.weights).to_kind(Kind::Float);
        // The marginal log-likelihood sums over the batch; the cost stands beside a mean over images, as in all methods.
        let n_images = batches.valid.images.size()[0] as f64;
        let task =
            -(weights * &children.log_prob).sum(Kind::Float) / (self.config.kappa * n_images);
        let parameters = [self.alphas.logits.shallow_clone(), self.edges.shallow_clone()];
        let cost = cx.cost_gradient(&self.prior(), &parameters)?;
        let gradients = cx.joined(gradients(&task, &parameters), cost);
        self.alphas.apply(&gradients[..1]);
        self.edges_adam.step(&gradients[1..], self.config.alpha.alpha_lr);
        Ok(found.mean_loss())
    }

    /// The weights' half: the gradient of each child that matters, one child's network in memory at a time.
    fn step_weights(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> StepReport {
        let children = self.children(cx.rng);
        let found = self.importances(cx.net, &children, batch);
        let mut sums: Vec<Tensor> = self.weights.weights().iter().map(|_| Tensor::new()).collect();
        let mut n_correct = 0.0;
        for (gates, &importance) in children.gates.iter().zip(&found.weights) {
            if importance < NEGLIGIBLE {
                continue;
            }
            let answer = self.weights.answer(cx.net, gates, batch);
            n_correct += importance * answer.n_correct as f64;
            let gradients = gradients(&(answer.loss * importance), self.weights.weights());
            for (sum, gradient) in sums.iter_mut().zip(gradients).filter(|(_, g)| g.defined()) {
                *sum = if sum.defined() { &*sum + gradient } else { gradient };
            }
        }
        self.weights.apply(&sums, cx.progress);
        let n_correct = n_correct.round() as i64;
        StepReport { train_loss: found.mean_loss(), n_correct, valid_loss: f64::NAN }
    }
}

/// What the children of one batch are worth.
struct Importances {
    losses: Vec<f64>,
    /// Sum to 1.
    weights: Vec<f64>,
}

impl Importances {
    fn mean_loss(&self) -> f64 {
        self.losses.iter().zip(&self.weights).map(|(loss, weight)| loss * weight).sum()
    }
}

/// Softmax of the log-likelihoods `-factor * loss`; the best child's is taken out first, so that nothing underflows.
fn importances(losses: &[f64], factor: f64) -> Vec<f64> {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let raw: Vec<f64> = losses.iter().map(|loss| (-factor * (loss - least)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|r| r / sum).collect()
}

impl Method for Parsec {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let mut valid_loss = f64::NAN;
        if cx.progress >= self.config.alpha.warmup {
            valid_loss = self.step_prior(cx, batches)?;
        }
        Ok(StepReport { valid_loss, ..self.step_weights(cx, &batches.train) })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.derive(space), self.alphas.device))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.prior())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.alphas.state());
        state.extend(self.edges_adam.state("edges.adam"));
        state.push(("edges".into(), self.edges.detach()));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)?;
        self.edges_adam.load("edges.adam", state)?;
        load_parameter(&mut self.edges, "edges", state)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

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

    /// Mean over repeats of the prior's gradient for one categorical of four architectures with these likelihoods.
    fn mean_gradient(likelihoods: [f64; 4], k: i64, repeats: usize) -> (Vec<f64>, Tensor) {
        let logits = Tensor::from_slice(&[0.2f32, -0.3, 0.5, 0.0]).set_requires_grad(true);
        let log_probs = logits.log_softmax(-1, Kind::Float);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut mean = vec![0.0; 4];
        for _ in 0..repeats {
            let noisy = log_probs.detach() + crate::relaxed::gumbel_noise(&[k, 4], &mut rng);
            let drawn = super::super::cell_alphas::chosen(&noisy);
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
        // The variance of a mean of n * k draws of an indicator is at most a quarter over their number.
        let three_sigma = 3.0 * (0.25 / (n as f64 * k as f64)).sqrt();
        assert!(mean.iter().all(|m| m.abs() < three_sigma), "{mean:?}");
    }
}
