//! Random architectures over which sources are compared.

use lat_space::{Architecture, Decision, Space, architecture_at, choice_of, find_space};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::PredictError;

/// Gates `[n, n_gates]` of random architectures, up to `n`. They are not measured; they show how far predictions and features
/// spread over the space. Built-in spaces number their architectures; for other spaces each decision is drawn evenly.
pub(super) fn draw(space: &dyn Space, n: usize, seed: u64) -> Result<Array2<f32>, PredictError> {
    let decisions = space.decisions();
    let numbered = find_space(space.id()).ok().filter(|s| s.decisions() == decisions);
    let mut gates = Vec::new();
    let mut rows = 0;
    if let Some(numbered) = numbered {
        let n = u64::try_from(numbered.size()).unwrap_or(u64::MAX).min(n as u64);
        for i in 0..n {
            gates.extend(architecture_at(numbered.as_ref(), seed, i)?.gates(decisions));
            rows += 1;
        }
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..n {
            gates.extend(even(space, &mut rng).gates(decisions));
            rows += 1;
        }
    }
    let width = decisions.iter().map(Decision::n_gates).sum();
    Ok(Array2::from_shape_vec((rows, width), gates).expect("a gate per choice and row"))
}

/// An architecture with each choice drawn evenly. For slots that do not exist, the space puts in its own form.
fn even(space: &dyn Space, rng: &mut ChaCha8Rng) -> Architecture {
    let draw = |d: &Decision| {
        Some(match d.number {
            Some(range) => choice_of(range.at(rng.gen_range(0.0..=1.0))),
            None => rng.gen_range(0..d.choices.len()),
        })
    };
    let choices: Vec<Option<usize>> = space.decisions().iter().map(draw).collect();
    space.architecture(&choices).expect("every decision has a choice")
}

#[cfg(test)]
mod tests {
    use lat_space::{DeclaredSpace, NasBench201};

    use super::*;

    #[test]
    fn draws_are_architectures_and_follow_the_seed() {
        let declared = "id = \"toy\"\n[[decision]]\nname = \"d\"\nvalues = [1, 2]\n\
                        [[decision]]\nname = \"k\"\nvalues = [3, 5, 7]\npresent = \"d > 1\"\n";
        let declared = DeclaredSpace::read(declared).unwrap();
        let drawn = draw(&declared, 200, 1).unwrap();
        assert_eq!(drawn.dim(), (200, 5));
        // A slot that does not exist counts as its first choice.
        assert!(drawn.rows().into_iter().all(|r| r[0] == 0.0 || r[2] == 1.0));
        assert!(drawn.rows().into_iter().any(|r| r[4] == 1.0));
        assert_eq!(drawn, draw(&declared, 200, 1).unwrap());
        assert_ne!(drawn, draw(&declared, 200, 2).unwrap());
        assert_eq!(draw(&NasBench201::new(), 50, 0).unwrap().dim(), (50, 30));
    }
}
