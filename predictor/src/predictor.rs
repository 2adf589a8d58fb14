use lat_space::Space;
use ndarray::{Array1, ArrayView2};
use tch::{Device, Tensor};

use crate::model::Model;
use crate::regressor::check_codes;
use crate::{Differentiable, Label, PredictError, encoding};

/// A trained, differentiable predictor with its label: what `lat train` writes and `lat search` reads.
#[derive(Debug)]
pub struct Predictor {
    pub(crate) label: Label,
    pub(crate) model: Model,
}

impl Predictor {
    /// Takes over a fitted regressor's differentiable form.
    ///
    /// # Errors
    /// [`PredictError::Width`] where the label names another number of features than the regressor has seen.
    pub fn new(label: Label, fitted: Differentiable<'_>) -> Result<Self, PredictError> {
        let (expected, found) = (fitted.0.n_features(), label.features.len());
        if expected != found {
            return Err(PredictError::Width { what: "features in the label", expected, found });
        }
        Ok(Self { label, model: fitted.0.to_device(Device::Cpu) })
    }

    /// What it predicts and where it comes from.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Whether it predicts this column for architectures of this space, read through the encoding the space has now.
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
            let expected = format!("{column} (unit {})", crate::unit(column));
            let found = format!("{} (unit {})", label.column, label.unit);
            let advice = "train on that column with --target, or search for the predictor's";
            return mismatch("a predictor of", expected, &found, advice);
        }
        let current = encoding::find(space, &label.encoding)?;
        let advice = "the space has changed since: train again";
        let (expected, found) = (current.len(), label.features.len());
        if expected != found {
            let expected = format!("of {expected} features for {}", space.id());
            return mismatch("an encoding", expected, &format!("{found} features"), advice);
        }
        let mut names = current.features.iter().map(|(name, _)| name).zip(&label.features);
        match names.find(|(current, own)| current != own) {
            Some((current, own)) => mismatch("feature", current.clone(), own, advice),
            None => Ok(()),
        }
    }

    /// Costs `[n]` of codes `[n, n_features]`, in the column's unit; at least half of the least cost it was trained on.
    ///
    /// # Errors
    /// [`PredictError::Width`] and [`PredictError::NotFinite`] for unfit codes.
    pub fn predict_codes(&self, codes: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        check_codes(codes, self.model.n_features())?;
        Ok(self.model.predict(codes))
    }

    /// Code `[b, n_features]` to cost `[b]` in the column's unit, differentiable with respect to the code. Weights never
    /// receive a gradient. Costs are not cut at zero, so that the slope survives.
    ///
    /// # Errors
    /// [`PredictError::Width`] for codes of another width.
    pub fn forward(&self, code: &Tensor) -> Result<Tensor, PredictError> {
        let expected = self.model.n_features();
        match *code.size() {
            [_, width] if width as usize == expected => Ok(self.model.forward(code)),
            ref size => {
                let found = size.last().map_or(0, |&w| w as usize);
                Err(PredictError::Width { what: "features", expected, found })
            }
        }
    }

    /// The same on another device.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self { label: self.label.clone(), model: self.model.to_device(device) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
