//! Finds rows that were measured while the device was disturbed: they are far off the prediction of the others, and next to each
//! other in the order of measuring.

use std::f64::consts::LN_2;

use lat_data::median;
use lat_space::Space;
use ndarray::{Array1, Array2, ArrayView2};

use super::Samples;
use crate::folds::{select, subset};
use crate::model::predict_codes;
use crate::model::scale::Scale;
use crate::regressor::{Layout, check_rows};
use crate::structured::linear::{Start, fit_on};
use crate::{PredictError, encoding};

/// With fewer rows, single rows are not judged.
const LEAST_ROWS: usize = 100;
/// The most rows that are fitted; the errors that matter here are large.
const FITTED_ROWS: usize = 2000;
/// A row is off if it differs from the prediction of the others by this many spreads, and at least by a factor of two.
const SPREADS: f64 = 6.0;
/// The most fits; each leaves out the rows that the previous one found.
const ROUNDS: usize = 6;
/// The fewest such rows that make a stretch, and the largest share of all rows that they may be.
const FEWEST: usize = 5;
const MOST: f64 = 0.2;
/// At least this share of the rows that are off must lie in the stretch. The stretch may have at most this many rows for each of
/// them, and at most this share of all rows.
const TOGETHER: f64 = 0.8;
const PER_ROW: f64 = 4.0;
const LONGEST: f64 = 0.25;
/// In a table that is sorted by its architectures, neighbours differ by less than this share of the difference of any two rows.
const SORTED: f64 = 0.85;

/// The disturbed rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Disturbed {
    /// The rows that are off and lie in the stretch, ascending, from 0.
    pub rows: Vec<usize>,
    /// First and last row of the stretch.
    pub stretch: (usize, usize),
    /// Median of measured over predicted cost in these rows; below 1 if they cost less.
    pub factor: f64,
}

/// Looks for disturbed rows among samples in the order in which they were measured. None if there are none, or if the table is
/// sorted by its architectures: then rows lie together for other reasons.
///
/// # Errors
/// [`PredictError`] if the rows cannot be fitted.
pub fn disturbed(
    space: &dyn Space,
    samples: &Samples,
    seed: u64,
) -> Result<Option<Disturbed>, PredictError> {
    let n = samples.len();
    if n < LEAST_ROWS || is_sorted(samples.gates.view(), seed) {
        return Ok(None);
    }
    let map = encoding::find(space, "structured")?;
    let codes = encoding::encode(&map, samples.gates.view())?;
    check_rows(codes.view(), samples.values.view())?;
    let layout = encoding::setup(&map, space, seed).layout;
    let rows = Rows { codes, logs: samples.values.mapv(f64::ln), samples, layout, seed };
    let mut off: Vec<usize> = Vec::new();
    let mut errors = Vec::new();
    for _ in 0..ROUNDS {
        errors = rows.errors(&off)?;
        let found = off_rows(&errors);
        if found == off || found.len() as f64 > MOST * n as f64 {
            break;
        }
        off = found;
    }
    Ok(together(&off, n).map(|rows| {
        let factor = median(rows.iter().map(|&row| errors[row])).unwrap_or(0.0).exp();
        Disturbed { stretch: (rows[0], rows[rows.len() - 1]), factor, rows }
    }))
}

struct Rows<'a> {
    codes: Array2<f32>,
    logs: Array1<f64>,
    samples: &'a Samples,
    layout: Layout,
    seed: u64,
}

impl Rows<'_> {
    /// For each row the difference between its logarithm and the prediction of rows that are not off, itself excluded.
    fn errors(&self, off: &[usize]) -> Result<Vec<f64>, PredictError> {
        let kept: Vec<usize> = (0..self.logs.len()).filter(|row| !off.contains(row)).collect();
        let fitted: Vec<usize> =
            subset(kept.len(), FITTED_ROWS, self.seed).into_iter().map(|i| kept[i]).collect();
        let (x, y) = select(self.codes.view(), self.samples.values.view(), &fitted);
        let Start { model, held_out, .. } =
            fit_on(Scale::Log, x.view(), y.view(), &self.layout, self.seed)?;
        let mut predicted: Vec<f64> =
            predict_codes(&model, self.codes.view()).iter().map(|cost| cost.ln()).collect();
        for (&row, z) in fitted.iter().zip(&held_out) {
            predicted[row] = model.standard.invert(*z).ln();
        }
        Ok(self.logs.iter().zip(predicted).map(|(log, p)| log - p).collect())
    }
}

/// Rows whose error is far larger than that of most.
fn off_rows(errors: &[f64]) -> Vec<usize> {
    // 1.4826 times the median of absolute errors is the standard deviation, if errors are normal.
    let spread = 1.4826 * median(errors.iter().map(|e| e.abs())).unwrap_or(0.0);
    let limit = (SPREADS * spread).max(LN_2);
    (0..errors.len()).filter(|&row| errors[row].abs() > limit).collect()
}

/// Finds the shortest stretch that contains most of the rows that are off (ascending), and returns those in it. None if they do
/// not lie together.
fn together(off: &[usize], n: usize) -> Option<Vec<usize>> {
    if off.len() < FEWEST {
        return None;
    }
    let wanted = (TOGETHER * off.len() as f64).ceil() as usize;
    let length = |begin: usize| off[begin + wanted - 1] - off[begin] + 1;
    let begin = (0..=off.len() - wanted).min_by_key(|&begin| length(begin))?;
    let most = (PER_ROW * off.len() as f64).min(LONGEST * n as f64);
    if length(begin) as f64 > most {
        return None;
    }
    // The stretch continues as long as rows that are off follow as closely as within it.
    let gap = length(begin).div_ceil(wanted) * 4;
    let (mut first, mut last) = (begin, begin + wanted - 1);
    while first > 0 && off[first] - off[first - 1] <= gap {
        first -= 1;
    }
    while last + 1 < off.len() && off[last + 1] - off[last] <= gap {
        last += 1;
    }
    Some(off[first..=last].to_vec())
}

/// Whether rows are more similar to their neighbours than to other rows.
fn is_sorted(gates: ArrayView2<f32>, seed: u64) -> bool {
    let n = gates.nrows();
    let others = crate::folds::Folds::new(n, 2, seed);
    let pairs: Vec<(usize, usize)> =
        others.held_out(0).iter().copied().zip(others.held_out(1).iter().rev().copied()).collect();
    let apart = |(a, b): (usize, usize)| -> f64 {
        gates.row(a).iter().zip(gates.row(b)).map(|(a, b)| f64::from((a - b).abs())).sum()
    };
    let of_neighbours = (1..n).map(|row| apart((row - 1, row))).sum::<f64>() / (n - 1) as f64;
    let of_others = pairs.iter().map(|&pair| apart(pair)).sum::<f64>() / pairs.len() as f64;
    of_neighbours < SORTED * of_others
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, SearchSpace, architecture_at};
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Costs by the number of convolutions, with 3 % noise; rows for which `busy` is true cost ten times as much.
    fn samples(n: u64, is_shuffled: bool, busy: impl Fn(usize) -> bool) -> Samples {
        let space = NasBench201::new();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let architectures: Vec<_> = (0..n)
            .map(|i| match is_shuffled {
                true => architecture_at(&space, 5, i).unwrap(),
                false => space.at(u128::from(i * 15_625 / n)),
            })
            .collect();
        let rows = architectures.iter().enumerate().map(|(i, architecture)| {
            let convolutions = architecture.choices.iter().filter(|set| set.contains(3)).count();
            let cost = (1.0 + convolutions as f64) * rng.gen_range(0.97..1.03);
            (architecture, if busy(i) { 10.0 * cost } else { cost })
        });
        Samples::of(&space, rows.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_slow_beginning_is_found_and_single_slow_rows_are_not() {
        let space = NasBench201::new();
        let found = disturbed(&space, &samples(600, true, |i| i < 40 && i % 4 != 0), 0);
        let found = found.unwrap().unwrap();
        assert_eq!(found.rows, (0..40).filter(|i| i % 4 != 0).collect::<Vec<_>>());
        assert_eq!(found.stretch, (1, 39));
        assert!((found.factor - 10.0).abs() < 1.0, "{found:?}");
        for busy in [|i: usize| i.is_multiple_of(20), |_: usize| false] {
            assert_eq!(disturbed(&space, &samples(600, true, busy), 0).unwrap(), None);
        }
    }

    #[test]
    fn of_a_sorted_table_nothing_is_said() {
        let busy = samples(600, false, |i| i < 40);
        assert_eq!(disturbed(&NasBench201::new(), &busy, 0).unwrap(), None);
        assert!(is_sorted(busy.gates.view(), 0));
        assert!(!is_sorted(samples(600, true, |_| false).gates.view(), 0));
    }

    #[test]
    fn a_stretch_is_dense_and_short() {
        assert_eq!(together(&[1, 2, 3, 5, 6, 400], 500), Some(vec![1, 2, 3, 5, 6]));
        assert_eq!(together(&[1, 100, 200, 300, 400], 500), None);
        assert_eq!(together(&[1, 2, 3], 500), None);
    }
}
