//! Conditions as features: each is the product of the gates of its choices.

use super::{Builder, FeatureMap};
use crate::{Condition, Decision};

pub(super) fn build(decisions: &[Decision], conditions: &[Condition]) -> FeatureMap {
    let widths = decisions.iter().map(Decision::n_gates);
    let first: Vec<usize> = widths
        .clone()
        .scan(0, |next, width| Some(std::mem::replace(next, *next + width)))
        .collect();
    let mut builder = Builder::new(widths.sum());
    let group = builder.group("conditions");
    for condition in conditions {
        let mut value = 0;
        for &(decision, choice) in condition {
            let gate = builder.gate(first[decision] + choice);
            value = builder.product(value, gate);
        }
        let name =
            |&(d, c): &(usize, usize)| format!("{}={}", decisions[d].name, decisions[d].choices[c]);
        let name = condition.iter().map(name).collect::<Vec<_>>().join("*");
        builder.feature(name, value, group, None);
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use crate::{FeatureMap, NasBench201, Space};

    #[test]
    fn a_condition_is_the_product_of_its_gates() {
        let space = NasBench201::new();
        let conditions = [vec![], vec![(0, 3)], vec![(0, 3), (2, 1)], vec![(0, 3), (2, 1), (5, 4)]];
        let map = FeatureMap::of_conditions(space.decisions(), &conditions);
        let gates: Vec<f32> = (0..30).map(|gate| gate as f32).collect();
        assert_eq!(map.encode(&gates), [1.0, 3.0, 33.0, 957.0]);
        assert_eq!(map.features[2].name, "cell/0-1=nor_conv_3x3*cell/1-2=skip_connect");
    }
}
