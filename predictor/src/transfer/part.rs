use lat_space::FeatureMap;
use ndarray::ArrayView2;
use tch::{Device, Tensor};

use crate::PredictError;
use crate::encoding::encode;
use crate::feature_walk::FeatureWalk;
use crate::model::{Model, to_tensor, to_vec};

/// A model of another device whose cost, times a factor, is part of a prediction.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) factor: f64,
    pub(crate) map: FeatureMap,
    pub(crate) model: Model,
    walk: FeatureWalk,
}

impl Part {
    pub(crate) fn new(factor: f64, map: FeatureMap, model: Model) -> Self {
        let walk = FeatureWalk::new(&map, Device::Cpu);
        Self { factor, map, model: model.to_device(Device::Cpu), walk }
    }

    /// Gates `[b, n_gates]` to factor times cost `[b]`, differentiable.
    pub(crate) fn forward(&self, gates: &Tensor) -> Tensor {
        self.model.forward(&self.walk.forward(gates)) * self.factor
    }

    /// Adds factor times cost of each row of gates `[n, n_gates]`.
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

    pub(crate) fn copy(&self) -> Self {
        self.to_device(Device::Cpu)
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            factor: self.factor,
            map: self.map.clone(),
            model: self.model.to_device(device),
            walk: self.walk.to_device(device),
        }
    }
}
