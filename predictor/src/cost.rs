use lat_space::{Architecture, Space};
use tch::{Device, Kind, Tensor};

use crate::gates::GateLayout;
use crate::{PredictError, Predictor};

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
        Ok(Self { predictor: predictor.to_device(device), layout: GateLayout::of(space), device })
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
        let cost = tch::no_grad(|| self.relaxed(&gates))?.double_value(&[]);
        Ok(cost.max(self.predictor.model.floor))
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        let (rows, is_single) = self.layout.rows(gates)?;
        let rows = rows.to_device(self.device).to_kind(Kind::Float);
        let costs = self.predictor.forward(&rows)?.to_device(gates.device());
        Ok(if is_single { costs.squeeze_dim(0) } else { costs })
    }
}

#[cfg(test)]
mod tests;
