//! A few small networks trained side by side, each without a different fold of the rows.
//!
//! The weights of all members are in one tensor per layer, so a step takes a few calls, however many members there are.

use tch::{Device, Tensor};

use crate::folds::Folds;

/// Networks of the same shape, as they are trained and stored. Their prediction is the average, see
/// [`crate::model::fused::Fused`].
#[derive(Debug)]
pub(crate) struct Members {
    /// Weights `[k, n_in, n_out]` and biases `[k, 1, n_out]`.
    pub(crate) layers: Vec<(Tensor, Tensor)>,
}

/// Settings of the training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    /// Number of networks; at most the number of folds.
    pub(crate) n_members: usize,
    /// Widths of the hidden layers.
    pub(crate) widths: Vec<usize>,
    /// Rows per step and member.
    pub(crate) batch: usize,
    /// The most steps.
    pub(crate) steps: usize,
    /// Learning rate of the first step; it falls to zero along a cosine.
    pub(crate) lr: f64,
    /// Decoupled weight decay.
    pub(crate) weight_decay: f64,
    /// Seed of the initial weights and of the batches.
    pub(crate) seed: u64,
}

impl Members {
    /// From codes `[k, b, n_inputs]` (or 1 for k if all members read the same rows) to `[k, b]`.
    pub(crate) fn run(&self, code: &Tensor) -> Tensor {
        let mut h = code.shallow_clone();
        for (i, (weights, biases)) in self.layers.iter().enumerate() {
            // `silu` is smooth, so the gradient that a search follows does not jump.
            let input = if i == 0 { h } else { h.silu() };
            h = input.matmul(weights) + biases;
        }
        h.squeeze_dim(-1)
    }

    /// One member's output, `[b, n_features]` to `[b]`.
    pub(crate) fn run_one(&self, member: i64, code: &Tensor) -> Tensor {
        let one = |(w, b): &(Tensor, Tensor)| (w.narrow(0, member, 1), b.narrow(0, member, 1));
        Self { layers: self.layers.iter().map(one).collect() }
            .run(&code.unsqueeze(0))
            .squeeze_dim(0)
    }

    /// The members with their output multiplied by a factor.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        if let Some((weights, biases)) = self.layers.last_mut() {
            (*weights, *biases) = (&*weights * factor, &*biases * factor);
        }
        self
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        let layers = self.layers.iter().map(|(w, b)| (w.to_device(device), b.to_device(device)));
        Self { layers: layers.collect() }
    }

    pub(crate) fn detached_copy(&self) -> Self {
        let layers = self.layers.iter().map(|(w, b)| (w.detach().copy(), b.detach().copy()));
        Self { layers: layers.collect() }
    }

    pub(crate) fn copy_member(&mut self, from: &Self, member: i64) {
        tch::no_grad(|| {
            for ((w, b), (new_w, new_b)) in self.layers.iter().zip(&from.layers) {
                w.get(member).copy_(&new_w.get(member));
                b.get(member).copy_(&new_b.get(member));
            }
        });
    }
}

/// The rows that members learn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Inputs `[n, n_inputs]`.
    pub(crate) x: &'a Tensor,
    /// Targets `[n]` with a standard deviation of about 1.
    pub(crate) target: &'a Tensor,
    /// Weight of each row's error, `[n]`.
    pub(crate) weight: &'a Tensor,
    /// Member i does not see fold i.
    pub(crate) folds: &'a Folds,
}
