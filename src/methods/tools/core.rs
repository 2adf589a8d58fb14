//! What every method trains: the supernet's weights and its own named architecture parameters.

use std::collections::BTreeMap;

use lat_space::{Architecture, Decision};
use tch::{Device, Kind, Tensor};

use super::alphas::{CoreConfig, Learning, init, rng, shape, strengths};
use super::weights::{WeightConfig, WeightStep};
use crate::device_scalar::DeviceScalar;
use crate::error::SearchError;
use crate::methods::{Batch, Context, StepReport};
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{Gating, Path, SharedGates, Supernet};

/// The supernet's weights with their SGD and architecture parameters with their Adams, which save and load themselves.
///
/// A method that begins anew, as in a stage of its own, builds a new one.
#[derive(Debug)]
pub struct Core {
    /// The space's decisions.
    pub(crate) decisions: Vec<Decision>,
    /// Trains the supernet.
    pub(crate) weights: WeightStep,
    /// Where the supernet computes.
    pub(crate) device: Device,
    learners: Vec<Learner>,
    kept: BTreeMap<&'static str, Tensor>,
}

/// Architecture parameters that one Adam moves.
#[derive(Debug)]
struct Learner {
    names: Vec<&'static str>,
    adam: Adam,
    lr: f64,
}

impl Core {
    /// With one row of logits per decision, `alpha`.
    pub(crate) fn new(decisions: &[Decision], config: CoreConfig, seed: u64) -> Self {
        let alpha = init(&shape(decisions), &mut rng(seed));
        Self::bare(decisions, config.weights).with([("alpha", alpha)], config.alpha.learning())
    }

    /// Without architecture parameters.
    pub(crate) fn bare(decisions: &[Decision], weights: WeightConfig) -> Self {
        Self {
            decisions: decisions.to_vec(),
            weights: WeightStep::new(weights),
            device: Device::Cpu,
            learners: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Without architecture parameters, and without decay of biases and of batch norm's scales and shifts.
    pub(crate) fn of_subnets(decisions: &[Decision], weights: WeightConfig) -> Self {
        let core = Self::bare(decisions, weights);
        Self { weights: core.weights.sparing_vectors(), ..core }
    }

    /// With these parameters too, which one Adam moves; its state is named after the first of them.
    pub(crate) fn with<const N: usize>(
        mut self,
        named: [(&'static str, Tensor); N],
        learning: Learning,
    ) -> Self {
        let names = named.iter().map(|(name, _)| *name).collect();
        let weights = named.into_iter().map(|(_, tensor)| tensor).collect();
        let adam = Adam::new(weights, learning.betas, learning.decay);
        self.learners.push(Learner { names, adam, lr: learning.lr });
        self
    }

    /// Numbers that are no parameters but part of the state, under a name; replaces what the name had. Where there are none yet, as many
    /// may be loaded as were saved.
    pub(crate) fn keep(&mut self, name: &'static str, numbers: Tensor) {
        self.kept.insert(name, numbers);
    }

    /// What was kept under this name.
    pub(crate) fn kept(&self, name: &str) -> &Tensor {
        &self.kept[name]
    }

    /// `[n_decisions, n_choices]`, on the CPU: the first parameter.
    pub(crate) fn alpha(&self) -> &Tensor {
        &self.learners[0].adam.weights()[0]
    }

    /// All architecture parameters in the order of their being named.
    pub(crate) fn parameters(&self) -> Vec<Tensor> {
        let all = self.learners.iter().flat_map(|learner| learner.adam.weights());
        all.map(Tensor::shallow_clone).collect()
    }

    /// The same without their graphs.
    pub(crate) fn settled(&self) -> Vec<Tensor> {
        self.parameters().iter().map(Tensor::detach).collect()
    }

    /// `[n_decisions, n_choices]`: softmax of each row of alpha.
    pub(crate) fn probs(&self) -> Tensor {
        self.alpha().softmax(-1, Kind::Float)
    }

    /// What probabilities `[n_decisions, n_choices]` say where edges are as strong as their best operation (DARTS).
    pub(crate) fn competing(&self, probs: &Tensor) -> Relaxed {
        Relaxed::competing(probs.unbind(0), strengths(&self.decisions, probs))
    }

    /// Rows of a CPU tensor where the supernet computes, one per decision.
    pub(crate) fn rows(&self, weights: &Tensor) -> Vec<Tensor> {
        weights.to_device(self.device).unbind(0)
    }

    /// Everything computed, weighted by `[n_decisions, n_choices]`.
    pub(crate) fn soft(&self, weights: &Tensor) -> SharedGates {
        SharedGates::soft(&self.decisions, &self.rows(weights), None)
    }

    /// The same where only those choices are computed that are not 0 in `on` (`[n_decisions, n_choices]`).
    pub(crate) fn partly(&self, weights: &Tensor, on: &Tensor) -> SharedGates {
        let on = Vec::<Vec<f32>>::try_from(on).expect("two dimensions");
        SharedGates::with_paths(&self.decisions, &self.rows(weights), |d, c| {
            if on[d][c] > 0.0 { Path::On } else { Path::Off }
        })
    }

    /// The architecture alone.
    pub(crate) fn hard(&self, architecture: &Architecture) -> SharedGates {
        SharedGates::hard(&self.decisions, architecture, self.device)
    }

    /// One step of the weights on a batch; the gates carry no gradient here.
    pub(crate) fn train(
        &mut self,
        cx: &Context<'_, '_>,
        gates: &dyn Gating,
        batch: &Batch,
    ) -> StepReport {
        let loss = self.weights.loss(cx.net, gates, batch);
        let gradients = cx.net.gradients(&loss.value, self.weights.weights());
        self.weights.apply(&gradients, cx.progress);
        StepReport::of(&loss)
    }

    /// One step of the architecture parameters down the task's loss under `gates` and the cost of `relaxed`. Returns the loss.
    pub(crate) fn descend(
        &mut self,
        cx: &mut Context<'_, '_>,
        gates: &dyn Gating,
        relaxed: &Relaxed,
        batch: &Batch,
    ) -> Result<DeviceScalar, SearchError> {
        let task = cx.net.loss(batch, gates).value;
        let value = DeviceScalar::of(&task);
        let gradients = self.gradients(cx, &task, relaxed)?;
        self.apply(&gradients);
        Ok(value)
    }

    /// Gradients of a loss and of the cost of `relaxed`, joined, one per architecture parameter.
    pub(crate) fn gradients(
        &self,
        cx: &mut Context<'_, '_>,
        loss: &Tensor,
        relaxed: &Relaxed,
    ) -> Result<Vec<Tensor>, SearchError> {
        let parameters = self.parameters();
        let cost = cx.cost_gradient(relaxed, &parameters)?;
        let task = cx.net.gradients(loss, &parameters);
        Ok(cx.joined(task, cost))
    }

    /// One level: gradients of one loss for the weights, and for the architecture parameters with those of the cost of `relaxed`.
    pub(crate) fn joint_gradients(
        &self,
        cx: &mut Context<'_, '_>,
        loss: &Tensor,
        relaxed: &Relaxed,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>), SearchError> {
        let parameters = self.parameters();
        let cost = cx.cost_gradient(relaxed, &parameters)?;
        let weights = self.weights.weights();
        let all: Vec<Tensor> =
            weights.iter().chain(&parameters).map(Tensor::shallow_clone).collect();
        let mut of_weights = cx.net.gradients(loss, &all);
        let of_parameters = of_weights.split_off(weights.len());
        Ok((of_weights, cx.joined(of_parameters, cost)))
    }

    /// A step of the architecture parameters along gradients, one each.
    pub(crate) fn apply(&mut self, gradients: &[Tensor]) {
        let mut rest = gradients;
        for Learner { names, adam, lr } in &mut self.learners {
            let (own, others) = rest.split_at(names.len());
            adam.step(own, *lr);
            rest = others;
        }
    }

    pub(crate) fn begin(&mut self, net: &dyn Supernet) {
        self.device = net.weights().device();
        self.weights.begin(net);
    }

    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.weights.state();
        for Learner { names, adam, .. } in &self.learners {
            state.extend(adam.state(&format!("{}.adam", names[0])));
            let named = names.iter().zip(adam.weights());
            state.extend(named.map(|(name, tensor)| ((*name).to_owned(), tensor.detach())));
        }
        let kept = self.kept.iter().map(|(name, t)| ((*name).to_owned(), t.shallow_clone()));
        state.extend(kept);
        state
    }

    pub(crate) fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        for Learner { names, adam, .. } in &mut self.learners {
            adam.load(&format!("{}.adam", names[0]), state)?;
            for (name, tensor) in names.iter().zip(adam.weights()) {
                let saved = saved(state, name, tensor)?;
                tch::no_grad(|| tensor.shallow_clone().copy_(saved));
            }
        }
        for (name, tensor) in &mut self.kept {
            *tensor = saved(state, name, tensor)?.copy();
        }
        Ok(())
    }
}

/// The saved tensor of this name, where it is of the same shape and kind; of any shape where there were no numbers before.
fn saved<'a>(state: &'a StateMap, name: &str, like: &Tensor) -> Result<&'a Tensor, String> {
    let saved = state.get(name).ok_or(name)?;
    let fits = saved.size() == like.size() || like.numel() == 0;
    if fits && saved.kind() == like.kind() {
        return Ok(saved);
    }
    Err(format!("{name} of shape {:?} and kind {:?}", like.size(), like.kind()))
}
