//! Linear regressors. They share everything except the function that finds the weights.

use ndarray::{Array1, ArrayView1, ArrayView2};
use tch::Tensor;

use super::ridge::{self, Ridge};
use crate::folds::Folds;
use crate::metrics::{mean, relative_errors};
use crate::model::Model;
use crate::model::scale::{Scale, Standard};
use crate::regressor::{check_rows, predict_with};
use crate::{Differentiable, PredictError, Regressor, RegressorEntry, Setup};

/// Number of folds that are held out in turn to choose the penalty.
const FOLDS: usize = 5;

/// Penalties per row to choose from.
const PENALTIES: [f64; 6] = [1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// A function that finds weights for codes `[n, n_features]` and standardised targets `[n]`. The last argument is the loss by
/// which it chooses among penalties: it takes predictions for all rows, each by a fit without the row's fold.
pub(crate) type Solve = fn(
    ArrayView2<f32>,
    ArrayView1<f64>,
    &Folds,
    &dyn Fn(&Array1<f64>) -> f64,
) -> Result<Ridge, PredictError>;

/// One cost per decision and choice.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: "linear",
    summary: "ridge regression on the one-hot code: one cost per decision and choice",
    encoding: "one-hot",
    differentiable: true,
    is_candidate: true,
    build: |setup| Box::new(Linear::new("linear", setup, by_ridge)),
};

/// Ridge regression, its penalty chosen among six.
pub(crate) fn by_ridge(
    x: ArrayView2<f32>,
    z: ArrayView1<f64>,
    folds: &Folds,
    loss: &dyn Fn(&Array1<f64>) -> f64,
) -> Result<Ridge, PredictError> {
    ridge::fit(x, z, &PENALTIES, folds, loss)
}

/// A linear model that reads a code as it is.
#[derive(Debug)]
pub(crate) struct Linear {
    name: &'static str,
    seed: u64,
    scale: Scale,
    solve: Solve,
    model: Option<Model>,
}

impl Linear {
    /// A model on the setup's scale.
    pub(crate) fn new(name: &'static str, setup: &Setup, solve: Solve) -> Self {
        let scale = setup.scale.unwrap_or(Scale::Plain);
        Self { name, seed: setup.seed, scale, solve, model: None }
    }

    /// The model on targets as they are, whatever the setup says, because costs add up.
    pub(crate) fn plain(self) -> Self {
        Self { scale: Scale::Plain, ..self }
    }
}

impl Regressor for Linear {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let folds = Folds::new(y.len(), FOLDS, self.seed);
        self.model = Some(fit(x, y, self.scale, &folds, self.solve)?);
        Ok(())
    }

    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        predict_with(self.model.as_ref(), self.name, x)
    }

    fn differentiable(&self) -> Option<Differentiable<'_>> {
        self.model.as_ref().map(Differentiable)
    }
}

/// Fits a linear model to rows that are already checked.
fn fit(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    scale: Scale,
    folds: &Folds,
    solve: Solve,
) -> Result<Model, PredictError> {
    let standard = Standard::of(scale, y);
    let floor = y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    let loss = |held_out: &Array1<f64>| mean(&relative_errors(y, held_out, &standard, floor));
    let z = standard.apply(y);
    let Ridge { weights, intercept, held_out } = solve(x, z.view(), folds, &loss)?;
    let weights: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
    Ok(Model {
        weights: Tensor::from_slice(&weights).unsqueeze(-1),
        intercept,
        correction: None,
        standard,
        floor,
        validation_error: 100.0 * loss(&held_out),
        spread: None,
    })
}
