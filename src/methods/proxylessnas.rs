//! `ProxylessNAS`: Direct Neural Architecture Search on Target Task and Hardware. Cai, Zhu, Han, ICLR 2019, arXiv 1812.00332.
//! Reference: <https://github.com/mit-han-lab/proxylessnas>, `search/`.
//!
//! Deviations: this one works on cell-based spaces, where edges compete too; their strengths learn from the cost alone, through the
//! operations that a step compares. Alpha learns from the cost on every edge; the reference ignores the cost on edges where `none`
//! is active. Steps of alpha begin right after the warm-up, not an epoch later. REINFORCE takes its one step of ten samples as often
//! as the gradient forms, while the reference spreads 300 over each epoch; its reward is the accuracy, and the cost enters as in
//! every method (with `--estimator score-function` also by REINFORCE), not as a factor (T / cost)^0.1. The reference's penalties
//! `mul#log` and `add#linear` correspond to lambda and target here. The quick preset steps alpha more often and faster so that some
//! hundred steps suffice.

use rand::RngCore;

use super::tools::alphas::{Learning, init_logits, rng, strengths};
use super::tools::prelude::*;
use crate::relaxed::{gumbel_noise, one_hot, straight_through};
use crate::supernet::Path;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "proxylessnas",
    "binary gates: one path trained, two compared; or REINFORCE",
    "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, 2018, arXiv 1812.00332",
    [(20, 64), (160, 256)],
);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// The warm-up trains weights on random paths; in the paper it takes 40 of 160 epochs.
    #[serde(flatten)]
    core: CoreConfig,
    /// How alpha learns.
    form: Form,
    /// Weight steps per step of alpha.
    interval: u32,
    /// Paths per step of REINFORCE.
    samples: u32,
}

/// How alpha learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Compares two candidates per edge (the paper's form): memory of two paths.
    Two,
    /// Computes all candidates; those that are not active get no gradients for their weights.
    Full,
    /// Score function of the validation accuracy: memory of one path.
    Reinforce,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig {
            lr_min: 0.0,
            nesterov: true,
            decay: 4e-5,
            clip: f64::INFINITY,
            label_smoothing: 0.1,
            ..WeightConfig::DARTS
        };
        let alpha = AlphaConfig { alpha_lr: 1e-3, alpha_decay: 0.0, warmup: 0.25 };
        Self { core: CoreConfig { weights, alpha }, form: Form::Two, interval: 5, samples: 10 }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            clip = 5.0
            alpha_lr = 3e-2
            interval = 1
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.interval >= 1, || "interval of at least 1, found 0".into())?;
        ensure(self.samples >= 2, || format!("samples of at least 2, found {}", self.samples))
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(ProxylessNas::new(self, space, seed)))
    }
}

/// Without a first moment, entries whose gradient is 0 do not move.
const ALPHA_BETAS: (f64, f64) = (0.0, 0.999);
/// Share of a new average reward in the baseline, as in the reference: nearly all.
const BASELINE_UPDATE: f64 = 0.99;
/// Name of the state entry with the number of weight steps since the last step of alpha, and the baseline, which is NaN at first.
const KEPT: &str = "interval_and_baseline";

#[derive(Debug)]
struct ProxylessNas {
    core: Core,
    config: Config,
}

impl ProxylessNas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let alpha = init_logits(space.decisions(), &mut rng(seed));
        let learning = Learning { betas: ALPHA_BETAS, ..config.core.alpha.learning() };
        let core = Core::bare(space.decisions(), config.core.weights);
        let mut core = core.with([("alpha", alpha)], learning);
        core.keep(KEPT, Tensor::from_slice(&[0.0, f64::NAN]));
        Self { core, config }
    }

    fn kept(&self) -> (u32, Option<f64>) {
        let [interval, baseline] = [0, 1].map(|i| self.core.kept(KEPT).double_value(&[i]));
        (interval as u32, Some(baseline).filter(|b| b.is_finite()))
    }

    fn keep(&mut self, interval: u32, baseline: Option<f64>) {
        let both = [f64::from(interval), baseline.unwrap_or(f64::NAN)];
        self.core.keep(KEPT, Tensor::from_slice(&both));
    }

    /// Gates that compute the active path, and other paths only for the gradients of their gates. `probs` are the probabilities that
    /// the gates were drawn from, so the gradient of alpha is `sum over j of (gradient of gate j) * p_j * ([i = j] - p_i)`.
    fn compared(&self, active: &Tensor, probs: &Tensor, looked_at: &Tensor) -> SharedGates {
        let table = |t: &Tensor| Vec::<Vec<f32>>::try_from(t).expect("two dimensions");
        let (on, looked_at) = (table(active), table(looked_at));
        let gates = self.core.rows(&straight_through(active, probs));
        SharedGates::with_paths(&self.core.decisions, &gates, |d, c| match looked_at[d][c] {
            _ if on[d][c] > 0.0 => Path::On,
            0.0 => Path::Off,
            _ => Path::Probe,
        })
    }

    fn step_alpha(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<DeviceScalar> {
        match self.config.form {
            Form::Two => self.step_two(cx, batch),
            Form::Full => self.step_full(cx, batch),
            Form::Reinforce => self.step_reinforce(cx, batch),
        }
    }

    /// Draws two candidates per edge without replacement, one of them active, and steps alpha. Afterwards both alphas are shifted so
    /// that all other probabilities are unchanged.
    fn step_two(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<DeviceScalar> {
        let logits = self.core.logits();
        let pair = pair(&logits.detach(), cx.rng);
        let others = pair.eq(0.0);
        let of_pair = logits.masked_fill(&others, f64::NEG_INFINITY);
        let probs = of_pair.softmax(-1, Kind::Float);
        let gates = self.compared(&draw(&of_pair, cx.rng), &probs, &pair);
        // As in the reference, the cost reads the pair's probabilities; edge strengths are computed from all candidates.
        let whole = logits.where_self(&pair.ne(0.0), &logits.detach()).softmax(-1, Kind::Float);
        let strengths = strengths(&self.core.decisions, &whole);
        let relaxed = Relaxed::competing(self.core.per_decision(&probs), strengths);
        let before = of_pair.detach().logsumexp([-1i64].as_slice(), true);
        let value = self.core.descend(cx, &gates, &relaxed, batch)?;
        tch::no_grad(|| {
            let after = self.core.logits().masked_fill(&others, f64::NEG_INFINITY);
            let shift = (after.logsumexp([-1i64].as_slice(), true) - before) * &pair;
            let _ = self.core.alpha().shallow_clone().g_sub_(&shift);
        });
        Ok(value)
    }

    fn step_full(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<DeviceScalar> {
        let probs = self.core.probs();
        let active = draw(&self.core.logits(), cx.rng);
        let gates = self.compared(&active, &probs, &probs.ones_like());
        let relaxed = self.core.competing(&probs);
        self.core.descend(cx, &gates, &relaxed, batch)
    }

    /// Steps alpha along the gradient of minus the log-probability of each sampled path, weighted by its reward above the baseline.
    fn step_reinforce(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<DeviceScalar> {
        let (mut rewards, mut log_probs, mut losses) = (Vec::new(), Vec::new(), 0.0);
        let log_softmax = self.core.logits().log_softmax(-1, Kind::Float);
        for _ in 0..self.config.samples {
            let active = draw(&self.core.logits(), cx.rng);
            let gates = self.core.partly(&active, &active);
            let logits = tch::no_grad(|| cx.net.forward_t(&batch.images, &gates, true));
            let hits = logits.argmax(-1, false).eq_tensor(&batch.labels).to_kind(Kind::Float);
            let mean = |number: &Tensor| cx.net.mean_over_ranks(number).double_value(&[]);
            rewards.push(mean(&hits.mean(Kind::Float)));
            losses += mean(&logits.cross_entropy_for_logits(&batch.labels));
            log_probs.push((active * &log_softmax).sum(Kind::Float));
        }
        let n = f64::from(self.config.samples);
        let mean = rewards.iter().sum::<f64>() / n;
        let (interval, baseline) = self.kept();
        let baseline = baseline.unwrap_or(mean);
        let terms: Vec<Tensor> =
            log_probs.iter().zip(&rewards).map(|(lp, r)| -lp * (r - baseline)).collect();
        self.keep(interval, Some(baseline + BASELINE_UPDATE * (mean - baseline)));
        let task = Tensor::stack(&terms, 0).mean(Kind::Float);
        let relaxed = self.core.competing(&self.core.probs());
        let loss = (losses / n).into();
        let gradients = self.core.surrogate_gradients(cx, (&task, &loss), &relaxed)?;
        self.core.apply(&gradients);
        Ok((losses / n).into())
    }
}

/// `[n_decisions, n_choices]`: binary gates drawn from these logits.
fn draw(logits: &Tensor, rng: &mut dyn RngCore) -> Tensor {
    one_hot(&(logits.detach().log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng)))
}

/// `[n_decisions, n_choices]` of 0 and 1: two candidates per decision, drawn without replacement (Gumbel-top-2).
fn pair(logits: &Tensor, rng: &mut dyn RngCore) -> Tensor {
    let noisy = logits.log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng);
    let first = one_hot(&noisy);
    let second = one_hot(&noisy.masked_fill(&first.ne(0.0), f64::NEG_INFINITY));
    first + second
}

impl Method for ProxylessNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let active = draw(&self.core.logits(), cx.rng);
        let report = self.core.train(cx, &self.core.partly(&active, &active), &batches.train);
        if self.config.core.is_warming_up(cx.progress) {
            return Ok(report);
        }
        let (interval, baseline) = self.kept();
        let is_due = interval + 1 >= self.config.interval;
        self.keep(if is_due { 0 } else { interval + 1 }, baseline);
        let valid_loss = if is_due { Some(self.step_alpha(cx, &batches.valid)?) } else { None };
        Ok(StepReport { valid_loss, ..report })
    }
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::optimizer::gradients;

    // Number 2 of what must be true of ProxylessNAS.
    #[test]
    fn proxylessnas_2_alpha_gets_the_gates_gradients_through_the_softmax() {
        let space = Darts::new();
        let method = ProxylessNas::new(Config::paper(&space), &space, 1);
        let logits = method.core.alpha();
        let _ = tch::no_grad(|| logits.shallow_clone().g_mul_scalar_(1000.0));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let g = Tensor::arange(28 * 8, tch::kind::FLOAT_CPU).sin().view([28, 8]);
        let of_gates = |gates: &SharedGates| {
            let rows: Vec<Tensor> = (0..28).map(|d| gates.gate(d, 0).weights).collect();
            let loss = (Tensor::stack(&rows, 0) * &g).sum(Kind::Float);
            gradients(&loss, &[logits.shallow_clone()]).remove(0)
        };
        let contracted = |p: &Tensor| {
            let mean = (p * &g).sum_dim_intlist(1, true, Kind::Float);
            p * (&g - mean)
        };

        let probs = method.core.probs();
        let active = draw(logits, &mut rng);
        let found = of_gates(&method.compared(&active, &probs, &probs.ones_like()));
        assert!(found.allclose(&contracted(&probs.detach()), 0.0, 1e-5, false));
        let sums = found.sum_dim_intlist(1, false, Kind::Float).abs();
        assert!(sums.max().double_value(&[]) < 1e-5, "each row sums to 0");

        let pair = pair(&logits.detach(), &mut rng);
        assert_eq!(
            Vec::<f32>::try_from(pair.sum_dim_intlist(1, false, Kind::Float)).unwrap(),
            [2.0; 28]
        );
        let of_pair = logits.masked_fill(&pair.eq(0.0), f64::NEG_INFINITY);
        let probs = of_pair.softmax(-1, Kind::Float);
        let active = draw(&of_pair, &mut rng);
        let found = of_gates(&method.compared(&active, &probs, &pair));
        assert!(found.allclose(&contracted(&probs.detach()), 0.0, 1e-5, false));
        assert!((found.abs() * pair.eq(0.0)).max().double_value(&[]) <= 0.0);
    }
}
