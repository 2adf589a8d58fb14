//! Costs that are counted from the network.

use std::collections::BTreeMap;

use lat_space::{
    Architecture, Condition, Cost, Graph, SearchSpace, Skeleton, Step, count_classifier_behind,
    count_op,
};
use tch::Tensor;

use crate::{CostModel, PredictError, TableCost};

/// A cost counted from the network, independent of hardware. Every operation counts, whether or not its output is used, as in the
/// papers' parameter counts.
#[derive(Debug, Clone)]
pub struct CountCost(TableCost);

impl CountCost {
    /// Columns that can be counted.
    pub const COLUMNS: [&'static str; 2] = ["params", "multiply_adds"];

    /// Counts `params` or `multiply_adds` of the space's network at this skeleton.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] if the column is another one, and those of [`TableCost::look_up`].
    pub fn new(
        space: &dyn SearchSpace,
        skeleton: &Skeleton,
        column: &str,
    ) -> Result<Self, PredictError> {
        let pick: fn(Cost) -> u64 = match column {
            "params" => |cost| cost.params,
            "multiply_adds" => |cost| cost.multiply_adds,
            _ => {
                return Err(PredictError::Mismatch {
                    what: "a column that can be counted:",
                    expected: Self::COLUMNS.join(" or "),
                    found: column.to_owned(),
                    advice: "train a predictor for any other column",
                });
            }
        };
        space.check_skeleton(skeleton)?;
        let look_up = |op: &lat_space::OpSpec| Some(pick(count_op(op)) as f64);
        let head = head(&space.graph(skeleton), pick);
        TableCost::summed(space, skeleton, column, head, &look_up).map(Self)
    }
}

/// The classifier's cost, which belongs to no operation: a constant, or one weight per shape that it can read.
fn head(graph: &Graph, pick: fn(Cost) -> u64) -> (f64, BTreeMap<Condition, f64>) {
    let (mut constant, mut weights) = (0.0, BTreeMap::new());
    for node in &graph.nodes {
        let Step::Head { from, classes } = node.step else { continue };
        for (when, shape) in graph.shapes_of(from) {
            let cost = pick(count_classifier_behind(graph, from, shape, classes)) as f64;
            match when.is_empty() {
                true => constant += cost,
                false => *weights.entry(when).or_insert(0.0) += cost,
            }
        }
    }
    (constant, weights)
}

impl CostModel for CountCost {
    fn column(&self) -> &str {
        self.0.column()
    }

    fn unit(&self) -> &str {
        self.0.unit()
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        self.0.cost(architecture)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        self.0.relaxed(gates)
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{SPACES, architecture_at, count, find_skeleton};

    use super::*;

    #[test]
    fn counts_are_those_of_the_derived_network() {
        for build in SPACES {
            let space = build();
            let skeleton = find_skeleton(&*space, "cifar").unwrap();
            for column in CountCost::COLUMNS {
                let cost = CountCost::new(&*space, &skeleton, column).unwrap();
                for i in 0..10 {
                    let architecture = architecture_at(&*space, 5, i).unwrap();
                    let counted = count(&space.graph(&skeleton).derive(&architecture));
                    let expected =
                        if column == "params" { counted.params } else { counted.multiply_adds };
                    assert_eq!(cost.cost(&architecture).unwrap(), expected as f64);
                    let gates = Tensor::from_slice(&architecture.gates(space.decisions()));
                    let relaxed = cost.relaxed(&gates).unwrap().double_value(&[]);
                    assert!((relaxed / expected as f64 - 1.0).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn other_columns_are_refused() {
        let space = lat_space::NasBench201::new();
        let skeleton = find_skeleton(&space, "quick").unwrap();
        let error = CountCost::new(&space, &skeleton, "latency_ms").unwrap_err().to_string();
        assert!(error.contains("params or multiply_adds, found latency_ms"), "{error}");
    }
}
