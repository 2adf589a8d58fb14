//! Folds a transferred predictor into one linear model.

use super::Sources;
use super::importance::Index;
use crate::PredictError;
use crate::encoding::encode;
use crate::model::scale::{Scale, Standard};
use crate::model::{Model, to_tensor, to_vec};
use crate::predictor::Part;

/// Number of random architectures on which the folded model must agree with the original.
const CHECKED: usize = 200;
/// Relative difference that rounding may cause.
const ROUNDING: f64 = 1e-4;

/// Replaces a correction and its parts by one linear model of the space's structured features, if all parts are linear in these
/// features. Otherwise returns both as they are.
pub(super) fn fold(
    sources: &Sources<'_>,
    own: Model,
    parts: Vec<Part>,
) -> Result<(Model, Vec<Part>), PredictError> {
    let Some(folded) = folded(sources, &own, &parts) else { return Ok((own, parts)) };
    let gates = sources.population(CHECKED);
    let features = to_tensor(encode(sources.map(), gates)?.view());
    let costs = |model: &Model| tch::no_grad(|| to_vec(&model.forward(&features)));
    let mut expected: Vec<f64> = costs(&own).into_iter().map(f64::from).collect();
    parts.iter().try_for_each(|part| part.add_to(&mut expected, gates))?;
    let size = expected.iter().map(|e| e.abs()).sum::<f64>() / expected.len() as f64;
    let agrees = |(f, e): (f32, &f64)| (f64::from(f) - e).abs() <= ROUNDING * e.abs().max(size);
    match costs(&folded).into_iter().zip(&expected).all(agrees) {
        true => Ok((folded, Vec::new())),
        false => Ok((own, parts)),
    }
}

fn folded(sources: &Sources<'_>, own: &Model, parts: &[Part]) -> Option<Model> {
    let index = Index::new(sources.map());
    let mut weights: Vec<f64> = to_vec(&own.weights).into_iter().map(f64::from).collect();
    let mut constant = own.standard.mu;
    for Part { factor, map, model, .. } in parts {
        if model.correction.is_some() || model.standard.scale != Scale::Plain {
            return None;
        }
        let Standard { mu, sd, .. } = model.standard;
        constant += factor * (sd * model.intercept + mu);
        for (feature, w) in map.features.iter().zip(to_vec(&model.weights)) {
            weights[index.place(map, feature)?] += factor * sd * f64::from(w);
        }
    }
    let weights: Vec<f32> = weights.into_iter().map(|w| w as f32).collect();
    let all: Vec<usize> = (0..weights.len()).collect();
    Some(Model {
        weights: tch::Tensor::from_slice(&weights).unsqueeze(-1),
        standard: Standard { mu: constant, ..own.standard },
        ..own.keep(&all)
    })
}
