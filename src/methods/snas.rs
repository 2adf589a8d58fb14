//! SNAS: Stochastic Neural Architecture Search. Xie, Zheng, Liu, Lin, ICLR 2019, arXiv 1812.09926.
//! Reference: <https://github.com/SNAS-Series/SNAS-Series>, folder `SNAS`.
//!
//! Deviations: the temperature falls with every step, not every epoch; no drop path while searching; alpha's Adam is that of the
//! reference's distributed branch. The cost enters as in every method, not through the reference's logarithms of parameters,
//! multiply-adds and memory accesses. A node whose edges all prefer `none` keeps one edge, since a published cell has no node without
//! input. The quick preset raises the learning rate of alpha so that some hundred steps suffice.
//!
//! Cells keep any number of edges here. A predictor that has only seen published cells of two edges per node is off its data
//! on others.

use lat_space::SearchSpace;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas};
use super::{
    Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::{StateMap, clipped};
use crate::relaxed::{Relaxed, gumbel_noise};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "snas",
    summary: "soft draws from the concrete distribution, weights and alpha from one loss; `none` decides the edges",
    paper: "SNAS: Stochastic Neural Architecture Search, 2018, arXiv 1812.09926",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 8, batch: 64 },
        Preset::Paper => Schedule { epochs: 150, batch: 64 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("snas", Config::preset(preset), options, space)?;
        let Config { tau, tau_min, alpha_clip, .. } = config;
        expect("snas", tau_min > 0.0 && tau_min <= tau, || {
            format!("0 < tau_min <= tau, found tau_min={tau_min} and tau={tau}")
        })?;
        expect("snas", alpha_clip > 0.0, || format!("alpha_clip above 0, found {alpha_clip}"))?;
        Ok(Box::new(Snas::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Bound of the norm of alpha's gradient.
    alpha_clip: f64,
    /// Temperature of the concrete distribution at the start.
    tau: f64,
    /// At the end; linear between.
    tau_min: f64,
    /// Which code the cost reads.
    cost: CostOf,
}

/// Which code the cost reads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CostOf {
    /// The draw that the loss was computed with (the reference's `reparametrization`).
    Draw,
    /// softmax(log alpha) (the reference's `discrete`).
    Mean,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig::DARTS,
            alpha: AlphaConfig::DARTS,
            alpha_clip: 10.0,
            tau: 1.0,
            tau_min: 0.03,
            cost: CostOf::Draw,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig::QUICK,
                ..paper
            },
        }
    }
}

#[derive(Debug)]
struct Snas {
    config: Config,
    /// Log alpha.
    alphas: CellAlphas,
    weights: WeightStep,
}

impl Snas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let alphas = CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed);
        // From N(0, 1e-3) to the reference's N(1, 0.01).
        let _ =
            tch::no_grad(|| alphas.logits.shallow_clone().g_mul_scalar_(10.0).g_add_scalar_(1.0));
        Self { alphas, weights: WeightStep::new(config.weights), config }
    }

    fn tau(&self, progress: f64) -> f64 {
        self.config.tau + (self.config.tau_min - self.config.tau) * progress
    }

    /// `[n_decisions, n_choices]`: one draw of Z from the concrete distribution, differentiable.
    fn draw(&self, progress: f64, rng: &mut dyn RngCore) -> Tensor {
        let logits = &self.alphas.logits;
        let noisy = logits.log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng);
        (noisy / self.tau(progress)).softmax(-1, Kind::Float)
    }

    /// Everything computed, weighted by Z in all cells of a type.
    fn gates_of(&self, z: &Tensor) -> SharedGates {
        SharedGates::soft(&self.alphas.decisions, &self.alphas.rows(z), None)
    }
}

/// Edges do not compete: `none` decides.
fn free(probs: &Tensor) -> Relaxed {
    Relaxed::free(probs.unbind(0))
}

impl Method for Snas {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        Ok(())
    }

    fn is_one_level(&self) -> bool {
        true
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let z = self.draw(cx.progress, cx.rng);
        if cx.progress < self.config.alpha.warmup {
            let gates = self.gates_of(&z.detach());
            return Ok(self.weights.step(cx.net, &gates, &batches.train, cx.progress));
        }
        let answer = self.weights.answer(cx.net, &self.gates_of(&z), &batches.train);
        let report = answer.report();
        let read = match self.config.cost {
            CostOf::Draw => free(&z),
            CostOf::Mean => free(&self.alphas.probs()),
        };
        let alphas = [self.alphas.logits.shallow_clone()];
        let cost = cx.cost_gradient(&read, &alphas)?;
        let (of_weights, of_alphas) = self.weights.joint_gradients(&answer.loss, &alphas);
        let of_alphas = cx.joined(of_alphas, cost);
        self.weights.apply(&of_weights, cx.progress);
        self.alphas.apply(&clipped(&of_alphas, self.config.alpha_clip));
        Ok(report)
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.derive(space), self.alphas.device))
    }

    fn relaxed(&self) -> Relaxed {
        free(&self.alphas.probs().detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
    }
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::methods::bilevel::gradients;

    fn snas() -> Snas {
        let snas = Snas::new(Config::preset(Preset::Paper), &Darts::new(), 1);
        // Far from even.
        let _ = tch::no_grad(|| snas.alphas.logits.shallow_clone().g_mul_scalar_(100.0));
        snas
    }

    // Number 3 of what must be true of SNAS: with g the gradient of the gates, log alpha's is
    // 1 / tau * sum over k' of g_k' * z_k' * ([k = k'] - z_k).
    #[test]
    fn snas_3_the_gradient_of_log_alpha_has_its_closed_form() {
        let snas = snas();
        let gradient_at = |shift: f64| {
            let _ = tch::no_grad(|| snas.alphas.logits.shallow_clone().g_add_scalar_(shift));
            let z = snas.draw(0.5, &mut ChaCha8Rng::seed_from_u64(3));
            let g = Tensor::arange(28 * 8, tch::kind::FLOAT_CPU).sin().view([28, 8]);
            let loss = (&z * &g).sum(Kind::Float);
            let found = gradients(&loss, &[snas.alphas.logits.shallow_clone()]).remove(0);
            let z = z.detach();
            let mean = (&z * &g).sum_dim_intlist(1, true, Kind::Float);
            let expected = &z * (g - mean) / 0.515;
            assert!(found.allclose(&expected, 0.0, 1e-5, false));
            let sums = found.sum_dim_intlist(1, false, Kind::Float).abs();
            assert!(sums.max().double_value(&[]) < 1e-5, "each row sums to 0");
            assert!(found.abs().max().double_value(&[]) > 0.1);
            found
        };
        let (before, shifted) = (gradient_at(0.0), gradient_at(2.0));
        assert!(before.allclose(&shifted, 0.0, 1e-4, false), "a constant changes nothing");
    }

    #[test]
    fn snas_7_the_temperature_falls_from_1_to_3_hundredths() {
        let snas = snas();
        for (progress, tau) in [(0.0, 1.0), (0.5, 0.515), (1.0, 0.03)] {
            assert!((snas.tau(progress) - tau).abs() < 1e-9);
        }
    }
}
