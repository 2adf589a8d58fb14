//! The Matthew effect: operations with a small weight get small gradients, and fall further behind.

use lat_predictor::spearman;
use tch::Kind;

use crate::methods::{GRADIENT_SQUARES, Method};
use crate::optimizer::named_weights;
use crate::relaxed::Relaxed;
use crate::supernet::{CellSupernet, OwnChoice, Supernet};

/// Gini coefficient within edges, and correlation with the probabilities; see [`super::Diagnostics`]. None before any gradient has
/// been seen.
pub(super) fn effect(
    net: &CellSupernet,
    method: &dyn Method,
    relaxed: &Relaxed,
) -> (Option<f64>, Option<f64>) {
    let state = method.state();
    let Some((_, squares)) = state.iter().find(|(name, _)| name == GRADIENT_SQUARES) else {
        return (None, None);
    };
    let squares = Vec::<f64>::try_from(squares.to_kind(Kind::Double)).expect("one dimension");
    let weights = named_weights(net.weights());
    let of = |candidate: &OwnChoice| -> Option<f64> {
        let prefix = format!("{}.", candidate.path);
        let own =
            || weights.iter().zip(&squares).filter(|((name, _), _)| name.starts_with(&prefix));
        let n: f64 = own().map(|((_, weight), _)| weight.numel() as f64).sum();
        (n > 0.0).then(|| (own().map(|(_, squares)| squares).sum::<f64>() / n).sqrt())
    };
    let (mut ginis, mut probs, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    for site in net.own_choices().chunk_by(|a, b| a.site == b.site) {
        let mut found = Vec::new();
        for candidate in site {
            let Some(gradient) = of(candidate) else { continue };
            found.push(gradient);
            probs.push(relaxed.probs[candidate.decision].double_value(&[candidate.choice as i64]));
        }
        if found.len() > 1 && found.iter().any(|g| *g > 0.0) {
            ginis.push(gini(&found));
        }
        gradients.extend(found);
    }
    if ginis.is_empty() {
        return (None, None);
    }
    (Some(ginis.iter().sum::<f64>() / ginis.len() as f64), Some(spearman(&probs, &gradients)))
}

/// Gini coefficient of non-negative values: average difference between two of them, divided by twice their average.
pub fn gini(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let differences: f64 =
        values.iter().map(|a| values.iter().map(|b| (a - b).abs()).sum::<f64>()).sum();
    if sum > 0.0 { differences / (2.0 * n * sum) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::gini;

    // Number 4 of the survey's card.
    #[test]
    fn survey_4_gini_of_equals_is_0_and_of_one_that_takes_all_near_1() {
        assert_eq!(gini(&[2.0; 5]), 0.0);
        assert!((gini(&[0.0, 0.0, 3.0, 0.0]) - 0.75).abs() < 1e-12);
        assert!((gini(&[1.0, 3.0]) - 0.25).abs() < 1e-12);
        assert_eq!(gini(&[0.0; 3]), 0.0);
    }
}
