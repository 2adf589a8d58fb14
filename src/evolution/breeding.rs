//! Proposes architectures to be judged: random ones, mutants, crossings.

use lat_space::{Architecture, ChoiceSet, SearchSpace, sample};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Number of rounds of proposals after which no new architecture within the budget is expected.
pub(super) const ROUNDS: u32 = 12;
/// Number of proposals for each missing architecture: pricing is cheap compared with judging.
const PER_MISSING: usize = 16;
/// Probability that a decision of a mutant changes (once-for-all's rate for blocks and stages); at least one always changes.
const MUTATION: f64 = 0.1;

/// The material for proposals.
pub(super) struct Breeding<'a> {
    pub(super) space: &'a dyn SearchSpace,
    /// Children are crossed with it, so that some cost little.
    pub(super) cheapest: Option<&'a Architecture>,
    /// Parents of mutants and crossings; if there are none, random architectures are proposed.
    pub(super) parents: &'a [Architecture],
}

impl Breeding<'_> {
    /// Many more proposals than are missing; some may not be usable. From the second round on, half of them are moved towards the
    /// cheapest architecture, because the budget seems to be tight.
    pub(super) fn propose(
        &self,
        missing: usize,
        round: u32,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Architecture> {
        let one = |i: usize| {
            let child = if self.parents.is_empty() {
                sample(self.space, rng)
            } else if i.is_multiple_of(2) {
                self.mutant(self.parent(rng), rng)
            } else {
                let (one, other) = (self.parent(rng), self.parent(rng));
                crossing(one, other, 0.5, rng)
            };
            match self.cheapest {
                Some(cheapest) if round > 0 && i % 4 < 2 => {
                    let share = rng.gen_range(0.0..1.0);
                    crossing(&child, cheapest, share, rng)
                }
                _ => child,
            }
        };
        (0..PER_MISSING * missing).map(one).collect()
    }

    fn parent(&self, rng: &mut ChaCha8Rng) -> &Architecture {
        self.parents.choose(rng).expect("asked for where there are parents")
    }

    /// A copy in which some decisions take another choice.
    fn mutant(&self, of: &Architecture, rng: &mut ChaCha8Rng) -> Architecture {
        let decisions = self.space.decisions();
        let sure = rng.gen_range(0..decisions.len());
        let mut mutant = of.clone();
        for (d, decision) in decisions.iter().enumerate() {
            let n = decision.choices.len();
            if (d == sure || rng.gen_bool(MUTATION)) && n > 1 {
                let old = of.choices[d].iter().next().unwrap_or(0);
                mutant.choices[d] = ChoiceSet::one((old + rng.gen_range(1..n)) % n);
            }
        }
        mutant
    }
}

/// Takes each decision from `one` or the other; `share` is the probability of the other.
fn crossing(
    one: &Architecture,
    other: &Architecture,
    share: f64,
    rng: &mut ChaCha8Rng,
) -> Architecture {
    let mut child = one.clone();
    for (own, theirs) in child.choices.iter_mut().zip(&other.choices) {
        if rng.gen_bool(share) {
            *own = *theirs;
        }
    }
    child
}

#[cfg(test)]
mod tests {
    use lat_space::{find_space, sample};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn mutants_differ_in_a_tenth_and_crossings_have_two_parents() {
        let space = find_space("ofa").unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let parents = [sample(space.as_ref(), &mut rng), sample(space.as_ref(), &mut rng)];
        let breeding = Breeding { space: space.as_ref(), cheapest: None, parents: &parents };
        let proposed = breeding.propose(20, 0, &mut rng);
        assert_eq!(proposed.len(), 320);
        let differ = |a: &Architecture, b: &Architecture| {
            a.choices.iter().zip(&b.choices).filter(|(a, b)| a != b).count()
        };
        let n = space.decisions().len();
        let mutants = proposed.iter().step_by(2);
        let changed: Vec<usize> = mutants
            .map(|mutant| parents.iter().map(|p| differ(mutant, p)).min().unwrap())
            .collect();
        assert!(changed.iter().all(|&c| c >= 1));
        let mean = changed.iter().sum::<usize>() as f64 / changed.len() as f64;
        assert!((mean - (1.0 + 0.1 * (n - 1) as f64)).abs() < 1.0, "{mean} of {n}");
        for crossing in proposed.iter().skip(1).step_by(2) {
            let of_parents = crossing.choices.iter().enumerate();
            assert!(of_parents.clone().all(|(d, c)| parents.iter().any(|p| p.choices[d] == *c)));
        }
    }
}
