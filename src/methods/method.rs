//! What a search method is, what its steps work on and what they report.

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

/// What one step works on: a batch for the operation weights and one for the architecture.
#[derive(Debug)]
pub struct Batches {
    /// For the operation weights; of as many views as the method asks for.
    pub train: Batch,
    /// For the architecture parameters.
    pub valid: Batch,
}

/// Where a step stands and what it may use.
pub struct Context<'a, 'c> {
    /// The space.
    pub space: &'a dyn SearchSpace,
    /// The supernet.
    pub net: &'a dyn Supernet,
    /// The cost, where the search has one.
    pub objective: Option<&'a mut Objective<'c>>,
    /// Share of the search that is done, from 0 to 1: drives schedules.
    pub progress: f64,
    /// All randomness of a method comes from here.
    pub rng: &'a mut dyn RngCore,
}

impl<'c> Context<'_, 'c> {
    /// The same at another share of what the schedules go by.
    pub(crate) fn at(&mut self, progress: f64) -> Context<'_, 'c> {
        let objective = self.objective.as_deref_mut();
        Context { space: self.space, net: self.net, objective, progress, rng: &mut *self.rng }
    }

    /// The cost's gradient in these architecture parameters, where the search has a cost. Ask for it before the task's backward
    /// pass, which frees what the two graphs share.
    ///
    /// # Errors
    /// Where the cost model cannot answer.
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

    /// The task's gradient with the cost's, where there is one; `loss` is the task's.
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

/// What a step reports.
#[derive(Debug)]
pub struct StepReport {
    /// Cross entropy on the training batch.
    pub train_loss: DeviceScalar,
    /// Correct answers on the training batch.
    pub n_correct: DeviceScalar,
    /// Cross entropy on the validation batch, the cost aside; nothing if the architecture was not stepped, or on the training batch.
    pub valid_loss: Option<DeviceScalar>,
}

impl StepReport {
    /// Of a step that stepped weights alone, or both on the training batch.
    pub(crate) fn of(loss: &Loss) -> Self {
        let train_loss = DeviceScalar::of(&loss.value);
        Self { train_loss, n_correct: DeviceScalar::of(&loss.n_correct()), valid_loss: None }
    }
}

/// A search method: its [`Core`], its step, and where it does not do as most do.
pub trait Method: Debug {
    /// What it trains.
    fn core(&self) -> &Core;

    /// The same to be changed.
    fn core_mut(&mut self) -> &mut Core;

    /// One step of architecture and weights, in the order of the paper.
    ///
    /// # Errors
    /// Where the cost model cannot answer.
    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError>;

    /// How it wants its sites built.
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    /// What the method believes at the moment.
    fn relaxed(&self) -> Relaxed {
        let core = self.core();
        tch::no_grad(|| core.competing(&core.probs()))
    }

    /// What finalists are drawn from at the end: what the method believes, or a wider field where it follows single architectures.
    fn proposal(&self, _: &dyn SearchSpace) -> Relaxed {
        self.relaxed()
    }

    /// How batch norm's statistics are made anew before a part of its supernet is judged.
    fn bn_rule(&self) -> BnRule {
        BnRule::PerBatch
    }

    /// The architecture it would settle on.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        derive(space, &self.relaxed())
    }

    /// The gates of the supernet as it stands, for evaluating it: those of the architecture alone, where it never runs as a mixture.
    fn gates(&self, space: &dyn SearchSpace, _net: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.core().hard(&self.derive(space)))
    }

    /// How many views of its images a training batch has; several are varied as for contrastive learning.
    fn n_views(&self) -> usize {
        1
    }

    /// Whether the method can train on batches of so many images.
    ///
    /// # Errors
    /// Completes "expected ...".
    fn check_batch(&self, _n_images: u32) -> Result<(), String> {
        Ok(())
    }

    /// Called once the core has taken hold of a stage's supernet, before the first step and before a state is taken back: for
    /// weights of the method's own.
    fn prepare(&mut self, _net: &dyn Supernet) {}

    /// Whether the gradients of several processes, each on its share of a batch, average to those of the batch: not where what a
    /// process keeps depends on the images that it saw.
    fn is_data_parallel(&self) -> bool {
        true
    }

    /// Whether its steps look at the search's cost; else a search may go on for another goal or another cost.
    fn sees_cost(&self) -> bool {
        true
    }

    /// Whether weights and architecture learn from the same images, all of them; else each has a half of its own.
    fn is_one_level(&self) -> bool {
        false
    }

    /// Into how many stages the epochs are cut; each has a supernet of its own (P-DARTS).
    fn n_stages(&self) -> usize {
        1
    }

    /// What the supernet of this stage, numbered from 0, is made of. Asked for the first one before the search, for others at the
    /// end of the stage before.
    fn stage(&self, number: usize) -> Stage {
        Stage::of_whole(number)
    }

    /// Called where a supernet has just been made, before its first step: what its first weights should be besides drawn.
    fn initialise(&self, _space: &dyn SearchSpace, _net: &dyn Supernet) {}

    /// Called where a stage begins or is taken up again, before the method is asked for its sites.
    fn enter(&mut self, _stage: &Stage) {}
}

impl dyn Method + '_ {
    /// Takes hold of the supernet of a stage; comes before the stage's steps.
    pub fn begin(&mut self, net: &dyn Supernet) {
        self.core_mut().begin(net);
        self.prepare(net);
    }

    /// Everything a resumed search needs besides the supernet's weights.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.core().state()
    }

    /// Takes the state back; comes after `begin`.
    ///
    /// # Errors
    /// The name of a tensor that is missing or of another shape.
    pub fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.core_mut().load(state)
    }
}
