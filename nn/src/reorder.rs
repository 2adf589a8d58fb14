//! Puts channels in another order.

use tch::{Kind, Tensor};

/// Puts a weight's entries along a dimension in this order, in place.
pub(crate) fn reorder(weight: &Tensor, dim: i64, order: &Tensor) {
    tch::no_grad(|| weight.shallow_clone().copy_(&weight.index_select(dim, order)));
}

/// The order of channels by descending importance `[n]`; of equal ones the earlier comes first. Each channel stays between its
/// bounds, which are ascending and end with n.
pub(crate) fn by_importance(importance: &Tensor, bounds: &[i64]) -> Tensor {
    let values = Vec::<f64>::try_from(&importance.detach().to_kind(Kind::Double));
    let values = values.expect("one dimension");
    let (mut order, mut left) = (Vec::with_capacity(values.len()), 0);
    for &right in bounds {
        // Bounds are channel numbers, counted from 0.
        let mut group: Vec<i64> = (left..right).collect();
        group.sort_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
        order.append(&mut group);
        left = right;
    }
    Tensor::from_slice(&order).to_device(importance.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_down_on_their_side_of_each_bound() {
        let importance = Tensor::from_slice(&[1.0f32, 3.0, 3.0, 0.5, 9.0]);
        let order = |bounds: &[i64]| Vec::<i64>::try_from(by_importance(&importance, bounds));
        assert_eq!(order(&[5]).unwrap(), [4, 1, 2, 0, 3]);
        assert_eq!(order(&[2, 5]).unwrap(), [1, 0, 4, 2, 3]);
    }
}
