//! From gates to the features that predictors are linear in.
//!
//! One-hot codes hide what matters: how often an operation occurs, what the choices of one layer do together, and whether an
//! operation lies on a path to the output. All of that is sums and products of gates. So it is defined for the 0/1 gates of an
//! architecture and for soft gates, for which it is smooth. And if the choices of different decisions are independent, the value
//! of a product at the average gates is the average of its values.

mod builder;
mod conditions;
mod edges;
mod structured;
mod work;

use serde::{Deserialize, Serialize};

use crate::{Condition, Decision, Encoding, Space};
pub(crate) use builder::Builder;

/// The most numbers in all matrices of a walk together: 1 GiB of them. The spaces here need a thousandth of that.
const MOST_FACTORS: usize = 1 << 28;

/// A step of the walk: computes further values from earlier ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Weighted sums: for each value its terms (number of an earlier value, factor).
    Sums(Vec<Vec<(u32, f32)>>),
    /// Products of two earlier values each.
    Products(Vec<(u32, u32)>),
}

impl Level {
    /// The number of values that it adds.
    pub fn len(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.len(),
            Self::Products(products) => products.len(),
        }
    }

    /// Whether it adds no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A number that predictors read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name, such as `resolution^2*k00=5*e00=6`.
    pub name: String,
    /// Its number among the values.
    pub value: u32,
    /// Number of its group. A group holds features of one kind, such as counts.
    pub group: u16,
    /// Number of the block that it describes; None if it describes no single block.
    pub block: Option<u16>,
}

/// A walk from gates to features. Value 0 is the constant 1, the next `n_gates` values are the gates, then come those of the
/// levels in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureMap {
    /// Number of gates: choices over all decisions, `none` included.
    pub n_gates: usize,
    /// The steps.
    pub levels: Vec<Level>,
    /// The values that predictors read.
    pub features: Vec<Feature>,
    /// Names of the groups.
    pub groups: Vec<String>,
}

impl FeatureMap {
    /// All features that the space's structure suggests; `structured.rs` lists the groups.
    pub fn structured(space: &dyn Space) -> Self {
        structured::build(space)
    }

    /// The linear features of an encoding, in one group.
    pub fn of_encoding(encoding: &Encoding) -> Self {
        let mut builder = Builder::new(encoding.n_gates);
        let group = builder.group(encoding.id);
        for (name, gates) in &encoding.features {
            let gates: Vec<u32> = gates.iter().map(|&gate| builder.gate(gate)).collect();
            let value = builder.total(&gates);
            builder.feature(name.clone(), value, group, None);
        }
        builder.finish()
    }

    /// One feature per condition: the product of the gates of its choices; 1 for the condition without choices. If decisions are
    /// drawn independently, a product at the average gates is the probability that the condition holds.
    pub fn of_conditions(decisions: &[Decision], conditions: &[Condition]) -> Self {
        conditions::build(decisions, conditions)
    }

    /// Number of features.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Number of values of the walk: 1, gates and levels.
    pub fn n_values(&self) -> usize {
        1 + self.n_gates + self.levels.iter().map(Level::len).sum::<usize>()
    }

    /// The map with these features only, and without values that none of them needs.
    pub fn keep(&self, features: &[usize]) -> Self {
        let mut builder = Builder::new(self.n_gates);
        let mut values: Vec<u32> = (0..=self.n_gates as u32).collect();
        for level in &self.levels {
            match level {
                Level::Sums(sums) => {
                    for terms in sums {
                        let terms = terms.iter().map(|&(v, f)| (values[v as usize], f));
                        values.push(builder.sum(terms.collect()));
                    }
                }
                Level::Products(pairs) => {
                    for &(a, b) in pairs {
                        values.push(builder.product(values[a as usize], values[b as usize]));
                    }
                }
            }
        }
        for name in &self.groups {
            builder.group(name);
        }
        for feature in features.iter().map(|&f| &self.features[f]) {
            let Feature { name, value, group, block } = feature.clone();
            builder.feature(name, values[value as usize], group, block);
        }
        builder.finish()
    }

    /// Checks a map read from a file: every value must be computed from earlier ones, and the matrices (a row per earlier value,
    /// a column per sum) must fit into memory. A short text could ask for any number of empty sums.
    pub fn is_sound(&self) -> bool {
        let Some(mut known) = self.n_gates.checked_add(1) else { return false };
        let mut n_factors = 0_usize;
        for level in &self.levels {
            let is_known = |v: u32| (v as usize) < known;
            let sound = match level {
                Level::Sums(sums) => {
                    sums.iter().flatten().all(|&(v, f)| is_known(v) && f.is_finite())
                }
                Level::Products(pairs) => pairs.iter().all(|&(a, b)| is_known(a) && is_known(b)),
            };
            let n_sums = if let Level::Sums(sums) = level { sums.len() } else { 0 };
            n_factors = n_factors.saturating_add(known.saturating_mul(n_sums));
            if !sound || n_factors > MOST_FACTORS {
                return false;
            }
            known += level.len();
        }
        self.features
            .iter()
            .all(|f| (f.value as usize) < known && usize::from(f.group) < self.groups.len())
    }

    /// All values for `n` gate vectors. Value v of row i is at `v * n + i`; the gates are laid out the same way.
    pub fn values(&self, gates: &[f32], n: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.n_values() * n);
        self.values_into(gates, n, &mut values);
        values
    }

    /// Like [`FeatureMap::values`], but writes into a buffer that can be used again. The buffer's old contents are overwritten.
    pub fn values_into(&self, gates: &[f32], n: usize, values: &mut Vec<f32>) {
        assert_eq!(gates.len(), self.n_gates * n, "gates of another space");
        values.clear();
        values.resize(n, 1.0);
        values.extend_from_slice(gates);
        for level in &self.levels {
            match level {
                Level::Sums(sums) => {
                    for terms in sums {
                        push_sum(values, n, terms);
                    }
                }
                Level::Products(pairs) => {
                    for &pair in pairs {
                        push_product(values, n, pair);
                    }
                }
            }
        }
    }

    /// Features of one gate vector `[n_gates]`.
    pub fn encode(&self, gates: &[f32]) -> Vec<f32> {
        let values = self.values(gates, 1);
        self.features.iter().map(|f| values[f.value as usize]).collect()
    }
}

fn push_sum(values: &mut Vec<f32>, n: usize, terms: &[(u32, f32)]) {
    let start = values.len();
    values.resize(start + n, 0.0);
    let (before, sum) = values.split_at_mut(start);
    for &(value, factor) in terms {
        let column = &before[value as usize * n..][..n];
        sum.iter_mut().zip(column).for_each(|(sum, v)| *sum += factor * v);
    }
}

fn push_product(values: &mut Vec<f32>, n: usize, (a, b): (u32, u32)) {
    let start = values.len();
    values.resize(start + n, 0.0);
    let (before, product) = values.split_at_mut(start);
    let (a, b) = (&before[a as usize * n..][..n], &before[b as usize * n..][..n]);
    product.iter_mut().zip(a.iter().zip(b)).for_each(|(p, (a, b))| *p = a * b);
}

#[cfg(test)]
mod tests;
