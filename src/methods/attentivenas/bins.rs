//! Architectures grouped into bins by their amount (multiply-adds or cost): for each bin a categorical model of each decision,
//! counted from drawn architectures.

use lat_space::{Architecture, Decision};
use rand::RngCore;
use rand::distributions::{Distribution, WeightedIndex};

/// Number of draws after which the last one is taken, whatever its bin: the authors' 100, plus one.
const MOST_TRIES: usize = 101;

/// The bins that contain at least one architecture, in ascending order.
#[derive(Debug)]
pub(super) struct Bins {
    /// Width of a bin, in the unit of the amounts.
    step: f64,
    seen: Vec<Bin>,
    /// Draws a bin in proportion to its number of architectures.
    shares: WeightedIndex<u32>,
}

/// The architectures counted in one bin.
#[derive(Debug)]
struct Bin {
    /// The bin's number: amounts that round to this many steps belong to it.
    number: i64,
    n: u32,
    /// For each decision, how often each choice occurred.
    counts: Vec<Vec<u32>>,
}

impl Bins {
    /// Counts architectures with their amounts. `step` must be above 0, and there must be at least one architecture.
    pub(super) fn count(
        decisions: &[Decision],
        seen: impl IntoIterator<Item = (Architecture, f64)>,
        step: f64,
    ) -> Self {
        let empty = |number| Bin {
            number,
            n: 0,
            counts: decisions.iter().map(|d| vec![0; d.choices.len()]).collect(),
        };
        let mut bins: Vec<Bin> = Vec::new();
        for (architecture, amount) in seen {
            let number = number(amount, step);
            let place = bins.binary_search_by_key(&number, |bin| bin.number);
            let place = place.unwrap_or_else(|place| {
                bins.insert(place, empty(number));
                place
            });
            bins[place].n += 1;
            for (counts, set) in bins[place].counts.iter_mut().zip(&architecture.choices) {
                set.iter().for_each(|choice| counts[choice] += 1);
            }
        }
        let shares = WeightedIndex::new(bins.iter().map(|bin| bin.n));
        Self { step, shares: shares.expect("an architecture was seen"), seen: bins }
    }

    /// Draws a bin in proportion to its number of architectures. Returns its index.
    pub(super) fn draw_bin(&self, rng: &mut dyn RngCore) -> usize {
        self.shares.sample(rng)
    }

    /// Draws an architecture from a bin, each decision independently by the frequencies of its choices in the bin. Repeats while
    /// `amount` puts it into another bin; after [`MOST_TRIES`] tries takes the last one.
    ///
    /// # Errors
    /// The errors of `amount`.
    pub(super) fn draw<E>(
        &self,
        space: &str,
        bin: usize,
        rng: &mut dyn RngCore,
        amount: impl Fn(&Architecture) -> Result<f64, E>,
    ) -> Result<Architecture, E> {
        let bin = &self.seen[bin];
        let choices = bin.counts.iter().map(|counts| {
            WeightedIndex::new(counts).expect("each decision of what was seen has a choice")
        });
        let choices: Vec<_> = choices.collect();
        let mut tries = 0;
        loop {
            let drawn = choices.iter().map(|choice| choice.sample(rng)).collect::<Vec<_>>();
            let architecture = Architecture::new(space, drawn);
            tries += 1;
            if tries == MOST_TRIES || number(amount(&architecture)?, self.step) == bin.number {
                return Ok(architecture);
            }
        }
    }
}

/// The number of steps that an amount rounds to. Halves round to even numbers, as in Python.
fn number(amount: f64, step: f64) -> i64 {
    (amount / step).round_ties_even() as i64
}

#[cfg(test)]
mod tests {
    use lat_space::Choice;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn decisions() -> Vec<Decision> {
        let two = || vec![Choice::number("1"), Choice::number("2")];
        vec![Decision::slot("a", two()), Decision::slot("b", two())]
    }

    fn of(choices: [usize; 2]) -> Architecture {
        Architecture::new("x", choices)
    }

    /// The authors' `round_flops`, and their table of four architectures.
    #[test]
    fn amounts_are_rounded_and_counted_as_the_authors_do_it() {
        for (amount, rounded) in [
            (12.4, 0),
            (12.5, 0),
            (37.5, 50),
            (62.5, 50),
            (187.5, 200),
            (212.5, 200),
            (237.4, 225),
            (237.5, 250),
            (203.389_568, 200),
        ] {
            assert_eq!(25 * number(amount, 25.0), rounded, "{amount}");
        }
        let seen = [([1, 1], 212.5), ([0, 0], 190.0), ([0, 1], 187.5), ([1, 0], 237.4)];
        let bins = Bins::count(&decisions(), seen.map(|(c, amount)| (of(c), amount)), 25.0);
        let found: Vec<_> = bins.seen.iter().map(|bin| (25 * bin.number, bin.n)).collect();
        assert_eq!(found, [(200, 3), (225, 1)]);
        assert_eq!(bins.seen[0].counts, [[2, 1], [1, 2]]);
        assert_eq!(bins.seen[1].counts, [[0, 1], [1, 0]]);
    }

    // Number 6 of what must be true of AttentiveNAS.
    #[test]
    fn attentivenas_6_what_is_drawn_is_in_its_bin_unless_the_tries_ran_out() {
        let amount = |a: &Architecture| -> f64 {
            a.choices.iter().map(|set| set.only().unwrap() as f64).sum()
        };
        let all = [[0, 0], [0, 1], [1, 0], [1, 1]].map(of);
        let seen = all.clone().map(|a| (a.clone(), amount(&a)));
        let bins = Bins::count(&decisions(), seen, 1.0);
        for bin in &bins.seen {
            for counts in &bin.counts {
                assert_eq!(counts.iter().sum::<u32>(), bin.n, "marginals sum to one");
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        // The middle bin contains [0, 1] and [1, 0], whose marginals can produce all four architectures.
        for _ in 0..50 {
            let ok = |a: &Architecture| Ok::<_, ()>(amount(a));
            let drawn = bins.draw("x", 1, &mut rng, ok).unwrap();
            assert!((amount(&drawn) - 1.0).abs() < 1e-9);
            let bin = bins.draw_bin(&mut rng);
            let drawn = bins.draw("x", bin, &mut rng, ok).unwrap();
            assert_eq!(number(amount(&drawn), 1.0), bins.seen[bin].number);
        }
        let tries = std::cell::Cell::new(0);
        let never = |_: &Architecture| {
            tries.set(tries.get() + 1);
            Ok::<_, ()>(99.0)
        };
        bins.draw("x", 1, &mut rng, never).unwrap();
        assert_eq!(tries.get(), MOST_TRIES - 1, "the last one is not asked about");
    }
}
