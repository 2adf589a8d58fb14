//! DARTS' second-order architecture gradient: through one virtual step of the weights.

use tch::Tensor;

use super::weights::WeightStep;
use crate::device_scalar::DeviceScalar;
use crate::optimizer::joint_norm;
use crate::supernet::Supernet;

impl WeightStep {
    /// The gradients for `alphas` of the validation loss after one virtual weight step (the Hessian product by finite differences),
    /// and the validation loss.
    pub(crate) fn unrolled_gradients(
        &self,
        net: &dyn Supernet,
        alphas: &[Tensor],
        progress: f64,
        train_loss: impl Fn() -> Tensor,
        valid_loss: impl FnOnce() -> Tensor,
    ) -> (Vec<Tensor>, DeviceScalar) {
        let (sgd, xi) = (self.sgd(), self.lr(progress));
        let weights = sgd.weights();
        let saved: Vec<Tensor> = weights.iter().map(|w| w.detach().copy()).collect();
        let virtual_step = sgd.direction(&net.gradients(&train_loss(), weights));
        move_all(weights, &virtual_step, -xi);

        let loss = valid_loss();
        let reported = DeviceScalar::of(&loss);
        let both: Vec<Tensor> = alphas.iter().chain(weights).map(Tensor::shallow_clone).collect();
        let mut all = net.gradients(&loss, &both);
        let vector = all.split_off(alphas.len());
        restore(weights, &saved);

        // epsilon = 0.01 / |v| over all weights together (Liu 2019, section 2.3).
        let epsilon = 0.01 / joint_norm(&vector).double_value(&[]).max(1e-12);
        move_all(weights, &vector, epsilon);
        let plus = net.gradients(&train_loss(), alphas);
        move_all(weights, &vector, -2.0 * epsilon);
        let minus = net.gradients(&train_loss(), alphas);
        restore(weights, &saved);
        for ((g, p), m) in all.iter_mut().zip(plus).zip(minus) {
            *g = &*g - (p - m) * (xi / (2.0 * epsilon));
        }
        (all, reported)
    }
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
    use std::collections::HashSet;

    use lat_nn::{NnError, StaticNet};
    use lat_space::{Architecture, Graph};
    use tch::{Device, Kind, nn};

    use super::*;
    use crate::methods::tools::weights::{GRADIENT_SQUARES, WeightConfig};
    use crate::optimizer::{StateMap, gradients};
    use crate::supernet::{BuildMixedOp, Gating};

    /// A bilevel problem with a closed-form solution. Weights `w` and architecture `a` are two numbers each; the training loss is
    /// `c/2 |w - a^2|^2`, the validation loss `1/2 |w - t|^2 + 1/2 |a|^2`.
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

        fn features_t(&self, _: &Tensor, _: &dyn Gating, _: bool) -> Tensor {
            unreachable!("the losses are given")
        }

        fn width(&self) -> i64 {
            unreachable!("the losses are given")
        }

        fn classify(&self, _: &Tensor) -> Tensor {
            unreachable!("the losses are given")
        }

        fn used(&self, _: &dyn Gating) -> HashSet<String> {
            unreachable!("the losses are given")
        }

        fn twin(&self, _: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
            unreachable!("it is no network")
        }

        fn extract(&self, _: &Architecture) -> Result<StaticNet, NnError> {
            unreachable!("it is no network")
        }

        fn weights(&self) -> &nn::VarStore {
            &self.store
        }

        fn sites(&self) -> Vec<(usize, u16)> {
            Vec::new()
        }

        fn graph(&self) -> &Graph {
            unreachable!("it is no network")
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

        /// The second-order gradient, and the validation loss it reports.
        fn second_order(&self, config: WeightConfig) -> ([f64; 2], f64) {
            let mut step = WeightStep::new(config);
            step.begin(self);
            let momentum = ("weights.momentum.0".into(), tensor(MOMENTUM));
            let squares = (GRADIENT_SQUARES.into(), Tensor::zeros([1], tch::kind::FLOAT_CPU));
            step.load(&StateMap::from([momentum, squares])).unwrap();
            let alphas = [self.a.shallow_clone()];
            let losses = (|| self.train_loss(), || self.valid_loss());
            let (gradients, value) =
                step.unrolled_gradients(self, &alphas, 0.0, losses.0, losses.1);
            assert_eq!(numbers(&step.state()[0].1), numbers(&tensor(MOMENTUM)), "momentum rests");
            (numbers(&gradients[0]), value.value())
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
