//! By how many of its own deviations a prediction is off, on rows that the fit has not seen.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::linear;
use crate::folds::{Folds, select, subset};
use crate::metrics::mean;
use crate::model::scale::Scale;
use crate::model::{Model, to_tensor};
use crate::{PredictError, Setup};

/// Number of folds, and a smaller number if there are more rows, because then leaving out a fold changes less.
const FOLDS: usize = 10;
const FOLDS_OF_MORE: usize = 5;
/// Up to this number of rows there are `FOLDS` folds.
const FEW: usize = 150;
/// The most rows that are scored.
const SCORED_ROWS: usize = 2000;
/// Predictions are sums in single precision: this share of a cost is rounding, even if a table is an exact sum.
const ROUNDING: f64 = 1e-6;

/// The errors on held-out rows.
pub(crate) struct Held {
    /// `|predicted - true| / deviation`, with deviations that are not calibrated yet.
    pub(crate) scores: Vec<f64>,
    /// Average relative error in percent; each row counts at most 100 %.
    pub(crate) error: f64,
}

/// For few rows: refits everything without each fold. The closed form for leaving out one row keeps the priors that all rows have
/// chosen, and with few rows such priors know too much about the row.
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

/// For many rows: uses the held-out predictions of standardised targets, which are known already. The deviations are those for
/// the rows themselves.
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
