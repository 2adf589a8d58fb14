//! The two halves of a bilevel step, shared by the gradient methods.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use super::{Batch, StepReport};
use crate::optimizer::{Sgd, StateMap, cosine, joint_norm};
use crate::supernet::{Gating, Supernet};

/// How operation weights are trained; part of every gradient method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct WeightConfig {
    /// Learning rate at the start of the cosine.
    pub lr: f64,
    /// Learning rate at its end.
    pub lr_min: f64,
    /// Momentum.
    pub momentum: f64,
    /// Nesterov's form of it.
    pub nesterov: bool,
    /// L2 weight decay.
    pub decay: f64,
    /// Bound of the gradient's norm.
    pub clip: f64,
    /// Share of the label's mass that is spread over all classes.
    pub label_smoothing: f64,
}

impl WeightConfig {
    /// What DARTS trains with, and most of its family.
    pub(super) const DARTS: Self = Self {
        lr: 0.025,
        lr_min: 0.001,
        momentum: 0.9,
        nesterov: false,
        decay: 3e-4,
        clip: 5.0,
        label_smoothing: 0.0,
    };
}

/// What the network answered to a batch.
#[derive(Debug)]
pub(super) struct Answer {
    /// Mean cross entropy, a scalar with its graph.
    pub loss: Tensor,
    /// Correct answers.
    pub n_correct: i64,
}

impl Answer {
    /// For the log.
    pub(super) fn report(&self) -> StepReport {
        let train_loss = self.loss.double_value(&[]);
        StepReport { train_loss, n_correct: self.n_correct, valid_loss: f64::NAN }
    }
}

/// Cross entropy of a batch in training mode.
pub(super) fn task_loss(net: &dyn Supernet, gates: &dyn Gating, batch: &Batch) -> Tensor {
    net.forward_t(&batch.images, gates, true).cross_entropy_for_logits(&batch.labels)
}

/// `PyTorch`'s mark for a sample that has no label; ours all have one.
const NO_LABEL: i64 = -100;

/// Trains the supernet's operation weights.
#[derive(Debug)]
pub(super) struct WeightStep {
    config: WeightConfig,
    sgd: Option<Sgd>,
}

impl WeightStep {
    pub(super) fn new(config: WeightConfig) -> Self {
        Self { config, sgd: None }
    }

    /// Takes hold of the supernet's weights.
    pub(super) fn begin(&mut self, net: &dyn Supernet) {
        let weights = ordered_weights(net.weights());
        let WeightConfig { momentum, nesterov, decay, .. } = self.config;
        self.sgd = Some(Sgd::new(weights, momentum, decay).nesterov(nesterov));
    }

    fn sgd(&self) -> &Sgd {
        self.sgd.as_ref().expect("begin comes before step")
    }

    /// The weights it trains.
    pub(super) fn weights(&self) -> &[Tensor] {
        self.sgd().weights()
    }

    /// The network's answer to a batch, with the loss that weights are trained on.
    pub(super) fn answer(&self, net: &dyn Supernet, gates: &dyn Gating, batch: &Batch) -> Answer {
        let logits = net.forward_t(&batch.images, gates, true);
        let n_correct = logits.argmax(-1, false).eq_tensor(&batch.labels).sum(Kind::Int64);
        let loss = match self.config.label_smoothing {
            0.0 => logits.cross_entropy_for_logits(&batch.labels),
            share => logits.cross_entropy_loss::<Tensor>(
                &batch.labels,
                None,
                tch::Reduction::Mean,
                NO_LABEL,
                share,
            ),
        };
        Answer { loss, n_correct: n_correct.int64_value(&[]) }
    }

    /// Moves the weights, clipped, at this point of the cosine; weights without a gradient rest.
    pub(super) fn apply(&mut self, gradients: &[Tensor], progress: f64) {
        self.apply_clipped(gradients, progress, self.config.clip);
    }

    /// The same with a bound of its own.
    pub(super) fn apply_clipped(&mut self, gradients: &[Tensor], progress: f64, clip: f64) {
        let lr = cosine(self.config.lr, self.config.lr_min, progress);
        self.sgd.as_mut().expect("begin comes before step").step(gradients, lr, clip);
    }

    /// One level: gradients of one loss for the weights and for architecture parameters.
    pub(super) fn joint_gradients(
        &self,
        loss: &Tensor,
        alphas: &[Tensor],
    ) -> (Vec<Tensor>, Vec<Tensor>) {
        let all: Vec<Tensor> =
            self.weights().iter().chain(alphas).map(Tensor::shallow_clone).collect();
        let mut of_weights = gradients(loss, &all);
        let of_alphas = of_weights.split_off(self.weights().len());
        (of_weights, of_alphas)
    }

    /// One SGD step on the training batch; the gates carry no gradient here.
    pub(super) fn step(
        &mut self,
        net: &dyn Supernet,
        gates: &dyn Gating,
        batch: &Batch,
        progress: f64,
    ) -> StepReport {
        let answer = self.answer(net, gates, batch);
        let gradients = gradients(&answer.loss, self.weights());
        self.apply(&gradients, progress);
        answer.report()
    }

    /// DARTS' second-order architecture gradient: of the validation loss after one virtual weight step, the Hessian product by
    /// finite differences. Returns the gradients for `alphas` and the validation loss.
    pub(super) fn unrolled_gradients(
        &mut self,
        alphas: &[Tensor],
        progress: f64,
        mut train_loss: impl FnMut() -> Tensor,
        valid_loss: impl FnOnce() -> Tensor,
    ) -> (Vec<Tensor>, f64) {
        let sgd = self.sgd();
        let xi = cosine(self.config.lr, self.config.lr_min, progress);
        let weights: Vec<Tensor> = sgd.weights().iter().map(Tensor::shallow_clone).collect();
        let saved: Vec<Tensor> = weights.iter().map(|w| w.detach().copy()).collect();
        let virtual_step = sgd.direction(&gradients(&train_loss(), &weights));
        move_all(&weights, &virtual_step, -xi);

        let loss = valid_loss();
        let reported = loss.double_value(&[]);
        let both: Vec<Tensor> = alphas.iter().chain(&weights).map(Tensor::shallow_clone).collect();
        let mut all = self::gradients(&loss, &both);
        let vector = all.split_off(alphas.len());
        restore(&weights, &saved);

        // epsilon = 0.01 / |v| over all weights together (Liu 2019, section 2.3).
        let epsilon = 0.01 / joint_norm(&vector).double_value(&[]).max(1e-12);
        move_all(&weights, &vector, epsilon);
        let plus = gradients(&train_loss(), alphas);
        move_all(&weights, &vector, -2.0 * epsilon);
        let minus = gradients(&train_loss(), alphas);
        restore(&weights, &saved);
        for ((g, p), m) in all.iter_mut().zip(plus).zip(minus) {
            *g = &*g - (p - m) * (xi / (2.0 * epsilon));
        }
        (all, reported)
    }

    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        self.sgd.as_ref().map_or_else(Vec::new, |sgd| sgd.state("weights"))
    }

    pub(super) fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.sgd.as_mut().expect("begin comes before load").load("weights", state)
    }
}

/// The trainable weights in the order of their names, which is the same in every process.
pub(crate) fn ordered_weights(store: &nn::VarStore) -> Vec<Tensor> {
    named_weights(store).into_iter().map(|(_, w)| w).collect()
}

/// The same with their names.
pub(crate) fn named_weights(store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let trained = store.variables().into_iter().filter(|(_, w)| w.requires_grad());
    let mut named: Vec<(String, Tensor)> = trained.collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// Where a method's state has the sums of squared gradients of [`named_weights`], one each.
pub(crate) const GRADIENT_SQUARES: &str = "weights.gradient_squares";

/// Gradients of a loss for these tensors alone: the rest of the graph is not differentiated. Undefined for a tensor that took no
/// part in the loss.
pub(super) fn gradients(loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
    let of: Vec<&Tensor> = of.iter().collect();
    Tensor::run_backward(&[loss], &of, false, false)
}

fn move_all(weights: &[Tensor], direction: &[Tensor], factor: f64) {
    tch::no_grad(|| {
        for (w, d) in weights.iter().zip(direction) {
            let _ = w.shallow_clone().g_add_(&(d * factor));
        }
    });
}

fn restore(weights: &[Tensor], saved: &[Tensor]) {
    tch::no_grad(|| {
        for (w, s) in weights.iter().zip(saved) {
            w.shallow_clone().copy_(s);
        }
    });
}

#[cfg(test)]
#[expect(
    clippy::float_cmp,
    clippy::manual_midpoint,
    reason = "bitwise equality is meant, and a sum over two is no mean"
)]
mod tests {
    use tch::Device;

    use super::*;

    /// A bilevel problem with a closed form, two numbers each of weights `w` and architecture `a`: training loss
    /// `c/2 |w - a^2|^2`, validation loss `1/2 |w - t|^2 + 1/2 |a|^2`.
    #[derive(Debug)]
    struct Problem {
        store: nn::VarStore,
        w: Tensor,
        a: Tensor,
        t: Tensor,
    }

    const C: f64 = 3.0;
    const CONFIG: WeightConfig =
        WeightConfig { lr: 0.1, lr_min: 0.0, decay: 0.05, ..WeightConfig::DARTS };
    const W: [f64; 2] = [0.7, -1.2];
    const A: [f64; 2] = [0.5, -0.8];
    const T: [f64; 2] = [2.0, 0.3];
    const MOMENTUM: [f64; 2] = [0.4, -0.2];

    impl Supernet for Problem {
        fn forward_t(&self, _: &Tensor, _: &dyn Gating, _: bool) -> Tensor {
            unreachable!("the losses are given")
        }

        fn weights(&self) -> &nn::VarStore {
            &self.store
        }

        fn sites(&self) -> Vec<(usize, u16)> {
            Vec::new()
        }
    }

    fn tensor(values: [f64; 2]) -> Tensor {
        Tensor::from_slice(&values).to_kind(Kind::Float)
    }

    fn numbers(tensor: &Tensor) -> [f64; 2] {
        [0, 1].map(|i| tensor.double_value(&[i]))
    }

    impl Problem {
        fn new() -> Self {
            let store = nn::VarStore::new(Device::Cpu);
            let w = store.root().var_copy("w", &tensor(W));
            Self { store, w, a: tensor(A).set_requires_grad(true), t: tensor(T) }
        }

        fn train_loss(&self) -> Tensor {
            (&self.w - &self.a * &self.a).square().sum(Kind::Float) * (C / 2.0)
        }

        fn valid_loss(&self) -> Tensor {
            let loss = (&self.w - &self.t).square() + self.a.square();
            loss.sum(Kind::Float) * 0.5
        }

        /// The gradient of the second order, and the validation loss it reports.
        fn second_order(&self, config: WeightConfig) -> ([f64; 2], f64) {
            let mut step = WeightStep::new(config);
            step.begin(self);
            let momentum = ("weights.momentum.0".into(), tensor(MOMENTUM));
            let squares = (GRADIENT_SQUARES.into(), Tensor::zeros([1], tch::kind::FLOAT_CPU));
            step.load(&StateMap::from([momentum, squares])).unwrap();
            let alphas = [self.a.shallow_clone()];
            let losses = (|| self.train_loss(), || self.valid_loss());
            let (gradients, value) = step.unrolled_gradients(&alphas, 0.0, losses.0, losses.1);
            assert_eq!(numbers(&step.state()[0].1), numbers(&tensor(MOMENTUM)), "momentum rests");
            (numbers(&gradients[0]), value)
        }
    }

    /// The weights after the virtual step: `w - lr * (momentum * buffer + c * (w - a^2) + decay * w)`.
    fn virtual_weights(config: WeightConfig) -> [f64; 2] {
        let step = |i: usize| {
            config.momentum * MOMENTUM[i] + C * (W[i] - A[i] * A[i]) + config.decay * W[i]
        };
        [0, 1].map(|i| W[i] - config.lr * step(i))
    }

    // Number 5 of what must be true of DARTS.
    #[test]
    fn darts_5_the_second_order_is_the_unrolled_gradient() {
        let (found, reported) = Problem::new().second_order(CONFIG);
        let moved = virtual_weights(CONFIG);
        let mut loss = 0.0;
        for (i, found) in found.into_iter().enumerate() {
            let of_weights = CONFIG.lr * C * 2.0 * A[i];
            let exact = A[i] + (moved[i] - T[i]) * of_weights;
            assert!((found - exact).abs() < 1e-3, "{i}: {found}, exactly {exact}");
            assert!((exact - A[i]).abs() > 0.1, "the second order matters");
            loss += ((moved[i] - T[i]).powi(2) + A[i].powi(2)) / 2.0;
        }
        assert!((reported - loss).abs() < 1e-5, "the loss after the virtual step: {reported}");
    }

    #[test]
    fn darts_5_with_a_rate_of_0_it_is_the_first_order() {
        let problem = Problem::new();
        let (found, _) = problem.second_order(WeightConfig { lr: 0.0, ..CONFIG });
        let first = gradients(&problem.valid_loss(), &[problem.a.shallow_clone()]);
        assert_eq!(found, numbers(&first[0]));
    }

    // Number 6; for running statistics see `tests/cards/darts.rs`.
    #[test]
    fn darts_6_weights_are_what_they_were() {
        let problem = Problem::new();
        problem.second_order(CONFIG);
        for (found, before) in numbers(&problem.w).iter().zip(W) {
            assert!((found - before).abs() <= 1e-6, "{found}, was {before}");
        }
        assert!(problem.w.requires_grad());
    }
}
