//! `ProxylessNAS`: Direct Neural Architecture Search on Target Task and Hardware. Cai, Zhu, Han, ICLR 2019, arXiv 1812.00332.
//! Reference: <https://github.com/mit-han-lab/proxylessnas>, `search/`.
//!
//! Deviations: here on cell-based spaces, where edges compete too; their strengths learn from the cost alone, through the operations that
//! a step looks at. Alpha learns from the cost on every edge, where the reference forgets it where `none` is active. Steps of alpha
//! begin right after the warm-up, not an epoch later. REINFORCE takes its one step of ten samples as often as the gradient forms, where
//! the reference spreads 300 over each epoch; its reward is the accuracy, and the cost enters as in every method (with
//! `--estimator score-function` by REINFORCE too), not as a factor (T / cost)^0.1. The reference's penalties `mul#log` and
//! `add#linear` are this program's lambda and target.
//! The quick preset steps alpha more often and faster so that some hundred steps suffice.

use lat_space::SearchSpace;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, task_loss};
use super::cell_alphas::{AlphaConfig, CellAlphas, chosen, strengths};
use super::{
    Batch, Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::{Relaxed, gumbel_noise, one_hot, straight_through};
use crate::supernet::{AllChannels, BuildMixedOp, Gating, Path, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "proxylessnas",
    summary: "binary gates: one path trained, two compared; or REINFORCE",
    paper: "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, 2018, arXiv 1812.00332",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 20, batch: 64 },
        Preset::Paper => Schedule { epochs: 160, batch: 256 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("proxylessnas", Config::preset(preset), options, space)?;
        let Config { interval, samples, .. } = config;
        expect("proxylessnas", interval >= 1, || "interval of at least 1, found 0".into())?;
        expect("proxylessnas", samples >= 2, || format!("samples of at least 2, found {samples}"))?;
        Ok(Box::new(ProxylessNas::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// The warm-up trains weights on random paths: 40 of 160 epochs in the paper.
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// How alpha learns.
    form: Form,
    /// Steps of the weights per step of alpha.
    interval: u32,
    /// Paths per step of REINFORCE.
    samples: u32,
}

/// How alpha learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Two candidates per edge are compared (the paper's): memory of two paths.
    Two,
    /// All candidates are computed, those that are not active without gradients of their own.
    Full,
    /// Score function of the validation accuracy: memory of one path.
    Reinforce,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig {
                lr_min: 0.0,
                nesterov: true,
                decay: 4e-5,
                clip: f64::INFINITY,
                label_smoothing: 0.1,
                ..WeightConfig::DARTS
            },
            alpha: AlphaConfig { alpha_lr: 1e-3, alpha_decay: 0.0, warmup: 0.25 },
            form: Form::Two,
            interval: 5,
            samples: 10,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, clip: 5.0, ..paper.weights },
                alpha: AlphaConfig { alpha_lr: 3e-2, ..paper.alpha },
                interval: 1,
                ..paper
            },
        }
    }
}

/// Without a first moment an entry whose gradient is 0 stays.
const ALPHA_BETAS: (f64, f64) = (0.0, 0.999);
/// How much of a new mean reward goes into the baseline, as in the reference: nearly all.
const BASELINE_UPDATE: f64 = 0.99;

#[derive(Debug)]
struct ProxylessNas {
    config: Config,
    alphas: CellAlphas,
    weights: WeightStep,
    /// Weight steps since the last step of alpha.
    n_weight_steps: u32,
    baseline: Option<f64>,
}

impl ProxylessNas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        Self {
            alphas: CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed),
            weights: WeightStep::new(config.weights),
            n_weight_steps: 0,
            baseline: None,
            config,
        }
    }

    /// `[n_decisions, n_choices]`: binary gates drawn from these logits.
    fn draw(logits: &Tensor, rng: &mut dyn RngCore) -> Tensor {
        one_hot(&(logits.detach().log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng)))
    }

    /// The active path alone.
    fn one_path(&self, active: &Tensor) -> SharedGates {
        let on = chosen(active);
        SharedGates::with_paths(&self.alphas.decisions, &self.alphas.rows(active), |d, c| {
            if on[d] == c { Path::On } else { Path::Off }
        })
    }

    /// The active path, and those that are computed for their gates only; `probs` are what the gates were drawn from, so that the
    /// gradient of alpha is `sum over j of (gradient of gate j) * p_j * ([i = j] - p_i)`.
    fn compared(&self, active: &Tensor, probs: &Tensor, looked_at: &Tensor) -> SharedGates {
        let on = chosen(active);
        let looked_at = Vec::<Vec<f32>>::try_from(looked_at).expect("two dimensions");
        let gates = self.alphas.rows(&straight_through(active, probs));
        SharedGates::with_paths(&self.alphas.decisions, &gates, |d, c| match looked_at[d][c] {
            _ if on[d] == c => Path::On,
            0.0 => Path::Off,
            _ => Path::Probe,
        })
    }

    fn step_alpha(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64, SearchError> {
        match self.config.form {
            Form::Two => self.step_two(cx, batch),
            Form::Full => self.step_full(cx, batch),
            Form::Reinforce => self.step_reinforce(cx, batch),
        }
    }

    /// Two candidates per edge, drawn without replacement; one of them is active. Afterwards both alphas shift so that all other
    /// probabilities are what they were.
    fn step_two(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64, SearchError> {
        let logits = self.alphas.logits.shallow_clone();
        let pair = pair(&logits.detach(), cx.rng);
        let others = pair.eq(0.0);
        let of_pair = logits.masked_fill(&others, f64::NEG_INFINITY);
        let probs = of_pair.softmax(-1, Kind::Float);
        let gates = self.compared(&Self::draw(&of_pair, cx.rng), &probs, &pair);
        let task = task_loss(cx.net, &gates, batch);
        let value = task.double_value(&[]);
        // The cost reads the pair's probabilities, as the reference's does; an edge is as strong as among all candidates.
        let whole = logits.where_self(&pair.ne(0.0), &logits.detach()).softmax(-1, Kind::Float);
        let strengths = strengths(&self.alphas.decisions, &whole);
        let relaxed = Relaxed::competing(probs.unbind(0), strengths);
        let before = of_pair.detach().logsumexp([-1i64].as_slice(), true);
        self.alphas.descend(cx, &task, &relaxed)?;
        tch::no_grad(|| {
            let after = logits.masked_fill(&others, f64::NEG_INFINITY);
            let shift = (after.logsumexp([-1i64].as_slice(), true) - before) * &pair;
            let _ = self.alphas.logits.g_sub_(&shift);
        });
        Ok(value)
    }

    fn step_full(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64, SearchError> {
        let probs = self.alphas.probs();
        let active = Self::draw(&self.alphas.logits, cx.rng);
        let gates = self.compared(&active, &probs, &probs.ones_like());
        let task = task_loss(cx.net, &gates, batch);
        let value = task.double_value(&[]);
        let relaxed = self.alphas.relaxed();
        self.alphas.descend(cx, &task, &relaxed)?;
        Ok(value)
    }

    /// The gradient of minus the log probability of each sampled path, weighted by its reward above the baseline.
    fn step_reinforce(
        &mut self,
        cx: &mut Context<'_, '_>,
        batch: &Batch,
    ) -> Result<f64, SearchError> {
        let (mut rewards, mut log_probs, mut losses) = (Vec::new(), Vec::new(), 0.0);
        let log_softmax = self.alphas.logits.log_softmax(-1, Kind::Float);
        for _ in 0..self.config.samples {
            let active = Self::draw(&self.alphas.logits, cx.rng);
            let gates = self.one_path(&active);
            let logits = tch::no_grad(|| cx.net.forward_t(&batch.images, &gates, true));
            let hits = logits.argmax(-1, false).eq_tensor(&batch.labels).to_kind(Kind::Float);
            rewards.push(hits.mean(Kind::Float).double_value(&[]));
            losses += logits.cross_entropy_for_logits(&batch.labels).double_value(&[]);
            log_probs.push((active * &log_softmax).sum(Kind::Float));
        }
        let n = f64::from(self.config.samples);
        let mean = rewards.iter().sum::<f64>() / n;
        let baseline = self.baseline.unwrap_or(mean);
        let terms: Vec<Tensor> =
            log_probs.iter().zip(&rewards).map(|(lp, r)| -lp * (r - baseline)).collect();
        self.baseline = Some(baseline + BASELINE_UPDATE * (mean - baseline));
        let task = Tensor::stack(&terms, 0).mean(Kind::Float);
        let relaxed = self.alphas.relaxed();
        self.alphas.descend(cx, &task, &relaxed)?;
        Ok(losses / n)
    }
}

/// `[n_decisions, n_choices]` of 0 and 1: two candidates per decision, drawn without replacement (Gumbel-top-2).
fn pair(logits: &Tensor, rng: &mut dyn RngCore) -> Tensor {
    let noisy = logits.log_softmax(-1, Kind::Float) + gumbel_noise(&logits.size(), rng);
    let first = one_hot(&noisy);
    let second = one_hot(&noisy.masked_fill(&first.ne(0.0), f64::NEG_INFINITY));
    first + second
}

impl Method for ProxylessNas {
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
        let gates = self.one_path(&Self::draw(&self.alphas.logits, cx.rng));
        let report = self.weights.step(cx.net, &gates, &batches.train, cx.progress);
        if cx.progress < self.config.alpha.warmup {
            return Ok(report);
        }
        self.n_weight_steps += 1;
        if self.n_weight_steps < self.config.interval {
            return Ok(report);
        }
        self.n_weight_steps = 0;
        let valid_loss = self.step_alpha(cx, &batches.valid)?;
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(SharedGates::hard(space.decisions(), &self.derive(space), self.alphas.device))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.alphas.relaxed())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        state.extend(self.alphas.state());
        let own = [f64::from(self.n_weight_steps), self.baseline.unwrap_or(f64::NAN)];
        state.push(("interval_and_baseline".into(), Tensor::from_slice(&own)));
        state
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)?;
        let own = state.get("interval_and_baseline").ok_or("interval_and_baseline")?;
        self.n_weight_steps = own.double_value(&[0]) as u32;
        let baseline = own.double_value(&[1]);
        self.baseline = baseline.is_finite().then_some(baseline);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lat_space::Darts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::methods::bilevel::gradients;

    // Number 2 of what must be true of ProxylessNAS.
    #[test]
    fn proxylessnas_2_alpha_gets_the_gates_gradients_through_the_softmax() {
        let preset = Config::preset(Preset::Paper);
        let method = ProxylessNas::new(preset, &Darts::new(), 1);
        let logits = &method.alphas.logits;
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

        let probs = method.alphas.probs();
        let active = ProxylessNas::draw(logits, &mut rng);
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
        let active = ProxylessNas::draw(&of_pair, &mut rng);
        let found = of_gates(&method.compared(&active, &probs, &pair));
        assert!(found.allclose(&contracted(&probs.detach()), 0.0, 1e-5, false));
        assert!((found.abs() * pair.eq(0.0)).max().double_value(&[]) <= 0.0);
    }
}
