//! The trait of search methods, with the input and the report of their steps.

use std::fmt::Debug;

use lat_nn::BnRule;
use lat_space::{Architecture, SearchSpace};
use rand::RngCore;
use tch::Tensor;

use super::tools::core::Core;
use super::tools::derive::derive;
use super::tools::stage::Stage;
use crate::batches::Batch;
use crate::device_scalar::DeviceScalar;
use crate::error::SearchError;
use crate::objective::{CostGradient, Objective};
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{AllChannels, BuildMixedOp, Gating, Loss, Supernet};

/// The data of one step: a batch for the operation weights and one for the architecture.
#[derive(Debug)]
pub struct Batches {
    /// For the operation weights; with as many views as the method asks for.
    pub train: Batch,
    /// For the architecture parameters.
    pub valid: Batch,
}

/// The state of the search at a step, and everything a method may use in it.
pub struct Context<'a, 'c> {
    /// The search space.
    pub space: &'a dyn SearchSpace,
    /// The supernet being trained.
    pub net: &'a dyn Supernet,
    /// The cost, if the search has one.
    pub objective: Option<&'a mut Objective<'c>>,
    /// Share of the search that is done, from 0 to 1; schedules depend on it.
    pub progress: f64,
    /// Generator for all randomness of a method.
    pub rng: &'a mut dyn RngCore,
}

impl<'c> Context<'_, 'c> {
    /// A context for another value of `progress`.
    pub(crate) fn at(&mut self, progress: f64) -> Context<'_, 'c> {
        let objective = self.objective.as_deref_mut();
        Context { space: self.space, net: self.net, objective, progress, rng: &mut *self.rng }
    }

    /// The cost's gradient for these architecture parameters, if the search has a cost. Must be called before the task's backward
    /// pass, which frees the part that the two graphs share.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost.
    pub(crate) fn cost_gradient(
        &mut self,
        relaxed: &Relaxed,
        parameters: &[Tensor],
    ) -> Result<Option<CostGradient>, SearchError> {
        match &mut self.objective {
            Some(objective) => objective.gradient(relaxed, parameters),
            None => Ok(None),
        }
    }

    /// The task's gradient combined with the cost's, if there is one; `loss` is the task's.
    pub(crate) fn joined(
        &mut self,
        task: Vec<Tensor>,
        cost: Option<CostGradient>,
        loss: &DeviceScalar,
    ) -> Vec<Tensor> {
        match (&mut self.objective, cost) {
            (Some(objective), Some(cost)) => {
                objective.joined(task, cost, &loss.mapped(|value| self.net.mean_over_ranks(value)))
            }
            _ => task,
        }
    }
}

/// The losses and hits that a step reports.
#[derive(Debug)]
pub struct StepReport {
    /// Cross entropy on the training batch.
    pub train_loss: DeviceScalar,
    /// Correct answers on the training batch.
    pub n_correct: DeviceScalar,
    /// Cross entropy on the validation batch, without the cost; None if the architecture was not stepped, or was stepped on the
    /// training batch.
    pub valid_loss: Option<DeviceScalar>,
}

impl StepReport {
    /// Report of a step that trained only weights, or weights and architecture on the training batch.
    pub(crate) fn of(loss: &Loss) -> Self {
        let train_loss = DeviceScalar::of(&loss.value);
        Self { train_loss, n_correct: DeviceScalar::of(&loss.n_correct()), valid_loss: None }
    }
}

/// A search method: its [`Core`] and its step. The other functions have defaults that suit most methods.
pub trait Method: Debug {
    /// The trained parameters.
    fn core(&self) -> &Core;

    /// The trained parameters, mutable.
    fn core_mut(&mut self) -> &mut Core;

    /// One step of architecture and weights, in the order of the paper.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost.
    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError>;

    /// How the method wants its mixed operations built.
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    /// The method's current distribution over architectures.
    fn relaxed(&self) -> Relaxed {
        let core = self.core();
        tch::no_grad(|| core.competing(&core.probs()))
    }

    /// The distribution that finalists are drawn from at the end: the current one, or a wider one for methods that follow single
    /// architectures.
    fn proposal(&self, _: &dyn SearchSpace) -> Relaxed {
        self.relaxed()
    }

    /// Rule for recomputing batch norm statistics before a subnet of its supernet is judged.
    fn bn_rule(&self) -> BnRule {
        BnRule::PerBatch
    }

    /// The architecture that the method would choose now.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        derive(space, &self.relaxed())
    }

    /// Gates for evaluating the supernet as it is; those of the derived architecture alone if the method never runs a mixture.
    fn gates(&self, space: &dyn SearchSpace, _net: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.core().hard(&self.derive(space)))
    }

    /// How many views of its images a training batch has. With several, they are augmented as for contrastive learning.
    fn n_views(&self) -> usize {
        1
    }

    /// Checks that the method can train on batches of this size.
    ///
    /// # Errors
    /// Text that completes "expected ...".
    fn check_batch(&self, _n_images: u32) -> Result<(), String> {
        Ok(())
    }

    /// Called once the core has the weights of a stage's supernet, before the first step and before a state is loaded. For methods
    /// that have weights of their own.
    fn prepare(&mut self, _net: &dyn Supernet) {}

    /// Whether the gradients of several processes, each on its share of a batch, average to the gradient of the whole batch. Not if
    /// the method keeps something that depends on the images a process saw.
    fn is_data_parallel(&self) -> bool {
        true
    }

    /// Whether its steps depend on the search's cost; if not, a search may continue with another goal or another cost.
    fn sees_cost(&self) -> bool {
        true
    }

    /// Whether weights and architecture learn from the same images, all of them; if not, each uses its own half.
    fn is_one_level(&self) -> bool {
        false
    }

    /// Number of stages that the epochs are divided into; each has a supernet of its own (P-DARTS).
    fn n_stages(&self) -> usize {
        1
    }

    /// The supernet's settings for this stage, numbered from 0. Called for the first stage before the search, for the others at the
    /// end of the stage before.
    fn stage(&self, number: usize) -> Stage {
        Stage::of_whole(number)
    }

    /// Called when a supernet has just been created, before its first step, to set initial weights that should not be random.
    fn initialise(&self, _space: &dyn SearchSpace, _net: &dyn Supernet) {}

    /// Called when a stage begins or is resumed, before the method is asked for its mixed operations.
    fn enter(&mut self, _stage: &Stage) {}
}

impl dyn Method + '_ {
    /// Gives the method the supernet of a stage. Must be called before the stage's steps.
    pub fn begin(&mut self, net: &dyn Supernet) {
        self.core_mut().begin(net);
        self.prepare(net);
    }

    /// Everything that a resumed search needs besides the supernet's weights.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.core().state()
    }

    /// Loads the state; must be called after `begin`.
    ///
    /// # Errors
    /// The name of a tensor that is missing or has another shape.
    pub fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.core_mut().load(state)
    }
}
