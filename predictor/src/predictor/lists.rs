//! Predictions for gates stored column by column, as for files of architectures.

use ndarray::ArrayView2;
use tch::Tensor;

use super::Predictor;
use crate::PredictError;
use crate::metrics::check_finite;
use crate::model::{Predictions, cut};

impl Predictor {
    /// Costs of `n` gate vectors stored gate by gate: gate g of row i is at `g * n + i`. Nothing is transposed on the way, so
    /// this is the fastest form. Some hundred rows at a time stay in a core's cache.
    ///
    /// # Errors
    /// The errors of [`Predictor::predict_gates`].
    pub fn price_columns(&self, gates: &[f32], n: usize) -> Result<Vec<f64>, PredictError> {
        self.rows_of_columns(gates, n)?;
        let own = self.columns.costs(&self.map, gates, n);
        let mut costs: Vec<f64> = own.into_iter().map(f64::from).collect();
        for part in &self.parts {
            part.add_columns_to(&mut costs, gates, n);
        }
        let mut costs: Vec<f64> =
            costs.into_iter().map(|cost| cut(cost, self.model.floor)).collect();
        if let Some(disconnected) = &self.disconnected {
            disconnected.put_in_columns(gates, &mut costs);
        }
        self.checked(costs)
    }

    /// Predictions with standard deviations, for `n` gate vectors stored gate by gate.
    ///
    /// # Errors
    /// The errors of [`Predictor::predict_gates`].
    pub fn predict_columns(&self, gates: &[f32], n: usize) -> Result<Predictions, PredictError> {
        let rows = self.rows_of_columns(gates, n)?;
        if !self.parts.is_empty() {
            return self.predict_gates(rows);
        }
        let mut found = self.model.predict_with_sd(&self.features_of_columns(gates, n));
        if let Some(disconnected) = &self.disconnected {
            disconnected.put_all(rows, &mut found);
        }
        self.check_answers(&found.values)?;
        Ok(found)
    }

    /// Returns the costs if all are numbers.
    pub(super) fn checked(&self, costs: Vec<f64>) -> Result<Vec<f64>, PredictError> {
        self.check_answers(&costs)?;
        Ok(costs)
    }

    /// Checks that all predictions are numbers. The numbers in a file can be so large that their sum is not.
    pub(crate) fn check_answers(&self, costs: &[f64]) -> Result<(), PredictError> {
        let column = &self.label.column;
        match costs.iter().position(|cost| !cost.is_finite()) {
            Some(row) => {
                Err(PredictError::NoAnswer { column: column.clone(), row, found: costs[row] })
            }
            None => Ok(()),
        }
    }

    /// Whether networks correct the linear part.
    pub fn has_networks(&self) -> bool {
        self.model.correction.is_some()
    }

    /// Whether it gives standard deviations.
    pub fn has_sd(&self) -> bool {
        self.model.spread.is_some()
    }

    /// The gates as rows `[n, n_gates]`, checked but not copied.
    fn rows_of_columns<'g>(
        &self,
        gates: &'g [f32],
        n: usize,
    ) -> Result<ArrayView2<'g, f32>, PredictError> {
        let (expected, found) = (self.map.n_gates * n, gates.len());
        let columns = ArrayView2::from_shape((self.map.n_gates, n), gates)
            .map_err(|_| PredictError::Width { what: "gates", expected, found })?;
        let rows = columns.reversed_axes();
        if expected != found {
            return Err(PredictError::Width { what: "gates", expected, found });
        }
        if !gates.iter().all(|gate| gate.is_finite()) {
            check_finite("gates", rows.rows().into_iter().map(|row| f64::from(row.sum())))?;
        }
        Ok(rows)
    }

    /// Features `[n, n_features]`, stored column by column.
    fn features_of_columns(&self, gates: &[f32], n: usize) -> Tensor {
        let values = self.map.values(gates, n);
        let mut columns = Vec::with_capacity(self.map.len() * n);
        for feature in &self.map.features {
            columns.extend_from_slice(&values[feature.value as usize * n..][..n]);
        }
        Tensor::from_slice(&columns).view([self.map.len() as i64, n as i64]).tr()
    }
}
