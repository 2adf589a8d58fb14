//! A space's feature map in tensors.

use lat_space::{FeatureMap, Level};
use tch::{Device, Kind, Tensor};

/// A [`FeatureMap`] in tensors: differentiable, with a few calls per level, however many features there are.
#[derive(Debug)]
pub(crate) struct FeatureWalk {
    pub(crate) levels: Vec<Step>,
    /// `[n_features]`.
    pub(crate) features: Tensor,
}

/// A level in tensors.
#[derive(Debug)]
pub(crate) enum Step {
    /// `[n_values_before, n_sums]`.
    Sums(Tensor),
    /// Two times `[n_products]`.
    Products(Tensor, Tensor),
}

impl FeatureWalk {
    pub(crate) fn new(map: &FeatureMap, device: Device) -> Self {
        let mut before = 1 + map.n_gates;
        let step = |level: &Level| {
            let step = match level {
                Level::Sums(sums) => Step::Sums(matrix(sums, before).to_device(device)),
                Level::Products(pairs) => {
                    let side = |pick: fn(&(u32, u32)) -> u32| {
                        index(pairs.iter().map(pick)).to_device(device)
                    };
                    Step::Products(side(|p| p.0), side(|p| p.1))
                }
            };
            before += level.len();
            step
        };
        let levels = map.levels.iter().map(step).collect();
        Self { levels, features: index(map.features.iter().map(|f| f.value)).to_device(device) }
    }

    /// Gates `[b, n_gates]` to features `[b, n_features]`.
    pub(crate) fn forward(&self, gates: &Tensor) -> Tensor {
        // Made from the gates, so that a trace accepts any number of rows.
        let ones = gates.narrow(1, 0, 1).ones_like();
        let mut values = Tensor::cat(&[&ones, gates], 1);
        for step in &self.levels {
            let new = match step {
                Step::Sums(matrix) => values.matmul(matrix),
                Step::Products(a, b) => values.index_select(1, a) * values.index_select(1, b),
            };
            values = Tensor::cat(&[values, new], 1);
        }
        values.index_select(1, &self.features)
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        let step = |step: &Step| match step {
            Step::Sums(matrix) => Step::Sums(matrix.to_device(device)),
            Step::Products(a, b) => Step::Products(a.to_device(device), b.to_device(device)),
        };
        Self {
            levels: self.levels.iter().map(step).collect(),
            features: self.features.to_device(device),
        }
    }
}

fn index(values: impl Iterator<Item = u32>) -> Tensor {
    Tensor::from_slice(&values.map(i64::from).collect::<Vec<_>>())
}

fn matrix(sums: &[Vec<(u32, f32)>], n_before: usize) -> Tensor {
    let mut factors = vec![0.0f32; n_before * sums.len()];
    for (column, terms) in sums.iter().enumerate() {
        for &(value, factor) in terms {
            factors[value as usize * sums.len() + column] += factor;
        }
    }
    Tensor::from_slice(&factors).view([n_before as i64, sums.len() as i64]).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, NasBench201, SearchSpace, architecture_at};

    use super::*;
    use crate::model::to_vec;

    #[test]
    fn tensors_walk_as_the_map_does() {
        let spaces: [&dyn SearchSpace; 2] = [&Darts::new(), &NasBench201::new()];
        for space in spaces {
            let map = FeatureMap::structured(space);
            let walk = FeatureWalk::new(&map, Device::Cpu);
            let hard = architecture_at(space, 2, 3).unwrap().gates(space.decisions());
            let soft: Vec<f32> = (0..hard.len()).map(|i| (i % 5) as f32 / 5.0).collect();
            for gates in [hard, soft] {
                let features = walk.forward(&Tensor::from_slice(&gates).unsqueeze(0));
                let expected = map.encode(&gates);
                let found = to_vec(&features);
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }
}
