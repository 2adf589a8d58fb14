//! A part of a run's samples, for one of several machines.

use std::fmt;
use std::str::FromStr;

/// One of `count` parts of a run's samples: those whose number leaves the remainder `index - 1` when divided by `count`.
///
/// Neighbours in the draw are in different parts, so all parts have the same size (or differ by one), and if a run gets more
/// samples, all its parts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The part with all samples.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Part `index` (from 1) of `count`; None if there is no such part.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (1..=count).contains(&index).then_some(Self { index, count })
    }

    /// Its number, from 1.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of parts.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the sample is in this part.
    pub fn contains(self, sample: u64) -> bool {
        sample % u64::from(self.count) == u64::from(self.index - 1)
    }

    /// This part of the first `samples` samples of the draw, ascending.
    pub fn samples(self, samples: u64) -> impl Iterator<Item = u64> {
        (u64::from(self.index - 1)..samples).step_by(self.count as usize)
    }

    /// The number, in the whole run, of this part's `round`-th round of anchors. No two parts have the same number.
    pub fn anchor_round(self, round: u32) -> u32 {
        round * self.count + self.index - 1
    }

    /// Divides this part further: part `index` (from 1) of `count`. None if there is no such part, or if there would be more
    /// parts than can be numbered.
    pub fn split(self, index: u32, count: u32) -> Option<Self> {
        let within = Self::new(index, count)?;
        let index = (within.index - 1).checked_mul(self.count)?.checked_add(self.index)?;
        Self::new(index, self.count.checked_mul(count)?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        numbers.and_then(|(index, count)| Self::new(index, count)).ok_or_else(|| {
            format!("expected a shard I/N with I from 1 to N, such as 2/8; found '{text}'")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_in_exactly_one_part() {
        let parts: Vec<Shard> = (1..=3).map(|i| Shard::new(i, 3).unwrap()).collect();
        let mut all: Vec<u64> = parts.iter().flat_map(|part| part.samples(11)).collect();
        for part in &parts {
            assert!(part.samples(11).all(|sample| part.contains(sample)));
        }
        all.sort_unstable();
        assert_eq!(all, (0..11).collect::<Vec<_>>());
    }

    #[test]
    fn parts_of_parts_are_parts_of_the_whole() {
        let second = Shard::new(2, 3).unwrap();
        let halves = [second.split(1, 2).unwrap(), second.split(2, 2).unwrap()];
        assert_eq!(halves.map(|half| half.to_string()), ["2/6", "5/6"]);
        let mut both: Vec<u64> = halves.iter().flat_map(|half| half.samples(40)).collect();
        both.sort_unstable();
        assert_eq!(both, second.samples(40).collect::<Vec<_>>());
        assert_eq!(Shard::WHOLE.split(2, 2), Shard::new(2, 2));
        assert_eq!(Shard::new(2, 1 << 31).unwrap().split(2, 2), None);
    }

    #[test]
    fn no_two_parts_record_an_anchor_under_one_number() {
        let rounds = |index| (0..5).map(move |r| Shard::new(index, 4).unwrap().anchor_round(r));
        let mut all: Vec<u32> = (1..=4).flat_map(rounds).collect();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        assert_eq!(Shard::WHOLE.anchor_round(3), 3);
    }

    #[test]
    fn texts_are_read_as_written_and_nonsense_is_refused() {
        for text in ["1/1", "2/8", "8/8"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["0/8", "9/8", "2", "2/", "/8", "a/b", "-1/2", "1/0", ""] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.ends_with(&format!("found '{text}'")), "{error}");
        }
    }
}
