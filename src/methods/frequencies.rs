//! What a method that compares whole architectures believes: how frequent choices and edges are among those it would answer with.

use lat_space::{Architecture, Decision, SearchSpace};
use tch::Tensor;

use crate::relaxed::Relaxed;

/// How strongly an edge competes that no architecture keeps; strengths are positive.
const WEAK: f64 = 1e-6;

/// The decisions whose choices are counted.
#[derive(Debug)]
pub(super) struct Frequencies {
    decisions: Vec<Decision>,
}

impl Frequencies {
    pub(super) fn new(space: &dyn SearchSpace) -> Self {
        Self { decisions: space.decisions().to_vec() }
    }

    /// Shares of choices as probabilities, shares of kept edges as strengths.
    pub(super) fn of(&self, architectures: &[Architecture]) -> Relaxed {
        let (mut probs, mut strengths) = (Vec::new(), Vec::new());
        for (d, decision) in self.decisions.iter().enumerate() {
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
}
