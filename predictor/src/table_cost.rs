//! A table of operations as a cost.

use lat_space::{Architecture, Graph, OpSpec, SearchSpace, Site, Skeleton, Step};
use tch::{Kind, Tensor};

use crate::gates::GateLayout;
use crate::metrics::check_finite;
use crate::{CostModel, PredictError, unit};

/// A cost that adds up: a constant, and one value per gate. The expectation over independent decisions is then the cost of the
/// mean gates, exactly.
#[derive(Debug, Clone)]
pub struct TableCost {
    column: String,
    layout: GateLayout,
    constant: f64,
    values: Vec<f64>,
}

impl TableCost {
    /// A table of one value per gate in the column's unit; `constant` is the rest of the network.
    ///
    /// # Errors
    /// [`PredictError::Width`] for another number of values, [`PredictError::NotFinite`] for values that are no numbers.
    pub fn new(
        space: &dyn SearchSpace,
        column: &str,
        constant: f64,
        values: Vec<f64>,
    ) -> Result<Self, PredictError> {
        let layout = GateLayout::of(space);
        if values.len() != layout.n_gates() {
            let (expected, found) = (layout.n_gates(), values.len());
            return Err(PredictError::Width { what: "table values", expected, found });
        }
        check_finite("table values", values.iter().copied().chain([constant]))?;
        Ok(Self { column: column.to_owned(), layout, constant, values })
    }

    /// The table of a network, from the costs of its operations at their places. A gate's value is the sum over all sites that
    /// its decision settles; `none` is never looked up and costs nothing. The constant is the sum over all that is not
    /// searched, and `rest` (the classifier, start-up, and the like).
    ///
    /// # Errors
    /// [`PredictError::NoEntry`] where `look_up` has nothing, [`PredictError::Space`] for an unfit skeleton.
    pub fn look_up(
        space: &dyn SearchSpace,
        skeleton: &Skeleton,
        column: &str,
        rest: f64,
        look_up: &dyn Fn(&OpSpec) -> Option<f64>,
    ) -> Result<Self, PredictError> {
        space.check_skeleton(skeleton)?;
        let layout = GateLayout::of(space);
        let (constant, values) = sums(&space.graph(skeleton), &layout, look_up)?;
        Self::new(space, column, rest + constant, values)
    }

    /// The network without anything searched, in the column's unit.
    pub fn constant(&self) -> f64 {
        self.constant
    }

    /// One value per gate, in the column's unit.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// The sum over what is not searched, and per gate the sum over its sites.
fn sums(
    graph: &Graph,
    layout: &GateLayout,
    look_up: &dyn Fn(&OpSpec) -> Option<f64>,
) -> Result<(f64, Vec<f64>), PredictError> {
    let offsets = layout.offsets();
    let mut values = vec![0.0; layout.n_gates()];
    let mut constant = 0.0;
    let entry = |op: &OpSpec| match op.op {
        lat_space::Op::None => Ok(0.0),
        _ => look_up(op).ok_or_else(|| PredictError::NoEntry { key: op.key() }),
    };
    for node in &graph.nodes {
        match &node.step {
            Step::Fixed { op, .. } => constant += entry(op)?,
            Step::Searched { site: Site::Choice { decision, candidates }, .. } => {
                for (choice, op) in candidates.iter().enumerate() {
                    values[offsets[*decision] + choice] += entry(op)?;
                }
            }
            _ => {}
        }
    }
    Ok((constant, values))
}

impl CostModel for TableCost {
    fn column(&self) -> &str {
        &self.column
    }

    fn unit(&self) -> &str {
        unit(&self.column)
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        let gates = self.layout.gates(architecture)?;
        let sum: f64 = gates.iter().zip(&self.values).map(|(g, v)| f64::from(*g) * v).sum();
        Ok(self.constant + sum)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        let (rows, is_single) = self.layout.rows(gates)?;
        // Counts of operations need more digits than a float has.
        let values = Tensor::from_slice(&self.values).to_device(gates.device());
        let costs = rows.to_kind(Kind::Double).matmul(&values) + self.constant;
        let costs = costs.to_kind(Kind::Float);
        Ok(if is_single { costs.squeeze_dim(0) } else { costs })
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, Space, architecture_at, find_skeleton};

    use super::*;
    use crate::model::to_vec;

    fn table(space: &NasBench201) -> TableCost {
        let values = (0..30).map(|g| f64::from(g * g % 17) / 4.0).collect();
        TableCost::new(space, "latency_ms", 2.5, values).unwrap()
    }

    /// Probabilities of the 5 choices of 6 decisions.
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
            assert!(row.iter().zip(table.values()).all(|(g, v)| f64::from(*g) == *v));
        }
    }

    #[test]
    fn looked_up_tables_sum_over_all_sites() {
        let space = NasBench201::new();
        let skeleton = find_skeleton(&space, "quick").unwrap();
        // One per built operation: stem, two residual blocks, the final BN, and per edge one in each of three cells.
        let table =
            TableCost::look_up(&space, &skeleton, "latency_ms", 0.5, &|_| Some(1.0)).unwrap();
        assert_eq!(table.constant(), 4.5);
        assert_eq!(table.values()[..5], [0.0, 3.0, 3.0, 3.0, 3.0]);
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
