//! Costs that a search minimises together with the loss of its task.

mod count;
mod gates;
mod piece_costs;
mod range;
mod table;

use lat_space::{Architecture, Space};
use tch::{Device, Kind, Tensor};

use crate::model::cut;
use crate::{PredictError, Predictor};
pub use count::CountCost;
use gates::GateLayout;
pub use piece_costs::PieceCosts;
pub use range::{above_zero, at_least_zero};
pub use table::TableCost;

/// A cost that a search minimises together with the loss of its task. To a search, all implementations look alike.
pub trait CostModel: Send {
    /// Name with unit, such as `latency_ms`.
    fn column(&self) -> &str;

    /// The unit, such as `ms`.
    fn unit(&self) -> &str;

    /// Cost of one architecture, in [`CostModel::unit`].
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] and [`PredictError::Width`] if the architecture belongs to another space.
    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError>;

    /// Cost of gates, differentiable with respect to them. `[n_gates]` gives a scalar, `[m, n_gates]` gives `[m]`. Gates are all
    /// choices of all decisions in the space's order, `none` included. For 0/1 gates the result equals [`CostModel::cost`].
    ///
    /// # Errors
    /// [`PredictError::Width`] if the number of gates is wrong.
    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError>;
}

/// A trained predictor as a cost.
#[derive(Debug)]
pub struct PredictorCost {
    predictor: Predictor,
    layout: GateLayout,
    device: Device,
    /// Number of standard deviations that are added to a cost.
    risk: f64,
}

impl PredictorCost {
    /// Checks the predictor against the space, and moves it to the device on which gates will be.
    ///
    /// # Errors
    /// The errors of [`Predictor::check`].
    pub fn new(
        predictor: &Predictor,
        space: &dyn Space,
        column: &str,
        device: Device,
    ) -> Result<Self, PredictError> {
        predictor.check(space, column)?;
        Ok(Self {
            predictor: predictor.to_device(device),
            layout: GateLayout::of(space),
            device,
            risk: 0.0,
        })
    }

    /// The same cost plus this many standard deviations, for users who prefer a certain cost to an uncertain one. With 0 all
    /// results are bit for bit those without it.
    ///
    /// # Errors
    /// [`PredictError::Range`] if the number is below 0 or not a number, [`PredictError::Mismatch`] if the predictor has no
    /// deviations.
    pub fn with_risk(self, risk: f64) -> Result<Self, PredictError> {
        at_least_zero("risk", risk)?;
        if risk > 0.0 && !self.predictor.has_sd() {
            let found =
                format!("one of regressor {}, which tells none", self.predictor.label.regressor);
            return Err(PredictError::Mismatch {
                what: "a predictor",
                expected: "with standard deviations for a risk above 0".to_owned(),
                found,
                advice: "train again with --regressor structured, or leave the risk out",
            });
        }
        Ok(Self { risk, ..self })
    }

    /// For rows `[m, n_gates]` on the predictor's device, the cost and the amount that the risk adds (None if there is no risk),
    /// `[m]` each.
    fn parts(&self, rows: &Tensor) -> Result<(Tensor, Option<Tensor>), PredictError> {
        if self.risk == 0.0 {
            return Ok((self.predictor.forward(rows)?, None));
        }
        let (cost, sd) = self.predictor.forward_with_sd(rows)?;
        Ok((cost, Some(sd * self.risk)))
    }

    /// The predictor.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }
}

impl CostModel for PredictorCost {
    fn column(&self) -> &str {
        &self.predictor.label().column
    }

    fn unit(&self) -> &str {
        &self.predictor.label().unit
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        let gates = Tensor::from_slice(&self.layout.gates(architecture)?);
        let rows = gates.unsqueeze(0).to_device(self.device);
        let (cost, more) = tch::no_grad(|| self.parts(&rows))?;
        let more = more.map_or(0.0, |more| more.double_value(&[0]));
        let total = cut(cost.double_value(&[0]), self.predictor.model.floor) + more;
        self.predictor.check_answers(&[total])?;
        Ok(total)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        let (rows, is_single) = self.layout.rows(gates)?;
        let rows = rows.to_device(self.device).to_kind(Kind::Float);
        let (costs, more) = self.parts(&rows)?;
        let costs = more.map_or_else(|| costs.shallow_clone(), |more| &costs + more);
        let costs = costs.to_device(gates.device());
        Ok(if is_single { costs.squeeze_dim(0) } else { costs })
    }
}

#[cfg(test)]
mod tests;
