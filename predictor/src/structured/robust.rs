//! Weights that make disturbed measurements count less, from Student's t distribution.

use lat_data::median;

/// Degrees of freedom. Rows more than three spreads off lose most of their weight.
const FREEDOM: f64 = 4.0;
/// The largest noise variance that a row can get, relative to that of an undisturbed row.
const MOST: f64 = 50.0;

/// Relative noise variance of each row, from the errors of predictions that have not seen the row, and from the variance `base`
/// that it has anyway.
pub(crate) fn weights(errors: &[f64], base: &[f64]) -> Vec<f64> {
    let relative: Vec<f64> = errors.iter().zip(base).map(|(e, b)| e / b.sqrt()).collect();
    // 1.4826 times the median of absolute errors is the standard deviation, if errors are normal.
    let spread = 1.4826 * median(relative.iter().map(|e| e.abs())).unwrap_or(0.0) + 1e-12;
    let weight = |(e, b): (&f64, &f64)| {
        let t2 = (e / spread).powi(2);
        b * ((FREEDOM + t2) / (FREEDOM + 1.0)).clamp(0.8, MOST)
    };
    relative.iter().zip(base).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disturbed_row_counts_less() {
        let errors = [0.1, -0.1, 0.12, -0.08, 5.0];
        let weights = weights(&errors, &[1.0; 5]);
        assert!(
            weights[4] > 40.0 && weights[..4].iter().all(|w| (0.8..1.1).contains(w)),
            "{weights:?}"
        );
    }
}
