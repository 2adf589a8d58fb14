//! The dominant eigenvalue of the validation loss's Hessian with respect to the logits.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::logit_gates::LogitGates;

/// Largest number of products, and the relative change below which the estimate counts as converged.
const PRODUCTS: usize = 20;
const STILL: f64 = 1e-3;

/// Dominant eigenvalue of the Hessian of a loss with respect to the logits. `RobustDARTS` uses the exact Hessian; its weight decay
/// is left out here.
pub(super) fn of(logits: &LogitGates<'_>, loss: &Tensor) -> f64 {
    let gradient = logits.gradient(loss, true);
    if !gradient.requires_grad() {
        return 0.0;
    }
    dominant_eigenvalue(gradient.size()[0], |v| {
        let along = (&gradient * v.to_device(gradient.device())).sum(Kind::Float);
        logits.gradient(&along, false)
    })
}

/// The eigenvalue of largest magnitude, with its sign, of a symmetric matrix of `n` rows, by power iteration. `product` multiplies
/// the matrix by a vector `[n]`. The first vector comes from a separate generator, so that nothing else changes.
pub fn dominant_eigenvalue(n: i64, mut product: impl FnMut(&Tensor) -> Tensor) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let draw: Vec<f32> = (0..n).map(|_| rng.gen_range(-1.0..1.0)).collect();
    let mut v = Tensor::from_slice(&draw);
    v = &v / v.norm();
    let mut eigenvalue = 0.0;
    for _ in 0..PRODUCTS {
        let next = product(&v).detach().to_device(tch::Device::Cpu);
        let found = (&v * &next).sum(Kind::Float).double_value(&[]);
        let norm = next.norm().double_value(&[]);
        if norm == 0.0 || !norm.is_finite() {
            return found;
        }
        v = next / norm;
        let moved = (found - eigenvalue).abs();
        eigenvalue = found;
        if moved <= STILL * found.abs() {
            break;
        }
    }
    eigenvalue
}

#[cfg(test)]
mod tests {
    use super::*;

    // Number 1 of the survey's card.
    #[test]
    fn survey_1_power_iteration_is_the_dense_solution() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for sign in [1.0, -1.0] {
            let draw: Vec<f32> = (0..144).map(|_| rng.gen_range(-1.0..1.0)).collect();
            let a = Tensor::from_slice(&draw).view([12, 12]);
            // A definite matrix, so that one end of the spectrum is clearly the largest.
            let h = a.matmul(&a.tr()) * sign;
            let x = Tensor::zeros([12], tch::kind::FLOAT_CPU).set_requires_grad(true);
            let loss = x.matmul(&h).dot(&x) * 0.5 + x.sum(Kind::Float);
            let gradient = Tensor::run_backward(&[&loss], &[&x], true, true).remove(0);
            let found = dominant_eigenvalue(12, |v| {
                Tensor::run_backward(&[(&gradient * v).sum(Kind::Float)], &[&x], true, false)
                    .remove(0)
            });
            let values = h.linalg_eigvalsh("L");
            let dense = if sign > 0.0 { values.max() } else { values.min() }.double_value(&[]);
            assert!((found / dense - 1.0).abs() < 0.01, "{found}, {dense}");
        }
    }

    #[test]
    fn a_flat_loss_has_no_curvature() {
        assert_eq!(dominant_eigenvalue(3, Tensor::zeros_like).abs(), 0.0);
    }
}
