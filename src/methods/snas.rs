//! SNAS: Stochastic Neural Architecture Search. Xie, Zheng, Liu, Lin, ICLR 2019, arXiv 1812.09926.
//! Reference: <https://github.com/SNAS-Series/SNAS-Series>, folder `SNAS`.
//!
//! Deviations: the temperature falls with every step, not every epoch; no drop path while searching; alpha's Adam is that of the
//! reference's distributed branch. The cost enters as in every method, not through the reference's logarithms of parameters,
//! multiply-adds and memory accesses. If all edges of a node prefer `none`, the node keeps one edge, because a published cell has no
//! node without input. The quick preset raises the learning rate of alpha so that some hundred steps suffice.
//!
//! Cells keep any number of edges here. Other numbers are off the training data of a predictor that has only seen published cells
//! with two edges per node.

use rand::RngCore;

use super::tools::cooling::Cooling;
use super::tools::cost_of::CostOf;
use super::tools::prelude::*;
use crate::optimizer::clipped;
use crate::relaxed::{concrete, gumbel_noise};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "snas",
    "soft draws from the concrete distribution, weights and alpha from one loss; `none` decides the edges",
    "SNAS: Stochastic Neural Architecture Search, 2018, arXiv 1812.09926",
    [(8, 64), (150, 64)],
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    core: CoreConfig,
    /// Bound on the norm of alpha's gradient.
    alpha_clip: f64,
    /// Temperature of the concrete distribution.
    #[serde(flatten)]
    tau: Cooling,
    /// Code that the cost reads: `draw` is the reference's `reparametrization`, `mean` its `discrete`.
    cost: CostOf,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let tau = Cooling { tau: 1.0, tau_min: 0.03 };
        Self { core: CoreConfig::DARTS, alpha_clip: 10.0, tau, cost: CostOf::Draw }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        self.tau.check()
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(Snas::new(self, space, seed)))
    }
}

/// SNAS; its alpha is the paper's log alpha.
#[derive(Debug)]
struct Snas {
    core: Core,
    config: Config,
}

impl Snas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let core = Core::new(space.decisions(), config.core, seed);
        // Turns N(0, 1e-3) into the reference's N(1, 0.01).
        let _ = tch::no_grad(|| {
            core.alpha().shallow_clone().g_mul_scalar_(10.0).g_add_(core.is_choice())
        });
        Self { core, config }
    }

    /// `[n_decisions, n_choices]`: one draw of Z from the concrete distribution, differentiable.
    fn draw(&self, progress: f64, rng: &mut dyn RngCore) -> Tensor {
        let logits = self.core.logits();
        let noise = gumbel_noise(&logits.size(), rng);
        concrete(&logits, &noise, self.config.tau.linear(progress))
    }
}

impl Method for Snas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn is_one_level(&self) -> bool {
        true
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let core = &self.core;
        let z = self.draw(cx.progress, cx.rng);
        if self.config.core.is_warming_up(cx.progress) {
            let gates = core.soft(&z.detach());
            return Ok(self.core.train(cx, &gates, &batches.train));
        }
        let loss = core.weights.loss(cx.net, &core.soft(&z), &batches.train);
        let report = StepReport::of(&loss);
        let read = if self.config.cost == CostOf::Draw { z } else { core.probs() };
        let read = Relaxed::free(core.per_decision(&read));
        let (of_weights, of_alpha) = core.joint_gradients(cx, &loss.value, &read)?;
        self.core.weights.apply(&of_weights, cx.progress);
        self.core.apply(&clipped(&of_alpha, self.config.alpha_clip));
        Ok(report)
    }

    /// Edges do not compete: `none` decides whether an edge exists.
    fn relaxed(&self) -> Relaxed {
        Relaxed::free(self.core.per_decision(&self.core.probs().detach()))
    }
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::optimizer::gradients;

    fn snas() -> Snas {
        let snas = Snas::new(Config::paper(&Darts::new()), &Darts::new(), 1);
        // Move alpha far from equal probabilities.
        let _ = tch::no_grad(|| snas.core.alpha().shallow_clone().g_mul_scalar_(100.0));
        snas
    }

    // Number 3 of what must be true of SNAS: with g the gradient of the gates, log alpha's is
    // 1 / tau * sum over k' of g_k' * z_k' * ([k = k'] - z_k).
    #[test]
    fn snas_3_the_gradient_of_log_alpha_has_its_closed_form() {
        let snas = snas();
        let gradient_at = |shift: f64| {
            let _ = tch::no_grad(|| snas.core.alpha().shallow_clone().g_add_scalar_(shift));
            let z = snas.draw(0.5, &mut ChaCha8Rng::seed_from_u64(3));
            let g = Tensor::arange(28 * 8, tch::kind::FLOAT_CPU).sin().view([28, 8]);
            let loss = (&z * &g).sum(Kind::Float);
            let found = gradients(&loss, &snas.core.parameters()).remove(0);
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
            assert!((snas.config.tau.linear(progress) - tau).abs() < 1e-9);
        }
    }
}
