//! A predictor of a new device from a handful of its samples and from predictors of other devices.
//!
//! Devices rank architectures similarly, but differ in the costs of single operations. So the new cost is a weighted sum of the
//! sources' predictions, plus a linear correction in the structured features, whose prior knows which features mattered on the
//! sources (`importance.rs`). Ten samples cannot tell which of the sources fit best or how much to correct. So a grid of Gaussian
//! processes is averaged by evidence (`mixture.rs`), and blended with non-negative least squares on the sources (`nnls.rs`). All
//! of these are linear in the sources' predictions and the features, so the result is one differentiable formula: `constant +
//! sum_k factor_k * source_k(x) + w . features(x)`.

mod baselines;
mod cholesky;
mod fold;
mod importance;
mod mixture;
mod nnls;
mod population;
mod sources;

use lat_space::FeatureMap;
use ndarray::Array2;
use tch::{Kind, Tensor};

use crate::disconnected::{Disconnected, split};
use crate::folds::Folds;
use crate::metrics::check_positive;
use crate::model::Model;
use crate::model::scale::{Scale, Standard};
use crate::model::spread::{NORMAL_90, Spread, conformal_score};
use crate::predictor::Part;
use crate::train::without_lone;
use crate::{Label, PredictError, Predictor, Samples};
pub use baselines::Baseline;
use mixture::{Rows, Weights};
pub use sources::Sources;

/// The fewest samples that a transfer learns from.
pub const LEAST_TRANSFER_SAMPLES: usize = 3;
/// The most samples: the whole grid is solved again for each, and with more samples the sources have little to add.
pub const MOST_TRANSFER_SAMPLES: usize = 200;
/// Number of folds of the samples that are left out in turn to judge the fit.
const FOLDS: usize = 20;
/// The name in labels and tables.
pub const TRANSFER: &str = "transfer";

/// A fitted transfer, to be saved as a [`Predictor`].
#[derive(Debug)]
pub struct Transfer {
    map: FeatureMap,
    model: Model,
    parts: Vec<Part>,
    disconnected: Option<Disconnected>,
    n_train: usize,
}

impl Sources<'_> {
    /// Learns the new device's costs from its samples. The seed decides the folds by which the fit is judged.
    ///
    /// # Errors
    /// [`PredictError::TooFew`], [`PredictError::TooMany`], [`PredictError::Width`], [`PredictError::NotFinite`],
    /// [`PredictError::NotPositive`] or [`PredictError::Size`] if the samples do not fit; [`PredictError::Fit`] if nothing can be
    /// learnt from them.
    pub fn transfer(&self, samples: &Samples, seed: u64) -> Result<Transfer, PredictError> {
        check_samples(samples)?;
        let n_train = samples.len();
        let (live, disconnected) = split(self.reach(), samples, self.is_free_unseen());
        let samples = &without_lone(live);
        check_samples(samples)?;
        let (scores, features) = (self.scores(samples)?, self.features(samples)?);
        let correction = (&features * self.prior()).dot(&features.t());
        let rows = Rows { scores, correction, mean_spread: self.mean_spread() };
        let y = samples.values.to_vec();
        let weights = mixture::fit(&rows, &y)?;
        let held_out = held_out(&rows, &y, seed)?;
        let floor = y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let held_out: Vec<f64> = held_out.into_iter().map(|p| p.max(floor)).collect();
        let by_feature = features.t().dot(&weights.by_row) * self.prior();
        let factors = &weights.by_source / self.spreads();
        let constant =
            weights.constant - self.feature_means().dot(&by_feature) - self.centres().dot(&factors);
        let model = model(&by_feature.to_vec(), constant, floor, &y, &held_out);
        let parts = self.parts(&factors.to_vec());
        let (model, parts) = fold::fold(self, model, parts)?;
        Ok(Transfer { map: self.map().clone(), model, parts, disconnected, n_train })
    }
}

impl Transfer {
    /// Average relative error of samples predicted without them, percent; each counts at most 100 %.
    pub fn held_out_error(&self) -> f64 {
        self.model.validation_error
    }

    /// Whether all sources were linear and became one linear model, which is small and quick.
    pub fn is_folded(&self) -> bool {
        self.parts.is_empty()
    }

    /// The predictor to save. This sets the label's regressor, encoding and number of samples.
    pub fn predictor(&self, label: Label) -> Predictor {
        let (encoding, regressor) = ("structured".to_owned(), TRANSFER.to_owned());
        let label = Label { encoding, regressor, n_train: self.n_train, ..label };
        let mut used = self.model.used();
        if used.is_empty() {
            used.push(0);
        }
        let predictor = Predictor::of_parts(label, self.map.keep(&used), &self.model.keep(&used));
        let predictor = predictor.with_parts(self.parts.iter().map(Part::copy).collect());
        predictor.with_disconnected(self.disconnected.clone())
    }
}

fn check_samples(samples: &Samples) -> Result<(), PredictError> {
    let (needed, most, found) = (LEAST_TRANSFER_SAMPLES, MOST_TRANSFER_SAMPLES, samples.len());
    if found < needed {
        return Err(PredictError::TooFew { what: "samples of the new device", needed, found });
    }
    if found > most {
        return Err(PredictError::TooMany { most, found });
    }
    check_positive(samples.values.iter().copied())
}

/// For each row the prediction of a fit without the row's fold.
fn held_out(rows: &Rows, y: &[f64], seed: u64) -> Result<Vec<f64>, PredictError> {
    let folds = Folds::new(y.len(), FOLDS.min(y.len()), seed);
    let mut predicted = vec![0.0; y.len()];
    for fold in 0..folds.len() {
        let kept = folds.kept(fold);
        let some: Vec<f64> = kept.iter().map(|&i| y[i]).collect();
        let weights: Weights = mixture::fit(&rows.select(&kept), &some)?;
        for &row in folds.held_out(fold) {
            let correction: f64 =
                kept.iter().zip(&weights.by_row).map(|(&i, a)| rows.correction[[row, i]] * a).sum();
            predicted[row] =
                weights.constant + rows.scores.row(row).dot(&weights.by_source) + correction;
        }
    }
    Ok(predicted)
}

/// The correction as a model. Its deviations are relative to the cost, and so large that 90 % of the held-out samples lie within
/// 1.645 of them (split conformal prediction).
fn model(weights: &[f64], constant: f64, floor: f64, y: &[f64], held_out: &[f64]) -> Model {
    let relative: Vec<f64> = y.iter().zip(held_out).map(|(y, p)| (p - y).abs() / p).collect();
    let deviation = conformal_score(relative).map_or(0.0, |score| score / NORMAL_90);
    let errors = y.iter().zip(held_out).map(|(y, p)| ((p - y).abs() / y).min(1.0));
    let n = weights.len() as i64;
    let weights: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
    Model {
        weights: Tensor::from_slice(&weights).view([n, 1]),
        intercept: 0.0,
        correction: None,
        standard: Standard { scale: Scale::Plain, mu: constant, sd: 1.0 },
        floor,
        validation_error: 100.0 * errors.sum::<f64>() / y.len() as f64,
        spread: Some(Spread {
            draws: Tensor::zeros([n, 1], (Kind::Float, tch::Device::Cpu)),
            intercepts: Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)),
            noise: deviation * deviation,
            typical: 1.0,
            calibration: 1.0,
            limit: 0.0,
        }),
    }
}

/// Rows `[n, width]` of the picked ones.
fn pick(all: &Array2<f64>, rows: &[usize]) -> Array2<f64> {
    all.select(ndarray::Axis(0), rows)
}

#[cfg(test)]
mod tests;
