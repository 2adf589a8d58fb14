//! Leaves out a single row, among few, that is far off all others.

use lat_data::median;
use ndarray::Axis;

use super::Samples;

/// With this many rows or more, a fit can find disturbed rows by itself.
const MANY: usize = 40;
/// A row is alone if it is off the others' median by this many of their spreads, and by this factor.
const SPREADS: f64 = 6.0;
const FACTOR: f64 = 4.0;
/// With fewer rows nobody can say what is usual.
const LEAST: usize = 5;

/// If there are few samples: leaves out the smallest and the largest value if they are far off all others. Such a row would
/// distort the fit more than it helps.
pub(crate) fn without_lone(samples: Samples) -> Samples {
    let n = samples.len();
    if !(LEAST..MANY).contains(&n) {
        return samples;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| samples.values[a].total_cmp(&samples.values[b]));
    let is_alone = |row: usize| {
        let log = |row: usize| samples.values[row].ln();
        let others = || order.iter().copied().filter(|&other| other != row).map(log);
        let middle = median(others()).unwrap_or(0.0);
        // 1.4826 times the median of absolute errors is the standard deviation, if errors are normal.
        let spread = 1.4826 * median(others().map(|log| (log - middle).abs())).unwrap_or(0.0);
        (log(row) - middle).abs() > (SPREADS * spread).max(FACTOR.ln())
    };
    let ends = [order[0], order[n - 1]];
    let kept: Vec<usize> = (0..n).filter(|row| !ends.contains(row) || !is_alone(*row)).collect();
    Samples {
        gates: samples.gates.select(Axis(0), &kept),
        values: samples.values.select(Axis(0), &kept),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;

    fn kept(values: &[f64]) -> Vec<f64> {
        let gates = Array2::zeros((values.len(), 2));
        without_lone(Samples { gates, values: Array1::from(values.to_vec()) }).values.to_vec()
    }

    #[test]
    fn a_row_far_off_all_others_is_left_out() {
        let usual = [4.0, 5.0, 3.0, 9.0, 2.0, 6.0, 7.0, 3.5, 12.0];
        let with = |value: f64| usual.iter().copied().chain([value]).collect::<Vec<_>>();
        for lone in [0.003, 5000.0] {
            assert_eq!(kept(&with(lone)), usual);
        }
        for fine in [1.0, 37.0] {
            assert_eq!(kept(&with(fine)), with(fine), "wide, but with company");
        }
        assert_eq!(kept(&[1.0, 1.0, 1.0, 1.0, 2.0]).len(), 5, "a factor of two is none");
        assert_eq!(kept(&[1.0, 1.0, 1.0, 500.0]).len(), 4, "of four nobody can say");
    }
}
