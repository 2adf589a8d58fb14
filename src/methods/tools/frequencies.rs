//! The distribution of methods that compare whole architectures: how frequent choices and edges are among their best ones.

use lat_space::{Architecture, ChoiceSet, Decision};
use tch::Tensor;

use crate::relaxed::Relaxed;

/// Strength of an edge that no architecture keeps; strengths must be positive.
const WEAK: f64 = 1e-6;

/// The share of each choice as its probability, the share of architectures that keep an edge as its strength.
pub(crate) fn frequencies(decisions: &[Decision], architectures: &[Architecture]) -> Relaxed {
    let (mut probs, mut strengths) = (Vec::new(), Vec::new());
    for (d, decision) in decisions.iter().enumerate() {
        let share = |c: usize| {
            let taken = architectures.iter().filter(|a| a.choices[d].contains(c)).count();
            taken as f32 / architectures.len() as f32
        };
        let row: Vec<f32> = (0..decision.choices.len()).map(share).collect();
        let kept = decision.none().map_or(1.0, |none| 1.0 - f64::from(row[none]));
        probs.push(Tensor::from_slice(&row));
        strengths.push(Tensor::from(kept.max(WEAK) as f32));
    }
    Relaxed::competing(probs, strengths)
}

/// `[n_decisions]`: the choices of an architecture, as checkpoints store them.
pub(crate) fn numbers(architecture: &Architecture) -> Tensor {
    let only = |c: &ChoiceSet| c.only().expect("one choice per decision") as i64;
    Tensor::from_slice(&architecture.choices.iter().map(only).collect::<Vec<_>>())
}

/// The architecture with these choices `[n_decisions]`.
pub(crate) fn of_numbers(space: &str, numbers: &Tensor) -> Architecture {
    let choices = Vec::<i64>::try_from(numbers).expect("one choice per decision");
    Architecture::new(space, choices.into_iter().map(|c| c as usize))
}
