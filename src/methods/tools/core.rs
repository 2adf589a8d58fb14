//! The trained parameters of every method: the supernet's weights and its own named architecture parameters.

use std::collections::BTreeMap;

use lat_space::{Architecture, Decision};
use tch::{Device, Kind, Tensor};

use super::alphas::{CoreConfig, Learning, init_logits, mask, rng, strengths};
use super::weights::{WeightConfig, WeightStep};
use crate::device_scalar::DeviceScalar;
use crate::error::SearchError;
use crate::methods::{Batch, Context, StepReport};
use crate::optimizer::{Adam, StateMap};
use crate::relaxed::Relaxed;
use crate::supernet::{Gating, Path, SharedGates, Supernet};

/// The supernet's weights with their SGD, and architecture parameters with their Adams. They save and load themselves.
///
/// A method that starts again, for example in a new stage, builds a new one.
#[derive(Debug)]
pub struct Core {
    /// The space's decisions.
    pub(crate) decisions: Vec<Decision>,
    /// Trains the supernet's weights.
    pub(crate) weights: WeightStep,
    /// Device of the supernet.
    pub(crate) device: Device,
    /// `[n_decisions, n_choices]`: 1 for each choice, 0 for the padding of shorter lists.
    is_choice: Tensor,
    /// Mask of the padding; None if all lists have the same length.
    padding: Option<Tensor>,
    learners: Vec<Learner>,
    kept: BTreeMap<String, Tensor>,
}

/// The logit of padding: its probability is exactly 0 at any temperature, and unlike with an infinite logit its product with 0 is
/// not NaN.
const NO_CHOICE: f64 = -1e30;

/// Architecture parameters trained by one Adam.
#[derive(Debug)]
struct Learner {
    names: Vec<&'static str>,
    adam: Adam,
    lr: f64,
}

impl Core {
    /// A core with one row of logits per decision, named `alpha`.
    pub(crate) fn new(decisions: &[Decision], config: CoreConfig, seed: u64) -> Self {
        let alpha = init_logits(decisions, &mut rng(seed));
        Self::bare(decisions, config.weights).with([("alpha", alpha)], config.alpha.learning())
    }

    /// A core without architecture parameters.
    pub(crate) fn bare(decisions: &[Decision], weights: WeightConfig) -> Self {
        let is_choice = mask(decisions, |_, _| true);
        let has_padding = decisions.iter().any(|d| d.choices.len() != decisions[0].choices.len());
        Self {
            padding: has_padding.then(|| is_choice.eq(0.0)),
            is_choice,
            decisions: decisions.to_vec(),
            weights: WeightStep::new(weights),
            device: Device::Cpu,
            learners: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// A core without architecture parameters, whose weight decay leaves out biases and batch norm's scales and shifts.
    pub(crate) fn of_subnets(decisions: &[Decision], weights: WeightConfig) -> Self {
        let core = Self::bare(decisions, weights);
        Self { weights: core.weights.sparing_vectors(), ..core }
    }

    /// Adds these parameters, trained by one Adam whose state is named after the first of them.
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

    /// Adds a tensor that is part of the state but not trained, or replaces the one with this name. Loading a state copies into it
    /// in place, so a tensor shared with a network stays shared. If it is empty, a tensor of any shape may be loaded.
    pub(crate) fn keep(&mut self, name: impl Into<String>, numbers: Tensor) {
        self.kept.insert(name.into(), numbers);
    }

    /// The kept tensor with this name.
    pub(crate) fn kept(&self, name: &str) -> &Tensor {
        &self.kept[name]
    }

    /// `[n_decisions, n_choices]`, on the CPU: the first parameter. Shorter rows are padded. [`Core::logits`] masks the padding, so
    /// it never learns.
    pub(crate) fn alpha(&self) -> &Tensor {
        &self.learners[0].adam.weights()[0]
    }

    /// All architecture parameters, in the order in which they were added.
    pub(crate) fn parameters(&self) -> Vec<Tensor> {
        let all = self.learners.iter().flat_map(|learner| learner.adam.weights());
        all.map(Tensor::shallow_clone).collect()
    }

    /// All architecture parameters, detached from their graphs.
    pub(crate) fn settled(&self) -> Vec<Tensor> {
        self.parameters().iter().map(Tensor::detach).collect()
    }

    /// Alpha for drawing or for a softmax: padding has no probability and no gradient.
    pub(crate) fn logits(&self) -> Tensor {
        match &self.padding {
            None => self.alpha().shallow_clone(),
            Some(padding) => self.alpha().masked_fill(padding, NO_CHOICE),
        }
    }

    /// `[n_decisions, n_choices]`: 1 for each choice, 0 for padding.
    pub(crate) fn is_choice(&self) -> &Tensor {
        &self.is_choice
    }

    /// `[n_decisions, n_choices]`: softmax of each row of alpha.
    pub(crate) fn probs(&self) -> Tensor {
        self.logits().softmax(-1, Kind::Float)
    }

    /// The distribution for probabilities `[n_decisions, n_choices]`, if an edge is as strong as its best operation (DARTS).
    pub(crate) fn competing(&self, probs: &Tensor) -> Relaxed {
        Relaxed::competing(self.per_decision(probs), strengths(&self.decisions, probs))
    }

    /// Rows of `[n_decisions, n_choices]` without their padding, one per decision.
    pub(crate) fn per_decision(&self, table: &Tensor) -> Vec<Tensor> {
        let rows = table.unbind(0);
        if self.padding.is_none() {
            return rows;
        }
        let lengths = self.decisions.iter().map(|d| d.choices.len() as i64);
        rows.into_iter().zip(lengths).map(|(row, n)| row.narrow(0, 0, n)).collect()
    }

    /// `[n_decisions, n_choices]` of gates `[n_gates]`; padding is 0.
    pub(crate) fn table(&self, gates: &Tensor) -> Tensor {
        if self.padding.is_none() {
            return gates.view_as(&self.is_choice);
        }
        let flat = self.is_choice.ne(0.0);
        Tensor::zeros_like(&self.is_choice).masked_scatter(&flat, gates)
    }

    /// Rows of a CPU tensor, moved to the supernet's device, one per decision.
    pub(crate) fn rows(&self, weights: &Tensor) -> Vec<Tensor> {
        self.per_decision(&weights.to_device(self.device))
    }

    /// Gates that compute everything, weighted by `[n_decisions, n_choices]`.
    pub(crate) fn soft(&self, weights: &Tensor) -> SharedGates {
        SharedGates::soft(&self.decisions, &self.rows(weights), None)
    }

    /// Gates that compute only the choices that are not 0 in `on` (`[n_decisions, n_choices]`), weighted by `weights`.
    pub(crate) fn partly(&self, weights: &Tensor, on: &Tensor) -> SharedGates {
        let on = Vec::<Vec<f32>>::try_from(on).expect("two dimensions");
        SharedGates::with_paths(&self.decisions, &self.rows(weights), |d, c| {
            if on[d][c] > 0.0 { Path::On } else { Path::Off }
        })
    }

    /// Gates of a single architecture.
    pub(crate) fn hard(&self, architecture: &Architecture) -> SharedGates {
        SharedGates::hard(&self.decisions, architecture, self.device)
    }

    /// One step of the weights on a batch; the gates carry no gradient here. Returns the step's report.
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

    /// One step of the architecture parameters along the gradients of the task's loss under `gates` and of the cost of `relaxed`.
    /// Returns the loss.
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

    /// Combined gradients of a loss and of the cost of `relaxed`, one per architecture parameter.
    pub(crate) fn gradients(
        &self,
        cx: &mut Context<'_, '_>,
        loss: &Tensor,
        relaxed: &Relaxed,
    ) -> Result<Vec<Tensor>, SearchError> {
        self.surrogate_gradients(cx, (loss, &DeviceScalar::of(loss)), relaxed)
    }

    /// Like [`Core::gradients`], but the task's gradient comes from a surrogate instead of the loss itself, for example a score function.
    pub(crate) fn surrogate_gradients(
        &self,
        cx: &mut Context<'_, '_>,
        (surrogate, loss): (&Tensor, &DeviceScalar),
        relaxed: &Relaxed,
    ) -> Result<Vec<Tensor>, SearchError> {
        let parameters = self.parameters();
        let cost = cx.cost_gradient(relaxed, &parameters)?;
        let task = cx.net.gradients(surrogate, &parameters);
        Ok(cx.joined(task, cost, loss))
    }

    /// For one-level methods: gradients of one loss for the weights, and for the architecture parameters combined with those of the
    /// cost of `relaxed`.
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
        let loss = DeviceScalar::of(loss);
        Ok((of_weights, cx.joined(of_parameters, cost, &loss)))
    }

    /// A step of the architecture parameters along these gradients, one each.
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
        let kept = self.kept.iter().map(|(name, t)| (name.clone(), t.detach()));
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
            let saved = saved(state, name, tensor)?;
            if tensor.numel() == 0 {
                *tensor = saved.copy();
            } else {
                tch::no_grad(|| tensor.copy_(saved));
            }
        }
        Ok(())
    }
}

/// The saved tensor with this name. It must have the shape and kind of `like`, or any shape if `like` is empty.
fn saved<'a>(state: &'a StateMap, name: &str, like: &Tensor) -> Result<&'a Tensor, String> {
    let saved = state.get(name).ok_or(name)?;
    let fits = saved.size() == like.size() || like.numel() == 0;
    if fits && saved.kind() == like.kind() {
        return Ok(saved);
    }
    Err(format!("{name} of shape {:?} and kind {:?}", like.size(), like.kind()))
}

#[cfg(test)]
mod tests {
    use lat_space::Choice;

    use super::*;
    use crate::methods::tools::alphas::{AlphaConfig, chosen};
    use crate::optimizer::gradients;
    use crate::relaxed::{gumbel_noise, one_hot};

    /// A core with decisions of these numbers of choices.
    fn core(lengths: &[usize]) -> Core {
        let choices = |n: usize| (0..n).map(|c| Choice::named(&format!("op{c}"))).collect();
        let decisions: Vec<Decision> =
            lengths.iter().map(|&n| Decision::slot("layer", choices(n))).collect();
        let alpha = AlphaConfig { alpha_lr: 0.1, alpha_decay: 0.1, warmup: 0.0 };
        Core::new(&decisions, CoreConfig { alpha, ..CoreConfig::DARTS }, 1)
    }

    #[test]
    fn what_a_shorter_list_lacks_has_no_probability_and_never_learns() {
        let mut core = core(&[2, 4, 3]);
        let harms = Tensor::arange(12, tch::kind::FLOAT_CPU).view([3, 4]);
        let mut rng = rng(5);
        for _ in 0..20 {
            // Draw as methods do: noise on every entry, a temperature, products with log-probabilities.
            let noisy =
                core.logits().log_softmax(-1, Kind::Float) + gumbel_noise(&[3, 4], &mut rng);
            let soft = (noisy / 0.03).softmax(-1, Kind::Float);
            assert!(chosen(&one_hot(&soft)).into_iter().zip([2, 4, 3]).all(|(c, n)| c < n));
            let likely = (&soft * core.logits().log_softmax(-1, Kind::Float)).sum(Kind::Float);
            let loss = ((soft + core.probs()) * &harms).sum(Kind::Float) - likely;
            core.apply(&gradients(&loss, &core.parameters()));
        }
        let padding = core.is_choice().eq(0.0).to_kind(Kind::Float);
        assert_eq!(padding.sum(Kind::Float).double_value(&[]), 3.0);
        for table in [core.alpha().shallow_clone(), core.probs()] {
            assert_eq!((table * &padding).abs().max().double_value(&[]), 0.0);
        }
        let rows = core.per_decision(&core.probs());
        assert_eq!(rows.iter().map(|row| row.size()[0]).collect::<Vec<_>>(), [2, 4, 3]);
        for row in &rows {
            assert!((row.sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-6);
            assert!(row.min().double_value(&[]) < 0.2, "the choices that harm less win: {row}");
        }
        let gates = Tensor::cat(&rows, 0).detach();
        assert_eq!(core.table(&gates), core.probs().detach());
    }

    #[test]
    fn equal_lists_are_alpha_itself() {
        let core = core(&[3, 3]);
        assert_eq!(core.logits(), *core.alpha());
        assert_eq!(core.probs(), core.alpha().softmax(-1, Kind::Float));
        assert!(core.alpha().abs().min().double_value(&[]) > 0.0);
    }
}
