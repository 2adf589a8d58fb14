//! A number that a step found, left on the device where it was computed.

use tch::{Kind, Tensor};

/// A number that lies on a device until it is asked for, so that the step which finds it need not wait for the device.
#[derive(Debug)]
pub struct DeviceScalar(Tensor);

impl DeviceScalar {
    /// Of a tensor with one element; its graph is left behind.
    pub fn of(number: &Tensor) -> Self {
        Self(number.detach().reshape([0i64; 0]))
    }

    /// The number; waits for the device.
    pub fn value(&self) -> f64 {
        self.0.double_value(&[])
    }

    /// What the function makes of the number, where it lies.
    pub(crate) fn mapped(&self, made: impl FnOnce(&Tensor) -> Tensor) -> Self {
        Self::of(&made(&self.0))
    }

    /// All of these numbers by one wait for the device of the first.
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
