//! What a search minimises besides its task's loss.

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

/// What a search minimises besides its task's loss. All implementations look alike to a search.
pub trait CostModel: Send {
    /// Name with unit: `latency_ms`.
    fn column(&self) -> &str;

    /// The unit: `ms`.
    fn unit(&self) -> &str;

    /// Cost of one architecture, in [`CostModel::unit`].
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] and [`PredictError::Width`] for an architecture of another space.
    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError>;

    /// Cost of gates, differentiable with respect to them. `[n_gates]` gives a scalar, `[m, n_gates]` gives `[m]`. Gates are
    /// all choices of all decisions in the space's order, `none` included; on 0/1 gates this is [`CostModel::cost`].
    ///
    /// # Errors
    /// [`PredictError::Width`] for another number of gates.
    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError>;
}

/// A trained predictor that reads gates.
#[derive(Debug)]
pub struct PredictorCost {
    predictor: Predictor,
    layout: GateLayout,
    device: Device,
    /// Standard deviations that are added to a cost.
    risk: f64,
}

impl PredictorCost {
    /// Checks the predictor against the space and moves it to the device on which gates will live.
    ///
    /// # Errors
    /// Those of [`Predictor::check`].
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

    /// The same with so many standard deviations added to every cost: who rather pays a known price than an uncertain one. With
    /// 0 all is as without, bit by bit.
    ///
    /// # Errors
    /// [`PredictError::Range`] for a number below 0 or none, [`PredictError::Mismatch`] for a predictor without deviations.
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

    /// Rows `[m, n_gates]` on the predictor's device to cost, and to what the risk adds where there is one, `[m]` each.
    fn parts(&self, rows: &Tensor) -> Result<(Tensor, Option<Tensor>), PredictError> {
        if self.risk == 0.0 {
            return Ok((self.predictor.forward(rows)?, None));
        }
        let (cost, sd) = self.predictor.forward_with_sd(rows)?;
        Ok((cost, Some(sd * self.risk)))
    }

    /// The predictor behind.
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
