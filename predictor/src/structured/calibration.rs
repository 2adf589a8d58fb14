//! How many of its own deviations a prediction is off by, on rows that the fit has not seen.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::linear;
use crate::folds::{Folds, select, subset};
use crate::metrics::mean;
use crate::model::scale::Scale;
use crate::model::{Model, to_tensor};
use crate::{PredictError, Setup};

/// Fits without one part each: of few rows, and of some more, where a part less changes less.
const FOLDS: usize = 10;
const FOLDS_OF_MORE: usize = 5;
/// Rows up to which parts are small.
const FEW: usize = 150;
/// Rows scored where there are many.
const SCORED_ROWS: usize = 2000;
/// Predictions are sums in single precision: this share of a cost is rounding, also where a table is an exact sum.
const ROUNDING: f64 = 1e-6;

/// What rows held out tell.
pub(crate) struct Held {
    /// `|predicted - true| / deviation`, each with a deviation that is not calibrated yet.
    pub(crate) scores: Vec<f64>,
    /// Mean relative error in percent, each counting 100 % at most.
    pub(crate) error: f64,
}

/// Few rows: everything is fitted anew without each part. Leaving out one row in closed form keeps the priors that all rows have
/// chosen, and with few rows those know too much.
pub(crate) fn of_few(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    scale: Scale,
    setup: &Setup,
) -> Result<Held, PredictError> {
    let n_folds = if y.len() <= FEW { FOLDS } else { FOLDS_OF_MORE };
    let folds = Folds::new(y.len(), n_folds, setup.seed);
    let (mut scores, mut errors) = (Vec::new(), Vec::new());
    for fold in 0..folds.len() {
        let (kept_x, kept_y) = select(x, y, &folds.kept(fold));
        let start = linear::fit_on(scale, kept_x.view(), kept_y.view(), &setup.layout, setup.seed)?;
        let (held_x, held_y) = select(x, y, folds.held_out(fold));
        let found = start.model.predict_with_sd(&to_tensor(held_x.view()));
        for ((value, sd), y) in found.values.iter().zip(&found.sds).zip(&held_y) {
            scores.push(score(*value, *y, *sd));
            errors.push(((value - y).abs() / y).min(1.0));
        }
    }
    Ok(Held { scores, error: 100.0 * mean(&errors) })
}

/// Many rows: predictions of standardised targets that have not seen their row are at hand, and the deviations of new rows are
/// those of the rows themselves.
pub(crate) fn of_many(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    held_out: &Array1<f64>,
    model: &Model,
) -> Vec<f64> {
    let rows = subset(y.len(), SCORED_ROWS, 0);
    let (x, y) = select(x, y, &rows);
    let sds = model.predict_with_sd(&to_tensor(x.view())).sds;
    let predicted = rows.iter().map(|&row| model.standard.invert(held_out[row]).max(model.floor));
    predicted.zip(&y).zip(sds).map(|((p, y), sd)| score(p, *y, sd)).collect()
}

/// By how many deviations a prediction is off, rounding included.
fn score(predicted: f64, truth: f64, sd: f64) -> f64 {
    ((predicted - truth).abs() + ROUNDING * truth) / sd
}
