//! Prices of many architectures at once.

use lat_space::FeatureMap;
use tch::{Device, Tensor};

use super::{Model, to_vec};

/// A model that reads the values of a walk in place instead of gathering features from them. Only the inputs of the networks are
/// copied.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The model in terms of the walk's values, without deviations.
    model: Model,
}

impl Columns {
    /// From a model of this map's features.
    pub(crate) fn new(map: &FeatureMap, model: &Model) -> Self {
        let places: Vec<usize> = map.features.iter().map(|f| f.value as usize).collect();
        Self { model: model.of_values(&places, map.n_values()) }
    }

    /// Costs `[n]`, without the floor, of `n` gate vectors stored gate by gate. `map` must be the one that this was made from.
    pub(crate) fn costs(&self, map: &FeatureMap, gates: &[f32], n: usize) -> Vec<f32> {
        let values = Tensor::from_slice(&map.values(gates, n));
        let rows = values.view([map.n_values() as i64, n as i64]).tr();
        tch::no_grad(|| to_vec(&self.model.forward(&rows)))
    }

    pub(crate) fn copy(&self) -> Self {
        Self { model: self.model.to_device(Device::Cpu) }
    }
}
