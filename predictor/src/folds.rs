//! Splits of rows into folds, each held out once.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A split of rows into folds of nearly equal size, each held out once.
#[derive(Debug, Clone)]
pub(crate) struct Folds {
    /// Rows of each fold, ascending.
    parts: Vec<Vec<usize>>,
}

impl Folds {
    /// A split that depends on the seed only. Rows with equal codes are not kept together.
    pub(crate) fn new(n_rows: usize, n_folds: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..n_rows).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut parts = vec![Vec::new(); n_folds.min(n_rows)];
        for (i, row) in order.into_iter().enumerate() {
            let part = i % parts.len();
            parts[part].push(row);
        }
        for part in &mut parts {
            part.sort_unstable();
        }
        Self { parts }
    }

    /// Number of folds.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Rows of one fold.
    pub(crate) fn held_out(&self, fold: usize) -> &[usize] {
        &self.parts[fold]
    }

    /// Rows of all other folds.
    pub(crate) fn kept(&self, fold: usize) -> Vec<usize> {
        let others = self.parts.iter().enumerate().filter(|(i, _)| *i != fold);
        others.flat_map(|(_, part)| part.iter().copied()).collect()
    }
}

/// `n` distinct rows of `0..n_rows`, or all of them, ascending.
pub(crate) fn subset(n_rows: usize, n: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n_rows).collect();
    if n < n_rows {
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        rows.truncate(n);
        rows.sort_unstable();
    }
    rows
}

/// Selects these rows of codes and targets.
pub(crate) fn select(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    rows: &[usize],
) -> (Array2<f32>, Array1<f64>) {
    (x.select(Axis(0), rows), y.select(Axis(0), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_held_out_once() {
        let folds = Folds::new(23, 5, 7);
        let mut all: Vec<usize> = (0..5).flat_map(|f| folds.held_out(f).to_vec()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        for fold in 0..5 {
            let kept = folds.kept(fold);
            assert_eq!(kept.len() + folds.held_out(fold).len(), 23);
            assert!(kept.iter().all(|row| !folds.held_out(fold).contains(row)));
        }
        assert_eq!(folds.held_out(0), Folds::new(23, 5, 7).held_out(0));
        assert_ne!(folds.held_out(0), Folds::new(23, 5, 8).held_out(0));
    }

    #[test]
    fn subsets_are_distinct_rows() {
        let rows = subset(100, 10, 3);
        assert_eq!(rows.len(), 10);
        assert!(rows.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(subset(4, 10, 3), [0, 1, 2, 3]);
    }
}
