//! Least squares whose weights are at least zero.

use ndarray::{Array1, Array2};

/// The most sweeps; a few hundred are enough for the worst conditioned sources seen.
const SWEEPS: usize = 10_000;

/// The `b >= 0` with the least `|X b - y|^2 + ridge * |b|^2`, by coordinate descent; `ridge` above zero makes it unique.
pub(super) fn solve(x: &Array2<f64>, y: &Array1<f64>, ridge: f64) -> Array1<f64> {
    let (xx, xy) = (x.t().dot(x), x.t().dot(y));
    let mut b = Array1::<f64>::zeros(x.ncols());
    for _ in 0..SWEEPS {
        let mut largest = 0.0f64;
        for j in 0..b.len() {
            let curvature = xx[[j, j]] + ridge;
            let slope = xy[j] - xx.row(j).dot(&b) - ridge * b[j];
            let new = (b[j] + slope / curvature).max(0.0);
            largest = largest.max((new - b[j]).abs());
            b[j] = new;
        }
        if largest < 1e-10 {
            break;
        }
    }
    b
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_would_be_negative_is_zero() {
        // Without the bound the solution is (2, -1) / 1.1; with it, 2 / 1.1 and 0.
        let x = array![[1.0, 0.0], [0.0, 1.0]];
        let b = solve(&x, &array![2.0, -1.0], 0.1);
        assert!((b[0] - 2.0 / 1.1).abs() < 1e-9 && b[1] == 0.0);
        // Correlated columns, both needed: the normal equations hold.
        let x = array![[1.0, 0.9], [1.0, 1.1], [0.0, 0.5]];
        let y = array![2.0, 2.2, 0.6];
        let b = solve(&x, &y, 0.01);
        let slope = x.t().dot(&(x.dot(&b) - &y)) + &b * 0.01;
        assert!(b.iter().all(|&b| b > 0.0) && slope.iter().all(|s| s.abs() < 1e-8));
    }
}
