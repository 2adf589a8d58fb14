//! Gradient boosting: many small trees, each fitted to the residual of the trees before it.

use ndarray::{Array1, ArrayView1, ArrayView2};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use super::forest::{Fitted, failed, matrix};
use crate::folds::{select, subset};
use crate::model::scale::{Scale, Standard};
use crate::regressor::{check_codes, check_rows};
use crate::{PredictError, Regressor, RegressorEntry, Setup};

const NAME: &str = "boosting";
/// Number of trees, their depth, and the share of each that is added (the learning rate).
const TREES: usize = 200;
const DEPTH: u16 = 3;
const RATE: f64 = 0.15;
/// Share of the rows that each tree sees.
const SHARE: f64 = 0.7;
/// The most rows that trees are grown from: each tree looks at all of them in all columns.
const MOST_ROWS: usize = 2000;

/// The kind of tree ensemble that usually does best on tabular data. It has no gradient.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "200 gradient-boosted trees on the one-hot code (at most 2,000 rows); no gradient",
    encoding: "one-hot",
    differentiable: false,
    is_candidate: false,
    build: |setup: &Setup| Box::new(Boosting { setup: setup.clone(), fitted: None }),
};

type Trees = XGRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// Gradient-boosted trees.
#[derive(Debug)]
struct Boosting {
    setup: Setup,
    fitted: Option<Fitted<Trees>>,
}

impl Regressor for Boosting {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let (x, y) = select(x, y, &subset(y.len(), MOST_ROWS, self.setup.seed));
        let standard = Standard::of(self.setup.scale.unwrap_or(Scale::Plain), y.view());
        let parameters = XGRegressorParameters::default()
            .with_n_estimators(TREES)
            .with_max_depth(DEPTH)
            .with_learning_rate(RATE)
            .with_subsample(SHARE)
            .with_base_score(0.0)
            .with_seed(self.setup.seed);
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
            let mut trees = (ENTRY.build)(&Setup { seed, ..Setup::default() });
            trees.fit(x.view(), y.view()).unwrap();
            trees.predict(x.view()).unwrap()
        };
        let first = predict(1);
        // Predicting the average is off by 1.5.
        assert!((&first - &y).mapv(f64::abs).mean().unwrap() < 0.05);
        assert_eq!(first, predict(1));
    }
}
