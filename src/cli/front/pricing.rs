//! Prices all architectures of an accuracy table.

use lat_data::AccuracyTable;
use lat_predictor::{Predictions, Predictor};
use lat_space::Space;

/// Architectures priced at once: as many as fit in a core's cache.
const BLOCK: usize = 512;

/// Costs of the table's architectures, in the table's order. The predictor must be for this space.
pub(in crate::cli) fn price(
    predictor: &Predictor,
    space: &dyn Space,
    table: &AccuracyTable,
) -> anyhow::Result<Predictions> {
    let mut all = Predictions { values: Vec::new(), sds: Vec::new(), is_off_data: Vec::new() };
    for start in (0..table.len()).step_by(BLOCK) {
        let n = BLOCK.min(table.len() - start);
        let mut gates = vec![0.0; predictor.feature_map().n_gates * n];
        for i in 0..n {
            let architecture = space.parse(table.row(start + i).0)?;
            architecture.write_gates(space.decisions(), &mut gates, n, i);
        }
        let block = predictor.predict_columns(&gates, n)?;
        all.values.extend(block.values);
        all.sds.extend(block.sds);
        all.is_off_data.extend(block.is_off_data);
    }
    Ok(all)
}

/// Cost and accuracy (percent) of each architecture in the table, in the table's order.
pub(in crate::cli) fn points(
    priced: &Predictions,
    table: &AccuracyTable,
    column: usize,
) -> Vec<(f64, f64)> {
    let accuracies = table.rows().map(|(_, values)| values[column]);
    priced.values.iter().copied().zip(accuracies).collect()
}
