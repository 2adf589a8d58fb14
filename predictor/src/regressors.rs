//! The table of all regressors.

use crate::baselines::{boosting, elastic_net, forest, gp, linear, linear_counts, lookup_table};
use crate::regressor::current_name;
use crate::{PredictError, RegressorEntry, structured};

/// All regressors, simple ones first. The last of the candidates is the preferred one: others must be clearly better to be
/// chosen.
pub const REGRESSORS: &[RegressorEntry] = &[
    linear_counts::ENTRY,
    linear::ENTRY,
    lookup_table::ENTRY,
    elastic_net::ENTRY,
    gp::ENTRY,
    forest::ENTRY,
    boosting::ENTRY,
    structured::ENTRY,
];

/// The regressor with this name, or with this former name.
///
/// # Errors
/// [`PredictError::Unknown`] lists the names.
pub fn find_regressor(name: &str) -> Result<&'static RegressorEntry, PredictError> {
    REGRESSORS
        .iter()
        .find(|entry| entry.name == current_name(name))
        .ok_or_else(|| PredictError::Unknown { name: name.to_owned(), known: names(|_| true) })
}

/// Names of the regressors for which `pass` is true, separated by commas.
pub(crate) fn names(pass: impl Fn(&RegressorEntry) -> bool) -> String {
    REGRESSORS.iter().filter(|e| pass(e)).map(|e| e.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array};

    use super::*;
    use crate::Setup;

    #[test]
    fn names_are_distinct_and_found() {
        for entry in REGRESSORS {
            assert_eq!(find_regressor(entry.name).unwrap().summary, entry.summary);
        }
        assert_eq!(find_regressor("mlp").unwrap().name, "structured");
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
            let few = regressor.fit(x.slice(ndarray::s![..5, ..]), y.slice(ndarray::s![..5]));
            assert!(few.unwrap_err().to_string().contains("at least 6 training samples, found 5"));
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
