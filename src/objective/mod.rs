//! The second part of a search's loss: the architecture's cost.

mod gap;
mod goal;

use lat_predictor::{CostModel, above_zero, at_least_zero};
use lat_space::{Architecture, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::device_scalar::DeviceScalar;
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::product::above_one;
use crate::relaxed::{Blocks, Relaxed};
use crate::steering::{Joining, Steering};

pub use gap::RelaxationGap;
pub use goal::{Estimator, Goal};

/// The cost's contribution to the gradient of a step.
#[derive(Debug)]
pub struct CostGradient {
    /// One per parameter: the gradient of the term that is added to the loss, or of the factor that multiplies it.
    gradients: Vec<Tensor>,
    /// The factor that multiplies the loss; None if the cost is a term.
    factor: Option<f64>,
}

/// Temperature of the Gumbel-softmax that gives the straight-through gradient.
const TAU: f64 = 1.0;
/// Number of architectures drawn per step.
const SAMPLES: i64 = 4;
/// Learning rate of the dual ascent, per search step.
const MU_LR: f64 = 0.05;
/// The generator's streams from here on belong to the cost; epochs use the first ones.
const COST_STREAM: u64 = 1 << 32;
/// The price that a cost of twice the target adds to a loss.
const EXCESS_PRICE: f64 = 1000.0;
/// Decay rate of the score function's baseline.
const BASELINE_DECAY: f64 = 0.9;

/// Cost model, goal and estimator of a search.
pub struct Objective<'a> {
    cost: &'a dyn CostModel,
    blocks: Blocks,
    goal: Goal,
    /// The goal as the steps of the search see it.
    in_search: Goal,
    estimator: Estimator,
    /// Cost at uniform probabilities (`T_ref`), in the cost's unit.
    reference: f64,
    mu: f64,
    baseline: Option<f64>,
    /// Seed of a separate generator for drawing architectures, and the number of cost estimates so far. The separate generator makes
    /// a method draw the same numbers with and without a cost.
    seed: u64,
    n_estimates: u64,
    steering: Steering,
}

impl<'a> Objective<'a> {
    /// An objective for a space. The reference cost is computed at uniform probabilities.
    ///
    /// # Errors
    /// [`SearchError`] if the goal is out of range or the cost model does not fit the space.
    pub fn new(
        space: &dyn SearchSpace,
        cost: &'a dyn CostModel,
        goal: Goal,
        estimator: Estimator,
    ) -> Result<Self, SearchError> {
        match goal {
            Goal::Lambda(lambda) => at_least_zero("lambda", lambda)?,
            Goal::Target(target) => above_zero("target", target)?,
            Goal::Product(product) => product.check()?,
        }
        let blocks = Blocks::new(space);
        let uniform = Relaxed::uniform(space);
        let reference = cost.relaxed(&blocks.expected(&uniform))?.double_value(&[]);
        if !(reference.is_finite() && reference > 0.0) {
            return Err(SearchError::Settings(format!(
                "the cost model gives {reference} {} for the average architecture; expected a positive number. Train the predictor again",
                cost.unit()
            )));
        }
        if let Goal::Product(_) = goal {
            above_one(reference, cost.unit())?;
        }
        let steering = Steering::new(Joining::default());
        let (mu, baseline, seed, n_estimates) = (0.0, None, 0, 0);
        let in_search = goal;
        Ok(Self {
            cost,
            blocks,
            goal,
            in_search,
            estimator,
            reference,
            mu,
            baseline,
            seed,
            n_estimates,
            steering,
        })
    }

    /// Sets the seed of the draws; the default is 0.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets how the gradients are combined; the default is bounded.
    #[must_use]
    pub fn joining(self, joining: Joining) -> Self {
        Self { steering: Steering::new(joining), ..self }
    }

    /// Leaves a target to the finalists (`crate::finalists`): the steps of the search then run as if there were no cost. So one
    /// search serves all targets, and a target that the search meets anyway changes nothing.
    #[must_use]
    pub fn with_finalists(self) -> Self {
        let in_search = match self.goal {
            Goal::Target(_) => Goal::Lambda(0.0),
            goal => goal,
        };
        Self { in_search, ..self }
    }

    /// Whether the steps of the search run as if there were no cost.
    pub fn is_idle(&self) -> bool {
        self.in_search == Goal::Lambda(0.0)
    }

    /// The goal of the search.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Average share of the cost in the architecture's gradient since the last call; see [`Steering::take_share`].
    pub fn take_share(&mut self) -> Option<f64> {
        self.steering.take_share()
    }

    /// `T_ref`: the cost at uniform probabilities.
    pub fn reference(&self) -> f64 {
        self.reference
    }

    /// The cost model.
    pub fn cost(&self) -> &dyn CostModel {
        self.cost
    }

    /// The term that the cost adds to the task's loss in this step, or the factor of a product; differentiable by the estimator.
    /// None if lambda is 0. Also updates the multiplier of a target.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost, or if a product's cost is not above 1.
    pub fn term(&mut self, relaxed: &Relaxed) -> Result<Option<Tensor>, SearchError> {
        if self.is_idle() {
            return Ok(None);
        }
        let cost = self.estimate(relaxed)?;
        let factor = match self.in_search {
            Goal::Lambda(lambda) => lambda / self.reference,
            Goal::Target(target) => {
                let excess = cost.double_value(&[]) / target - 1.0;
                self.mu = (self.mu + MU_LR * excess).max(0.0);
                self.mu / target
            }
            Goal::Product(product) => return product.factor(&cost, self.cost.unit()).map(Some),
        };
        Ok(Some(cost * factor))
    }

    /// The gradient of [`Objective::term`] for these parameters; None if there is no term. The graph is kept, because a method's
    /// task may share it.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost.
    pub fn gradient(
        &mut self,
        relaxed: &Relaxed,
        parameters: &[Tensor],
    ) -> Result<Option<CostGradient>, SearchError> {
        let Some(term) = self.term(relaxed)? else { return Ok(None) };
        let multiplies = matches!(self.in_search, Goal::Product(_));
        let factor = multiplies.then(|| term.double_value(&[]));
        let parameters: Vec<&Tensor> = parameters.iter().collect();
        let gradients = Tensor::run_backward(&[term], &parameters, true, false);
        Ok(Some(CostGradient { gradients, factor }))
    }

    /// The architecture's gradient: the task's combined with the cost's, whose size is limited (see [`Steering`]). For a product
    /// `loss * factor` it is `task * factor + loss * gradient of the factor`; `loss` is the task's.
    pub fn joined(
        &mut self,
        task: Vec<Tensor>,
        cost: CostGradient,
        loss: &DeviceScalar,
    ) -> Vec<Tensor> {
        let CostGradient { gradients, factor } = cost;
        let Some(factor) = factor else { return self.steering.joined(task, gradients) };
        let loss = loss.value();
        let task = task.into_iter().map(|gradient| scaled(gradient, factor)).collect();
        let cost = gradients.into_iter().map(|gradient| scaled(gradient, loss)).collect();
        self.steering.joined(task, cost)
    }

    /// The term that the cost adds to the loss now, differentiable. It uses the exactly expected code for every estimator, so
    /// nothing is drawn. None if the loss has no cost. For a product it is `loss * log(factor)`, whose gradient is the cost's part
    /// of the product's gradient, relative to an unchanged gradient of the task.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost.
    pub fn expected_term(
        &self,
        relaxed: &Relaxed,
        loss: &Tensor,
    ) -> Result<Option<Tensor>, SearchError> {
        let cost = || -> Result<Tensor, SearchError> {
            Ok(self.cost.relaxed(&self.blocks.expected(relaxed))?.sum(tch::Kind::Float))
        };
        let factor = match self.in_search {
            Goal::Lambda(0.0) => return Ok(None),
            Goal::Lambda(lambda) => lambda / self.reference,
            Goal::Target(target) => self.mu / target,
            Goal::Product(product) => {
                let factor = product.factor(&cost()?, self.cost.unit())?;
                return Ok(Some(factor.log() * loss.detach().to_device(factor.device())));
            }
        };
        Ok(Some(cost()? * factor))
    }

    /// The price of an architecture's cost when architectures are compared one by one, added to their loss. Lambda: lambda * cost /
    /// reference. Target: 0 within the target, and above it so much that no loss makes up for it. Product: the difference that turns
    /// the loss into its product.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost, or if a product's cost is not above 1.
    pub fn price(&self, architecture: &Architecture, loss: f64) -> Result<f64, SearchError> {
        let cost = self.cost.cost(architecture)?;
        Ok(match self.in_search {
            Goal::Lambda(lambda) => lambda * cost / self.reference,
            Goal::Target(target) => EXCESS_PRICE * (cost / target - 1.0).max(0.0),
            Goal::Product(product) => {
                let factor = product.factor(&Tensor::from(cost), self.cost.unit())?;
                loss * (factor.double_value(&[]) - 1.0)
            }
        })
    }

    /// The cost of the exactly expected code in the cost's unit, for the log.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute the cost.
    pub fn expected_cost(&self, relaxed: &Relaxed) -> Result<f64, SearchError> {
        let code = tch::no_grad(|| self.blocks.expected(relaxed));
        Ok(self.cost.relaxed(&code)?.double_value(&[]))
    }

    fn estimate(&mut self, relaxed: &Relaxed) -> Result<Tensor, SearchError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(COST_STREAM + self.n_estimates);
        self.n_estimates += 1;
        match self.estimator {
            Estimator::Expected => Ok(self.cost.relaxed(&self.blocks.expected(relaxed))?),
            Estimator::StraightThrough => {
                let samples = self.blocks.sample(relaxed, SAMPLES, Some(TAU), &mut rng);
                Ok(self.cost.relaxed(&samples.gates)?.mean(tch::Kind::Float))
            }
            Estimator::ScoreFunction => {
                let samples = self.blocks.sample(relaxed, SAMPLES, None, &mut rng);
                let costs = self.cost.relaxed(&samples.gates)?.detach();
                let mean = costs.mean(tch::Kind::Float);
                let value = mean.double_value(&[]);
                let baseline = self.baseline.unwrap_or(value);
                self.baseline = Some(BASELINE_DECAY * baseline + (1.0 - BASELINE_DECAY) * value);
                let score = ((costs - baseline) * samples.log_prob).mean(tch::Kind::Float);
                // The average cost in the forward pass, the score function's gradient in the backward pass.
                Ok(mean - score.detach() + score)
            }
        }
    }

    /// The state that a resumed search needs: the multiplier, the baseline and the number of estimates.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let state = [self.mu, self.baseline.unwrap_or(f64::NAN), self.n_estimates as f64];
        let mut state = vec![("objective".into(), Tensor::from_slice(&state))];
        state.extend(self.steering.state());
        state
    }

    /// Loads the state.
    ///
    /// # Errors
    /// The name of a missing entry.
    pub fn load(&mut self, state: &StateMap) -> Result<(), String> {
        let saved = state.get("objective").ok_or("objective")?;
        if saved.numel() != 3 {
            return Err(format!("objective of 3 numbers, not {}", saved.numel()));
        }
        self.mu = saved.double_value(&[0]);
        let baseline = saved.double_value(&[1]);
        self.baseline = baseline.is_finite().then_some(baseline);
        self.n_estimates = saved.double_value(&[2]) as u64;
        self.steering.load(state)
    }
}

/// A gradient times a number; an undefined gradient stays undefined.
fn scaled(gradient: Tensor, by: f64) -> Tensor {
    if gradient.defined() { gradient * by } else { gradient }
}

impl std::fmt::Debug for Objective<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objective")
            .field("column", &self.cost.column())
            .field("goal", &self.goal)
            .field("estimator", &self.estimator)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}
