//! Splits rows at random, for example into rows for training and for testing.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::DataError;

/// Splits the numbers `0..n` at random into one part per fraction. The same seed gives the same parts.
///
/// If the fractions add up to less than 1, the rest is in no part. Rows of a table should be distinct architectures, as those of
/// a [`LatencyTable`](crate::LatencyTable) are; then no architecture is in two parts.
///
/// # Errors
/// [`DataError::Split`] if a fraction is negative or not finite, or if their sum is above 1.
pub fn split(n: usize, fractions: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    let sum: f64 = fractions.iter().sum();
    // 0.8 + 0.1 + 0.1 may be above 1 because of rounding.
    if fractions.iter().any(|f| !f.is_finite() || *f < 0.0) || sum > 1.0 + 1e-9 {
        return Err(DataError::Split {
            n,
            expected: "fractions of at least 0 whose sum is at most 1".to_owned(),
            found: format!("{fractions:?}"),
        });
    }
    let order = shuffled(n, seed);
    let (mut start, mut done) = (0, 0.0);
    let parts = fractions.iter().map(|fraction| {
        done += fraction;
        let end = ((done * n as f64).round() as usize).clamp(start, n);
        let part = order[start..end].to_vec();
        start = end;
        part
    });
    Ok(parts.collect())
}

/// Draws `train` and `test` of the numbers `0..n` at random, as (train, test). The same seed gives the same numbers.
///
/// The test part does not depend on `train`, and a larger `train` contains the smaller one, so learning curves can be compared.
///
/// # Errors
/// [`DataError::Split`] if there are more than `n` together.
pub fn split_sizes(
    n: usize,
    train: usize,
    test: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    if train.checked_add(test).is_none_or(|sum| sum > n) {
        return Err(DataError::Split {
            n,
            expected: format!("at most {n} for training and testing together"),
            found: format!("{train} for training and {test} for testing"),
        });
    }
    let mut rest = shuffled(n, seed);
    let mut train_rows = rest.split_off(test);
    train_rows.truncate(train);
    Ok((train_rows, rest))
}

/// Draws `test` of the numbers `0..labels.len()` at random so that each label has its share, as (train, test). All others are for
/// training.
///
/// # Errors
/// [`DataError::Split`] if `test` is greater than the number of labels.
pub fn split_stratified(
    labels: &[u32],
    test: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let n = labels.len();
    if test > n {
        return Err(DataError::Split {
            n,
            expected: format!("at most {n} for testing"),
            found: test.to_string(),
        });
    }
    let classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let mut counts = vec![0; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    let mut wanted = shares(&counts, test);
    let (mut train_rows, mut test_rows) = (Vec::with_capacity(n - test), Vec::with_capacity(test));
    for row in shuffled(n, seed) {
        let left = &mut wanted[labels[row] as usize];
        if *left > 0 {
            *left -= 1;
            test_rows.push(row);
        } else {
            train_rows.push(row);
        }
    }
    Ok((train_rows, test_rows))
}

/// Divides `total` among the classes by their counts: rounded down, and the rest goes to the largest remainders.
fn shares(counts: &[usize], total: usize) -> Vec<usize> {
    let n = counts.iter().sum::<usize>().max(1);
    let mut shares: Vec<usize> = counts.iter().map(|count| count * total / n).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(counts[class] * total % n));
    let left = total - shares.iter().sum::<usize>();
    for &class in by_remainder.iter().take(left) {
        shares[class] += 1;
    }
    shares
}

fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_cover_all() {
        let parts = split(103, &[0.8, 0.1, 0.1], 7).unwrap();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [82, 11, 10]);
        let mut all = parts.concat();
        assert_ne!(all, (0..103).collect::<Vec<_>>(), "not shuffled");
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(split(50, &[0.5], 1).unwrap(), split(50, &[0.5], 1).unwrap());
        assert_ne!(split(50, &[0.5], 1).unwrap(), split(50, &[0.5], 2).unwrap());
    }

    #[test]
    fn impossible_parts_are_errors() {
        for fractions in [&[0.9, 0.2][..], &[-0.1], &[f64::NAN]] {
            assert!(split(10, fractions, 0).is_err(), "{fractions:?}");
        }
        assert!(split_sizes(10, usize::MAX, 2, 0).is_err());
        let message = split_sizes(10, 9, 2, 0).unwrap_err().to_string();
        let expected = "cannot split 10 rows: expected at most 10 for training and testing together; \
             found 9 for training and 2 for testing";
        assert_eq!(message, expected);
    }

    #[test]
    fn the_test_part_stays_while_the_training_part_grows() {
        let (small, test) = split_sizes(100, 10, 20, 3).unwrap();
        let (large, same_test) = split_sizes(100, 80, 20, 3).unwrap();
        assert_eq!(test, same_test);
        assert_eq!(small, large[..10]);
        let mut all = [large, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn each_label_gets_its_share() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i % 10 == 0)).collect();
        let (train, test) = split_stratified(&labels, 25, 1).unwrap();
        assert_eq!((train.len(), test.len()), (75, 25));
        // A tenth of 25 is 2.5. Both remainders are a half, so the first class gets the odd one.
        assert_eq!(test.iter().filter(|&&row| labels[row] == 1).count(), 2);
        assert_eq!(shares(&[2, 2, 6], 5), [1, 1, 3]);
        assert_eq!(shares(&[], 0), Vec::<usize>::new());
    }
}
