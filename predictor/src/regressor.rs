//! Regressors: what one is, and the table of all.

use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::evidence::Layout;
use crate::metrics::{check_finite, check_positive};
use crate::model::{Model, predict_codes};
use crate::{
    PredictError, boosting, elastic_net, forest, gp, linear, linear_counts, lookup_table, mlp,
};

/// Fewest rows that anything is fitted to.
pub const LEAST_SAMPLES: usize = 10;

/// Learns a cost from codes.
pub trait Regressor {
    /// Learns from codes `[n, n_features]` and targets `[n]` above zero, in any one unit.
    ///
    /// # Errors
    /// [`PredictError::TooFew`], [`PredictError::Width`], [`PredictError::NotFinite`], [`PredictError::NotPositive`] or [`PredictError::Size`] for unfit
    /// data, [`PredictError::Fit`] where the library behind gives up.
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError>;

    /// Costs `[n]` of codes `[n, n_features]`, in the unit of the targets.
    ///
    /// # Errors
    /// [`PredictError::NotFitted`] before a fit, [`PredictError::Width`] and [`PredictError::NotFinite`] for unfit codes.
    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError>;

    /// The differentiable form, where there is one and a fit.
    fn differentiable(&self) -> Option<Differentiable<'_>> {
        None
    }
}

/// A fitted regressor's differentiable form; [`crate::Predictor`] takes it over.
#[derive(Debug, Clone, Copy)]
pub struct Differentiable<'a>(pub(crate) &'a Model);

impl Differentiable<'_> {
    /// Mean relative error of held-out predictions while fitting, percent, each counting 100 % at most: what to choose
    /// regressors by.
    pub fn validation_error(&self) -> f64 {
        self.0.validation_error
    }
}

/// What a regressor is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Seed of splits, first weights and batches.
    pub seed: u64,
    /// What belongs together among the columns of the code. May be empty: then they are one group.
    pub layout: Layout,
    /// Columns that networks read as they are: the simple ones.
    pub inputs: Vec<usize>,
    /// Columns whose costs make a subtotal of their own: those of one cell type or stage. May be empty.
    pub parts: Vec<Vec<usize>>,
}

impl Setup {
    /// The setup, with one group and all columns as inputs where nothing is known of a code of this width.
    pub(crate) fn for_width(&self, n_features: usize) -> Self {
        if self.layout.groups.len() == n_features {
            return self.clone();
        }
        let layout = Layout {
            groups: vec![0; n_features],
            blocks: vec![None; n_features],
            simple: Vec::new(),
        };
        let all: Vec<usize> = (0..n_features).collect();
        Self { seed: self.seed, layout, inputs: all.clone(), parts: vec![all] }
    }
}

/// A row of [`REGRESSORS`].
#[derive(Debug, Clone, Copy)]
pub struct RegressorEntry {
    /// The name for `--regressor`.
    pub name: &'static str,
    /// One line for tables.
    pub summary: &'static str,
    /// Id of the encoding it reads: `one-hot`, `counts` or `structured`.
    pub encoding: &'static str,
    /// Whether it can be saved and steer a search.
    pub differentiable: bool,
    /// Whether [`crate::Choice::Auto`] may choose it: those that are worth their time by default.
    pub is_candidate: bool,
    /// Makes one that has seen nothing.
    pub build: fn(&Setup) -> Box<dyn Regressor>,
}

/// All regressors, simple ones first. Of the candidates the last is the one that the others have to beat clearly.
pub const REGRESSORS: &[RegressorEntry] = &[
    linear_counts::ENTRY,
    linear::ENTRY,
    lookup_table::ENTRY,
    elastic_net::ENTRY,
    gp::ENTRY,
    forest::ENTRY,
    boosting::ENTRY,
    mlp::ENTRY,
];

/// The regressor with this name.
///
/// # Errors
/// [`PredictError::Unknown`] lists the names.
pub fn find_regressor(name: &str) -> Result<&'static RegressorEntry, PredictError> {
    REGRESSORS
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| PredictError::Unknown { name: name.to_owned(), known: names(|_| true) })
}

/// Comma separated names of the regressors that pass.
pub(crate) fn names(pass: impl Fn(&RegressorEntry) -> bool) -> String {
    REGRESSORS.iter().filter(|e| pass(e)).map(|e| e.name).collect::<Vec<_>>().join(", ")
}

/// Whether one can learn from these rows.
pub(crate) fn check_rows(x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
    if x.nrows() != y.len() {
        let (expected, found) = (x.nrows(), y.len());
        return Err(PredictError::Width { what: "targets", expected, found });
    }
    if y.len() < LEAST_SAMPLES {
        let (needed, found) = (LEAST_SAMPLES, y.len());
        return Err(PredictError::TooFew { what: "training samples", needed, found });
    }
    if x.ncols() == 0 {
        return Err(PredictError::TooFew { what: "features", needed: 1, found: 0 });
    }
    check_codes(x, x.ncols())?;
    check_positive(y.iter().copied())
}

/// Whether these are codes of the width, all finite.
pub(crate) fn check_codes(x: ArrayView2<f32>, n_features: usize) -> Result<(), PredictError> {
    if x.ncols() != n_features {
        let (expected, found) = (n_features, x.ncols());
        return Err(PredictError::Width { what: "features", expected, found });
    }
    check_finite("codes", x.rows().into_iter().map(|row| f64::from(row.sum())))
}

/// Predictions of a model that may not be there yet.
pub(crate) fn predict_with(
    model: Option<&Model>,
    name: &'static str,
    x: ArrayView2<f32>,
) -> Result<Array1<f64>, PredictError> {
    let model = model.ok_or(PredictError::NotFitted { name })?;
    check_codes(x, model.n_features())?;
    Ok(predict_codes(model, x))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        for entry in REGRESSORS {
            assert_eq!(find_regressor(entry.name).unwrap().summary, entry.summary);
        }
        let error = find_regressor("svm").unwrap_err().to_string();
        assert!(error.contains("'svm'") && error.contains("linear-counts, linear, lookup-table"));
    }

    #[test]
    fn every_regressor_refuses_what_cannot_be_learnt() {
        let x = Array2::<f32>::ones((12, 3));
        let y = Array1::<f64>::ones(12);
        for entry in REGRESSORS {
            let mut regressor = (entry.build)(&Setup::default());
            let unfitted = regressor.predict(x.view()).unwrap_err();
            assert!(matches!(unfitted, PredictError::NotFitted { name } if name == entry.name));
            let few = regressor.fit(x.slice(ndarray::s![..9, ..]), y.slice(ndarray::s![..9]));
            assert!(few.unwrap_err().to_string().contains("at least 10 training samples, found 9"));
            assert!(regressor.fit(x.view(), y.slice(ndarray::s![..11])).is_err());
            let mut nan = x.clone();
            nan[[4, 1]] = f32::NAN;
            let error = regressor.fit(nan.view(), y.view()).unwrap_err();
            assert!(matches!(error, PredictError::NotFinite { what: "codes", row: 4, .. }));
            let mut nan = y.clone();
            nan[7] = f64::NAN;
            let error = regressor.fit(x.view(), nan.view()).unwrap_err();
            assert!(matches!(error, PredictError::NotFinite { what: "targets", row: 7, .. }));
            nan[7] = 0.0;
            let error = regressor.fit(x.view(), nan.view()).unwrap_err();
            assert!(matches!(error, PredictError::NotPositive { row: 7, .. }));
            for size in [1e-200, 1e20] {
                nan[7] = size;
                let error = regressor.fit(x.view(), nan.view()).unwrap_err().to_string();
                assert!(error.contains("in row 7") && error.contains("another unit"), "{error}");
            }
        }
    }

    #[test]
    fn every_regressor_takes_costs_of_all_sizes_together() {
        let x = Array2::from_shape_fn((40, 8), |(i, j)| ((i * 7 + j * 13 + i * j * 5) % 2) as f32);
        let y: Array1<f64> = (0..40).map(|i| 10f64.powi(i * 11 % 17 - 8)).collect();
        for entry in REGRESSORS {
            let mut regressor = (entry.build)(&Setup::default());
            regressor.fit(x.view(), y.view()).unwrap();
            let predicted = regressor.predict(x.view()).unwrap();
            assert!(predicted.iter().all(|p| p.is_finite() && *p > 0.0), "{}", entry.name);
        }
    }

    #[test]
    fn every_regressor_predicts_a_constant_and_checks_widths() {
        let x = Array2::from_shape_fn((20, 3), |(i, j)| ((i + j) % 2) as f32);
        let y = Array1::from_elem(20, 7.0);
        for entry in REGRESSORS {
            let mut regressor = (entry.build)(&Setup::default());
            regressor.fit(x.view(), y.view()).unwrap();
            let predicted = regressor.predict(x.view()).unwrap();
            assert!(predicted.iter().all(|p| (p - 7.0).abs() < 1e-5), "{}", entry.name);
            assert_eq!(regressor.differentiable().is_some(), entry.differentiable);
            let wide = regressor.predict(array![[0.0f32, 1.0]].view()).unwrap_err();
            assert!(wide.to_string().contains("expected 3 features, found 2"), "{}", entry.name);
        }
    }
}
