//! A number computed by a step, left on the device.

use tch::{Kind, Tensor};

/// A number that stays on a device until it is asked for, so that the step which computes it need not wait for the device.
#[derive(Debug)]
pub struct DeviceScalar(Tensor);

impl DeviceScalar {
    /// Takes a tensor with one element, detached from its graph.
    pub fn of(number: &Tensor) -> Self {
        Self(number.detach().reshape([0i64; 0]))
    }

    /// The number; waits for the device.
    pub fn value(&self) -> f64 {
        self.0.double_value(&[])
    }

    /// Applies the function to the number on its device.
    pub(crate) fn mapped(&self, made: impl FnOnce(&Tensor) -> Tensor) -> Self {
        Self::of(&made(&self.0))
    }

    /// The values of all these numbers, with a single wait for the device of the first.
    pub fn values<'a>(numbers: impl Iterator<Item = &'a Self>) -> Vec<f64> {
        let numbers: Vec<&Tensor> = numbers.map(|number| &number.0).collect();
        let Some(device) = numbers.first().map(|number| number.device()) else { return Vec::new() };
        let alike = |number: &&Tensor| number.to_device(device).to_kind(Kind::Double);
        let all = Tensor::stack(&numbers.iter().map(alike).collect::<Vec<_>>(), 0);
        Vec::try_from(&all).expect("one dimension")
    }
}

impl From<f64> for DeviceScalar {
    fn from(number: f64) -> Self {
        Self(Tensor::from(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_kinds_are_read_exactly() {
        let third = Tensor::from_slice(&[1.0f32 / 3.0]).set_requires_grad(true) * 1;
        let numbers =
            [DeviceScalar::of(&third), DeviceScalar::of(&Tensor::from(7i64)), (1.0 / 3.0).into()];
        let expected = [f64::from(1.0f32 / 3.0), 7.0, 1.0 / 3.0];
        assert_eq!(DeviceScalar::values(numbers.iter()), expected);
        assert_eq!(numbers.each_ref().map(DeviceScalar::value), expected);
        assert!(!numbers[0].0.requires_grad());
        assert!(DeviceScalar::values(std::iter::empty()).is_empty());
    }
}
