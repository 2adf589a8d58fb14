//! Two paths through a supernet that have no candidate in common.

use lat_space::{Architecture, SearchSpace};
use rand::{Rng, RngCore};

/// Number of draws after which a pair is taken as it is, even if one path does not read its input. In all built-in spaces only a few
/// percent of the pairs do not.
const MOST_DRAWS: usize = 100;

/// Draws two architectures that differ in every decision; each choice is equally likely in both. If one of them does not read its
/// input (because `none` cuts it), the pair is drawn again, since there would be nothing to compare.
pub(super) fn disjoint(space: &dyn SearchSpace, rng: &mut dyn RngCore) -> [Architecture; 2] {
    let mut pair = drawn(space, rng);
    for _ in 1..MOST_DRAWS {
        if pair.iter().all(|path| space.reads_input(path)) {
            break;
        }
        pair = drawn(space, rng);
    }
    pair
}

/// Draws two choices per decision without replacement.
fn drawn(space: &dyn SearchSpace, rng: &mut dyn RngCore) -> [Architecture; 2] {
    let two = |n: usize| {
        let first = rng.gen_range(0..n);
        let other = rng.gen_range(0..n - 1);
        (first, if other < first { other } else { other + 1 })
    };
    let (first, second): (Vec<_>, Vec<_>) =
        space.decisions().iter().map(|d| d.choices.len()).map(two).unzip();
    [first, second].map(|choices| Architecture::new(space.id(), choices))
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, find_space};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    // Number 1 of what must be true of Pi-NAS.
    #[test]
    fn pi_nas_1_paths_share_no_choice_and_take_each_equally_often() {
        let space = find_space("pinas").unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        // Per path, decision and choice.
        let mut counts = [[[0u32; 4]; 16]; 2];
        for _ in 0..1000 {
            let pair = disjoint(space.as_ref(), &mut rng);
            for (d, choices) in pair[0].choices.iter().zip(&pair[1].choices).enumerate() {
                let taken = [choices.0, choices.1].map(|set| set.only().unwrap());
                assert_ne!(taken[0], taken[1]);
                for (counts, choice) in counts.iter_mut().zip(taken) {
                    counts[d][choice] += 1;
                }
            }
        }
        for of_path in counts {
            // 16 decisions of 3 degrees of freedom each; 84 is exceeded once in a thousand.
            let term = |n: u32| (f64::from(n) - 250.0).powi(2) / 250.0;
            let chi_square: f64 = of_path.iter().flatten().map(|&n| term(n)).sum();
            assert!(chi_square < 84.0, "{chi_square}");
        }
    }

    #[test]
    fn both_paths_read_their_input_where_some_do_not() {
        let space = NasBench201::new();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let cut = |pair: &[Architecture; 2]| !pair.iter().all(|path| space.reads_input(path));
        assert!((0..200).any(|_| cut(&drawn(&space, &mut rng))));
        assert!(!(0..200).any(|_| cut(&disjoint(&space, &mut rng))));
    }
}
