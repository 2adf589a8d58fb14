//! The training epoch that `scripts/bench-train` times. Not part of the interface.

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::folds::Folds;
use crate::model::members::{Recipe, Rows};
use crate::structured::training::Training;

/// The size of the problem: one network of three layers on random 0/1 codes.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// Rows of an epoch.
    pub n_rows: usize,
    /// Width of the code; a seventh of it is set.
    pub n_features: usize,
    /// Width of each hidden layer.
    pub width: usize,
    /// Rows per step.
    pub batch: usize,
}

impl Epoch {
    /// Calls `report` with the seconds of each epoch until it returns false. The first epoch is a warm-up, which the caller
    /// should ignore.
    pub fn run(&self, mut report: impl FnMut(f64) -> bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let n = self.n_rows * 2;
        let bits: Vec<f32> = (0..n * self.n_features)
            .map(|_| f32::from(u8::from(rng.gen_bool(1.0 / 7.0))))
            .collect();
        let targets: Vec<f32> = bits.chunks(self.n_features).map(|b| b[0] - b[1] * b[2]).collect();
        let x = Tensor::from_slice(&bits).view([n as i64, self.n_features as i64]);
        let (target, weight) = (Tensor::from_slice(&targets), x.ones_like().select(1, 0).copy());
        // With two folds, a member sees one of them.
        let folds = Folds::new(n, 2, 0);
        let rows = Rows { x: &x, target: &target, weight: &weight, folds: &folds };
        let steps = self.n_rows / self.batch;
        let recipe = Recipe {
            n_members: 1,
            widths: vec![self.width; 3],
            batch: self.batch,
            steps: 100 * steps,
            lr: 1e-3,
            weight_decay: 1e-2,
            seed: 0,
        };
        let mut training = Training::new(rows, &recipe);
        loop {
            let started = Instant::now();
            (0..steps).for_each(|_| training.step());
            if !report(started.elapsed().as_secs_f64()) {
                return;
            }
        }
    }
}
