//! Costs that are sums of weights, each under a condition: latency tables and counts.

use std::collections::BTreeMap;

use lat_data::unit;
use lat_space::{Architecture, Condition, FeatureMap, Op, OpSpec, SearchSpace, Skeleton};
use tch::{Kind, Tensor};

use super::gates::GateLayout;
use crate::metrics::check_finite;
use crate::model::feature_walk::FeatureWalk;
use crate::{CostModel, PredictError};

/// A cost that is a sum: a constant, and one weight per condition, that is, per product of gates ([`FeatureMap::of_conditions`]).
/// If decisions are drawn independently, the expected cost is exactly the cost of the average gates. Decisions that compete, such
/// as the edges of DARTS, are not independent.
#[derive(Debug, Clone)]
pub struct TableCost {
    column: String,
    layout: GateLayout,
    constant: f64,
    map: FeatureMap,
    weights: Vec<f64>,
}

impl TableCost {
    /// A table with one weight per gate, in the column's unit; `constant` is the rest of the network.
    ///
    /// # Errors
    /// [`PredictError::Width`] if the number of weights is wrong, [`PredictError::NotFinite`] if a weight is not a number.
    pub fn new(
        space: &dyn SearchSpace,
        column: &str,
        constant: f64,
        weights: Vec<f64>,
    ) -> Result<Self, PredictError> {
        let gates = space.decisions().iter().enumerate();
        let gates =
            gates.flat_map(|(d, decision)| (0..decision.choices.len()).map(move |c| (d, c)));
        let conditions: Vec<Condition> = gates.map(|gate| vec![gate]).collect();
        if weights.len() != conditions.len() {
            let (expected, found) = (conditions.len(), weights.len());
            return Err(PredictError::Width { what: "table values", expected, found });
        }
        Self::of_conditions(space, column, constant, conditions.into_iter().zip(weights))
    }

    /// The table of a network, from the costs of its operations at their places. A condition's weight is the sum over all places
    /// that have an operation under it; `none` is never looked up and costs nothing. The constant is the sum over all operations
    /// that are always there, plus `rest` (the classifier at its largest, start-up, and the like).
    ///
    /// # Errors
    /// [`PredictError::NoEntry`] if `look_up` gives None, [`PredictError::Space`] if the skeleton does not fit the space.
    pub fn look_up(
        space: &dyn SearchSpace,
        skeleton: &Skeleton,
        column: &str,
        rest: f64,
        look_up: &dyn Fn(&OpSpec) -> Option<f64>,
    ) -> Result<Self, PredictError> {
        space.check_skeleton(skeleton)?;
        let weights = BTreeMap::new();
        Self::summed(space, skeleton, column, (rest, weights), look_up)
    }

    /// A table made of the operations' weights and of `rest`: a constant and weights that belong to no operation.
    pub(crate) fn summed(
        space: &dyn SearchSpace,
        skeleton: &Skeleton,
        column: &str,
        rest: (f64, BTreeMap<Condition, f64>),
        look_up: &dyn Fn(&OpSpec) -> Option<f64>,
    ) -> Result<Self, PredictError> {
        let (rest, mut weights) = rest;
        let mut constant = 0.0;
        for variant in space.graph(skeleton).variants() {
            let value = match variant.op.op {
                Op::None => 0.0,
                _ => look_up(&variant.op)
                    .ok_or_else(|| PredictError::NoEntry { key: variant.op.key() })?,
            };
            if variant.when.is_empty() {
                constant += value;
            } else {
                *weights.entry(variant.when).or_insert(0.0) += value;
            }
        }
        Self::of_conditions(space, column, rest + constant, weights)
    }

    pub(super) fn of_conditions(
        space: &dyn SearchSpace,
        column: &str,
        constant: f64,
        weights: impl IntoIterator<Item = (Condition, f64)>,
    ) -> Result<Self, PredictError> {
        let (conditions, weights): (Vec<Condition>, Vec<f64>) = weights.into_iter().unzip();
        check_finite("table values", weights.iter().copied().chain([constant]))?;
        let map = FeatureMap::of_conditions(space.decisions(), &conditions);
        let (column, layout) = (column.to_owned(), GateLayout::of(space));
        Ok(Self { column, layout, constant, map, weights })
    }

    /// The part of the network that is not searched, in the column's unit.
    pub fn constant(&self) -> f64 {
        self.constant
    }

    /// One weight per condition, in the column's unit. A table made from gates has one per gate.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

impl CostModel for TableCost {
    fn column(&self) -> &str {
        &self.column
    }

    fn unit(&self) -> &str {
        unit(&self.column)
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        let features = self.map.encode(&self.layout.gates(architecture)?);
        let sum: f64 = features.iter().zip(&self.weights).map(|(f, w)| f64::from(*f) * w).sum();
        Ok(self.constant + sum)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        let (rows, is_single) = self.layout.rows(gates)?;
        // Counts of operations need more digits than an f32 has.
        let weights = Tensor::from_slice(&self.weights).to_device(gates.device());
        let walk = FeatureWalk::new(&self.map, gates.device());
        let features = walk.forward(&rows.to_kind(Kind::Double));
        let costs = (features.matmul(&weights) + self.constant).to_kind(Kind::Float);
        Ok(if is_single { costs.squeeze_dim(0) } else { costs })
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, Space, Step, architecture_at, find_skeleton};

    use super::*;
    use crate::model::to_vec;

    fn table(space: &NasBench201) -> TableCost {
        let values = (0..30).map(|g| f64::from(g * g % 17) / 4.0).collect();
        TableCost::new(space, "latency_ms", 2.5, values).unwrap()
    }

    /// Probabilities of the 5 choices of each of 6 decisions.
    fn probabilities() -> Vec<f32> {
        let raw = Tensor::arange(30, (Kind::Float, tch::Device::Cpu)).sin().view([6, 5]);
        to_vec(&raw.softmax(-1, Kind::Float))
    }

    #[test]
    fn relaxed_is_the_expectation_over_all_architectures() {
        let space = NasBench201::new();
        let (table, p) = (table(&space), probabilities());
        let mut expected = 0.0;
        for i in 0..space.size() {
            let architecture = space.at(i);
            let gates = architecture.gates(space.decisions());
            let chance: f64 = gates
                .iter()
                .zip(&p)
                .filter(|(g, _)| **g == 1.0)
                .map(|(_, p)| f64::from(*p))
                .product();
            expected += chance * table.cost(&architecture).unwrap();
        }
        let relaxed = table.relaxed(&Tensor::from_slice(&p)).unwrap();
        assert_eq!(relaxed.size(), [] as [i64; 0]);
        assert!((relaxed.double_value(&[]) / expected - 1.0).abs() < 1e-5);
    }

    #[test]
    fn its_gradient_is_the_table() {
        let space = NasBench201::new();
        let table = table(&space);
        let gates = Tensor::from_slice(&probabilities()).view([1, 30]).repeat([3, 1]);
        let gates = gates.set_requires_grad(true);
        let costs = table.relaxed(&gates).unwrap();
        assert_eq!(costs.size(), [3]);
        costs.sum(Kind::Float).backward();
        for row in to_vec(&gates.grad()).chunks(30) {
            assert!(row.iter().zip(table.weights()).all(|(g, v)| f64::from(*g) == *v));
        }
    }

    #[test]
    fn looked_up_tables_sum_over_all_sites() {
        let space = NasBench201::new();
        let skeleton = find_skeleton(&space, "quick").unwrap();
        // One per built operation: the stem, two residual blocks, the final BN, and for each edge one in each of three cells.
        let table =
            TableCost::look_up(&space, &skeleton, "latency_ms", 0.5, &|_| Some(1.0)).unwrap();
        assert_eq!(table.constant(), 4.5);
        assert_eq!(table.weights()[..5], [0.0, 3.0, 3.0, 3.0, 3.0]);
        for i in 0..20 {
            let architecture = architecture_at(&space, 1, i).unwrap();
            let built = space
                .graph(&skeleton)
                .derive(&architecture)
                .nodes
                .iter()
                .filter(|n| matches!(n.step, Step::Fixed { .. }))
                .count();
            assert_eq!(table.cost(&architecture).unwrap(), 0.5 + built as f64);
        }
    }

    #[test]
    fn missing_entries_and_wrong_widths_are_errors() {
        let space = NasBench201::new();
        let skeleton = find_skeleton(&space, "cifar").unwrap();
        let only_stem = |op: &OpSpec| (op.c_in == 3).then_some(1.0);
        let error = TableCost::look_up(&space, &skeleton, "latency_ms", 0.0, &only_stem);
        assert!(error.unwrap_err().to_string().contains("no entry for skip_connect-c16-c16-s1-32"));
        let error = TableCost::new(&space, "latency_ms", 0.0, vec![1.0; 29]).unwrap_err();
        assert!(error.to_string().contains("expected 30 table values, found 29"));
        let error = table(&space).relaxed(&Tensor::from_slice(&[1.0f32; 31])).unwrap_err();
        assert!(error.to_string().contains("expected 30 gates, found 31"));
        let other = architecture_at(&lat_space::Darts::new(), 0, 0).unwrap();
        let error = table(&space).cost(&other).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("expected an architecture of space nasbench201, found darts")
        );
    }
}
