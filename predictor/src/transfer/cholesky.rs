//! Solves small symmetric systems.

use ndarray::{Array1, Array2};

/// The lower triangle `L` of `A = L L'`, for a small matrix.
#[derive(Debug)]
pub(super) struct Cholesky {
    n: usize,
    /// Stored row by row.
    lower: Vec<f64>,
}

impl Cholesky {
    /// None if the matrix is not positive definite.
    pub(super) fn of(matrix: &Array2<f64>) -> Option<Self> {
        let n = matrix.nrows();
        let mut lower: Vec<f64> = matrix.iter().copied().collect();
        for i in 0..n {
            let (above, row) = lower.split_at_mut(i * n);
            for j in 0..i {
                let other = &above[j * n..][..=j];
                let dot: f64 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
                row[j] = (row[j] - dot) / other[j];
            }
            let square = row[i] - row[..i].iter().map(|v| v * v).sum::<f64>();
            if square.is_nan() || square <= 0.0 {
                return None;
            }
            row[i] = square.sqrt();
        }
        Some(Self { n, lower })
    }

    /// Half of the logarithm of the determinant.
    pub(super) fn half_log_determinant(&self) -> f64 {
        (0..self.n).map(|i| self.lower[i * self.n + i].ln()).sum()
    }

    /// `A^-1 b`.
    pub(super) fn solve(&self, b: &Array1<f64>) -> Array1<f64> {
        let (n, l) = (self.n, &self.lower);
        let mut x = b.to_vec();
        for i in 0..n {
            let dot: f64 = l[i * n..][..i].iter().zip(&x).map(|(l, x)| l * x).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|j| l[j * n + i] * x[j]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        x.into()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn solves_and_knows_the_determinant() {
        let a = array![[4.0, 2.0], [2.0, 3.0]];
        let factor = Cholesky::of(&a).unwrap();
        let x = factor.solve(&array![2.0, 5.0]);
        assert!((a.dot(&x) - array![2.0, 5.0]).iter().all(|e| e.abs() < 1e-12));
        assert!((factor.half_log_determinant() - 8f64.ln() / 2.0).abs() < 1e-12);
        assert!(Cholesky::of(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
