//! GDAS: Searching for a Robust Neural Architecture in Four GPU Hours. Dong, Yang, CVPR 2019, arXiv 1910.04465.
//! Reference: <https://github.com/D-X-Y/AutoDL-Projects>, `search_model_gdas_nasnet.py`.
//!
//! Deviations: the temperature falls with every step, not every epoch; the weights' gradient is clipped without alpha's in the norm; an
//! operation that no draw took rests instead of drifting on momentum and decay. The reference's NAS-Bench-201 variant also lets
//! operations that were not drawn learn, the one for DARTS cells does not; here none does. Derivation is DARTS' rule as in the paper; the
//! reference code's is `pooled`. Cells are those of DARTS; the reference's have no BN behind pools, biases, and BN before the classifier.
//! The variant with a reduction cell fixed by hand (FRC) is this method on the space `darts-frc`.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use lat_space::{Architecture, ChoiceSet, SearchSpace};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, chosen};
use super::{
    Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, derive, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::{Relaxed, gumbel_noise, one_hot, straight_through};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, Path, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "gdas",
    summary: "one operation per edge drawn and computed per batch, Gumbel-softmax gradient",
    paper: "Searching for a Robust Neural Architecture in Four GPU Hours, 2019, arXiv 1910.04465",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 20, batch: 64 },
        Preset::Paper => Schedule { epochs: 250, batch: 256 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("gdas", Config::preset(preset), options, space)?;
        let Config { tau, tau_min, pooled, .. } = config;
        expect("gdas", tau_min > 0.0 && tau_min <= tau, || {
            format!("0 < tau_min <= tau, found tau_min={tau_min} and tau={tau}")
        })?;
        expect("gdas", !pooled || !space.groups().is_empty(), || {
            format!("pooled=true on a space whose edges compete, found {}", space.id())
        })?;
        Ok(Box::new(Gdas::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Temperature of the Gumbel-softmax at the start.
    tau: f64,
    /// At the end; linear between.
    tau_min: f64,
    /// Derive as the reference code does: of each node the strongest pairs of edge and operation, which may share an edge.
    pooled: bool,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig { nesterov: true, decay: 5e-4, ..WeightConfig::DARTS },
            alpha: AlphaConfig::DARTS,
            tau: 10.0,
            tau_min: 0.1,
            pooled: false,
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
struct Gdas {
    config: Config,
    alphas: CellAlphas,
    weights: WeightStep,
}

impl Gdas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            weights: WeightStep::new(config.weights),
            config,
        }
    }

    fn tau(&self, progress: f64) -> f64 {
        self.config.tau + (self.config.tau_min - self.config.tau) * progress
    }

    /// One operation per edge by Gumbel-max, the same in all cells of a type: forward 0 or 1, backward the softmax at `tau`. Only
    /// what was drawn is computed, so only its gate learns from the task.
    fn draw(&self, logits: &Tensor, progress: f64, rng: &mut dyn RngCore) -> SharedGates {
        let noise = gumbel_noise(&logits.size(), rng);
        let soft = ((logits.log_softmax(-1, Kind::Float) + noise) / self.tau(progress))
            .softmax(-1, Kind::Float);
        let hard = one_hot(&soft);
        let drawn = chosen(&hard);
        let gates = self.alphas.rows(&straight_through(&hard, &soft));
        SharedGates::with_paths(&self.alphas.decisions, &gates, |d, c| {
            if drawn[d] == c { Path::On } else { Path::Off }
        })
    }
}

impl Method for Gdas {
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
        let gates = self.draw(&self.alphas.logits.detach(), cx.progress, cx.rng);
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        if cx.progress < self.config.alpha.warmup {
            return Ok(report);
        }
        let gates = self.draw(&self.alphas.logits, cx.progress, cx.rng);
        let task = task_loss(cx.net, &gates, &batches.valid);
        let valid_loss = task.double_value(&[]);
        let relaxed = self.alphas.relaxed();
        self.alphas.descend(cx, &task, &relaxed)?;
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.derive(space), self.alphas.device))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.alphas.relaxed())
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        let architecture = derive(space, &self.relaxed());
        if self.config.pooled { pooled(space, &self.relaxed(), architecture) } else { architecture }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
    }
}

/// The architecture with each group's edges chosen anew: the most probable pairs of edge and operation, `none` aside.
fn pooled(
    space: &dyn SearchSpace,
    relaxed: &Relaxed,
    mut architecture: Architecture,
) -> Architecture {
    let decisions = space.decisions();
    for group in space.groups() {
        let mut pairs: Vec<(usize, usize, f64)> = Vec::new();
        for &d in &group.decisions {
            let ops = (0..decisions[d].choices.len()).filter(|&c| Some(c) != decisions[d].none());
            pairs.extend(ops.map(|c| (d, c, relaxed.probs[d].double_value(&[c as i64]))));
        }
        // A stable sort: of equals the earlier stays in front.
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        pairs.truncate(group.keep);
        for &d in &group.decisions {
            let kept: Vec<usize> = pairs.iter().filter(|p| p.0 == d).map(|p| p.1).collect();
            let none = decisions[d].none().expect("groups compete by `none`");
            architecture.choices[d] =
                if kept.is_empty() { ChoiceSet::one(none) } else { ChoiceSet::of(kept) };
        }
    }
    architecture
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn gdas() -> Gdas {
        let gdas = Gdas::new(Config::preset(Preset::Paper), &Darts::new(), 1);
        // Far from even.
        let _ = tch::no_grad(|| gdas.alphas.logits.shallow_clone().g_mul_scalar_(1000.0));
        gdas
    }

    // Number 3 of what must be true of GDAS: with r the gradient of the drawn operation's gate, alpha's is
    // r / tau * p_k * ([j = k] - p_j).
    #[test]
    fn gdas_3_the_gradient_of_alpha_is_that_of_the_relaxed_draw() {
        let gdas = gdas();
        for progress in [0.0, 0.9] {
            let rng = || ChaCha8Rng::seed_from_u64(3);
            let gates = gdas.draw(&gdas.alphas.logits, progress, &mut rng());
            let noise = gumbel_noise(&[28, 8], &mut rng());
            let tau = 10.0 - 9.9 * progress;
            let p = ((gdas.alphas.logits.log_softmax(-1, Kind::Float) + noise) / tau)
                .softmax(-1, Kind::Float)
                .detach();
            let drawn = chosen(&p);
            let r = |d: usize| d as f64 / 10.0 - 1.0;
            let mut loss = Tensor::from(0.0f32);
            for (d, &k) in drawn.iter().enumerate() {
                loss += gates.gate(d, 0).weights.get(k as i64) * r(d);
            }
            let gradient =
                &super::super::bilevel::gradients(&loss, &[gdas.alphas.logits.shallow_clone()])[0];
            for (d, &k) in drawn.iter().enumerate() {
                let p = |c: usize| p.double_value(&[d as i64, c as i64]);
                let mut sum = 0.0;
                for j in 0..8 {
                    let delta = f64::from(u8::from(j == k));
                    let expected = r(d) / tau * p(k) * (delta - p(j));
                    let found = gradient.double_value(&[d as i64, j as i64]);
                    assert!((found - expected).abs() < 1e-5, "{d} {j}: {found}, {expected}");
                    sum += found;
                }
                assert!(sum.abs() < 1e-6);
            }
            assert!(gradient.abs().max().double_value(&[]) > 1e-3);
        }
    }

    #[test]
    fn gdas_5_the_temperature_falls_from_10_to_a_tenth() {
        let gdas = gdas();
        for (progress, tau) in [(0.0, 10.0), (0.5, 5.05), (1.0, 0.1)] {
            assert!((gdas.tau(progress) - tau).abs() < 1e-9);
        }
    }
}
