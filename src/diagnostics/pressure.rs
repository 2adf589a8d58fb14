//! How strongly task and cost pull on the logits.

use tch::{Kind, Tensor};

use super::logit_gates::LogitGates;
use super::{Diagnostics, Subject, finite};
use crate::error::SearchError;
use crate::relaxed::Relaxed;

/// Gradient shares of the logits; see [`Diagnostics`].
#[derive(Debug, Default)]
pub(super) struct Pressure {
    free_gradient_share: Option<f64>,
    cost_gradient_share: Option<f64>,
    cost_gradient_cosine: Option<f64>,
}

impl Pressure {
    pub(super) fn into(self, found: Diagnostics) -> Diagnostics {
        let Self { free_gradient_share, cost_gradient_share, cost_gradient_cosine } = self;
        Diagnostics { free_gradient_share, cost_gradient_share, cost_gradient_cosine, ..found }
    }
}

/// Computes the shares for a task loss and the subject's cost. The cost is that of the expected code, so nothing is drawn.
pub(super) fn of(
    subject: &Subject<'_, '_>,
    logits: &LogitGates<'_>,
    loss: &Tensor,
) -> Result<Pressure, SearchError> {
    let task = logits.gradient(loss, false);
    let free: Vec<f32> = subject
        .space
        .decisions()
        .iter()
        .flat_map(|d| (0..d.choices.len()).map(|c| f32::from(u8::from(d.is_weightless(c)))))
        .collect();
    let magnitudes = task.abs();
    let of_free = &magnitudes * Tensor::from_slice(&free).to_device(task.device());
    let share = of_free.sum(Kind::Float) / magnitudes.sum(Kind::Float);
    let found =
        Pressure { free_gradient_share: finite(share.double_value(&[])), ..Pressure::default() };
    let Some(objective) = subject.objective else { return Ok(found) };
    let probs = logits.probs.iter().map(Tensor::shallow_clone).collect();
    let relaxed = Relaxed { probs, ..subject.method.relaxed() };
    let Some(cost) = objective.expected_term(&relaxed, loss)? else { return Ok(found) };
    let cost = logits.gradient(&cost, false);
    let (of_task, of_cost) = (task.norm().double_value(&[]), cost.norm().double_value(&[]));
    let along = (task * cost).sum(Kind::Float).double_value(&[]);
    Ok(Pressure {
        cost_gradient_share: finite(of_cost / (of_task + of_cost)),
        cost_gradient_cosine: finite(along / (of_task * of_cost)),
        ..found
    })
}
