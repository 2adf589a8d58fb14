//! Computes the costs of many architectures at once.

use lat_predictor::{CostModel, PredictError};
use lat_space::{Architecture, Decision};
use tch::{Kind, Tensor};

/// Architectures priced in one pass: enough that the overhead is negligible, few enough that their gates fit in the cache.
const BLOCK: usize = 4096;

/// The cost of each architecture in the model's unit. No network is built.
///
/// # Errors
/// [`PredictError`] if the cost model cannot compute a cost.
pub(crate) fn prices(
    decisions: &[Decision],
    cost: &dyn CostModel,
    architectures: &[Architecture],
) -> Result<Vec<f64>, PredictError> {
    let mut all = Vec::with_capacity(architectures.len());
    for block in architectures.chunks(BLOCK) {
        let gates: Vec<f32> = block.iter().flat_map(|a| a.gates(decisions)).collect();
        let gates = Tensor::from_slice(&gates).view([block.len() as i64, -1]);
        let costs = tch::no_grad(|| cost.relaxed(&gates))?.to_kind(Kind::Double);
        all.extend(Vec::<f64>::try_from(&costs).expect("one cost per row"));
    }
    Ok(all)
}
