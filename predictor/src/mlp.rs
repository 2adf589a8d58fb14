//! The differentiable predictor: a ridge in closed form, and small networks on what it leaves.
//!
//! After the latency prediction module of LA-DARTS (Xu et al. 2020, arXiv 2001.06392), a multi-layer regressor on the code.
//! Deviations, since the paper's sizes and training are not public: with few samples the ridge is all there is, and each step
//! away from it (networks, logarithm of the target) has to prove itself on held-out rows.

use ndarray::{Array1, ArrayView1, ArrayView2};
use tch::Tensor;

use crate::folds::{Folds, select, subset};
use crate::linear::{FOLDS, Layout, relative_errors};
use crate::members::{self, Recipe};
use crate::metrics::mean;
use crate::model::{Model, Scale, to_tensor};
use crate::regressor::{check_rows, predict_with};
use crate::ridge::Prior;
use crate::{Differentiable, PredictError, Regressor, RegressorEntry, Setup, linear};

const NAME: &str = "mlp";

/// Rows on which both scales are tried; with more, the better one is then fitted to all.
const PILOT_ROWS: usize = 2000;

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
        let plain = self.fit_on(pilot_x.view(), pilot_y.view(), Scale::Plain)?;
        let log = self.fit_on(pilot_x.view(), pilot_y.view(), Scale::Log)?;
        // Costs of parts add up: the logarithm needs more than luck to be preferred.
        let best = if log.validation_mape < 0.95 * plain.validation_mape { log } else { plain };
        let is_all = rows.len() == y.len();
        self.model = Some(if is_all { best } else { self.fit_on(x, y, best.standard.scale)? });
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
    fn fit_on(
        &self,
        x: ArrayView2<f32>,
        y: ArrayView1<f64>,
        scale: Scale,
    ) -> Result<Model, PredictError> {
        let folds = Folds::new(y.len(), FOLDS, self.setup.seed);
        let grid = grid(!self.setup.ties.is_empty());
        let layout = Layout { ties: &self.setup.ties, grid: &grid, folds: &folds };
        let (mut model, held_out) = linear::fit(x, y, scale, &layout)?;
        // The held-out residual is of the size that new architectures will have; the fitted one is smaller.
        let residual = model.standard.apply(y) - &held_out;
        let spread = (residual.mapv(|r| r * r).sum() / residual.len() as f64).sqrt();
        if spread < 1e-6 {
            return Ok(model);
        }
        let target: Vec<f32> = residual.iter().map(|r| (r / spread) as f32).collect();
        let recipe = recipe(y.len(), self.setup.seed);
        let (members, outputs) =
            members::train(&to_tensor(x), &Tensor::from_slice(&target), &folds, &recipe);
        let outputs: Vec<_> = outputs.into_iter().map(|o| o.map(|o| o * spread)).collect();
        if let Some((share, mape)) = share(y, &held_out, &outputs, &model) {
            model.members = Some(members.scaled(share * spread));
            model.validation_mape = mape;
        }
        Ok(model)
    }
}

/// Plain ridges first, then those with tied columns.
fn grid(has_ties: bool) -> Vec<Prior> {
    let ties: &[f64] = if has_ties { &[0.0, 10.0, 1000.0] } else { &[0.0] };
    let penalties = [1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
    ties.iter().flat_map(|&tie| penalties.map(|penalty| Prior { penalty, tie })).collect()
}

/// Wider and longer with more rows: 300 take seconds, 80,000 a minute or two.
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
        steps: (n_rows / 10).clamp(800, 6000),
        lr: 1e-3,
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
