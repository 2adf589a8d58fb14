//! The differentiable predictor: a ridge in closed form, and small networks on what it leaves.
//!
//! After the latency prediction module of LA-DARTS (Xu et al. 2020, arXiv 2001.06392), a multi-layer regressor on the code.
//! Deviations, since the paper's sizes and training are not public: with few samples the ridge is all there is, and each step
//! away from it (networks, logarithm of the target) has to prove itself on held-out rows.

use ndarray::{Array1, ArrayView1, ArrayView2};
use tch::Tensor;

use crate::folds::{Folds, select, subset};
use crate::linear::{FOLDS, Layout, Start, relative_errors};
use crate::members::{self, Recipe, Rows};
use crate::metrics::mean;
use crate::model::{Model, Scale, to_tensor};
use crate::regressor::{check_rows, predict_with};
use crate::ridge::Prior;
use crate::subtotals::Subtotals;
use crate::{Differentiable, PredictError, Regressor, RegressorEntry, Setup, linear};

const NAME: &str = "mlp";

/// Rows on which both scales are tried; with more, the better one is then fitted to all.
const PILOT_ROWS: usize = 2000;

/// Ratio of two linear models' errors at which networks on the worse one are not worth a try.
const CLEAR: f64 = 1.5;

/// Residual, in units of the target's spread, that is rounding and not worth a network.
const NEGLIGIBLE: f64 = 1e-4;

/// Shares of the networks' correction to choose from, 0 (none) aside.
const SHARES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// Ridge plus networks.
pub(crate) const ENTRY: RegressorEntry = RegressorEntry {
    name: NAME,
    summary: "ridge regression plus small networks on what it leaves, where held-out rows approve",
    encoding: "one-hot",
    differentiable: true,
    build: |setup| Box::new(Mlp { setup: setup.clone(), model: None }),
};

/// The predictor that searches use.
#[derive(Debug)]
struct Mlp {
    setup: Setup,
    model: Option<Model>,
}

impl Regressor for Mlp {
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
        check_rows(x, y)?;
        let rows = subset(y.len(), PILOT_ROWS, self.setup.seed);
        let (pilot_x, pilot_y) = select(x, y, &rows);
        let pilot = self.better_scale(pilot_x.view(), pilot_y.view())?;
        self.model = Some(if rows.len() == y.len() {
            pilot
        } else {
            let start = self.linear(x, y, pilot.standard.scale)?;
            self.correct(x, y, start)
        });
        Ok(())
    }

    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError> {
        predict_with(self.model.as_ref(), NAME, x)
    }

    fn differentiable(&self) -> Option<Differentiable<'_>> {
        self.model.as_ref().map(Differentiable)
    }
}

impl Mlp {
    /// The model on the scale that suits the rows better. Where the linear parts already differ much, only the better one gets
    /// networks.
    fn better_scale(&self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<Model, PredictError> {
        let [plain, log] = [self.linear(x, y, Scale::Plain)?, self.linear(x, y, Scale::Log)?];
        let ratio = plain.model.validation_error / log.model.validation_error;
        if ratio < 1.0 / CLEAR {
            return Ok(self.correct(x, y, plain));
        }
        if ratio > CLEAR {
            return Ok(self.correct(x, y, log));
        }
        let [plain, log] = [self.correct(x, y, plain), self.correct(x, y, log)];
        // Costs of parts add up: the logarithm needs more than luck to be preferred.
        Ok(if log.validation_error < 0.95 * plain.validation_error { log } else { plain })
    }

    fn folds(&self, n_rows: usize) -> Folds {
        Folds::new(n_rows, FOLDS, self.setup.seed)
    }

    fn linear(
        &self,
        x: ArrayView2<f32>,
        y: ArrayView1<f64>,
        scale: Scale,
    ) -> Result<Start, PredictError> {
        let grid = grid(!self.setup.ties.is_empty());
        let folds = self.folds(y.len());
        linear::fit(x, y, scale, &Layout { ties: &self.setup.ties, grid: &grid, folds: &folds })
    }

    /// The linear model with networks added, where they help.
    fn correct(&self, x: ArrayView2<f32>, y: ArrayView1<f64>, start: Start) -> Model {
        let Start { mut model, held_out, fold_weights } = start;
        // The held-out residual is of the size that new architectures will have; the fitted one is smaller.
        let residual = model.standard.apply(y) - &held_out;
        let spread = (residual.mapv(|r| r * r).sum() / residual.len() as f64).sqrt();
        if spread < NEGLIGIBLE {
            return model;
        }
        let target: Vec<f32> = residual.iter().map(|r| (r / spread) as f32).collect();
        let (x, target) = (to_tensor(x), Tensor::from_slice(&target));
        let folds = self.folds(y.len());
        let recipe = recipe(y.len(), self.setup.seed);
        let subtotals = Subtotals::new(&x, &self.setup.parts, &fold_weights[..recipe.n_members]);
        let rows = Rows { x: &x, target: &target, folds: &folds };
        let (members, outputs) = members::train(&rows, &subtotals, &recipe);
        let outputs: Vec<_> = outputs.into_iter().map(|o| o.map(|o| o * spread)).collect();
        if let Some((share, error)) = share(y, &held_out, &outputs, &model) {
            model.members = Some(members.scaled(share * spread));
            model.validation_error = error;
        }
        model
    }
}

/// Plain ridges first, then those with tied columns.
fn grid(has_ties: bool) -> Vec<Prior> {
    let ties: &[f64] = if has_ties { &[0.0, 10.0, 1000.0] } else { &[0.0] };
    let penalties = [1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
    ties.iter().flat_map(|&tie| penalties.map(|penalty| Prior { penalty, tie })).collect()
}

/// Wider and longer with more rows: 300 take seconds, 80,000 about a minute.
fn recipe(n_rows: usize, seed: u64) -> Recipe {
    let widths = match n_rows {
        0..500 => vec![64, 32],
        500..3000 => vec![128, 64],
        _ => vec![256, 128, 64],
    };
    Recipe {
        n_members: if n_rows < 5000 { 5 } else { 3 },
        widths,
        batch: (n_rows / 8).clamp(8, 256),
        steps: (n_rows / 10).clamp(800, 3000),
        // Larger steps where they are few.
        lr: if n_rows < 5000 { 3e-3 } else { 1e-3 },
        weight_decay: 1e-2,
        seed,
    }
}

/// The share of the correction with the least relative error on the rows held out, and that error in percent; nothing where the
/// gain over no correction is not clear of chance (one standard error of the paired difference).
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
    (gain > spread / gains.len() as f64).then(|| (share, 100.0 * mean(&with)))
}

#[cfg(test)]
mod tests;
