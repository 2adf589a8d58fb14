//! Elementwise non-linearities.

use lat_space::Activation;
use tch::Tensor;

/// Applies the activation to a map `[n, c, h, w]` or a tensor of any other shape.
pub(crate) fn activate(xs: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::Relu => xs.relu(),
        Activation::Relu6 => xs.relu6(),
        Activation::HSwish => xs.hardswish(),
        Activation::Swish => xs.silu(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_are_their_formulas() {
        let xs = Tensor::from_slice(&[-4.0f64, -1.0, 0.5, 2.0, 7.0]);
        let found = |activation| Vec::<f64>::try_from(&activate(&xs, activation)).unwrap();
        let expected = |of: fn(f64) -> f64| Vec::<f64>::try_from(&xs).unwrap().into_iter().map(of);
        let relu6 = |x: f64| x.clamp(0.0, 6.0);
        for (activation, of) in [
            (Activation::Relu, (|x| x.max(0.0)) as fn(f64) -> f64),
            (Activation::Relu6, relu6),
            (Activation::HSwish, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
            (Activation::Swish, |x| x / (1.0 + (-x).exp())),
        ] {
            let pairs = found(activation).into_iter().zip(expected(of));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{}", activation.name());
        }
    }
}
