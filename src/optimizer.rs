//! SGD and Adam whose state can be saved.
//!
//! tch's optimizers wrap libtorch's, whose moments cannot be read: a resumed search would differ from an uninterrupted one. The
//! formulas are `PyTorch`'s, with weight decay added to the gradient. As there, a weight without a gradient (an undefined tensor,
//! because it took no part in the loss) stays unchanged: neither momentum nor decay moves it.

use tch::{Kind, Tensor, nn};

/// Name of the saved tensor with the sums of squared gradients, after the prefix.
pub(crate) const GRADIENT_SQUARES: &str = "gradient_squares";

/// The trainable weights in the order of their names, which is the same order in every process.
pub(crate) fn ordered_weights(store: &nn::VarStore) -> Vec<Tensor> {
    named_weights(store).into_iter().map(|(_, w)| w).collect()
}

/// The trainable weights with their names, in the order of the names.
pub(crate) fn named_weights(store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let trained = store.variables().into_iter().filter(|(_, w)| w.requires_grad());
    let mut named: Vec<(String, Tensor)> = trained.collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// Gradients of a loss for these tensors only: the rest of the graph is not differentiated. Undefined for a tensor that took no part
/// in the loss.
pub(crate) fn gradients(loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
    let of: Vec<&Tensor> = of.iter().collect();
    Tensor::run_backward(&[loss], &of, false, false)
}

/// Stochastic gradient descent with momentum.
#[derive(Debug)]
pub struct Sgd {
    weights: Vec<Tensor>,
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    /// Whether tensors of one dimension (biases and batch norm's scales and shifts) have no weight decay.
    spares_vectors: bool,
    buffers: Vec<Tensor>,
    /// `[n_weights]`: sum of a weight's squared gradient over all steps and entries, for [`crate::diagnostics`].
    squares: Tensor,
}

impl Sgd {
    /// SGD for these weights, in this order.
    pub fn new(weights: Vec<Tensor>, momentum: f64, weight_decay: f64) -> Self {
        let buffers = weights.iter().map(Tensor::zeros_like).collect();
        let device = weights.first().map_or(tch::Device::Cpu, Tensor::device);
        let squares = Tensor::zeros([weights.len() as i64], (Kind::Float, device));
        let (nesterov, spares_vectors) = (false, false);
        Self { weights, momentum, nesterov, weight_decay, spares_vectors, buffers, squares }
    }

    /// Turns Nesterov's momentum on or off: with it, the step looks ahead along the buffer.
    #[must_use]
    pub fn nesterov(self, nesterov: bool) -> Self {
        Self { nesterov, ..self }
    }

    /// Sets whether biases and batch norm's scales and shifts have no weight decay.
    #[must_use]
    pub fn sparing_vectors(self, spares_vectors: bool) -> Self {
        Self { spares_vectors, ..self }
    }

    fn decay_of(&self, weight: &Tensor) -> f64 {
        if self.spares_vectors && weight.dim() < 2 { 0.0 } else { self.weight_decay }
    }

    /// Resets the momentum.
    pub fn rest(&mut self) {
        tch::no_grad(|| self.buffers.iter_mut().for_each(|buffer| drop(buffer.zero_())));
    }

    /// The weights being trained.
    pub fn weights(&self) -> &[Tensor] {
        &self.weights
    }

    /// Makes one step, with one gradient per weight, clipped to a joint norm of `clip`.
    pub fn step(&mut self, gradients: &[Tensor], lr: f64, clip: f64) {
        tch::no_grad(|| {
            let norms = norms(gradients);
            self.remember(gradients, &norms);
            let scale = scale_to(&norms, clip);
            let decays: Vec<f64> = self.weights.iter().map(|w| self.decay_of(w)).collect();
            let weights = self.weights.iter_mut().zip(decays);
            for (((w, decay), g), buffer) in weights.zip(gradients).zip(&mut self.buffers) {
                if !g.defined() {
                    continue;
                }
                let g = g * &scale + &*w * decay;
                let _ = buffer.g_mul_scalar_(self.momentum).g_add_(&g);
                let _ = match self.nesterov {
                    true => w.g_sub_(&((g + &*buffer * self.momentum) * lr)),
                    false => w.g_sub_(&(&*buffer * lr)),
                };
            }
        });
    }

    fn remember(&mut self, gradients: &[Tensor], norms: &[Tensor]) {
        let places: Vec<i64> =
            (0i64..).zip(gradients).filter(|(_, g)| g.defined()).map(|(i, _)| i).collect();
        if !places.is_empty() {
            let places = Tensor::from_slice(&places).to_device(self.squares.device());
            let squares = Tensor::stack(norms, 0).square().to_kind(self.squares.kind());
            let _ = self.squares.index_add_(0, &places, &squares);
        }
    }

    /// The direction of the next step for these gradients: `momentum * buffer + gradient + decay * weight`.
    pub fn direction(&self, gradients: &[Tensor]) -> Vec<Tensor> {
        tch::no_grad(|| {
            let parts = self.weights.iter().zip(gradients).zip(&self.buffers);
            parts
                .map(|((w, g), buffer)| buffer * self.momentum + g + w * self.decay_of(w))
                .collect()
        })
    }

    /// The momentum buffers under `prefix`, and the sums of squared gradients.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut state = numbered(&format!("{prefix}.momentum"), &self.buffers);
        state.push((format!("{prefix}.{GRADIENT_SQUARES}"), self.squares.shallow_clone()));
        state
    }

    /// Loads the buffers.
    ///
    /// # Errors
    /// The name of a tensor that is missing.
    pub fn load(&mut self, prefix: &str, state: &StateMap) -> Result<(), String> {
        let name = format!("{prefix}.{GRADIENT_SQUARES}");
        let saved = state.get(&name).ok_or_else(|| name.clone())?;
        if saved.size() != self.squares.size() {
            return Err(format!("{name} of shape {:?}", self.squares.size()));
        }
        tch::no_grad(|| self.squares.copy_(saved));
        copy_numbered(&format!("{prefix}.momentum"), &mut self.buffers, state)
    }
}

/// Adam (Kingma and Ba 2015) as in `PyTorch`, eps 1e-8.
#[derive(Debug)]
pub struct Adam {
    weights: Vec<Tensor>,
    betas: (f64, f64),
    weight_decay: f64,
    steps: i64,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
}

impl Adam {
    /// Adam for these weights, in this order.
    pub fn new(weights: Vec<Tensor>, betas: (f64, f64), weight_decay: f64) -> Self {
        let first = weights.iter().map(Tensor::zeros_like).collect();
        let second = weights.iter().map(Tensor::zeros_like).collect();
        Self { weights, betas, weight_decay, steps: 0, first, second }
    }

    /// The weights being trained.
    pub fn weights(&self) -> &[Tensor] {
        &self.weights
    }

    /// Makes one step, with one gradient per weight.
    pub fn step(&mut self, gradients: &[Tensor], lr: f64) {
        let (b1, b2) = self.betas;
        self.steps += 1;
        let steps = self.steps as i32;
        let step_size = lr / (1.0 - b1.powi(steps));
        let root = (1.0 - b2.powi(steps)).sqrt();
        tch::no_grad(|| {
            for (i, g) in gradients.iter().enumerate().filter(|(_, g)| g.defined()) {
                let w = &mut self.weights[i];
                let g = g + &*w * self.weight_decay;
                let _ = self.first[i].g_mul_scalar_(b1).g_add_(&(&g * (1.0 - b1)));
                let _ = self.second[i].g_mul_scalar_(b2).g_add_(&(&g * &g * (1.0 - b2)));
                let scale = self.second[i].sqrt() / root + 1e-8;
                let _ = w.g_sub_(&(&self.first[i] / scale * step_size));
            }
        });
    }

    /// Moments and step count under `prefix`.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut state = numbered(&format!("{prefix}.first"), &self.first);
        state.extend(numbered(&format!("{prefix}.second"), &self.second));
        state.push((format!("{prefix}.steps"), Tensor::from_slice(&[self.steps])));
        state
    }

    /// Loads moments and step count.
    ///
    /// # Errors
    /// The name of a tensor that is missing.
    pub fn load(&mut self, prefix: &str, state: &StateMap) -> Result<(), String> {
        copy_numbered(&format!("{prefix}.first"), &mut self.first, state)?;
        copy_numbered(&format!("{prefix}.second"), &mut self.second, state)?;
        let name = format!("{prefix}.steps");
        self.steps = state.get(&name).ok_or(name)?.int64_value(&[0]);
        Ok(())
    }
}

/// Saved tensors by name.
pub type StateMap = std::collections::HashMap<String, Tensor>;

/// Learning rate between `start` and `end` along a half cosine; `progress` from 0 to 1.
pub fn cosine(start: f64, end: f64, progress: f64) -> f64 {
    end + (start - end) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
}

/// The gradients, scaled down to a joint norm of at most `clip`.
pub fn clipped(gradients: &[Tensor], clip: f64) -> Vec<Tensor> {
    let scale = clip_scale(gradients, clip);
    let shrink = |g: &Tensor| if g.defined() { g * &scale } else { Tensor::new() };
    gradients.iter().map(shrink).collect()
}

/// The gradients with each entry limited to between `-bound` and `bound`: `PyTorch`'s `clip_grad_value_`.
pub fn clamped(gradients: Vec<Tensor>, bound: f64) -> Vec<Tensor> {
    let bounded = |g: Tensor| if g.defined() { g.clamp(-bound, bound) } else { g };
    gradients.into_iter().map(bounded).collect()
}

/// Sums of gradients, one by one; undefined in both stays undefined.
pub fn summed(one: Vec<Tensor>, other: Vec<Tensor>) -> Vec<Tensor> {
    let sum = |(a, b): (Tensor, Tensor)| match (a.defined(), b.defined()) {
        (true, true) => a + b,
        (true, false) => a,
        _ => b,
    };
    one.into_iter().zip(other).map(sum).collect()
}

/// `PyTorch`'s `clip_grad_norm_`: the factor that scales the joint norm down to `clip`.
fn clip_scale(gradients: &[Tensor], clip: f64) -> Tensor {
    scale_to(&norms(gradients), clip)
}

fn scale_to(norms: &[Tensor], clip: f64) -> Tensor {
    (clip / (joint(norms) + 1e-6)).clamp_max(1.0)
}

/// Euclidean norm over all defined tensors together, a scalar tensor.
pub fn joint_norm(tensors: &[Tensor]) -> Tensor {
    joint(&norms(tensors))
}

/// Norms of the defined tensors.
fn norms(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().filter(|t| t.defined()).map(Tensor::norm).collect()
}

fn joint(norms: &[Tensor]) -> Tensor {
    if norms.is_empty() { Tensor::from(0.0f32) } else { Tensor::stack(norms, 0).norm() }
}

fn numbered(prefix: &str, tensors: &[Tensor]) -> Vec<(String, Tensor)> {
    tensors.iter().enumerate().map(|(i, t)| (format!("{prefix}.{i}"), t.shallow_clone())).collect()
}

fn copy_numbered(prefix: &str, into: &mut [Tensor], state: &StateMap) -> Result<(), String> {
    for (i, tensor) in into.iter_mut().enumerate() {
        let name = format!("{prefix}.{i}");
        let saved = state.get(&name).ok_or_else(|| name.clone())?;
        if saved.size() != tensor.size() {
            return Err(format!("{name} of shape {:?}", tensor.size()));
        }
        tch::no_grad(|| tensor.copy_(saved));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::OptimizerConfig;

    /// Compares an optimizer with libtorch's own on a quadratic, for five steps.
    fn against_libtorch(
        mut build: impl FnMut(&nn::VarStore) -> nn::Optimizer,
        mut step: impl FnMut(&[Tensor], &Tensor),
        ours: &Tensor,
    ) {
        let store = nn::VarStore::new(Device::Cpu);
        let theirs = store.root().var("w", &[3], nn::Init::Const(1.0));
        let mut optimizer = build(&store);
        let scale = Tensor::from_slice(&[1.0f32, -2.0, 3.0]);
        for _ in 0..5 {
            optimizer.backward_step(&(&theirs * &theirs * &scale).sum(Kind::Float));
            step(&[ours * &scale * 2.0], ours);
        }
        assert!(theirs.allclose(ours, 1e-6, 1e-6, false), "{theirs:?} {ours:?}");
    }

    #[test]
    fn sgd_is_libtorchs() {
        let w = Tensor::ones([3], tch::kind::FLOAT_CPU);
        let mut sgd = Sgd::new(vec![w.shallow_clone()], 0.9, 3e-4);
        let build =
            |store: &nn::VarStore| nn::sgd(0.9, 0.0, 3e-4, false).build(store, 0.025).unwrap();
        against_libtorch(build, |g, _| sgd.step(g, 0.025, 1e9), &w);
    }

    #[test]
    fn nesterovs_sgd_is_libtorchs() {
        let w = Tensor::ones([3], tch::kind::FLOAT_CPU);
        let mut sgd = Sgd::new(vec![w.shallow_clone()], 0.9, 3e-4).nesterov(true);
        let build =
            |store: &nn::VarStore| nn::sgd(0.9, 0.0, 3e-4, true).build(store, 0.025).unwrap();
        against_libtorch(build, |g, _| sgd.step(g, 0.025, 1e9), &w);
    }

    #[test]
    fn a_weight_without_a_gradient_rests() {
        let both = || {
            [Tensor::ones([2], tch::kind::FLOAT_CPU), Tensor::full([2], 2.0, tch::kind::FLOAT_CPU)]
        };
        let (of_sgd, of_adam) = (both(), both());
        let shallow = |w: &[Tensor]| w.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let mut sgd = Sgd::new(shallow(&of_sgd), 0.9, 0.1);
        let mut adam = Adam::new(shallow(&of_adam), (0.5, 0.999), 0.1);
        let gradient = || Tensor::ones([2], tch::kind::FLOAT_CPU);
        for gradients in [[gradient(), gradient()], [gradient(), Tensor::new()]] {
            let before = [of_sgd[1].copy(), of_adam[1].copy()];
            sgd.step(&gradients, 0.1, 5.0);
            adam.step(&gradients, 0.1);
            for (now, before) in [&of_sgd[1], &of_adam[1]].into_iter().zip(before) {
                assert_eq!(*now == before, !gradients[1].defined());
            }
        }
    }

    #[test]
    fn adam_is_libtorchs() {
        let w = Tensor::ones([3], tch::kind::FLOAT_CPU);
        let mut adam = Adam::new(vec![w.shallow_clone()], (0.5, 0.999), 1e-3);
        let config = nn::Adam { beta1: 0.5, beta2: 0.999, wd: 1e-3, eps: 1e-8, amsgrad: false };
        let build = |store: &nn::VarStore| config.build(store, 3e-4).unwrap();
        against_libtorch(build, |g, _| adam.step(g, 3e-4), &w);
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        let gradients = [Tensor::from_slice(&[3.0f32, 0.0]), Tensor::from_slice(&[4.0f32])];
        assert!((clip_scale(&gradients, 1.0).double_value(&[]) - 0.2).abs() < 1e-6);
        assert!((clip_scale(&gradients, 10.0).double_value(&[]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn clipping_by_value_and_sums_leave_undefined_what_is() {
        let of = |values: &[f32]| Tensor::from_slice(values);
        let found = summed(
            vec![of(&[1.0, -3.0]), Tensor::new(), of(&[2.0]), Tensor::new()],
            vec![of(&[0.5, 0.5]), of(&[4.0]), Tensor::new(), Tensor::new()],
        );
        let found = clamped(found, 2.0);
        let expected = [&[1.5, -2.0][..], &[2.0], &[2.0]];
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(Vec::<f32>::try_from(found).unwrap(), expected);
        }
        assert!(!found[3].defined());
    }

    #[test]
    fn vectors_are_spared_the_decay_and_rest_forgets_momentum() {
        let weights = || {
            [Tensor::ones([2], tch::kind::FLOAT_CPU), Tensor::ones([2, 2], tch::kind::FLOAT_CPU)]
        };
        let held = weights();
        let mut sgd = Sgd::new(held.iter().map(Tensor::shallow_clone).collect(), 0.9, 0.1)
            .sparing_vectors(true);
        let zeros: Vec<Tensor> = held.iter().map(Tensor::zeros_like).collect();
        sgd.step(&zeros, 1.0, f64::INFINITY);
        assert_eq!(held[0], weights()[0]);
        assert!((held[1].double_value(&[0, 0]) - 0.9).abs() < 1e-6);
        sgd.rest();
        assert!(
            sgd.state("x").iter().all(|(_, t)| t.abs().sum(Kind::Float).double_value(&[]) < 1e-9)
        );
    }

    #[test]
    fn cosine_goes_from_start_to_end() {
        assert!((cosine(0.1, 0.0, 0.0) - 0.1).abs() < 1e-12);
        assert!((cosine(0.1, 0.0, 0.5) - 0.05).abs() < 1e-12);
        assert!(cosine(0.1, 0.0, 1.0).abs() < 1e-12);
    }
}
