//! The differentiable predictor: a linear model on structured features in closed form, and small networks fitted to its residual.
//!
//! After the latency prediction module of LA-DARTS (Xu et al. 2020, arXiv 2001.06392), a multi-layer regressor on the code.
//! Deviations, because the paper's sizes and training are not public: with few samples there is only the linear part, and each
//! step away from it (networks, logarithm of the target) has to prove itself on rows that it has not seen.

mod averaging;
mod calibration;
pub(crate) mod evidence;
pub(crate) mod linear;
pub(crate) mod one_thread;
mod posterior;
mod robust;
pub(crate) mod training;

use ndarray::{Array1, ArrayView1, ArrayView2};
use tch::Tensor;

use crate::folds::Folds;
use crate::metrics::{mean, relative_errors};
use crate::model::correction::{Correction, indices, read, subtotals};
use crate::model::members::{Recipe, Rows};
use crate::model::{Model, to_tensor, to_vec};
use crate::regressor::{check_rows, predict_with};
use crate::{Differentiable, PredictError, Regressor, RegressorEntry, Setup};
use calibration::Held;
use linear::Start;

/// Older files and flags call it `mlp`, see [`crate::regressor::current_name`].
pub(crate) const NAME: &str = "structured";

/// Number of folds; network i does not see fold i.
const FOLDS: usize = 5;
/// With fewer rows, held-out errors are found by refitting, because the priors know too much about each row.
const REFITTED_ROWS: usize = 500;
/// With fewer rows, networks never helped on any table that we know.
const LEAST_ROWS: usize = 200;
/// A residual below this, in units of the target's spread, is rounding and not worth a network.
const NEGLIGIBLE: f64 = 1e-4;
/// Shares of the networks' correction to choose from, besides 0 (no correction).
const SHARES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
/// A correction must be better than none by this many standard errors.
const CLEAR: f64 = 2.0;

/// Structured linear part plus networks.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "linear in structured features with learnt priors, plus small networks where held-out rows approve",
    encoding: "structured",
    differentiable: true,
    is_candidate: true,
    build: |setup| Box::new(Structured { setup: setup.clone(), model: None }),
};

/// The predictor that searches use.
#[derive(Debug)]
struct Structured {
    setup: Setup,
    model: Option<Model>,
}

impl Regressor for Structured {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let setup = self.setup.for_width(x.ncols());
        let start = linear::fit(setup.scale, x, y, &setup.layout, setup.seed)?;
        let (mut model, held_out) = correct(x, y, start, &setup);
        let held = match model.correction {
            None if y.len() < REFITTED_ROWS => {
                Some(calibration::of_few(x, y, model.standard.scale, &setup)?)
            }
            _ => None,
        };
        let scores = match held {
            Some(Held { scores, error }) => {
                model.validation_error = error;
                scores
            }
            None => calibration::of_many(x, y, &held_out, &model),
        };
        if let Some(spread) = &mut model.spread {
            spread.calibrate(scores);
        }
        self.model = Some(model);
        Ok(())
    }

    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        predict_with(self.model.as_ref(), NAME, x)
    }

    fn differentiable(&self) -> Option<Differentiable<'_>> {
        self.model.as_ref().map(Differentiable)
    }
}

/// The linear model, with networks if they help; and for each row the standardised prediction of the fit without it.
fn correct(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    start: Start,
    setup: &Setup,
) -> (Model, Array1<f64>) {
    let Start { mut model, mut held_out, base } = start;
    let z = model.standard.apply(y);
    // New architectures will have residuals of the size of the held-out ones; those of the fit are smaller.
    let residual = &z - &held_out;
    let spread = (residual.mapv(|r| r * r).sum() / residual.len() as f64).sqrt();
    if y.len() >= LEAST_ROWS && spread > NEGLIGIBLE {
        let target: Vec<f32> = residual.iter().map(|r| (r / spread) as f32).collect();
        let (correction, outputs) = networks(x, &target, &base, &model, setup);
        let outputs: Vec<_> = outputs.into_iter().map(|o| o.map(|o| o * spread)).collect();
        if let Some((share, error)) = share(y, &held_out, &outputs, &model) {
            held_out.iter_mut().zip(&outputs).for_each(|(h, o)| *h += share * o.unwrap_or(0.0));
            model.correction = Some(correction.scaled(share * spread));
            model.validation_error = error;
        }
    }
    (model, held_out)
}

/// Networks fitted to the residual, and for each row the output of the network that has not seen it.
fn networks(
    x: ArrayView2<f32>,
    target: &[f32],
    base: &[f64],
    model: &Model,
    setup: &Setup,
) -> (Correction, Vec<Option<f64>>) {
    let (map, means) = subtotals(x, &to_vec(&model.weights), &setup.parts);
    let inputs = read(&to_tensor(x), &indices(&setup.inputs), &map, &means);
    // Relative errors count, so a row is weighted by its noise.
    let weight: Vec<f32> = base.iter().map(|b| (1.0 / b.sqrt()).min(10.0) as f32).collect();
    let folds = Folds::new(target.len(), FOLDS, setup.seed);
    let (target, weight) = (Tensor::from_slice(target), Tensor::from_slice(&weight));
    let rows = Rows { x: &inputs, target: &target, weight: &weight, folds: &folds };
    let (members, outputs) =
        training::train(&rows, &recipe(base.len(), setup.seed), &setup.progress);
    (Correction::new(setup.inputs.clone(), map, means, members), outputs)
}

/// With more rows, networks are wider and train longer: 300 rows take a second, 80,000 about half a minute.
fn recipe(n_rows: usize, seed: u64) -> Recipe {
    let widths = match n_rows {
        0..1000 => vec![32, 16],
        1000..5000 => vec![64, 32],
        _ => vec![128, 64],
    };
    Recipe {
        n_members: if n_rows < 5000 { 5 } else { 3 },
        widths,
        batch: (n_rows / 8).clamp(8, 256),
        steps: (n_rows / 10).clamp(600, 3000),
        // Larger steps if there are few rows.
        lr: if n_rows < 5000 { 3e-3 } else { 1e-3 },
        weight_decay: 1e-2,
        seed,
    }
}

/// The share of the correction with the least relative error on held-out rows, and that error in percent. None if the gain over
/// no correction could be chance (it must exceed some standard errors of the paired difference).
fn share(
    y: ArrayView1<f64>,
    linear: &Array1<f64>,
    outputs: &[Option<f64>],
    model: &Model,
) -> Option<(f64, f64)> {
    let rows: Vec<usize> = (0..y.len()).filter(|&row| outputs[row].is_some()).collect();
    let y: Array1<f64> = rows.iter().map(|&row| y[row]).collect();
    let errors = |share: f64| {
        let z = rows.iter().map(|&row| linear[row] + share * outputs[row].unwrap_or(0.0)).collect();
        relative_errors(y.view(), &z, &model.standard, model.floor)
    };
    let without = errors(0.0);
    let tried = SHARES.map(|share| (share, errors(share)));
    let (share, with) = tried.into_iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)))?;
    let gains: Vec<f64> = without.iter().zip(&with).map(|(a, b)| a - b).collect();
    let gain = mean(&gains);
    let spread = gains.iter().map(|g| (g - gain).powi(2)).sum::<f64>().sqrt();
    (gain > CLEAR * spread / gains.len() as f64).then(|| (share, 100.0 * mean(&with)))
}

#[cfg(test)]
mod tests;
