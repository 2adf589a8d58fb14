//! Subnets that share a supernet's weights: the largest, the smallest, and random ones.

use lat_space::{Architecture, ChoiceSet, Decision, Graph, SearchSpace, count};
use rand::{Rng, RngCore};

/// The two ends of a space, by multiply-adds in the supernet's network.
#[derive(Debug, Clone)]
pub(crate) struct Extremes {
    /// The architecture with the most multiply-adds.
    pub largest: Architecture,
    /// The architecture with the fewest multiply-adds.
    pub smallest: Architecture,
}

impl Extremes {
    /// Finds the ends of a space with independent decisions. For each decision in turn, takes the choice with the most (or fewest)
    /// multiply-adds, until nothing changes. That finds the true end if more of anything never makes a network cheaper, as in all
    /// built-in spaces. Among choices that make no difference the last is taken; decisions without effect get the choice that the
    /// space's own text gives them.
    pub(crate) fn of(space: &dyn SearchSpace, graph: &Graph) -> Self {
        let multiply_adds = |a: &Architecture| i128::from(count(&graph.derive(a)).multiply_adds);
        Self {
            largest: furthest(space, &multiply_adds),
            smallest: furthest(space, &|a| -multiply_adds(a)),
        }
    }
}

fn furthest(space: &dyn SearchSpace, value: &dyn Fn(&Architecture) -> i128) -> Architecture {
    let decisions = space.decisions();
    let mut choices: Vec<usize> = decisions.iter().map(|d| d.choices.len() - 1).collect();
    let of = |choices: &[usize]| Architecture::new(space.id(), choices.iter().copied());
    loop {
        let before = choices.clone();
        for (d, decision) in decisions.iter().enumerate() {
            let with = |c: usize| {
                let mut choices = choices.clone();
                choices[d] = c;
                of(&choices)
            };
            // A network that ignores its input cannot be trained.
            let open = (0..decision.choices.len()).filter(|&c| space.reads_input(&with(c)));
            // Among equals the last one.
            choices[d] = open.max_by_key(|&c| value(&with(c))).unwrap_or(choices[d]);
        }
        if choices == before {
            let found = of(&choices);
            return space.parse(&space.format(&found)).unwrap_or(found);
        }
    }
}

/// All choices of all decisions.
pub(crate) fn all(decisions: &[Decision]) -> Vec<ChoiceSet> {
    decisions.iter().map(|d| ChoiceSet::of(0..d.choices.len())).collect()
}

/// An architecture in which each decision takes a choice of its set, drawn independently and uniformly.
pub(crate) fn drawn(space: &str, live: &[ChoiceSet], rng: &mut dyn RngCore) -> Architecture {
    let choice = |set: &ChoiceSet| {
        let place = rng.gen_range(0..set.len());
        set.iter().nth(place).expect("a set has as many choices as its length")
    };
    Architecture::new(space, live.iter().map(choice).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use lat_space::{SPACES, find_skeleton};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn no_architecture_has_more_or_fewer_multiply_adds_than_the_ends() {
        for space in SPACES.iter().map(|build| build()).filter(|s| s.groups().is_empty()) {
            let graph = space.graph(&find_skeleton(space.as_ref(), "quick").unwrap());
            let Extremes { largest, smallest } = Extremes::of(space.as_ref(), &graph);
            let size = |a: &Architecture| count(&graph.derive(a)).multiply_adds;
            let (most, least) = (size(&largest), size(&smallest));
            let (live, mut rng) = (all(space.decisions()), ChaCha8Rng::seed_from_u64(0));
            for _ in 0..50 {
                let architecture = drawn(space.id(), &live, &mut rng);
                space.check(&architecture).unwrap();
                let n = size(&architecture);
                let name = space.format(&architecture);
                assert!(n <= most && (n >= least || !space.reads_input(&architecture)), "{name}");
            }
            for end in [&largest, &smallest] {
                assert_eq!(space.parse(&space.format(end)).as_ref(), Ok(end), "one text");
            }
        }
    }

    #[test]
    fn the_ends_of_elastic_spaces_are_their_first_and_their_last() {
        for id in ["attentivenas", "bignas", "ofa"] {
            let space = lat_space::find_space(id).unwrap();
            let graph = space.graph(&find_skeleton(space.as_ref(), "imagenet").unwrap());
            let Extremes { largest, smallest } = Extremes::of(space.as_ref(), &graph);
            assert_eq!(largest, space.at(space.size() - 1), "{id}");
            assert_eq!(smallest, space.at(0), "{id}");
        }
    }

    #[test]
    fn draws_keep_to_their_sets_and_reach_all_of_them() {
        let live = [ChoiceSet::of([1, 3]), ChoiceSet::one(2)];
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let found: Vec<_> = (0..20).map(|_| drawn("x", &live, &mut rng).choices).collect();
        assert!(found.iter().all(|choices| choices[1] == live[1]));
        for choice in [1, 3] {
            assert!(found.iter().any(|choices| choices[0] == ChoiceSet::one(choice)));
        }
    }
}
