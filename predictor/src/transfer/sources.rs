//! Predictors of other devices, standardised.

use lat_space::{FeatureMap, Space};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::{importance, population};
use crate::disconnected;
use crate::encoding::{encode, find};
use crate::metrics::check_finite;
use crate::model::Model;
use crate::predictor::Part;
use crate::{PredictError, Predictor, Samples};

/// Number of random architectures over which predictions and features are standardised.
const POPULATION: usize = 2000;
/// Seed of their draw. It is fixed, so that the same sources and samples give the same predictor.
const SEED: u64 = 0;

/// Predictors of other devices, made comparable over their space.
#[derive(Debug)]
pub struct Sources<'a> {
    predictors: &'a [Predictor],
    map: FeatureMap,
    /// Means and standard deviations of the predictions over the space, `[k]`.
    centres: Array1<f64>,
    spreads: Array1<f64>,
    mean_spread: f64,
    feature_means: Array1<f64>,
    prior: Array1<f64>,
    population: Array2<f32>,
    /// The map from gates to whether a path leads from input to output, see [`disconnected::reach`].
    reach: Option<FeatureMap>,
}

impl<'a> Sources<'a> {
    /// Takes predictors of this column for this space. They need not be related in any other way.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] names what does not fit, [`PredictError::TooFew`] if there are none.
    pub fn new(
        space: &dyn Space,
        column: &str,
        predictors: &'a [Predictor],
    ) -> Result<Self, PredictError> {
        if predictors.is_empty() {
            return Err(PredictError::TooFew { what: "source predictors", needed: 1, found: 0 });
        }
        predictors.iter().try_for_each(|p| p.check(space, column))?;
        let reach = disconnected::reach(space);
        let population = connected(population::draw(space, POPULATION, SEED)?, reach.as_ref());
        let costs = costs(predictors, population.view())?;
        let centres = costs.mean_axis(Axis(0)).expect("the space has architectures");
        let spreads = costs.std_axis(Axis(0), 0.0);
        // A source that predicts the same everywhere carries no information.
        let spreads: Array1<f64> = (spreads.iter().zip(&centres))
            .map(|(s, c)| if *s > 1e-7 * c.abs() { *s } else { f64::INFINITY })
            .collect();
        let scores = (&costs - &centres) / &spreads;
        let mean_spread = scores.sum_axis(Axis(1)).std(0.0) / predictors.len() as f64;
        let map = find(space, "structured")?;
        let features = encode(&map, population.view())?.mapv(f64::from);
        let feature_means = features.mean_axis(Axis(0)).expect("the space has architectures");
        let variances = features.var_axis(Axis(0), 0.0);
        let prior = importance::prior(&map, predictors, &scores, &spreads, &variances)?;
        let mean_spread = if mean_spread > 1e-9 { mean_spread } else { 1.0 };
        Ok(Self {
            predictors,
            map,
            centres,
            spreads,
            mean_spread,
            feature_means,
            prior,
            population,
            reach,
        })
    }

    /// Whether networks without a path cost next to nothing on most devices of the sources.
    pub(super) fn is_free_unseen(&self) -> bool {
        let n = self.predictors.iter().filter(|p| p.disconnected.is_some()).count();
        2 * n > self.predictors.len()
    }

    pub(super) fn reach(&self) -> Option<FeatureMap> {
        self.reach.clone()
    }

    pub(super) fn map(&self) -> &FeatureMap {
        &self.map
    }

    pub(super) fn centres(&self) -> &Array1<f64> {
        &self.centres
    }

    pub(super) fn spreads(&self) -> &Array1<f64> {
        &self.spreads
    }

    pub(super) fn mean_spread(&self) -> f64 {
        self.mean_spread
    }

    /// Means of the features over the space.
    pub(super) fn feature_means(&self) -> &Array1<f64> {
        &self.feature_means
    }

    /// Per feature the prior variance of its weight in the correction.
    pub(super) fn prior(&self) -> &Array1<f64> {
        &self.prior
    }

    /// Gates of the first `n` of the random architectures.
    pub(super) fn population(&self, n: usize) -> ArrayView2<'_, f32> {
        let n = n.min(self.population.nrows());
        self.population.slice(ndarray::s![..n, ..])
    }

    /// Standardised predictions for the samples, `[n, k]`.
    pub(super) fn scores(&self, samples: &Samples) -> Result<Array2<f64>, PredictError> {
        self.scores_of(samples.gates.view())
    }

    pub(super) fn scores_of(&self, gates: ArrayView2<f32>) -> Result<Array2<f64>, PredictError> {
        Ok((costs(self.predictors, gates)? - &self.centres) / &self.spreads)
    }

    /// Features of the samples minus their means, `[n, n_features]`.
    pub(super) fn features(&self, samples: &Samples) -> Result<Array2<f64>, PredictError> {
        Ok(encode(&self.map, samples.gates.view())?.mapv(f64::from) - &self.feature_means)
    }

    /// The sources times factors `[k]`. If a source itself has parts, each becomes a part of its own.
    pub(super) fn parts(&self, factors: &[f64]) -> Vec<Part> {
        let sources = self.predictors.iter().zip(factors).filter(|(_, f)| **f != 0.0);
        let parts = sources.flat_map(|(source, factor)| {
            let all = models(source).into_iter();
            all.map(move |(own, map, model)| Part::new(factor * own, map.clone(), &copy(model)))
        });
        parts.collect()
    }
}

/// The models that a predictor adds up: factors, features and models.
pub(super) fn models(predictor: &Predictor) -> Vec<(f64, &FeatureMap, &Model)> {
    let parts = predictor.parts.iter().map(|p| (p.factor, &p.map, &p.model));
    std::iter::once((1.0, &predictor.map, &predictor.model)).chain(parts).collect()
}

fn copy(model: &Model) -> Model {
    Model { spread: None, ..model.to_device(tch::Device::Cpu) }
}

/// Costs `[n, k]` that the sources give to a search: without their floors.
fn costs(predictors: &[Predictor], gates: ArrayView2<f32>) -> Result<Array2<f64>, PredictError> {
    let mut costs = Array2::zeros((gates.nrows(), predictors.len()));
    for (predictor, mut column) in predictors.iter().zip(costs.columns_mut()) {
        column.assign(&Array1::from(predictor.uncut_costs(gates)?));
    }
    check_finite("costs from the source predictors", costs.iter().copied())?;
    Ok(costs)
}
/// Keeps rows of networks with a path from input to output, because only these are priced by the models.
fn connected(gates: Array2<f32>, reach: Option<&FeatureMap>) -> Array2<f32> {
    let Some(reach) = reach else { return gates };
    let cut = disconnected::is_cut(reach, gates.view());
    let kept: Vec<usize> = (0..gates.nrows()).filter(|&row| !cut[row]).collect();
    gates.select(Axis(0), &kept)
}
