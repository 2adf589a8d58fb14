//! Combines the cost's gradient with the task's, so that the cost can influence the search but not dominate it.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::optimizer::{StateMap, joint_norm};

/// How the gradients of task and cost are combined for a method's architecture parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Joining {
    /// If the cost's gradient is larger than a tenth of the norm of the task's running average gradient, it is scaled down to that.
    #[default]
    Bounded,
    /// The plain sum, as for the loss `L + lambda * LAT / T_ref`.
    Sum,
}

/// Decay rate of the task's average gradient.
const DECAY: f64 = 0.95;
/// Largest norm of the cost's gradient, as a share of that average's norm.
const SHARE: f64 = 0.1;

/// Combines the gradients in all steps of a search.
///
/// The bound is needed because the two gradients differ in kind. The cost's gradient is nearly the same in every step and reaches
/// all logits. The task's is mostly noise with a small average, and Adam divides each gradient by its running size. So a small push
/// that never changes its direction moves a logit as far as a large one. What counts is the task's *average*, so the bound is a
/// share of that.
#[derive(Debug, Default)]
pub struct Steering {
    joining: Joining,
    /// Running average of the task's gradient, one tensor per parameter.
    mean: Vec<Tensor>,
    n_steps: i64,
    /// Sum and number of the cost's shares since the last call of [`Steering::take_share`].
    shares: (f64, u32),
}

impl Steering {
    /// Starts with empty averages.
    pub fn new(joining: Joining) -> Self {
        Self { joining, ..Self::default() }
    }

    /// The combined gradient, one tensor per parameter. A tensor may be undefined if a loss has no gradient for it.
    pub fn joined(&mut self, task: Vec<Tensor>, cost: Vec<Tensor>) -> Vec<Tensor> {
        tch::no_grad(|| {
            self.remember(&task);
            let of_cost = joint_norm(&cost).double_value(&[]);
            let scale = match self.joining {
                Joining::Bounded if of_cost > 0.0 => (SHARE * self.mean_norm() / of_cost).min(1.0),
                _ => 1.0,
            };
            let (of_task, of_cost) = (joint_norm(&task).double_value(&[]), scale * of_cost);
            if of_task + of_cost > 0.0 {
                self.shares = (self.shares.0 + of_cost / (of_task + of_cost), self.shares.1 + 1);
            }
            let sum = |(task, cost): (Tensor, Tensor)| match (task.defined(), cost.defined()) {
                (true, true) => task + cost * scale,
                (false, true) => cost * scale,
                _ => task,
            };
            task.into_iter().zip(cost).map(sum).collect()
        })
    }

    fn remember(&mut self, task: &[Tensor]) {
        if self.mean.len() != task.len() {
            self.mean = task.iter().map(|_| Tensor::new()).collect();
            self.n_steps = 0;
        }
        self.n_steps += 1;
        for (mean, task) in self.mean.iter_mut().zip(task) {
            *mean = match (mean.defined(), task.defined()) {
                (true, true) => &*mean * DECAY + task * (1.0 - DECAY),
                (true, false) => &*mean * DECAY,
                (false, true) => task * (1.0 - DECAY),
                (false, false) => continue,
            };
        }
    }

    /// Norm of the average, corrected for its start at zero as in Adam.
    fn mean_norm(&self) -> f64 {
        joint_norm(&self.mean).double_value(&[]) / (1.0 - DECAY.powf(self.n_steps as f64))
    }

    /// Average share of the cost in the combined gradients since the last call: its norm divided by the sum of both norms.
    pub fn take_share(&mut self) -> Option<f64> {
        let (sum, n) = std::mem::take(&mut self.shares);
        (n > 0).then(|| sum / f64::from(n))
    }

    /// The state that a resumed search needs.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        // A parameter that the task never reached has no average; it is saved as an empty tensor.
        let saved = |mean: &Tensor| match mean.defined() {
            true => mean.shallow_clone(),
            false => Tensor::zeros([0], tch::kind::FLOAT_CPU),
        };
        let mean = self.mean.iter().enumerate();
        let mut state: Vec<(String, Tensor)> =
            mean.map(|(i, m)| (format!("steering.mean.{i}"), saved(m))).collect();
        state.push(("steering.n_steps".into(), Tensor::from_slice(&[self.n_steps])));
        state
    }

    /// Loads the state.
    ///
    /// # Errors
    /// The name of a missing entry.
    pub fn load(&mut self, state: &StateMap) -> Result<(), String> {
        let n_steps = state.get("steering.n_steps").ok_or("steering.n_steps")?;
        self.n_steps = n_steps.int64_value(&[0]);
        let mean = |i: usize| {
            let saved = state.get(&format!("steering.mean.{i}"))?;
            Some(if saved.numel() == 0 { Tensor::new() } else { saved.copy() })
        };
        self.mean = (0..).map_while(mean).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: [f32; 2]) -> Vec<Tensor> {
        vec![Tensor::from_slice(&values)]
    }

    fn numbers(tensors: &[Tensor]) -> Vec<f32> {
        Vec::try_from(&tensors[0]).unwrap()
    }

    #[test]
    fn the_cost_never_has_more_than_its_share_of_the_mean() {
        let mut steering = Steering::new(Joining::Bounded);
        for cost in [1e-3f32, 1.0, 1e6] {
            let joined = steering.joined(vector([0.0, 1.0]), vector([cost, 0.0]));
            let found = numbers(&joined);
            assert!((found[1] - 1.0).abs() < 1e-6);
            let expected = cost.min(SHARE as f32);
            assert!((found[0] - expected).abs() < 1e-5, "{found:?}, expected {expected}");
        }
        assert!(steering.take_share().unwrap() < 0.1);
        assert_eq!(steering.take_share(), None, "asked for already");
    }

    #[test]
    fn noise_without_a_mean_gives_the_cost_little_room() {
        let mut steering = Steering::new(Joining::Bounded);
        let mut pushed = 0.0f32;
        for step in 0..200 {
            let noise = if step % 2 == 0 { 1.0 } else { -1.0 };
            let joined = steering.joined(vector([0.0, noise]), vector([1.0, 0.0]));
            pushed = numbers(&joined)[0];
        }
        assert!(pushed < 0.01, "{pushed}");
        let mut sum = Steering::new(Joining::Sum);
        assert_eq!(numbers(&sum.joined(vector([0.0, 1.0]), vector([5.0, 0.0]))), [5.0, 1.0]);
    }

    #[test]
    fn a_resumed_search_bounds_as_the_straight_one() {
        let mut straight = Steering::new(Joining::Bounded);
        let step = |s: &mut Steering, i: i32| {
            // The second parameter is one that neither loss reaches.
            let with_another = |mut v: Vec<Tensor>| {
                v.push(Tensor::new());
                v
            };
            let (task, cost) = (vector([0.1, i as f32]), vector([7.0, 1.0]));
            numbers(&s.joined(with_another(task), with_another(cost)))
        };
        (0..3).for_each(|i| drop(step(&mut straight, i)));
        let mut resumed = Steering::new(Joining::Bounded);
        resumed.load(&straight.state().into_iter().collect()).unwrap();
        assert_eq!(step(&mut straight, 3), step(&mut resumed, 3));
        assert!(Steering::default().load(&StateMap::new()).is_err());
    }
}
