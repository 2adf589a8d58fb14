//! `FBNet`: Hardware-Aware Efficient `ConvNet` Design via Differentiable Neural Architecture Search. Wu, Dai, Zhang, Wang, Sun, Wu, Tian,
//! Vajda, Jia, Keutzer, CVPR 2019, arXiv 1812.03443. The authors published networks (<https://github.com/facebookresearch/mobile-vision>),
//! but not their search; <https://github.com/AnnaAraslanova/FBNet> is a reimplementation by others.
//!
//! Every operation is computed and weighted by a draw from the Gumbel-softmax, one per decision and step for the whole batch. The
//! paper's product of loss and latency is a goal that all methods share (`--product 0.2,0.6`); the latency in it is that of the
//! draw.
//!
//! Deviations: weights and theta take turns batch by batch, each with half of the images, not epoch by epoch with 80 and 20 percent
//! of them. The temperature falls with every step instead of every epoch, by a factor of 0.956 per epoch's length, and is constant
//! while theta rests, as in the reimplementation. Theta starts with differences of a thousandth, not with equal values. The weights
//! descend the cross entropy alone, because the product would scale its gradient. The most probable architecture is derived; the
//! paper also draws some from theta and trains them all, which is left to the finalists here. The quick preset reaches the same
//! temperature in fewer epochs and raises theta's learning rate so that some hundred steps suffice.

use rand::RngCore;

use super::tools::alphas::{Learning, init_logits, rng};
use super::tools::cooling::Cooling;
use super::tools::cost_of::CostOf;
use super::tools::prelude::*;
use crate::relaxed::{concrete, gumbel_noise};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "fbnet",
    "all operations of every layer weighed by one soft draw per step, at a falling temperature",
    "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable NAS, 2018, arXiv 1812.03443",
    [(12, 64), (90, 192)],
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Config {
    /// Alpha's options apply to theta.
    #[serde(flatten)]
    core: CoreConfig,
    /// Temperature of the Gumbel-softmax; falls exponentially once theta begins to learn.
    #[serde(flatten)]
    tau: Cooling,
    /// Code that the cost reads.
    pub(super) cost: CostOf,
}

/// Share of the paper's 90 epochs in which theta rests.
const RESTING: f64 = 10.0 / 90.0;
/// 5 * 0.956^80: the temperature after the other 80 epochs.
const TAU_MIN: f64 = 0.136_65;
/// Betas of theta's Adam.
const BETAS: (f64, f64) = (0.9, 0.999);

impl Config {
    pub(super) const PAPER: Self = Self {
        core: CoreConfig {
            weights: WeightConfig {
                lr: 0.1,
                lr_min: 0.0,
                decay: 1e-4,
                clip: f64::INFINITY,
                ..WeightConfig::DARTS
            },
            alpha: AlphaConfig { alpha_lr: 0.01, alpha_decay: 5e-4, warmup: RESTING },
        },
        tau: Cooling { tau: 5.0, tau_min: TAU_MIN },
        cost: CostOf::Draw,
    };
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self::PAPER
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        quick_rates_and(toml! { clip = 5.0 })
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        self.tau.check()
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(FbNet::new(self, space, seed)))
    }
}

/// `FBNet`; its alpha is the paper's theta.
#[derive(Debug)]
pub(super) struct FbNet {
    core: Core,
    config: Config,
}

impl FbNet {
    pub(super) fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let (decisions, core) = (space.decisions(), config.core);
        let theta = init_logits(decisions, &mut rng(seed));
        let learning = Learning { betas: BETAS, ..core.alpha.learning() };
        let core = Core::bare(decisions, core.weights).with([("alpha", theta)], learning);
        Self { core, config }
    }

    /// The temperature; constant while theta rests.
    fn tau(&self, progress: f64) -> f64 {
        let resting = self.config.core.alpha.warmup;
        self.config.tau.exponential(((progress - resting) / (1.0 - resting)).max(0.0))
    }

    /// `[n_decisions, n_choices]`: one draw of the gates m at the current temperature, differentiable.
    fn draw(&self, progress: f64, rng: &mut dyn RngCore) -> Tensor {
        let logits = self.core.logits();
        let noise = gumbel_noise(&logits.size(), rng);
        concrete(&logits, &noise, self.tau(progress))
    }
}

impl Method for FbNet {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let gates = self.core.soft(&self.draw(cx.progress, cx.rng).detach());
        let report = self.core.train(cx, &gates, &batches.train);
        if self.config.core.is_warming_up(cx.progress) {
            return Ok(report);
        }
        let m = self.draw(cx.progress, cx.rng);
        let gates = self.core.soft(&m);
        let read = if self.config.cost == CostOf::Draw { m } else { self.core.probs() };
        let relaxed = self.core.competing(&read);
        let valid_loss = self.core.descend(cx, &gates, &relaxed, &batches.valid)?;
        Ok(StepReport { valid_loss: Some(valid_loss), ..report })
    }

    /// The mixture by theta's softmax, without noise.
    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.core.soft(&self.core.probs().detach()))
    }
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::methods::tools::alphas::chosen;
    use crate::product::{Product, Reading};

    fn fbnet() -> FbNet {
        FbNet::new(Config::PAPER, &Darts::new(), 1)
    }

    #[test]
    fn the_temperature_rests_with_theta_and_then_falls_by_0_956_an_epoch() {
        let fbnet = fbnet();
        let at = |epoch: f64| fbnet.tau(epoch / 90.0);
        for epoch in [0.0, 5.0, 10.0] {
            assert!((at(epoch) - 5.0).abs() < 1e-9);
        }
        for epoch in 10..90 {
            let factor = at(f64::from(epoch) + 1.0) / at(f64::from(epoch));
            assert!((factor - 0.956).abs() < 1e-5, "{factor}");
        }
        // If theta never learns, the temperature stays high.
        let mut still = self::fbnet();
        still.config.core.alpha.warmup = 1.0;
        assert!((still.tau(0.99) - 5.0).abs() < 1e-9);
    }

    // Number 4 of what must be true of FBNet and FBNetV2, but for the cold end, which is below.
    #[test]
    fn fbnetv2_4_draws_sum_to_one_and_their_largest_entry_is_a_draw_from_the_softmax() {
        let fbnet = fbnet();
        let row = Tensor::from_slice(&[0.0f32, 1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.2]);
        tch::no_grad(|| fbnet.core.alpha().shallow_clone().copy_(&row.repeat([28, 1])));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut counts, mut n) = ([0.0; 8], 0.0);
        while n < 20_000.0 {
            let m = fbnet.draw(0.5, &mut rng).detach();
            let sums = m.sum_dim_intlist(-1, false, Kind::Float);
            assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
            for c in chosen(&m) {
                counts[c] += 1.0;
                n += 1.0;
            }
        }
        let expected = row.softmax(-1, Kind::Double);
        for (c, count) in counts.iter().enumerate() {
            let expected = expected.double_value(&[c as i64]);
            assert!((count / n - expected).abs() < 0.02, "{c}: {} {expected}", count / n);
        }
    }

    #[test]
    fn fbnetv2_4_cold_draws_are_nearly_one_hot() {
        let logits = Tensor::zeros([5000, 9], tch::kind::FLOAT_CPU);
        let noise = gumbel_noise(&[5000, 9], &mut ChaCha8Rng::seed_from_u64(4));
        let largest = concrete(&logits, &noise, 0.01).amax([-1i64].as_slice(), false);
        let nearly = largest.gt(0.99).to_kind(Kind::Double).mean(Kind::Double);
        assert!(nearly.double_value(&[]) > 0.9);
    }

    /// Checks that gates, latency and the product's gradient are those of the paper's formulas, see `tests/parity/formula/README.md`.
    #[test]
    fn draws_and_their_product_are_those_of_the_formula() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/formula/fbnet_gumbel.npz");
        let all: std::collections::HashMap<String, Tensor> =
            Tensor::read_npz(file).unwrap().into_iter().collect();
        let close = |found: &Tensor, name: &str| {
            let error = (found.detach() - &all[name]).abs().max().double_value(&[]);
            assert!(error <= 1e-5 * all[name].abs().max().double_value(&[]), "{name}: {error}");
        };
        let theta = all["theta"].to_kind(Kind::Float).set_requires_grad(true);
        let noise = -(-all["uniform"].log()).log();
        let gates = concrete(&theta, &noise.to_kind(Kind::Float), 5.0);
        close(&gates, "gates_tau5");
        let latency = (&gates * &all["table_ms"]).sum(Kind::Double);
        close(&latency, "latency_tau5");
        let product = Product { alpha: 0.2, beta: 0.6, reading: Reading::Paper };
        (product.factor(&latency, "ms").unwrap() * 2.5).backward();
        close(&theta.grad(), "grad_theta_tau5");
        let expected = (theta.softmax(-1, Kind::Float) * &all["table_ms"]).sum(Kind::Double);
        close(&expected, "expected_latency_softmax");
    }
}
