//! GDAS: Searching for a Robust Neural Architecture in Four GPU Hours. Dong, Yang, CVPR 2019, arXiv 1910.04465.
//! Reference: <https://github.com/D-X-Y/AutoDL-Projects>, `search_model_gdas_nasnet.py`.
//!
//! Deviations: the temperature falls with every step, not every epoch; the weights' gradient is clipped without alpha's in the norm;
//! an operation that was not drawn keeps its weights instead of drifting by momentum and decay. The reference's NAS-Bench-201
//! variant also lets operations that were not drawn learn, the one for DARTS cells does not; here none does. Derivation follows
//! DARTS' rule as in the paper; the reference code's rule is `pooled`. Cells are those of DARTS; the reference's have no BN behind
//! pools, biases, and BN before the classifier. The variant with a reduction cell fixed by hand (FRC) is this method on the space
//! `darts-frc`. The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use lat_space::ChoiceSet;
use rand::RngCore;

use super::tools::cooling::Cooling;
use super::tools::derive::derive;
use super::tools::prelude::*;
use crate::relaxed::{gumbel_noise, one_hot, straight_through};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "gdas",
    "one operation per edge drawn and computed per batch, Gumbel-softmax gradient",
    "Searching for a Robust Neural Architecture in Four GPU Hours, 2019, arXiv 1910.04465",
    [(20, 64), (250, 256)],
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    core: CoreConfig,
    /// Temperature of the Gumbel-softmax.
    #[serde(flatten)]
    tau: Cooling,
    /// Derive as the reference code does: for each node the strongest pairs of edge and operation, which may share an edge.
    pooled: bool,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig { nesterov: true, decay: 5e-4, ..WeightConfig::DARTS };
        let tau = Cooling { tau: 10.0, tau_min: 0.1 };
        Self { core: CoreConfig { weights, ..CoreConfig::DARTS }, tau, pooled: false }
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        self.tau.check()?;
        ensure(!self.pooled || !space.groups().is_empty(), || {
            format!("pooled=true on a space whose edges compete, found {}", space.id())
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(Gdas::new(self, space, seed)))
    }
}

#[derive(Debug)]
struct Gdas {
    core: Core,
    config: Config,
}

impl Gdas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        Self { core: Core::new(space.decisions(), config.core, seed), config }
    }

    /// Draws one operation per edge by Gumbel-max, the same in all cells of a type: 0 or 1 in the forward pass, the softmax at `tau`
    /// in the backward pass. Only the drawn operation is computed, so only its gate learns from the task.
    fn draw(&self, logits: &Tensor, progress: f64, rng: &mut dyn RngCore) -> SharedGates {
        let noisy = logits.log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng);
        let soft = (noisy / self.config.tau.linear(progress)).softmax(-1, Kind::Float);
        let hard = one_hot(&soft);
        self.core.partly(&straight_through(&hard, &soft), &hard)
    }
}

impl Method for Gdas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let gates = self.draw(&self.core.logits().detach(), cx.progress, cx.rng);
        let report = self.core.train(cx, &gates, &batches.train);
        if self.config.core.is_warming_up(cx.progress) {
            return Ok(report);
        }
        let gates = self.draw(&self.core.logits(), cx.progress, cx.rng);
        let relaxed = self.core.competing(&self.core.probs());
        let valid_loss = self.core.descend(cx, &gates, &relaxed, &batches.valid)?;
        Ok(StepReport { valid_loss: Some(valid_loss), ..report })
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        let relaxed = self.relaxed();
        let architecture = derive(space, &relaxed);
        if self.config.pooled { pooled(space, &relaxed, architecture) } else { architecture }
    }
}

/// The architecture with each group's edges replaced: it keeps the most probable pairs of edge and operation, without `none`.
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
        // The sort is stable: among equals the earlier one comes first.
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
    use crate::methods::tools::alphas::chosen;
    use crate::optimizer::gradients;

    fn gdas() -> Gdas {
        let gdas = Gdas::new(Config::paper(&Darts::new()), &Darts::new(), 1);
        // Move alpha far from equal probabilities.
        let _ = tch::no_grad(|| gdas.core.alpha().shallow_clone().g_mul_scalar_(1000.0));
        gdas
    }

    // Number 3 of what must be true of GDAS: with r the gradient of the drawn operation's gate, alpha's is
    // r / tau * p_k * ([j = k] - p_j).
    #[test]
    fn gdas_3_the_gradient_of_alpha_is_that_of_the_relaxed_draw() {
        let gdas = gdas();
        for progress in [0.0, 0.9] {
            let rng = || ChaCha8Rng::seed_from_u64(3);
            let gates = gdas.draw(gdas.core.alpha(), progress, &mut rng());
            let noise = gumbel_noise(&[28, 8], &mut rng());
            let tau = 10.0 - 9.9 * progress;
            let p = ((gdas.core.alpha().log_softmax(-1, Kind::Float) + noise) / tau)
                .softmax(-1, Kind::Float)
                .detach();
            let drawn = chosen(&p);
            let r = |d: usize| d as f64 / 10.0 - 1.0;
            let mut loss = Tensor::from(0.0f32);
            for (d, &k) in drawn.iter().enumerate() {
                loss += gates.gate(d, 0).weights.get(k as i64) * r(d);
            }
            let gradient = &gradients(&loss, &gdas.core.parameters())[0];
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
            assert!((gdas.config.tau.linear(progress) - tau).abs() < 1e-9);
        }
    }
}
