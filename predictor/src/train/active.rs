//! Chooses which architectures to measure next: those whose measurement would tell most about all others.
//!
//! Under the learnt priors the cost is a sum of features with normal weights, and what is not known yet is the weights'
//! posterior. Measuring candidate i would lower the variance of architecture j by `C_ij^2 / (C_ii + noise_i)`, where C is the
//! posterior covariance of predictions ("active learning Cohn", D. Cohn, Z. Ghahramani and M. Jordan, "Active Learning with
//! Statistical Models", 1996, arXiv cs/9603104). A candidate's gain is the sum of that over a random reference set, relative to
//! the squared predictions, because errors are relative too. After each pick C is conditioned on it, so that the next pick tells
//! something new.

use lat_space::Space;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use tch::{Device, Kind, Tensor};

use crate::folds::{select, subset};
use crate::metrics::check_finite;
use crate::regressor::{Layout, check_rows};
use crate::structured::evidence::{CONSTANT_VARIANCE, cholesky};
use crate::structured::linear::{self, Prior};
use crate::structured::one_thread::OneThread;
use crate::{PredictError, Samples, encoding};

/// The most measured rows that are used; if there are more, a random subset.
const MOST_ROWS: usize = 1500;
/// The least noise of a candidate, relative to that of a typical one.
const LEAST_NOISE: f64 = 1e-3;
/// From this number of rows on, matrices are large enough for several threads to pay off.
const MANY_ROWS: usize = 500;

/// Picks `n` of the candidates `[m, n_gates]`: those whose measurement would reduce the errors over the random reference `[r,
/// n_gates]` most, given the measured samples. Returns their positions, the most informative first; all of them if `n` is not
/// below `m`.
///
/// # Errors
/// [`PredictError::TooFew`], [`PredictError::NotFinite`], [`PredictError::NotPositive`] or [`PredictError::Size`] if the
/// measurements do not fit, [`PredictError::Width`] if the gates have another width.
pub fn most_informative(
    space: &dyn Space,
    measured: &Samples,
    candidates: ArrayView2<f32>,
    reference: ArrayView2<f32>,
    n: usize,
    seed: u64,
) -> Result<Vec<usize>, PredictError> {
    let map = encoding::find(space, "structured")?;
    let layout = encoding::setup(&map, space, seed).layout;
    let of = |gates: ArrayView2<f32>| {
        check_finite("gates", gates.rows().into_iter().map(|row| f64::from(row.sum())))?;
        encoding::encode(&map, gates)
    };
    let codes = of(measured.gates.view())?;
    let rows = subset(codes.nrows(), MOST_ROWS, seed);
    let (x, y) = select(codes.view(), measured.values.view(), &rows);
    check_rows(x.view(), y.view())?;
    let (candidates, reference) = (of(candidates)?, of(reference)?);
    let _threads = (y.len() < MANY_ROWS).then(OneThread::start);
    pick(&Known { x: x.view(), y: y.view(), layout: &layout, seed }, &candidates, &reference, n)
}

/// The measured rows: codes and costs.
struct Known<'a> {
    x: ArrayView2<'a, f32>,
    y: ArrayView1<'a, f64>,
    layout: &'a Layout,
    seed: u64,
}

fn pick(
    known: &Known<'_>,
    candidates: &Array2<f32>,
    reference: &Array2<f32>,
    n: usize,
) -> Result<Vec<usize>, PredictError> {
    if candidates.nrows() == 0 || n == 0 {
        return Ok(Vec::new());
    }
    let others = concatenate(Axis(0), &[candidates.view(), reference.view()])
        .expect("both have the features of one map");
    // What measured rows have in common by chance must not look certain, so the spread of features is taken from the whole space.
    let Known { x, y, layout, seed } = known;
    let prior = linear::prior(x.reborrow(), y.reborrow(), others.view(), layout, *seed)?;
    let mut belief = Belief::new(&prior, known, others.view(), candidates.nrows())?;
    Ok((0..n.min(candidates.nrows())).map(|_| belief.pick()).collect())
}

/// The belief about candidates and reference.
struct Belief {
    /// Covariance of standardised predictions: of candidates with candidates, then of candidates with reference rows, `[m, m +
    /// r]`.
    covariance: Tensor,
    /// Variance of each candidate's noise `[m]`.
    noise: Tensor,
    /// Weight of each reference row's standardised variance, so that it is relative to the row's squared cost `[r]`.
    weights: Tensor,
    /// 0, or minus infinity for candidates that are already picked `[m]`.
    picked: Tensor,
}

impl Belief {
    fn new(
        prior: &Prior,
        known: &Known<'_>,
        others: ArrayView2<f32>,
        n_candidates: usize,
    ) -> Result<Self, PredictError> {
        let (m, r) = (n_candidates as i64, (others.nrows() - n_candidates) as i64);
        let standard = &prior.standard;
        let (seen, others) = (whitened(prior, known.x.reborrow()), whitened(prior, others));
        let row_noise = standard.scale.relative_noise(known.y.reborrow());
        let row_noise = Tensor::from_slice(&row_noise).clamp_min(LEAST_NOISE) * prior.noise;
        let factor = cholesky(&(seen.matmul(&seen.tr()) + Tensor::diag(&row_noise, 0)))?;
        let solve = |right: &Tensor| factor.linalg_solve_triangular(right, false, true, false);
        let half = solve(&seen.matmul(&others.tr()));
        let z = Tensor::from_slice(&standard.apply(known.y.reborrow()).to_vec()).unsqueeze(-1);
        let predicted = half.tr().matmul(&solve(&z)).squeeze_dim(-1);
        let own = others.narrow(0, 0, m);
        let covariance = own.matmul(&others.tr()) - half.narrow(1, 0, m).tr().matmul(&half);
        let typical = standard.scale.typical(known.y.reborrow());
        let noise = standard.relative_noise(&predicted.narrow(0, 0, m), typical);
        let floor = known.y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let cost = standard.invert_tensor(&predicted.narrow(0, m, r)).clamp_min(floor);
        Ok(Self {
            covariance,
            noise: noise.clamp_min(LEAST_NOISE) * prior.noise,
            weights: (standard.slope(&cost) / cost).square(),
            picked: Tensor::zeros([m], (Kind::Double, Device::Cpu)),
        })
    }

    /// Picks the most informative candidate, and conditions the belief on it.
    fn pick(&mut self) -> usize {
        let m = self.picked.size()[0];
        let own = self.covariance.diagonal(0, 0, 1).clamp_min(0.0) + &self.noise;
        let with_reference = self.covariance.narrow(1, m, self.weights.size()[0]);
        let gains = with_reference.square().matmul(&self.weights) / &own + &self.picked;
        // The last digits depend on where numbers lie in memory. They are dropped, so that of equal candidates always the first
        // is picked.
        let best = gains.to_kind(Kind::Float).argmax(0, false).int64_value(&[]);
        let row = self.covariance.get(best).copy();
        let share = row.narrow(0, 0, m) / -own.double_value(&[best]);
        let _ = self.covariance.addr_(&share, &row);
        let _ = self.picked.get(best).fill_(f64::NEG_INFINITY);
        best as usize
    }
}

/// Rows in terms of features whose weights have prior variance 1, and a constant: `[n, n_kept + 1]`.
fn whitened(prior: &Prior, rows: ArrayView2<f32>) -> Tensor {
    let width = prior.kept.len() + 1;
    let mut values = Vec::with_capacity(rows.nrows() * width);
    for row in rows.rows() {
        let kept = prior.kept.iter().zip(&prior.means).zip(&prior.scales);
        values.extend(kept.map(|((&j, mean), scale)| (f64::from(row[j]) - mean) * scale));
        values.push(CONSTANT_VARIANCE.sqrt());
    }
    Tensor::from_slice(&values).view([rows.nrows() as i64, width as i64])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use lat_space::{NasBench201, architecture_at};
    use ndarray::Array1;

    use super::*;

    /// Codes of six one-hot levels and two idle bits, drawn from the levels below `n_levels`.
    fn codes(n: usize, n_levels: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, 8), |(i, j)| match j {
            6 | 7 => ((i / 3 + i * j) % 2) as f32,
            _ => f32::from(u8::from(i % n_levels == j)),
        })
    }

    fn picked(candidates: &Array2<f32>, n: usize) -> Vec<usize> {
        // No row with levels 4 or 5 was measured.
        let x = codes(40, 4);
        let y: Array1<f64> =
            x.rows().into_iter().map(|r| 5.0 + f64::from(r[1] + 2.0 * r[2])).collect();
        let layout = Layout {
            groups: vec![0, 0, 0, 0, 0, 0, 1, 1],
            blocks: vec![None; 8],
            simple: Vec::new(),
        };
        let known = Known { x: x.view(), y: y.view(), layout: &layout, seed: 1 };
        pick(&known, candidates, &codes(60, 6), n).unwrap()
    }

    fn candidate(level: usize) -> Vec<f32> {
        (0..8).map(|j| f32::from(u8::from(j == level))).collect()
    }

    fn candidates(levels: &[usize]) -> Array2<f32> {
        let all: Vec<f32> = levels.iter().flat_map(|&level| candidate(level)).collect();
        Array2::from_shape_vec((levels.len(), 8), all).unwrap()
    }

    #[test]
    fn what_no_row_has_shown_is_picked_first() {
        assert_eq!(picked(&candidates(&[0, 1, 2, 4, 3]), 1), [3]);
    }

    #[test]
    fn of_two_equal_candidates_the_second_waits_for_others_as_uncertain() {
        let first: HashSet<usize> = picked(&candidates(&[4, 4, 4, 5, 0]), 2).into_iter().collect();
        assert!(first.contains(&3) && first.len() == 2, "{first:?}");
    }

    #[test]
    fn all_candidates_once_where_as_many_are_asked_for_and_none_of_none() {
        let all = picked(&candidates(&[0, 1, 4, 5]), 9);
        assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (4, 4));
        assert!(picked(&candidates(&[]), 3).is_empty());
        assert!(picked(&candidates(&[0, 1]), 0).is_empty());
    }

    #[test]
    fn real_spaces_give_distinct_picks_that_depend_on_nothing_else() {
        let space = NasBench201::new();
        let all = |from: u64, n: u64| -> Vec<_> {
            (from..from + n).map(|i| architecture_at(&space, 1, i).unwrap()).collect()
        };
        let of =
            |from, n| Samples::of(&space, all(from, n).iter().map(|a| (a, 1.0))).unwrap().gates;
        let cost = |gates: ArrayView1<f32>| {
            1.0 + gates.iter().enumerate().map(|(i, g)| f64::from(*g) * (i % 5) as f64).sum::<f64>()
        };
        let gates = of(0, 24);
        let values = gates.rows().into_iter().map(cost).collect();
        let measured = Samples { gates, values };
        let pick = || {
            let (candidates, reference) = (of(100, 200), of(1000, 50));
            most_informative(&space, &measured, candidates.view(), reference.view(), 12, 3)
        };
        let picks = pick().unwrap();
        assert_eq!(picks.iter().collect::<HashSet<_>>().len(), 12);
        assert_eq!(picks, pick().unwrap());
        let few = Samples { gates: of(0, 5), values: Array1::ones(5) };
        let error = most_informative(&space, &few, of(9, 3).view(), of(20, 3).view(), 1, 0);
        assert!(error.unwrap_err().to_string().contains("at least 6 training samples, found 5"));
    }
}
