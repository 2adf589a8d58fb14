//! How much each kind of feature matters, learnt from a few hundred rows.
//!
//! The cost is modelled as a sum of features with normal weights, `z = F w + noise`. The prior variance of a weight is the
//! variance of its group (counts, joint choices, ...) times that of its block (this layer, that layer). There are many more
//! features than rows, and these few variances decide which features are used. They maximise the evidence, which is the
//! probability of the targets with the weights integrated out. This uses the MM updates of Zhou, Hu, Zhou and Lange, "MM
//! Algorithms for Variance Components Models", 2019 (arXiv 1509.07426): each variance is multiplied by the root of (what its
//! features explain) / (what they were expected to explain). The factors of the blocks are pulled towards 1, so that a block
//! differs from its group only if the rows show it.

use tch::{Kind, Tensor};

use super::one_thread::OneThread;
use super::robust::weights;
use crate::PredictError;
use crate::model::doubles;
use crate::regressor::Layout;

/// Rounds of updates, and the number if there are few rows, where a round is quick. The variances settle in about 30.
const ROUNDS: usize = 30;
const ROUNDS_OF_FEW: usize = 60;
/// Up to this number, rows count as few.
const FEW_ROWS: usize = 100;
/// Rounds before blocks are updated and disturbed rows are down-weighted.
const FIRST_ROUNDS: usize = 5;
/// How strongly a block's factor is pulled towards 1: as strongly as this many weights would pull it.
const BLOCK_PULL: f64 = 1.0;
/// After every so many rounds, features that explain nothing are left out.
const PRUNE_EVERY: usize = 6;
/// A feature that explains a smaller share of the targets' variance than this is left out.
pub(crate) const NEGLIGIBLE: f64 = 1e-7;
/// Keeps updates finite if a group explains nothing.
const DAMPING: f64 = 1e-3;
/// Variance of the constant, in units of the targets' variance; it is wide.
pub(crate) const CONSTANT_VARIANCE: f64 = 10.0;

/// The learnt variances, and the fit under them.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "log evidence is the statistician's term")]
pub(crate) struct Evidence {
    /// Prior variance of each feature's weight.
    pub(crate) variances: Vec<f64>,
    /// Variance of the noise of a row with base weight 1.
    pub(crate) noise: f64,
    /// For each row the prediction of the fit without it.
    pub(crate) held_out: Vec<f64>,
    /// Logarithm of the probability of the targets given these variances, up to a constant that depends on the targets only.
    pub(crate) log_evidence: f64,
}

/// Learns the variances from scaled features `[m, n_features]` (f64, centred, spread 1 per group), standardised targets `[m]` and
/// the relative variance `base` of each row's noise.
pub(crate) fn learn(
    features: &Tensor,
    z: &[f64],
    base: &[f64],
    layout: &Layout,
) -> Result<Evidence, PredictError> {
    // The matrices are small: several threads would wait for each other more than they work.
    let _threads = OneThread::start();
    let mut state = State::new(layout);
    let mut active = Active::all(features, layout);
    let target = Tensor::from_slice(z);
    let mut noise_of = base.to_vec();
    let last = if z.len() <= FEW_ROWS { ROUNDS_OF_FEW } else { ROUNDS };
    for round in 0..=last {
        let variances = state.variances(&active.layout);
        let row_noise: Vec<f64> = noise_of.iter().map(|w| w * state.noise).collect();
        let solved = Solved::new(&active.features, &target, &variances, &row_noise)?;
        let errors = solved.held_out_errors();
        if round == last {
            let held_out = z.iter().zip(&errors).map(|(z, e)| z - e).collect();
            let variances = active.spread_out(&variances, layout.groups.len());
            let log_evidence = solved.log_evidence(z);
            return Ok(Evidence { variances, noise: state.noise, held_out, log_evidence });
        }
        if round >= FIRST_ROUNDS {
            let new = weights(&errors, base);
            noise_of.iter_mut().zip(new).for_each(|(old, new)| *old = (*old * new).sqrt());
        }
        state.update(&active, &solved, &noise_of, round);
        if round % PRUNE_EVERY == PRUNE_EVERY - 1 {
            let variances = state.variances(&active.layout);
            active = active.prune(&variances);
        }
    }
    unreachable!("the last round returns")
}

/// The features that still explain something.
struct Active {
    /// `[m, n_active]`.
    features: Tensor,
    layout: Layout,
    /// Their numbers among all features.
    numbers: Vec<usize>,
    /// Mean square of each active feature's values.
    squares: Vec<f64>,
}

impl Active {
    fn all(features: &Tensor, layout: &Layout) -> Self {
        let squares = features.square().mean_dim([0i64].as_slice(), false, Kind::Double);
        Self {
            features: features.shallow_clone(),
            layout: layout.clone(),
            numbers: (0..layout.groups.len()).collect(),
            squares: doubles(&squares),
        }
    }

    /// Keeps the features whose share of the targets' variance is not negligible.
    fn prune(self, variances: &[f64]) -> Self {
        let is_kept = |&j: &usize| variances[j] * self.squares[j] > NEGLIGIBLE;
        let kept: Vec<usize> = (0..variances.len()).filter(is_kept).collect();
        let index = Tensor::from_slice(&kept.iter().map(|&j| j as i64).collect::<Vec<_>>());
        Self {
            features: self.features.index_select(1, &index),
            layout: self.layout.of(&kept),
            numbers: kept.iter().map(|&j| self.numbers[j]).collect(),
            squares: kept.iter().map(|&j| self.squares[j]).collect(),
        }
    }

    /// Variances of all features; zero for those left out.
    fn spread_out(&self, variances: &[f64], n_features: usize) -> Vec<f64> {
        let mut all = vec![0.0; n_features];
        self.numbers.iter().zip(variances).for_each(|(&j, v)| all[j] = *v);
        all
    }
}

/// The inverse of the targets' covariance, and quantities derived from it.
struct Solved {
    /// `[m, m]`.
    inverse: Tensor,
    diagonal: Vec<f64>,
    /// The inverse times the targets.
    alpha: Tensor,
    /// The lower Cholesky factor of the covariance.
    factor: Tensor,
}

impl Solved {
    fn new(
        features: &Tensor,
        z: &Tensor,
        variances: &[f64],
        noise: &[f64],
    ) -> Result<Self, PredictError> {
        let scaled = features * Tensor::from_slice(variances);
        let noise = Tensor::from_slice(noise);
        let covariance =
            scaled.matmul(&features.tr()) + CONSTANT_VARIANCE + Tensor::diag(&noise, 0);
        let factor = cholesky(&covariance)?;
        let inverse = factor.cholesky_inverse(false);
        let alpha = inverse.matmul(z);
        let diagonal = doubles(&inverse.diagonal(0, 0, 1));
        Ok(Self { inverse, diagonal, alpha, factor })
    }

    /// Each target minus the prediction without its row, `alpha / diag(inverse)`.
    fn held_out_errors(&self) -> Vec<f64> {
        doubles(&self.alpha).iter().zip(&self.diagonal).map(|(a, d)| a / d).collect()
    }

    fn log_evidence(&self, z: &[f64]) -> f64 {
        let fit: f64 = doubles(&self.alpha).iter().zip(z).map(|(a, z)| a * z).sum();
        let half_log_determinant: f64 = doubles(&self.factor.diagonal(0, 0, 1).log()).iter().sum();
        -half_log_determinant - fit / 2.0
    }
}

/// The lower Cholesky factor of a covariance.
pub(crate) fn cholesky(covariance: &Tensor) -> Result<Tensor, PredictError> {
    covariance.f_linalg_cholesky(false).map_err(|_| PredictError::Fit {
        name: super::NAME,
        reason: "the covariance of the targets is not positive; are all codes alike?".to_owned(),
    })
}

struct State {
    groups: Vec<f64>,
    blocks: Vec<f64>,
    noise: f64,
}

impl State {
    fn new(layout: &Layout) -> Self {
        let n_groups = layout.groups.iter().max().map_or(0, |g| g + 1);
        let n_blocks = layout.blocks.iter().flatten().max().map_or(0, |b| b + 1);
        Self {
            groups: vec![1.0 / n_groups as f64; n_groups],
            blocks: vec![1.0; n_blocks],
            noise: 0.1,
        }
    }

    fn block(&self, block: Option<usize>) -> f64 {
        block.map_or(1.0, |b| self.blocks[b])
    }

    fn variances(&self, layout: &Layout) -> Vec<f64> {
        let pairs = layout.groups.iter().zip(&layout.blocks);
        pairs.map(|(&g, &b)| self.groups[g] * self.block(b)).collect()
    }

    /// One MM step: updates the variances of the groups or, in every other round, of the blocks; and the noise.
    fn update(&mut self, active: &Active, solved: &Solved, noise_of: &[f64], round: usize) {
        let (features, layout) = (&active.features, &active.layout);
        let explained = doubles(&features.tr().matmul(&solved.alpha).square());
        let product = features * solved.inverse.matmul(features);
        let expected = doubles(&product.sum_dim_intlist([0i64].as_slice(), false, Kind::Double));
        if round % 2 == 1 && round >= 3 {
            self.update_blocks(layout, &explained, &expected);
        } else {
            self.update_groups(layout, &explained, &expected);
        }
        let alpha = doubles(&solved.alpha);
        let explained: f64 = alpha.iter().zip(noise_of).map(|(a, w)| a * a * w).sum();
        let expected: f64 = solved.diagonal.iter().zip(noise_of).map(|(d, w)| d * w).sum();
        self.noise = (self.noise * (explained / expected).sqrt()).clamp(1e-9, 10.0);
    }

    fn update_groups(&mut self, layout: &Layout, explained: &[f64], expected: &[f64]) {
        let mut sums = vec![(DAMPING, DAMPING); self.groups.len()];
        for (j, &group) in layout.groups.iter().enumerate() {
            let block = self.block(layout.blocks[j]);
            sums[group].0 += explained[j] * block;
            sums[group].1 += expected[j] * block;
        }
        for (variance, (explained, expected)) in self.groups.iter_mut().zip(sums) {
            *variance = (*variance * (explained / expected).sqrt()).clamp(1e-9, 1e3);
        }
    }

    fn update_blocks(&mut self, layout: &Layout, explained: &[f64], expected: &[f64]) {
        let mut sums: Vec<(f64, f64)> =
            self.blocks.iter().map(|u| (BLOCK_PULL / (u * u), BLOCK_PULL / u)).collect();
        for (j, &block) in layout.blocks.iter().enumerate() {
            let Some(block) = block else { continue };
            let group = self.groups[layout.groups[j]];
            sums[block].0 += explained[j] * group;
            sums[block].1 += expected[j] * group;
        }
        for (factor, (explained, expected)) in self.blocks.iter_mut().zip(sums) {
            *factor = (*factor * (explained / expected).sqrt()).clamp(1e-4, 1e4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixty rows of forty random features, of which only those of group 0 matter.
    fn problem() -> (Tensor, Vec<f64>, Layout) {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let values: Vec<f64> = (0..60 * 40).map(|_| rng.gen_range(-1.0..1.0)).collect();
        let z = values.chunks(40).map(|row| row[..10].iter().sum::<f64>() / 2.0).collect();
        let groups = (0..40).map(|j| usize::from(j >= 10)).collect();
        let layout = Layout { groups, blocks: vec![None; 40], simple: Vec::new() };
        (Tensor::from_slice(&values).view([60, 40]), z, layout)
    }

    #[test]
    fn the_group_that_matters_gets_the_variance() {
        let (features, z, layout) = problem();
        let found = learn(&features, &z, &[1.0; 60], &layout).unwrap();
        assert!(found.variances[0] > 100.0 * found.variances[20], "{found:?}");
        let error: f64 = z.iter().zip(&found.held_out).map(|(a, b)| (a - b).abs()).sum();
        let spread: f64 = z.iter().map(|a| a.abs()).sum();
        assert!(error < 0.05 * spread, "{error} of {spread}");
    }

    #[test]
    fn held_out_predictions_are_those_of_fits_without_the_row() {
        let (features, z, layout) = problem();
        let variances = vec![0.05; 40];
        let solve = |rows: &[i64], z: &[f64]| {
            let features = features.index_select(0, &Tensor::from_slice(rows));
            Solved::new(&features, &Tensor::from_slice(z), &variances, &vec![0.1; rows.len()])
                .unwrap()
        };
        let all: Vec<i64> = (0..60).collect();
        let errors = solve(&all, &z).held_out_errors();
        let without = solve(&all[1..], &z[1..]);
        let first = features.narrow(0, 0, 1);
        let others = features.narrow(0, 1, 59);
        let covariance = (first * 0.05).matmul(&others.tr()) + CONSTANT_VARIANCE;
        let prediction = covariance.matmul(&without.alpha).double_value(&[0]);
        assert!((z[0] - prediction - errors[0]).abs() < 1e-9);
        assert_eq!(layout.groups.len(), 40);
    }
}
