//! One cost per decision and choice, like a latency table of operations, but fitted to whole networks.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::linear::Linear;
use super::ridge::{self, Ridge};
use crate::folds::Folds;
use crate::{PredictError, RegressorEntry};

const NAME: &str = "lookup-table";

/// Only makes collinear columns solvable: the costs of a decision's choices are determined up to a constant.
const NO_PENALTY: [f64; 1] = [1e-9];

/// The form that a latency table has in a search: one cost per decision and choice, added up, as in `FBNet` (arXiv 1812.03443,
/// section 3.2).
///
/// Deviation: there each operation is measured by itself; here the costs are those that fit the measured networks best.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "latency table: one cost per decision and choice by plain least squares on whole networks, no operation being measured alone",
    encoding: "one-hot",
    differentiable: true,
    is_candidate: false,
    build: |setup| Box::new(Linear::new(NAME, setup, by_least_squares).plain()),
};

fn by_least_squares(
    x: ArrayView2<f32>,
    z: ArrayView1<f64>,
    folds: &Folds,
    loss: &dyn Fn(&Array1<f64>) -> f64,
) -> Result<Ridge, PredictError> {
    ridge::fit(x, z, &NO_PENALTY, folds, loss)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Setup;

    #[test]
    fn additive_costs_are_found_exactly() {
        // Three decisions with two choices each, all eight architectures twice.
        let x = Array2::from_shape_fn((16, 6), |(i, j)| {
            f32::from(u8::from((i >> (j / 2) & 1) == j % 2))
        });
        let costs = [1.0, 2.0, 0.5, 4.0, 0.0, 3.0];
        let cost = |row: ndarray::ArrayView1<f32>| -> f64 {
            5.0 + row.iter().zip(costs).map(|(v, c)| f64::from(*v) * c).sum::<f64>()
        };
        let y: Array1<f64> = x.rows().into_iter().map(cost).collect();
        let mut table = (ENTRY.build)(&Setup::default());
        table.fit(x.view(), y.view()).unwrap();
        let predicted = table.predict(x.view()).unwrap();
        assert!(predicted.iter().zip(&y).all(|(p, y)| (p - y).abs() < 1e-4), "{predicted}");
        assert!(table.differentiable().unwrap().validation_error() < 1e-3);
    }
}
