//! The error of predictions for rows that the fit has not seen.

use lat_space::Space;
use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::encoding;
use crate::folds::{Folds, select};
use crate::model::predict_codes;
use crate::model::spread::NORMAL_90;
use crate::regressor::Layout;
use crate::regressor::{LEAST_SAMPLES, check_rows};
use crate::structured::linear;
use crate::{PredictError, Samples};

/// Number of folds that are held out in turn.
const FOLDS: usize = 5;

/// The error of predictions for rows that the fit has not seen in any way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Number of judged rows.
    pub n: usize,
    /// Average of `|predicted - truth| / truth`, percent.
    pub mape: f64,
    /// Standard error of that average, percent.
    pub standard_error: f64,
}

impl Validation {
    /// Lower and upper end of the 90 % interval of the MAPE, percent; the true value exceeds the upper end with 5 % probability.
    /// This assumes independent errors, which is nearly true of rows judged by the same fit.
    pub fn interval(&self) -> (f64, f64) {
        let half = NORMAL_90 * self.standard_error;
        ((self.mape - half).max(0.0), self.mape + half)
    }

    fn of(errors: &[f64]) -> Self {
        let n = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / n;
        let variance = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let standard_error = 100.0 * (variance / n).sqrt();
        Self { n: errors.len(), mape: 100.0 * mean, standard_error }
    }
}

/// Judges the closed-form part of the predictor on these rows of the samples. The judged rows are split into fifths; each row is
/// predicted by a fit to all samples except its fifth, with everything learnt again, the priors too. Rows that were chosen
/// because a predictor was uncertain about them belong to the samples, but not to the judged rows: they are harder than others.
///
/// With fewer than some hundred rows, the closed-form errors of held-out rows are too small, because their priors were learnt
/// from the same rows. That is why this takes the time for five fits.
///
/// # Errors
/// [`PredictError::TooFew`] if a fit has fewer than 10 rows or fewer than two rows are judged, [`PredictError::NotFinite`],
/// [`PredictError::NotPositive`] or [`PredictError::Size`] if a value does not fit.
pub fn validate(
    space: &dyn Space,
    samples: &Samples,
    judged: &[usize],
    seed: u64,
) -> Result<Validation, PredictError> {
    let map = encoding::find(space, "structured")?;
    let codes = encoding::encode(&map, samples.gates.view())?;
    let layout = encoding::setup(&map, space, seed).layout;
    errors(codes.view(), samples.values.view(), &layout, judged, seed).map(|e| Validation::of(&e))
}

/// Relative errors of the judged rows, fold by fold.
fn errors(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    layout: &Layout,
    judged: &[usize],
    seed: u64,
) -> Result<Vec<f64>, PredictError> {
    if judged.len() < 2 {
        let (what, needed, found) = ("samples to judge by", 2, judged.len());
        return Err(PredictError::TooFew { what, needed, found });
    }
    check_rows(x, y)?;
    let folds = Folds::new(judged.len(), FOLDS, seed);
    let mut errors = Vec::with_capacity(judged.len());
    for fold in 0..folds.len() {
        let held_out: Vec<usize> = folds.held_out(fold).iter().map(|&i| judged[i]).collect();
        let kept: Vec<usize> = (0..y.len()).filter(|row| !held_out.contains(row)).collect();
        if kept.len() < LEAST_SAMPLES {
            let (what, needed, found) = ("training samples", LEAST_SAMPLES, kept.len());
            return Err(PredictError::TooFew { what, needed, found });
        }
        let (x_kept, y_kept) = select(x, y, &kept);
        let model = linear::fit(None, x_kept.view(), y_kept.view(), layout, seed)?.model;
        let (x_out, y_out): (_, Array1<f64>) = select(x, y, &held_out);
        let predicted = predict_codes(&model, x_out.view());
        errors.extend(predicted.iter().zip(&y_out).map(|(p, t)| (p - t).abs() / t));
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn the_interval_is_that_of_the_mean() {
        let validation = Validation::of(&[0.01, 0.02, 0.03, 0.04]);
        assert!((validation.mape - 2.5).abs() < 1e-9 && validation.n == 4);
        let error = (5.0f64 / 3.0).sqrt() / 2.0;
        assert!((validation.standard_error - error).abs() < 1e-9);
        let (low, high) = validation.interval();
        assert!((low - (2.5 - 1.645 * error)).abs() < 1e-3 && (high + low - 5.0).abs() < 1e-9);
        assert_eq!(Validation::of(&[0.1]).standard_error, 0.0);
    }

    #[test]
    fn what_is_learnt_predicts_rows_that_no_fit_saw_and_noise_does_not() {
        let x = Array2::from_shape_fn((60, 6), |(i, j)| ((i >> j) & 1) as f32);
        let layout = Layout { groups: vec![0; 6], blocks: vec![None; 6], simple: Vec::new() };
        let sum = |(i, row): (usize, ArrayView1<f32>), noise: f64| {
            5.0 + f64::from(row[0] + 2.0 * row[1]) + noise * f64::from((i * 7919 % 13) as u32)
        };
        let mape = |noise| {
            let rows = x.rows();
            let y: Array1<f64> = rows.into_iter().enumerate().map(|r| sum(r, noise)).collect();
            let judged: Vec<usize> = (0..30).collect();
            let errors = errors(x.view(), y.view(), &layout, &judged, 1).unwrap();
            assert_eq!(errors.len(), 30);
            Validation::of(&errors).mape
        };
        assert!(mape(0.0) < 0.5, "{}", mape(0.0));
        assert!(mape(0.5) > 5.0, "{}", mape(0.5));
    }

    #[test]
    fn too_few_rows_are_named() {
        let x = Array2::from_shape_fn((12, 3), |(i, j)| ((i >> j) & 1) as f32);
        let (y, layout) = (
            Array1::ones(12),
            Layout { groups: vec![0; 3], blocks: vec![None; 3], simple: Vec::new() },
        );
        let text = |judged: &[usize]| {
            errors(x.view(), y.view(), &layout, judged, 0).unwrap_err().to_string()
        };
        assert!(text(&[3]).contains("at least 2 samples to judge by, found 1"));
        let all: Vec<usize> = (0..12).collect();
        assert!(text(&all).contains("at least 10 training samples, found 9"));
    }
}
