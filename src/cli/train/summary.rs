//! The JSON result of `lat train`.

use std::path::PathBuf;

use lat_predictor::{Fitted, Metrics, Predictor, Report, Samples};
use serde::Serialize;

use crate::cli::op_table::Judged;

/// One regressor's figures in the JSON.
#[derive(Serialize)]
pub(super) struct Row {
    regressor: &'static str,
    chosen: bool,
    n_train: usize,
    n_test: usize,
    /// Error on rows held out while fitting, percent.
    validation_error: Option<f64>,
    mape: Option<f64>,
    within_5: Option<f64>,
    within_10: Option<f64>,
    spearman: Option<f64>,
    kendall: Option<f64>,
    mae: Option<f64>,
    rmse: Option<f64>,
    noise_floor: Option<f64>,
    /// Share of test rows inside the 90 % interval, percent; only for the chosen regressor.
    coverage_90: Option<f64>,
    seconds: f64,
}

/// All figures in the JSON.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) data: PathBuf,
    pub(super) space: String,
    pub(super) target: String,
    pub(super) seed: u64,
    pub(super) predictor: PathBuf,
    pub(super) reason: String,
    /// MAPE caused by drift of the device, percent.
    pub(super) drift: Option<f64>,
    /// MAPE that neither noise nor drift explains, percent.
    pub(super) rest: Option<f64>,
    pub(super) regressors: Vec<Row>,
    /// A table of operations added up, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operations: Option<Operations>,
}

/// How well a table of operations predicts the test rows.
#[derive(Serialize)]
pub(super) struct Operations {
    sum: Metrics,
    scaled: Metrics,
    factor: f64,
    constant_ms: f64,
}

impl Operations {
    pub(super) fn of(judged: &Judged) -> Self {
        let Judged { sum, scaled, factor, constant_ms } = *judged;
        Self { sum, scaled, factor, constant_ms }
    }
}

/// Figures of all regressors, and the coverage of the chosen one's intervals on the test rows.
pub(super) fn rows(
    report: &Report,
    predictor: &Predictor,
    test: &Samples,
    floor: Option<f64>,
) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = report.fitted.iter().map(|f| row(f, report.n_train, floor)).collect();
    let chosen = &mut rows[report.chosen];
    chosen.chosen = true;
    chosen.coverage_90 =
        predictor.predict_gates(test.gates.view())?.coverage_90(&test.values.to_vec());
    Ok(rows)
}

fn row(fitted: &Fitted, n_train: usize, floor: Option<f64>) -> Row {
    let test = fitted.test.as_ref();
    Row {
        regressor: fitted.entry.name,
        chosen: false,
        n_train,
        n_test: test.map_or(0, |m| m.n),
        validation_error: fitted.validation_error,
        mape: test.map(|m| m.mape),
        within_5: test.map(|m| m.within_5),
        within_10: test.map(|m| m.within_10),
        spearman: test.map(|m| m.spearman),
        kendall: test.map(|m| m.kendall),
        mae: test.map(|m| m.mae),
        rmse: test.map(|m| m.rmse),
        noise_floor: floor,
        coverage_90: None,
        seconds: fitted.seconds,
    }
}
