//! A random forest.

use ndarray::{Array1, ArrayView1, ArrayView2};
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::numbers::basenum::Number;

use crate::folds::{select, subset};
use crate::model::scale::{Scale, Standard};
use crate::regressor::{check_codes, check_rows};
use crate::{PredictError, Regressor, RegressorEntry, Setup};

const NAME: &str = "forest";
const TREES: usize = 60;
/// The most rows that a forest is grown from: with more, its time grows faster than their number, and its error hardly falls.
const MOST_ROWS: usize = 5000;

/// The baseline that assumes no formula. It has no gradient.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "random forest of 60 trees on the one-hot code (at most 5,000 rows); no gradient",
    encoding: "one-hot",
    differentiable: false,
    is_candidate: false,
    build: |setup: &Setup| Box::new(Forest { setup: setup.clone(), fitted: None }),
};

type Trees = RandomForestRegressor<f32, f64, DenseMatrix<f32>, Vec<f64>>;

/// A random forest.
#[derive(Debug)]
struct Forest {
    setup: Setup,
    fitted: Option<Fitted<Trees>>,
}

/// Trees with the scale of their targets and the width of their codes.
#[derive(Debug)]
pub(crate) struct Fitted<T> {
    pub(crate) trees: T,
    pub(crate) standard: Standard,
    pub(crate) n_features: usize,
}

impl Regressor for Forest {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let (x, y) = select(x, y, &subset(y.len(), MOST_ROWS, self.setup.seed));
        // A third of the columns per split is the usual choice for regression (Breiman 2001).
        let parameters = RandomForestRegressorParameters::default()
            .with_n_trees(TREES)
            .with_m(x.ncols().div_ceil(3))
            .with_seed(self.setup.seed);
        let standard = Standard::of(self.setup.scale.unwrap_or(Scale::Plain), y.view());
        let z = standard.apply(y.view()).to_vec();
        let trees = Trees::fit(&matrix(NAME, x.view())?, &z, parameters).map_err(failed(NAME))?;
        self.fitted = Some(Fitted { trees, standard, n_features: x.ncols() });
        Ok(())
    }

    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        let fitted = self.fitted.as_ref().ok_or(PredictError::NotFitted { name: NAME })?;
        check_codes(x, fitted.n_features)?;
        let z = fitted.trees.predict(&matrix(NAME, x)?).map_err(failed(NAME))?;
        Ok(z.into_iter().map(|z| fitted.standard.invert(z)).collect())
    }
}

/// Codes in smartcore's matrix type, stored by columns.
pub(crate) fn matrix<T: Number + From<f32>>(
    name: &'static str,
    x: ArrayView2<f32>,
) -> Result<DenseMatrix<T>, PredictError> {
    let values = x.t().iter().map(|&v| v.into()).collect();
    DenseMatrix::new(x.nrows(), x.ncols(), values, true).map_err(failed(name))
}

/// Turns smartcore's errors into ours.
pub(crate) fn failed(name: &'static str) -> impl Fn(Failed) -> PredictError {
    move |error| PredictError::Fit { name, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn learns_an_interaction_and_follows_its_seed() {
        let x = Array2::from_shape_fn((256, 8), |(i, j)| (i >> j & 1) as f32);
        let y: Array1<f64> =
            x.rows().into_iter().map(|r| 1.0 + 4.0 * f64::from(r[0] * r[1])).collect();
        let predict = |seed| {
            let mut forest = (ENTRY.build)(&Setup { seed, ..Setup::default() });
            forest.fit(x.view(), y.view()).unwrap();
            forest.predict(x.view()).unwrap()
        };
        let first = predict(1);
        let error = (&first - &y).mapv(f64::abs).mean().unwrap();
        // Predicting the average is off by 1.5.
        assert!(error < 0.3, "{error}");
        assert_eq!(first, predict(1));
    }
}
