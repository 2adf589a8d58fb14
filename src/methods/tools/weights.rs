//! How operation weights are trained.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::methods::Batch;
use crate::optimizer::{Sgd, StateMap, cosine, ordered_weights, summed};
use crate::supernet::{Gating, Loss, Supernet};

/// How operation weights are trained; part of every method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct WeightConfig {
    /// Learning rate at the start of the cosine.
    pub lr: f64,
    /// Learning rate at the end of the cosine.
    pub lr_min: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Whether to use Nesterov's form of momentum.
    pub nesterov: bool,
    /// L2 weight decay.
    pub decay: f64,
    /// Bound on the gradient's norm.
    pub clip: f64,
    /// Share of the label's probability that is spread over all classes.
    pub label_smoothing: f64,
}

impl WeightConfig {
    /// The settings of DARTS and most of its family.
    pub(crate) const DARTS: Self = Self {
        lr: 0.025,
        lr_min: 0.001,
        momentum: 0.9,
        nesterov: false,
        decay: 3e-4,
        clip: 5.0,
        label_smoothing: 0.0,
    };
}

/// Trains the supernet's operation weights.
#[derive(Debug)]
pub(crate) struct WeightStep {
    config: WeightConfig,
    /// Whether biases and batch norm's scales and shifts have no weight decay.
    spares_vectors: bool,
    sgd: Option<Sgd>,
}

impl WeightStep {
    pub(crate) fn new(config: WeightConfig) -> Self {
        Self { config, spares_vectors: false, sgd: None }
    }

    /// Turns off weight decay of biases and of batch norm's scales and shifts.
    pub(crate) fn sparing_vectors(self) -> Self {
        Self { spares_vectors: true, ..self }
    }

    /// Starts to train this supernet's weights, instead of those from before.
    pub(crate) fn begin(&mut self, net: &dyn Supernet) {
        self.begin_with(net, Vec::new());
    }

    /// Starts to train this supernet's weights, followed by weights of the method's own.
    pub(crate) fn begin_with(&mut self, net: &dyn Supernet, own: Vec<Tensor>) {
        let weights = ordered_weights(net.weights()).into_iter().chain(own).collect();
        let WeightConfig { momentum, nesterov, decay, .. } = self.config;
        let sgd = Sgd::new(weights, momentum, decay).nesterov(nesterov);
        self.sgd = Some(sgd.sparing_vectors(self.spares_vectors));
    }

    pub(super) fn sgd(&self) -> &Sgd {
        self.sgd.as_ref().expect("begin comes before step")
    }

    /// Learning rate at this share of the search.
    pub(super) fn lr(&self, progress: f64) -> f64 {
        cosine(self.config.lr, self.config.lr_min, progress)
    }

    /// The trained weights.
    pub(crate) fn weights(&self) -> &[Tensor] {
        self.sgd().weights()
    }

    /// The loss that weights are trained on.
    pub(crate) fn loss(&self, net: &dyn Supernet, gates: &dyn Gating, batch: &Batch) -> Loss {
        net.smoothed_loss(batch, gates, self.config.label_smoothing)
    }

    /// The training loss for existing logits `[n, classes]`.
    pub(crate) fn loss_of(&self, logits: Tensor, batch: &Batch) -> Loss {
        Loss::of(logits, batch, self.config.label_smoothing)
    }

    /// Moves the weights along clipped gradients, with the cosine's learning rate. Weights without a gradient stay unchanged.
    pub(crate) fn apply(&mut self, gradients: &[Tensor], progress: f64) {
        self.apply_clipped(gradients, progress, self.config.clip);
    }

    /// Like [`Self::apply`], with another bound for the gradient's norm.
    pub(crate) fn apply_clipped(&mut self, gradients: &[Tensor], progress: f64, clip: f64) {
        let lr = self.lr(progress);
        self.move_at(gradients, lr, clip);
    }

    /// Moves the weights with the given learning rate and bound.
    pub(crate) fn move_at(&mut self, gradients: &[Tensor], lr: f64, clip: f64) {
        self.sgd.as_mut().expect("begin comes before step").step(gradients, lr, clip);
    }

    /// Like [`Self::apply`], with a learning rate from another schedule.
    pub(crate) fn apply_at(&mut self, gradients: &[Tensor], lr: f64) {
        let clip = self.config.clip;
        self.sgd.as_mut().expect("begin comes before step").step(gradients, lr, clip);
    }

    /// Resets the momentum, for training that starts again.
    pub(crate) fn rest(&mut self) {
        self.sgd.as_mut().expect("begin comes before rest").rest();
    }

    /// Gradients of a loss, one per weight, added to `others`.
    pub(crate) fn add_gradients(
        &self,
        net: &dyn Supernet,
        loss: &Tensor,
        others: Vec<Tensor>,
    ) -> Vec<Tensor> {
        let own = net.gradients(loss, self.weights());
        if others.is_empty() { own } else { summed(others, own) }
    }

    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.sgd.as_ref().map_or_else(Vec::new, |sgd| sgd.state("weights"))
    }

    pub(crate) fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.sgd.as_mut().expect("begin comes before load").load("weights", state)
    }
}

/// Name of the entry in a method's state with the sums of squared gradients of [`named_weights`], one each.
pub(crate) const GRADIENT_SQUARES: &str = "weights.gradient_squares";
