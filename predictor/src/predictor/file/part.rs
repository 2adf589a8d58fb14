//! Parts (models of other devices) in a predictor's file.

use lat_space::FeatureMap;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::{Packed, Shape, model_tensors, read_correction, sized};
use crate::model::Model;
use crate::model::scale::{Scale, Standard};
use crate::predictor::Part;

/// The header of a [`Part`] in a predictor file. The names of the part's tensors begin with `part{i}.`.
#[derive(Serialize, Deserialize)]
pub(crate) struct PartHeader {
    factor: f64,
    scale: Scale,
    mu: f64,
    sd: f64,
    intercept: f64,
    map: FeatureMap,
    n_layers: usize,
    inputs: Vec<usize>,
}

impl PartHeader {
    /// Header and tensors of part number `i`.
    pub(crate) fn of(part: &Part, i: usize) -> (Self, Vec<(String, Packed)>) {
        let Part { factor, map, model, .. } = part;
        let correction = model.correction.as_ref();
        let header = Self {
            factor: *factor,
            scale: model.standard.scale,
            mu: model.standard.mu,
            sd: model.standard.sd,
            intercept: model.intercept,
            map: map.clone(),
            n_layers: correction.map_or(0, |c| c.members.layers.len()),
            inputs: correction.map_or_else(Vec::new, |c| c.inputs.clone()),
        };
        (header, model_tensors(model, &prefix(i)))
    }

    /// Reads part number `i` of a file; `n_gates` is the file's number of gates.
    pub(crate) fn read(
        self,
        i: usize,
        n_gates: usize,
        file: &SafeTensors<'_>,
    ) -> Result<Part, String> {
        let numbers = [self.factor, self.mu, self.sd, self.intercept];
        if numbers.iter().any(|v| !v.is_finite()) || self.sd <= 0.0 {
            return Err(format!("the scale of its part {i} is not finite"));
        }
        let n_features = self.map.len();
        let fits = self.map.is_sound() && self.map.n_gates == n_gates;
        if !fits || self.inputs.iter().any(|&input| input >= n_features) {
            return Err(format!("the features of its part {i} are not made of its gates"));
        }
        let prefix = prefix(i);
        let shape = Shape { n_features, n_layers: self.n_layers, inputs: &self.inputs };
        let model = Model {
            weights: sized(file, &format!("{prefix}linear"), &[n_features, 1])?,
            intercept: self.intercept,
            correction: read_correction(&shape, file, &prefix)?,
            standard: Standard { scale: self.scale, mu: self.mu, sd: self.sd },
            floor: 0.0,
            validation_error: 0.0,
            spread: None,
        };
        Ok(Part::new(self.factor, self.map, &model))
    }
}

fn prefix(i: usize) -> String {
    format!("part{i}.")
}
