//! How a cost enters the loss of a search.

use tch::{Kind, Tensor};

use crate::PredictError;

/// Least ratio of cost to target that [`Penalty::Power`] looks at: below, a linear predictor has left its data and the power of
/// a negative ratio would be NaN.
const LEAST_RATIO: f64 = 1e-6;

/// A way to join the task's loss and the cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Penalty {
    /// `task + lambda * cost / reference`: the sum of LA-DARTS (arXiv 2001.06392), made free of units by the reference.
    Additive {
        /// Weight of the cost, at least 0.
        lambda: f64,
    },
    /// `task * (cost / target)^beta`: the product of `FBNet` (arXiv 1812.03443) and, as a reward, of MnasNet (arXiv 1807.11626).
    Power {
        /// Cost at which the factor is one, in the cost's unit, above 0.
        target: f64,
        /// Exponent, at least 0.
        beta: f64,
    },
    /// `task + lambda * relu(cost / target - 1)`: nothing below the target.
    Hinge {
        /// Weight of the excess, at least 0.
        lambda: f64,
        /// Cost that is free, in the cost's unit, above 0.
        target: f64,
    },
}

impl Penalty {
    /// Whether all numbers are in range.
    ///
    /// # Errors
    /// [`PredictError::Penalty`] names the number that is not.
    pub fn check(&self) -> Result<(), PredictError> {
        match *self {
            Self::Additive { lambda } => at_least_zero("lambda", lambda),
            Self::Power { target, beta } => {
                at_least_zero("beta", beta)?;
                above_zero("target", target)
            }
            Self::Hinge { lambda, target } => {
                at_least_zero("lambda", lambda)?;
                above_zero("target", target)
            }
        }
    }

    /// Whether a reference cost can be divided by.
    ///
    /// # Errors
    /// [`PredictError::Penalty`] where it is not a number above zero.
    pub fn check_reference(reference: f64) -> Result<(), PredictError> {
        above_zero("the reference cost", reference)
    }

    /// Whether the cost has no influence at all, so that it need not be computed.
    pub fn is_off(&self) -> bool {
        match *self {
            Self::Additive { lambda } | Self::Hinge { lambda, .. } => lambda == 0.0,
            Self::Power { beta, .. } => beta == 0.0,
        }
    }

    /// The joined loss, a scalar. `cost` is a scalar or `[m]`, the costs of m draws, of which the mean counts; `reference` is
    /// the cost at uniform gates in the same unit, and passes [`Penalty::check_reference`]. A penalty that is off gives the
    /// task's loss itself, bit by bit.
    pub fn join(&self, task_loss: &Tensor, cost: &Tensor, reference: f64) -> Tensor {
        if self.is_off() {
            return task_loss.shallow_clone();
        }
        let cost = cost.mean(Kind::Float);
        match *self {
            Self::Additive { lambda } => task_loss + cost * (lambda / reference),
            Self::Power { target, beta } => {
                task_loss * (cost / target).clamp_min(LEAST_RATIO).pow_tensor_scalar(beta)
            }
            Self::Hinge { lambda, target } => task_loss + (cost / target - 1.0).relu() * lambda,
        }
    }
}

pub(crate) fn at_least_zero(what: &'static str, found: f64) -> Result<(), PredictError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(PredictError::Penalty { what, allowed: "a number of at least 0", found })
}

fn above_zero(what: &'static str, found: f64) -> Result<(), PredictError> {
    if found.is_finite() && found > 0.0 {
        return Ok(());
    }
    Err(PredictError::Penalty { what, allowed: "a number above 0", found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(penalty: Penalty, cost: &[f32]) -> f64 {
        let cost = Tensor::from_slice(cost);
        penalty.join(&Tensor::from(2.0f32), &cost, 8.0).double_value(&[])
    }

    #[test]
    fn formulas_are_those_computed_by_hand() {
        assert_eq!(joined(Penalty::Additive { lambda: 0.5 }, &[4.0]), 2.25);
        assert_eq!(joined(Penalty::Additive { lambda: 0.5 }, &[2.0, 6.0]), 2.25);
        assert_eq!(joined(Penalty::Power { target: 2.0, beta: 2.0 }, &[4.0]), 8.0);
        assert_eq!(joined(Penalty::Hinge { lambda: 0.5, target: 2.0 }, &[4.0]), 2.5);
        assert_eq!(joined(Penalty::Hinge { lambda: 0.5, target: 2.0 }, &[1.0]), 2.0);
    }

    #[test]
    fn power_of_a_negative_cost_is_finite() {
        assert!(joined(Penalty::Power { target: 2.0, beta: 0.5 }, &[-4.0]).is_finite());
    }

    #[test]
    fn gradients_are_those_computed_by_hand() {
        for (penalty, expected) in [
            (Penalty::Additive { lambda: 0.5 }, 0.0625),
            (Penalty::Power { target: 2.0, beta: 2.0 }, 4.0),
            (Penalty::Hinge { lambda: 0.5, target: 2.0 }, 0.25),
        ] {
            let cost = Tensor::from(4.0f32).set_requires_grad(true);
            penalty.join(&Tensor::from(2.0f32), &cost, 8.0).backward();
            assert_eq!(cost.grad().double_value(&[]), expected, "{penalty:?}");
        }
    }

    #[test]
    fn off_gives_the_task_loss_bit_by_bit_whatever_the_cost() {
        let task = Tensor::from(0.1f32);
        for penalty in [
            Penalty::Additive { lambda: 0.0 },
            Penalty::Power { target: 1.0, beta: 0.0 },
            Penalty::Hinge { lambda: 0.0, target: 1.0 },
        ] {
            let loss = penalty.join(&task, &Tensor::from(f32::NAN), 1.0);
            assert_eq!(loss.double_value(&[]), f64::from(0.1f32));
        }
    }

    #[test]
    fn scaling_cost_and_reference_leaves_the_loss() {
        let loss = |scale: f64| {
            let cost = Tensor::from((3.0 * scale) as f32);
            let task = Tensor::from(1.0f32);
            Penalty::Additive { lambda: 0.2 }.join(&task, &cost, 5.0 * scale).double_value(&[])
        };
        assert!((loss(1.0) - loss(1000.0)).abs() < 1e-6);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let message = |p: Penalty| p.check().unwrap_err().to_string();
        let lambda = |lambda| message(Penalty::Additive { lambda });
        assert_eq!(lambda(-1.0), "lambda must be a number of at least 0, found -1");
        assert!(lambda(f64::NAN).contains("found NaN"));
        assert!(lambda(f64::INFINITY).contains("found inf"));
        assert!(message(Penalty::Hinge { lambda: 1.0, target: 0.0 }).contains("target must be"));
        assert!(message(Penalty::Power { target: 1.0, beta: -0.1 }).contains("beta must be"));
        assert!(Penalty::Power { target: 1.0, beta: 0.0 }.check().is_ok());
        assert!(Penalty::check_reference(0.0).is_err());
    }
}
