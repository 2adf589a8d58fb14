//! A trained predictor: predicts the cost of architectures and of gates, differentiably.

mod file;
mod label;
mod lists;
mod part;

use lat_data::unit;
use lat_space::{FeatureMap, Space};
use ndarray::{Array2, ArrayView2};
use tch::{Device, Tensor};

use crate::disconnected::Disconnected;
use crate::encoding::encode;
use crate::metrics::check_finite;
use crate::model::columns::Columns;
use crate::model::feature_walk::FeatureWalk;
use crate::model::spread::Spread;
use crate::model::{Model, Predictions, cut, to_tensor, to_vec};
use crate::{Differentiable, PredictError};
pub use file::FORMAT;
pub use label::{DecisionLabel, Label};
pub(crate) use part::Part;

/// Gate vectors that are priced at once, to bound memory.
const CHUNK: usize = 1024;

/// A trained, differentiable predictor with its label: what `lat train` writes and `lat search` reads.
#[derive(Debug)]
pub struct Predictor {
    pub(crate) label: Label,
    pub(crate) map: FeatureMap,
    pub(crate) walk: FeatureWalk,
    pub(crate) model: Model,
    /// Models of other devices, whose costs are multiplied by a factor and added. Floor and deviations are those of `model`.
    pub(crate) parts: Vec<Part>,
    /// The cost of networks without a path from input to output, in spaces that have such networks.
    pub(crate) disconnected: Option<Disconnected>,
    /// The model in the form for long lists.
    columns: Columns,
}

impl Predictor {
    /// Makes a predictor from a fitted regressor's differentiable form, which reads the features of this map. Features that it
    /// does not use are left out.
    ///
    /// # Errors
    /// [`PredictError::Width`] if the map has another number of features than the regressor was fitted to.
    pub fn new(
        label: Label,
        map: &FeatureMap,
        fitted: Differentiable<'_>,
    ) -> Result<Self, PredictError> {
        let (expected, found) = (fitted.0.n_features(), map.len());
        if expected != found {
            return Err(PredictError::Width { what: "features", expected, found });
        }
        let used = fitted.0.used();
        Ok(Self::of_parts(label, map.keep(&used), &fitted.0.keep(&used)))
    }

    pub(crate) fn of_parts(label: Label, map: FeatureMap, model: &Model) -> Self {
        let walk = FeatureWalk::new(&map, Device::Cpu);
        let model = model.to_device(Device::Cpu);
        let columns = Columns::new(&map, &model);
        Self { label, map, walk, model, parts: Vec::new(), disconnected: None, columns }
    }

    /// Adds the models of other devices.
    pub(crate) fn with_parts(self, parts: Vec<Part>) -> Self {
        Self { parts, ..self }
    }

    /// Sets the price of networks without a path from input to output.
    pub(crate) fn with_disconnected(self, disconnected: Option<Disconnected>) -> Self {
        Self { disconnected, ..self }
    }

    /// Its label.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The features that it reads.
    pub fn feature_map(&self) -> &FeatureMap {
        &self.map
    }

    /// Checks that it predicts this column for architectures of this space, with the decisions that the space has now.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] names both sides and says what to do.
    pub fn check(&self, space: &dyn Space, column: &str) -> Result<(), PredictError> {
        let label = &self.label;
        let mismatch = |what, expected: String, found: &str, advice| {
            Err(PredictError::Mismatch { what, expected, found: found.to_owned(), advice })
        };
        if label.space != space.id() {
            let advice = "name a predictor of that space, or the predictor's space with --space";
            return mismatch(
                "a predictor for search space",
                space.id().into(),
                &label.space,
                advice,
            );
        }
        if label.column != column {
            let expected = format!("{column} (unit {})", unit(column));
            let found = format!("{} (unit {})", label.column, label.unit);
            let advice = "train on that column with --target, or search for the predictor's";
            return mismatch("a predictor of", expected, &found, advice);
        }
        let current = DecisionLabel::all(space);
        let advice = "the space has changed since: train again";
        let (expected, found) = (current.len(), label.decisions.len());
        if expected != found {
            let expected = format!("of {expected} decisions for {}", space.id());
            return mismatch("a predictor", expected, &format!("{found} decisions"), advice);
        }
        match current.iter().zip(&label.decisions).find(|(current, own)| current != own) {
            Some((current, own)) => {
                mismatch("decision", current.to_string(), &own.to_string(), advice)
            }
            None => Ok(()),
        }
    }

    /// Costs of gate vectors `[n, n_gates]` in the column's unit, with their standard deviations. Costs are at least half of the
    /// smallest cost in the training data.
    ///
    /// # Errors
    /// [`PredictError::Width`] and [`PredictError::NotFinite`] if the gates do not fit, [`PredictError::NoAnswer`] if a
    /// prediction is not a number.
    pub fn predict_gates(&self, gates: ArrayView2<f32>) -> Result<Predictions, PredictError> {
        let mut all = match self.parts.is_empty() {
            true => self.predict_one_by_one(gates)?,
            false => self.predict_sums(gates)?,
        };
        if let Some(disconnected) = &self.disconnected {
            disconnected.put_all(gates, &mut all);
        }
        Ok(all)
    }

    /// Predictions without parts of other devices.
    fn predict_one_by_one(&self, gates: ArrayView2<f32>) -> Result<Predictions, PredictError> {
        let mut all = Predictions { values: Vec::new(), sds: Vec::new(), is_off_data: Vec::new() };
        for features in self.features(gates)? {
            let chunk = self.model.predict_with_sd(&to_tensor(features?.view()));
            all.values.extend(chunk.values);
            all.sds.extend(chunk.sds);
            all.is_off_data.extend(chunk.is_off_data);
        }
        self.check_answers(&all.values)?;
        Ok(all)
    }

    /// Costs of gate vectors `[n, n_gates]` without deviations, which takes a fraction of the time.
    ///
    /// # Errors
    /// The errors of [`Predictor::predict_gates`].
    pub fn price_gates(&self, gates: ArrayView2<f32>) -> Result<Vec<f64>, PredictError> {
        let mut costs = Vec::with_capacity(gates.nrows());
        if self.parts.is_empty() {
            for features in self.features(gates)? {
                costs.extend(self.model.predict(&to_tensor(features?.view())));
            }
        } else {
            costs = self.predict_sums(gates)?.values;
        }
        if let Some(disconnected) = &self.disconnected {
            disconnected.put(gates, &mut costs);
        }
        self.checked(costs)
    }

    /// Predictions with parts of other devices. The uncertainty of these parts is not known and not included.
    fn predict_sums(&self, gates: ArrayView2<f32>) -> Result<Predictions, PredictError> {
        let values: Vec<f64> =
            self.uncut_costs(gates)?.into_iter().map(|c| cut(c, self.model.floor)).collect();
        self.check_answers(&values)?;
        let relative = self.model.spread.as_ref().map_or(f64::NAN, Spread::relative);
        let sds = values.iter().map(|v| relative * v).collect();
        let is_off_data = vec![false; values.len()];
        Ok(Predictions { values, sds, is_off_data })
    }

    /// Costs `[n]` of gate vectors as a search sees them: without the floor.
    pub(crate) fn uncut_costs(&self, gates: ArrayView2<f32>) -> Result<Vec<f64>, PredictError> {
        let own =
            |f: &Array2<f32>| tch::no_grad(|| to_vec(&self.model.forward(&to_tensor(f.view()))));
        let mut costs: Vec<f64> = Vec::with_capacity(gates.nrows());
        for features in self.features(gates)? {
            costs.extend(own(&features?).into_iter().map(f64::from));
        }
        for part in &self.parts {
            let chunks = gates.axis_chunks_iter(ndarray::Axis(0), CHUNK);
            for (chunk, costs) in chunks.zip(costs.chunks_mut(CHUNK)) {
                part.add_to(costs, chunk)?;
            }
        }
        Ok(costs)
    }

    /// Features, some thousand rows at a time. Each piece is made only when it is asked for, so only one is in memory.
    fn features<'g>(
        &self,
        gates: ArrayView2<'g, f32>,
    ) -> Result<impl Iterator<Item = Result<Array2<f32>, PredictError>> + use<'g, '_>, PredictError>
    {
        check_finite("gates", gates.rows().into_iter().map(|row| f64::from(row.sum())))?;
        let chunks = (0..gates.nrows()).step_by(CHUNK).map(move |start| {
            let end = gates.nrows().min(start + CHUNK);
            gates.slice_move(ndarray::s![start..end, ..])
        });
        Ok(chunks.map(|chunk| encode(&self.map, chunk)))
    }

    /// From gates `[b, n_gates]` to cost `[b]` in the column's unit, differentiable with respect to the gates. Weights never
    /// receive a gradient. Costs are not cut at zero, so that the gradient does not vanish.
    ///
    /// # Errors
    /// [`PredictError::Width`] if the gates have another width.
    pub fn forward(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        self.check_gates(gates)?;
        Ok(self.sum(gates))
    }

    /// The cost and the standard deviation of a measurement around it, `[b]` each.
    ///
    /// # Errors
    /// The errors of [`Predictor::forward`].
    pub fn forward_with_sd(&self, gates: &Tensor) -> Result<(Tensor, Tensor), PredictError> {
        self.check_gates(gates)?;
        Ok(self.sum_with_sd(gates))
    }

    /// The cost `[b]` of gates that are already checked, including parts of other devices.
    pub(crate) fn sum(&self, gates: &Tensor) -> Tensor {
        let own = self.model.forward(&self.walk.forward(gates));
        self.parts.iter().fold(own, |sum, part| sum + part.forward(gates))
    }

    /// The cost and its standard deviation, `[b]` each, of gates that are already checked.
    pub(crate) fn sum_with_sd(&self, gates: &Tensor) -> (Tensor, Tensor) {
        if self.parts.is_empty() {
            return self.model.forward_with_sd(&self.walk.forward(gates));
        }
        let cost = self.sum(gates);
        let relative = self.model.spread.as_ref().map_or(0.0, Spread::relative);
        let sd = &cost * relative;
        (cost, sd)
    }

    fn check_gates(&self, gates: &Tensor) -> Result<(), PredictError> {
        let expected = self.map.n_gates;
        match *gates.size() {
            [_, width] if width as usize == expected => Ok(()),
            ref size => {
                let found = size.last().map_or(0, |&w| w as usize);
                Err(PredictError::Width { what: "gates", expected, found })
            }
        }
    }

    /// A copy of the predictor on another device.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            label: self.label.clone(),
            map: self.map.clone(),
            walk: self.walk.to_device(device),
            model: self.model.to_device(device),
            parts: self.parts.iter().map(|part| part.to_device(device)).collect(),
            disconnected: self.disconnected.clone(),
            columns: self.columns.copy(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
