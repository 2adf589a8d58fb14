//! Draws architectures so that number i of a run depends only on the space, the seed and i.
//!
//! A keyed permutation of `0..size` gives distinct architectures without a list of those already drawn. So any worker can draw
//! any number, and a resumed run continues with the architectures that it would have had.

use rand::{Rng, RngCore};

use crate::{Architecture, SearchSpace, SpaceError};

/// Rounds of the Feistel network; four suffice for a pseudo-random permutation (Luby and Rackoff 1988), six cost hardly more.
const ROUNDS: u64 = 6;

/// Architecture number `i` of the run with this seed. Different numbers give different architectures.
///
/// # Errors
/// [`SpaceError::TooMany`] if `i` is not below the space's size.
pub fn architecture_at(
    space: &dyn SearchSpace,
    seed: u64,
    i: u64,
) -> Result<Architecture, SpaceError> {
    let size = space.size();
    if u128::from(i) >= size {
        return Err(SpaceError::TooMany { space: space.id().to_owned(), size, asked: i + 1 });
    }
    let key = space.id().bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)));
    Ok(space.at(permute(u128::from(i), size, key)))
}

/// One architecture, drawn uniformly from the published ones.
pub fn sample(space: &dyn SearchSpace, rng: &mut dyn RngCore) -> Architecture {
    space.at(rng.gen_range(0..space.size()))
}

/// A permutation of `0..size`: a Feistel network on the next even number of bits, repeated until the result is below `size`.
fn permute(index: u128, size: u128, key: u64) -> u128 {
    let bits = u128::BITS - (size - 1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    assert!(half <= 64, "spaces have fewer than 2^128 architectures");
    let mask = u64::MAX >> (64 - half);
    let mut value = index;
    // Less than four steps on average, since the network's domain is less than four times `size`.
    loop {
        let (mut left, mut right) = ((value >> half) as u64, value as u64 & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (mix(right ^ mix(key.wrapping_add(round))) & mask));
        }
        value = u128::from(left) << half | u128::from(right);
        if value < size {
            return value;
        }
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn permutes_every_size() {
        for size in [1, 2, 3, 16, 17, 1000, 15_625] {
            let seen: HashSet<u128> = (0..size).map(|i| permute(i, size, 7)).collect();
            assert_eq!(seen.len() as u128, size);
        }
    }

    #[test]
    fn seeds_give_other_orders() {
        let first = |seed| (0..20).map(|i| permute(i, 15_625, mix(seed))).collect::<Vec<_>>();
        assert_ne!(first(0), first(1));
    }
}
