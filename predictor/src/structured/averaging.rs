//! The full model and the simple one, averaged by how probable each makes the rows.
//!
//! Ten rows cannot tell which of hundreds of features matter, and the variances that fit them best overfit. A model of operation
//! counts alone is often as good with few rows, and never much worse. Each model is weighted by its evidence times a prior
//! probability (Bayesian model averaging: Hoeting, Madigan, Raftery and Volinsky, Statistical Science 14(4), 1999). Both are
//! linear in the features, so the average is one linear model. With a hundred rows one of them gets all the weight.

use super::posterior::{DRAWS, Posterior};

/// Logarithm of the prior odds in favour of the simple model. The full model's variances are those that fit the rows best, which
/// makes its evidence too large: in a prototype, with 10 rows of 36 tables (12 draws each), errors were up to 1.25 times the
/// better ridge's with 0 here, 1.08 with 2 and 1.07 with 3.
const SIMPLER: f64 = 2.5;
/// A model with less weight than this is left out.
const NEGLIGIBLE: f64 = 1e-3;

/// A fit to all rows, given the learnt variances.
pub(crate) struct Belief {
    /// The features with a weight, ascending.
    pub(crate) kept: Vec<usize>,
    pub(crate) posterior: Posterior,
    /// Variance of the noise of a row with base weight 1.
    pub(crate) noise: f64,
    pub(crate) log_evidence: f64,
}

/// The average of both models, each weighted by its probability.
pub(crate) fn average(full: Belief, simple: Belief) -> Belief {
    let odds = (full.log_evidence - simple.log_evidence - SIMPLER).clamp(-50.0, 50.0);
    let share = 1.0 / (1.0 + odds.exp());
    if share < NEGLIGIBLE {
        full
    } else if share > 1.0 - NEGLIGIBLE {
        simple
    } else {
        mix(&full, &simple, share)
    }
}

/// The mixture of the simple model with weight `share`, and the full one with the rest.
fn mix(full: &Belief, simple: &Belief, share: f64) -> Belief {
    let mut kept = [full.kept.as_slice(), &simple.kept].concat();
    kept.sort_unstable();
    kept.dedup();
    let parts = [(full, 1.0 - share), (simple, share)];
    let mean = |value: &dyn Fn(&Belief) -> f64| parts.iter().map(|(b, p)| p * value(b)).sum();
    let per_row = |value: &dyn Fn(&Posterior, usize) -> f64| -> Vec<f64> {
        (0..full.posterior.held_out.len()).map(|i| mean(&|b| value(&b.posterior, i))).collect()
    };
    let held_out = per_row(&|p, i| p.held_out[i]);
    // The variance within the models plus that between them.
    let held_out_variance =
        per_row(&|p, i| p.held_out_variance[i] + (p.held_out[i] - held_out[i]).powi(2));
    let weights = |b: &Belief| spread_out(&kept, b, |j| b.posterior.weights[j]);
    let pairs = weights(full).into_iter().zip(weights(simple));
    let mut posterior = Posterior {
        weights: pairs.map(|(f, s)| (1.0 - share) * f + share * s).collect(),
        intercept: mean(&|b| b.posterior.intercept),
        held_out,
        held_out_variance,
        draws: Vec::new(),
        intercept_draws: Vec::new(),
    };
    draw(&mut posterior, &kept, full, simple, share);
    Belief {
        posterior,
        noise: mean(&|b| b.noise),
        log_evidence: full.log_evidence.max(simple.log_evidence),
        kept,
    }
}

/// Fills the draws: differences from the averaged weights. A share of the draws comes from the simple model, the others from the
/// full one.
fn draw(mean: &mut Posterior, kept: &[usize], full: &Belief, simple: &Belief, share: f64) {
    let n_draws = DRAWS as usize;
    let n_simple = (share * n_draws as f64).round() as usize;
    mean.draws = vec![0.0; kept.len() * n_draws];
    for (belief, columns) in [(simple, 0..n_simple), (full, n_simple..n_draws)] {
        let own = &belief.posterior;
        for k in columns {
            let drawn = |j: usize| own.weights[j] + f64::from(own.draws[j * n_draws + k]);
            for (j, weight) in spread_out(kept, belief, drawn).into_iter().enumerate() {
                mean.draws[j * n_draws + k] = (weight - mean.weights[j]) as f32;
            }
            let intercept = own.intercept + f64::from(own.intercept_draws[k]);
            mean.intercept_draws.push((intercept - mean.intercept) as f32);
        }
    }
}

/// Values of the belief's features in the order of all `kept` features; zero for features that it does not have.
fn spread_out(kept: &[usize], belief: &Belief, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let own = |feature| belief.kept.binary_search(feature).map_or(0.0, &value);
    kept.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A belief with weights for these features, whose differences in draw `k` are all `k`.
    fn belief(kept: &[usize], weights: &[f64], intercept: f64, log_evidence: f64) -> Belief {
        let n_draws = DRAWS as usize;
        let posterior = Posterior {
            weights: weights.to_vec(),
            intercept,
            held_out: vec![intercept; 3],
            held_out_variance: vec![1.0; 3],
            draws: (0..kept.len()).flat_map(|_| (0..n_draws).map(|k| k as f32)).collect(),
            intercept_draws: vec![0.0; n_draws],
        };
        Belief { kept: kept.to_vec(), posterior, noise: intercept, log_evidence }
    }

    #[test]
    fn clear_evidence_leaves_one_model() {
        let full = || belief(&[1, 4], &[1.0, 2.0], 1.0, 0.0);
        let simple = |evidence| belief(&[0], &[5.0], 3.0, evidence);
        assert_eq!(average(full(), simple(-30.0)).kept, [1, 4]);
        assert_eq!(average(full(), simple(30.0)).kept, [0]);
    }

    #[test]
    fn equal_models_are_averaged() {
        let (full, simple) =
            (belief(&[1, 4], &[1.0, 2.0], 1.0, SIMPLER), belief(&[0, 4], &[5.0, 6.0], 3.0, 0.0));
        let both = average(full, simple);
        assert_eq!(both.kept, [0, 1, 4]);
        let posterior = &both.posterior;
        assert_eq!(posterior.weights, [2.5, 0.5, 4.0]);
        assert_eq!((posterior.intercept, both.noise), (2.0, 2.0));
        assert_eq!(posterior.held_out, [2.0; 3]);
        assert_eq!(posterior.held_out_variance, [2.0; 3]);
        // Draws are differences from the mean. Those of the simple model come first, then those of the full one.
        let n_draws = DRAWS as usize;
        let draw = |j: usize, k: usize| posterior.draws[j * n_draws + k];
        assert_eq!((draw(0, 1), draw(1, 1), draw(2, 1)), (3.5, -0.5, 3.0));
        assert_eq!((draw(0, 20), draw(1, 20), draw(2, 20)), (-2.5, 20.5, 18.0));
        assert_eq!((posterior.intercept_draws[1], posterior.intercept_draws[20]), (1.0, -1.0));
    }
}
