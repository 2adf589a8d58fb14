//! A model of another device as part of a prediction.

use lat_space::FeatureMap;
use ndarray::ArrayView2;
use tch::{Device, Tensor};

use crate::PredictError;
use crate::encoding::encode;
use crate::model::columns::Columns;
use crate::model::feature_walk::FeatureWalk;
use crate::model::{Model, to_tensor, to_vec};

/// A model of another device whose cost, times a factor, is part of a prediction.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) factor: f64,
    pub(crate) map: FeatureMap,
    pub(crate) model: Model,
    walk: FeatureWalk,
    columns: Columns,
}

impl Part {
    pub(crate) fn new(factor: f64, map: FeatureMap, model: &Model) -> Self {
        let walk = FeatureWalk::new(&map, Device::Cpu);
        let model = model.to_device(Device::Cpu);
        let columns = Columns::new(&map, &model);
        Self { factor, map, model, walk, columns }
    }

    /// From gates `[b, n_gates]` to factor times cost `[b]`, differentiable.
    pub(crate) fn forward(&self, gates: &Tensor) -> Tensor {
        self.model.forward(&self.walk.forward(gates)) * self.factor
    }

    /// Adds factor times cost of each row of gates `[n, n_gates]` to `costs`.
    pub(crate) fn add_to(
        &self,
        costs: &mut [f64],
        gates: ArrayView2<f32>,
    ) -> Result<(), PredictError> {
        let features = encode(&self.map, gates)?;
        let own = tch::no_grad(|| to_vec(&self.model.forward(&to_tensor(features.view()))));
        costs.iter_mut().zip(own).for_each(|(c, own)| *c += self.factor * f64::from(own));
        Ok(())
    }

    /// Adds factor times cost of `n` gate vectors stored gate by gate to `costs`.
    pub(crate) fn add_columns_to(&self, costs: &mut [f64], gates: &[f32], n: usize) {
        let own = self.columns.costs(&self.map, gates, n);
        costs.iter_mut().zip(own).for_each(|(c, own)| *c += self.factor * f64::from(own));
    }

    pub(crate) fn copy(&self) -> Self {
        self.to_device(Device::Cpu)
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            factor: self.factor,
            map: self.map.clone(),
            model: self.model.to_device(device),
            walk: self.walk.to_device(device),
            columns: self.columns.copy(),
        }
    }
}
