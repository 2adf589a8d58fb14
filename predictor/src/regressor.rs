//! What a regressor is.

use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::PredictError;
use crate::metrics::{check_finite, check_positive};
use crate::model::scale::Scale;
use crate::model::{Model, predict_codes};
use crate::progress::Progress;

/// Fewest rows that anything is fitted to.
pub const LEAST_SAMPLES: usize = 10;

/// Learns a cost from codes.
pub trait Regressor {
    /// Learns from codes `[n, n_features]` and targets `[n]` above zero, in any one unit.
    ///
    /// # Errors
    /// [`PredictError::TooFew`], [`PredictError::Width`], [`PredictError::NotFinite`], [`PredictError::NotPositive`] or [`PredictError::Size`] for unfit
    /// data, [`PredictError::Fit`] where the library behind gives up.
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError>;

    /// Costs `[n]` of codes `[n, n_features]`, in the unit of the targets.
    ///
    /// # Errors
    /// [`PredictError::NotFitted`] before a fit, [`PredictError::Width`] and [`PredictError::NotFinite`] for unfit codes.
    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError>;

    /// The differentiable form, where there is one and a fit.
    fn differentiable(&self) -> Option<Differentiable<'_>> {
        None
    }
}

/// A fitted regressor's differentiable form; [`crate::Predictor`] takes it over.
#[derive(Debug, Clone, Copy)]
pub struct Differentiable<'a>(pub(crate) &'a Model);

impl Differentiable<'_> {
    /// Mean relative error of held-out predictions while fitting, percent, each counting 100 % at most: what to choose
    /// regressors by.
    pub fn validation_error(&self) -> f64 {
        self.0.validation_error
    }
}

/// What belongs together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Per feature the number of its group.
    pub groups: Vec<usize>,
    /// Per feature the number of its block; None: its group's variance alone counts.
    pub blocks: Vec<Option<usize>>,
    /// Groups of few numbers, such as counts, that make a model by themselves where rows are few. May be empty.
    pub simple: Vec<usize>,
}

impl Layout {
    /// That of some of the features.
    pub(crate) fn of(&self, features: &[usize]) -> Self {
        Self {
            groups: features.iter().map(|&j| self.groups[j]).collect(),
            blocks: features.iter().map(|&j| self.blocks[j]).collect(),
            simple: self.simple.clone(),
        }
    }

    /// The features of the simple groups, ascending.
    pub(crate) fn simple_features(&self) -> Vec<usize> {
        (0..self.groups.len()).filter(|&j| self.simple.contains(&self.groups[j])).collect()
    }
}

/// What a regressor is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Seed of splits, first weights and batches.
    pub seed: u64,
    /// What belongs together among the columns of the code. May be empty: then they are one group.
    pub layout: Layout,
    /// Columns that networks read as they are: the simple ones.
    pub inputs: Vec<usize>,
    /// Columns whose costs make a subtotal of their own: those of one cell type or stage. May be empty.
    pub parts: Vec<Vec<usize>>,
    /// The scale on which targets are fitted; None: `structured` chooses it, the others fit targets as they are.
    pub(crate) scale: Option<Scale>,
    /// Who is told how far the fit is.
    pub progress: Progress,
}

impl Setup {
    /// The setup, with one group and all columns as inputs where nothing is known of a code of this width.
    pub(crate) fn for_width(&self, n_features: usize) -> Self {
        if self.layout.groups.len() == n_features {
            return self.clone();
        }
        let layout = Layout {
            groups: vec![0; n_features],
            blocks: vec![None; n_features],
            simple: Vec::new(),
        };
        let all: Vec<usize> = (0..n_features).collect();
        let Self { seed, scale, ref progress, .. } = *self;
        let (parts, progress) = (vec![all.clone()], progress.clone());
        Self { seed, layout, inputs: all, parts, scale, progress }
    }
}

/// A row of [`crate::REGRESSORS`].
#[derive(Debug, Clone, Copy)]
pub struct RegressorEntry {
    /// The name for `--regressor`.
    pub name: &'static str,
    /// One line for tables.
    pub summary: &'static str,
    /// Id of the encoding it reads: `one-hot`, `counts` or `structured`.
    pub encoding: &'static str,
    /// Whether it can be saved and steer a search.
    pub differentiable: bool,
    /// Whether [`crate::RegressorChoice::Auto`] may choose it: those that are worth their time by default.
    pub is_candidate: bool,
    /// Makes one that has seen nothing.
    pub build: fn(&Setup) -> Box<dyn Regressor>,
}

/// What the regressor of this name is called now: files and flags of before say `mlp`.
pub(crate) fn current_name(name: &str) -> &str {
    if name == "mlp" { "structured" } else { name }
}

/// Whether one can learn from these rows.
pub(crate) fn check_rows(x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
    if x.nrows() != y.len() {
        let (expected, found) = (x.nrows(), y.len());
        return Err(PredictError::Width { what: "targets", expected, found });
    }
    if y.len() < LEAST_SAMPLES {
        let (needed, found) = (LEAST_SAMPLES, y.len());
        return Err(PredictError::TooFew { what: "training samples", needed, found });
    }
    if x.ncols() == 0 {
        return Err(PredictError::TooFew { what: "features", needed: 1, found: 0 });
    }
    check_codes(x, x.ncols())?;
    check_positive(y.iter().copied())
}

/// Whether these are codes of the width, all finite.
pub(crate) fn check_codes(x: ArrayView2<f32>, n_features: usize) -> Result<(), PredictError> {
    if x.ncols() != n_features {
        let (expected, found) = (n_features, x.ncols());
        return Err(PredictError::Width { what: "features", expected, found });
    }
    check_finite("codes", x.rows().into_iter().map(|row| f64::from(row.sum())))
}

/// Predictions of a model that may not be there yet.
pub(crate) fn predict_with(
    model: Option<&Model>,
    name: &'static str,
    x: ArrayView2<f32>,
) -> Result<Array1<f64>, PredictError> {
    let model = model.ok_or(PredictError::NotFitted { name })?;
    check_codes(x, model.n_features())?;
    Ok(predict_codes(model, x))
}
