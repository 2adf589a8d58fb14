//! A predictor's predictions for a run's architectures, with their errors.

use lat_data::{LatencyTable, split_sizes};
use lat_predictor::{Label, Metrics, PredictError, Predictor};
use lat_space::SearchSpace;
use ndarray::Array2;

/// Relative difference up to which two MAPEs count as those of the same rows: a predictor file stores weights as 32-bit floats.
const SAME_MAPE: f64 = 1e-3;

/// A predictor's predictions for a run's architectures, with their errors.
#[derive(Debug, Clone)]
pub struct JudgedPredictions {
    /// Where the predictor comes from, as shown.
    pub source: String,
    /// The predictor's training data and purpose.
    pub label: Label,
    /// Pairs (measured, predicted) in the column's unit.
    pub points: Vec<(f64, f64)>,
    /// Whether the rows are those that training left out. If false, some of them may have been used for training.
    pub held_out: bool,
    /// Errors on these rows.
    pub errors: Metrics,
}

impl JudgedPredictions {
    /// Predicts the table's architectures; only those that training left out, if they can be identified.
    ///
    /// The predictor file does not list them. So the table is split again as in training, by the label's seed and number of training
    /// rows. If the predictor's error on the resulting test part is exactly the one in its label, that part is it.
    ///
    /// # Errors
    /// [`PredictError`] if predictor, space and column do not fit together, or a text is not an architecture of the space.
    pub fn new(
        predictor: &Predictor,
        source: &str,
        space: &dyn SearchSpace,
        table: &LatencyTable,
    ) -> Result<Self, PredictError> {
        predictor.check(space, &table.column)?;
        let predicted = predict(predictor, space, table)?;
        let measured: Vec<f64> = table.rows.iter().map(|row| row.value).collect();
        let label = predictor.label();
        let pick = |rows: &[usize]| -> Vec<(f64, f64)> {
            rows.iter().map(|&row| (measured[row], predicted[row])).collect()
        };
        let tested = held_out(label, measured.len()).map(|rows| pick(&rows));
        let is_it = |points: &Vec<(f64, f64)>| {
            errors(points).is_ok_and(|found| label.errors.is_some_and(|e| same(&e, &found)))
        };
        let (points, held_out) = match tested.filter(is_it) {
            Some(points) => (points, true),
            None => (measured.iter().copied().zip(predicted.iter().copied()).collect(), false),
        };
        let errors = errors(&points)?;
        Ok(Self { source: source.to_owned(), label: label.clone(), points, held_out, errors })
    }
}

fn predict(
    predictor: &Predictor,
    space: &dyn SearchSpace,
    table: &LatencyTable,
) -> Result<Vec<f64>, PredictError> {
    let n_gates = predictor.feature_map().n_gates;
    let mut gates = Vec::with_capacity(table.rows.len() * n_gates);
    for row in &table.rows {
        gates.extend(space.parse(&row.architecture)?.gates(space.decisions()));
    }
    let gates = Array2::from_shape_vec((table.rows.len(), n_gates), gates)
        .expect("each architecture has as many gates as its space");
    predictor.price_gates(gates.view())
}

/// The test rows that `lat train` would choose from a table of `n` rows with the label's settings.
fn held_out(label: &Label, n: usize) -> Option<Vec<usize>> {
    let n_test = label.errors?.n;
    split_sizes(n, label.n_train, n_test, label.seed).ok().map(|(_, test)| test)
}

fn errors(points: &[(f64, f64)]) -> Result<Metrics, PredictError> {
    let (measured, predicted): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    Metrics::of(&measured, &predicted)
}

fn same(a: &Metrics, b: &Metrics) -> bool {
    a.n == b.n && (a.mape - b.mape).abs() <= SAME_MAPE * a.mape
}
