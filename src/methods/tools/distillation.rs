//! Losses for learning from another network's answers: soft cross entropy and `AlphaNet`'s adaptive alpha-divergence.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A measure of the distance between a student's answers and a teacher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Divergence {
    /// Soft cross entropy: the Kullback-Leibler divergence plus the teacher's entropy, which does not depend on the student.
    Kl,
    /// [`adaptive_alpha`].
    Alpha,
}

impl Divergence {
    /// Average over a batch of logits `[n, classes]`, a scalar. No gradient reaches the teacher.
    pub(crate) fn of(self, student: &Tensor, teacher: &Tensor) -> Tensor {
        match self {
            Self::Kl => soft_cross_entropy(student, teacher),
            Self::Alpha => adaptive_alpha(student, teacher),
        }
    }
}

/// Average over a batch of `-sum over classes of softmax(teacher) * log softmax(student)`, for logits `[n, classes]`.
pub(crate) fn soft_cross_entropy(student: &Tensor, teacher: &Tensor) -> Tensor {
    let targets = teacher.detach().softmax(-1, Kind::Float);
    let terms = targets * student.log_softmax(-1, Kind::Float);
    -terms.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float).mean(Kind::Float)
}

/// `AlphaNet`'s two alphas, and its bound of the ratio to the power alpha (arXiv 2102.07954, section 4; the authors' configuration).
const ALPHAS: [f64; 2] = [-1.0, 1.0];
const RATIO_CLIP: f64 = 5.0;
/// Alpha this near to 0 or 1 is treated as 0 or 1.
const NEAR: f64 = 1e-3;

/// `AlphaNet`'s adaptive alpha-divergence: for each image the larger of the divergences with alpha -1 and 1 gives the gradient.
/// Takes logits `[n, classes]`. Only the scalar's gradient has a meaning; its value is that of the surrogate.
pub(crate) fn adaptive_alpha(student: &Tensor, teacher: &Tensor) -> Tensor {
    let [low, high] = ALPHAS.map(|alpha| alpha_divergence(student, teacher, alpha, RATIO_CLIP));
    let surrogates = low.surrogate.where_self(&low.value.gt_tensor(&high.value), &high.surrogate);
    surrogates.mean(Kind::Float)
}

/// An alpha-divergence for each image.
struct AlphaDivergence {
    /// `[n]`: its value, without a graph.
    value: Tensor,
    /// `[n]`: a surrogate with the divergence's gradient.
    surrogate: Tensor,
}

/// Divergence of the student's probabilities q from the teacher's p: the expectation under q of f(p / q). Its gradient is that of
/// `-sum of q * rho(p / q) * log q` with constant weights q * rho. The ratio to the power alpha is clipped; for alpha 0 the ratio
/// itself is clipped, for alpha 1 nothing is.
fn alpha_divergence(student: &Tensor, teacher: &Tensor, alpha: f64, clip: f64) -> AlphaDivergence {
    let [q, p] = [student, teacher].map(|logits| logits.detach().softmax(-1, Kind::Float));
    let ratio = &p / &q;
    let (f, rho) = if alpha.abs() < NEAR {
        let log = ratio.clamp(0.0, clip).log();
        (-&log, log - 1.0)
    } else if (alpha - 1.0).abs() < NEAR {
        (&ratio * ratio.log(), ratio)
    } else {
        let power = ratio.pow_tensor_scalar(alpha).clamp(0.0, clip);
        let base = 1.0 / (alpha * (alpha - 1.0));
        (&power * base - base, power / alpha + base)
    };
    let over_classes =
        |terms: Tensor| terms.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
    let log_q = student.log_softmax(-1, Kind::Float);
    AlphaDivergence { value: over_classes(&q * f), surrogate: -over_classes(q * rho * log_q) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn official() -> HashMap<String, Tensor> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = folder.join("tests/parity/official_losses.npz");
        Tensor::read_npz(path).unwrap().into_iter().collect()
    }

    /// `scale * sin((i + 1) * (1 + k / 10))`.
    fn wave(k: usize, scale: f64) -> Tensor {
        let value = |i: i32| scale * (f64::from(i + 1) * (1.0 + k as f64 / 10.0)).sin();
        Tensor::from_slice(&(0..40).map(value).collect::<Vec<f64>>())
            .view([4, 10])
            .to_kind(Kind::Float)
    }

    fn assert_close(name: &str, found: &Tensor, expected: &Tensor) {
        assert_eq!(found.size(), expected.size(), "{name}");
        let error = (found - expected).abs().max().double_value(&[]);
        let largest = expected.abs().max().double_value(&[]).max(1.0);
        assert!(error <= 1e-5 * largest, "{name}: {error} of {largest}");
    }

    /// Compares a loss and its gradient for the student's logits with official arrays.
    fn compare(student: usize, loss: impl Fn(&Tensor) -> Tensor, value: &str, gradient: &str) {
        let all = official();
        let student = wave(student, 3.0).set_requires_grad(true);
        let found = loss(&student);
        found.sum(Kind::Float).backward();
        assert_close(value, &found.detach(), &all[value]);
        assert_close(gradient, &student.grad(), &all[gradient]);
    }

    #[test]
    fn losses_are_those_of_the_official_code() {
        let [ofa, alphanet] = [61, 71].map(|k| wave(k, 3.0));
        compare(60, |s| soft_cross_entropy(s, &ofa), "ofa/soft", "ofa/grad_soft");
        let (value, gradient) =
            ("alphanet/attentivenas_soft_ce", "alphanet/grad_attentivenas_soft_ce");
        compare(70, |s| Divergence::Kl.of(s, &alphanet), value, gradient);
        let (value, gradient) = ("alphanet/adaptive_default", "alphanet/grad_adaptive_default");
        compare(70, |s| Divergence::Alpha.of(s, &alphanet), value, gradient);
    }

    #[test]
    fn alpha_divergences_are_those_of_the_official_code() {
        let (all, teacher) = (official(), wave(71, 3.0));
        for alpha in [-1.0, 0.0, 1.0, 2.0] {
            for clip in [5.0, 1000.0] {
                let name = |what: &str| format!("alphanet/{what}_alpha{alpha:.1}_clip{clip}");
                let of = |s: &Tensor| alpha_divergence(s, &teacher, alpha, clip);
                let (value, gradient) = (name("f_surrogate"), name("grad_f_surrogate"));
                compare(70, |s| of(s).surrogate, &value, &gradient);
                assert_close("value", &of(&wave(70, 3.0)).value, &all[&name("f_value")]);
            }
        }
    }

    #[test]
    fn no_gradient_reaches_the_teacher() {
        for divergence in [Divergence::Kl, Divergence::Alpha] {
            let [student, teacher] = [70, 71].map(|k| wave(k, 3.0).set_requires_grad(true));
            divergence.of(&student, &teacher).backward();
            assert!(student.grad().defined() && !teacher.grad().defined());
        }
    }
}
