//! Which features a correction may need: those that cost something on the sources, in which the sources differ, and whose kind
//! matters on the sources.

use std::collections::HashMap;

use lat_space::FeatureMap;
use ndarray::{Array1, Array2, Axis};

use super::cholesky::Cholesky;
use super::sources::models;
use crate::model::scale::Scale;
use crate::model::{Model, to_vec};
use crate::{PredictError, Predictor};

/// Ridge penalty with which a source is predicted from the others.
const RIDGE: f64 = 0.01;

/// Prior variance of each feature's weight, scaled so that the correction has an average variance of 1 over the space. It is the
/// average of three variances, each scaled in this way.
pub(super) fn prior(
    map: &FeatureMap,
    predictors: &[Predictor],
    scores: &Array2<f64>,
    spreads: &Array1<f64>,
    variances: &Array1<f64>,
) -> Result<Array1<f64>, PredictError> {
    let index = Index::new(map);
    let (k, width) = (predictors.len(), map.len());
    let (mut weights, mut learnt) = (Array2::zeros((width, k)), Array2::zeros((width, k)));
    for (i, predictor) in predictors.iter().enumerate() {
        for (factor, own, model) in models(predictor) {
            index.add(own, &linear(model, factor / spreads[i]), &mut weights, i);
            let squares = second_moments(own, model, factor / spreads[i]);
            index.add(own, &squares, &mut learnt, i);
        }
    }
    let mean = |a: &Array2<f64>| a.sum_axis(Axis(1)) / k as f64;
    let costs = mean(&(&weights * &weights));
    let differences = if k == 1 {
        costs.clone()
    } else {
        let rest = &weights - &weights.dot(&others(scores)?);
        mean(&(&rest * &rest))
    };
    let all = [costs, differences, mean(&learnt)];
    let sized = all.into_iter().map(|v| {
        let size = v.dot(variances);
        if size > 0.0 { v / size } else { Array1::zeros(width) }
    });
    Ok(sized.fold(Array1::zeros(width), |sum, v| sum + v) / 3.0)
}

/// For each source the factors of the others that predict it best, `[k, k]` column by column.
fn others(scores: &Array2<f64>) -> Result<Array2<f64>, PredictError> {
    let k = scores.ncols();
    let gram = scores.t().dot(scores) / scores.nrows() as f64;
    let mut factors = Array2::zeros((k, k));
    for source in 0..k {
        let rest: Vec<usize> = (0..k).filter(|&o| o != source).collect();
        let mut system = gram.select(Axis(0), &rest).select(Axis(1), &rest);
        system.diag_mut().mapv_inplace(|v| v + RIDGE);
        let target = gram.column(source).select(Axis(0), &rest);
        let factor = Cholesky::of(&system).ok_or_else(|| PredictError::Fit {
            name: super::TRANSFER,
            reason: "the predictions of the sources are not finite".to_owned(),
        })?;
        let solved = factor.solve(&target);
        rest.iter().zip(&solved).for_each(|(&o, b)| factors[[o, source]] = *b);
    }
    Ok(factors)
}

/// Weights of raw features, times the factor, in the cost's unit. On scales that are not plain, linearised at the average cost.
fn linear(model: &Model, factor: f64) -> Vec<f64> {
    let slope = slope(model) * factor;
    to_vec(&model.weights).into_iter().map(|w| f64::from(w) * slope).collect()
}

fn slope(model: &Model) -> f64 {
    let standard = &model.standard;
    match standard.scale {
        Scale::Plain => standard.sd,
        Scale::Log => standard.sd * standard.mu.exp(),
        Scale::Reciprocal => -standard.sd / (standard.mu * standard.mu),
    }
}

/// Posterior second moments of the weights, averaged over each group and block. They stand in for the prior variances, which a
/// predictor file does not contain.
fn second_moments(map: &FeatureMap, model: &Model, factor: f64) -> Vec<f64> {
    let weights = linear(model, factor);
    let scale = (slope(model) * factor).powi(2);
    let spread = model.spread.as_ref().map(|s| (to_vec(&s.draws), s.intercepts.numel()));
    let variance = |j: usize| match &spread {
        Some((draws, n)) => {
            let draws = &draws[j * n..][..*n];
            scale * draws.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>() / *n as f64
        }
        None => 0.0,
    };
    let moments: Vec<f64> = weights.iter().enumerate().map(|(j, w)| w * w + variance(j)).collect();
    let mut sums: HashMap<(u16, Option<u16>), (f64, f64)> = HashMap::new();
    for (feature, moment) in map.features.iter().zip(&moments) {
        let sum = sums.entry((feature.group, feature.block)).or_default();
        *sum = (sum.0 + moment, sum.1 + 1.0);
    }
    let mean = |f: &lat_space::Feature| sums[&(f.group, f.block)];
    map.features.iter().map(mean).map(|(sum, n)| sum / n).collect()
}

/// Looks up features by group and name, because maps of predictors contain only the features that these use.
pub(super) struct Index<'a>(HashMap<(&'a str, &'a str), usize>);

impl<'a> Index<'a> {
    pub(super) fn new(map: &'a FeatureMap) -> Self {
        Self(map.features.iter().enumerate().map(|(j, f)| (key(map, f), j)).collect())
    }

    /// The feature's number, if the map has it.
    pub(super) fn place(&self, map: &FeatureMap, feature: &lat_space::Feature) -> Option<usize> {
        self.0.get(&key(map, feature)).copied()
    }

    fn add(&self, map: &FeatureMap, values: &[f64], to: &mut Array2<f64>, column: usize) {
        for (feature, value) in map.features.iter().zip(values) {
            if let Some(j) = self.place(map, feature) {
                to[[j, column]] += value;
            }
        }
    }
}

fn key<'a>(map: &'a FeatureMap, feature: &'a lat_space::Feature) -> (&'a str, &'a str) {
    (map.groups[usize::from(feature.group)].as_str(), feature.name.as_str())
}
