//! The trait of regressors, and their setup.

use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::PredictError;
use crate::metrics::{check_finite, check_positive};
use crate::model::scale::Scale;
use crate::model::{Model, predict_codes};
use crate::progress::Progress;

/// The fewest rows to which anything is fitted.
pub const LEAST_SAMPLES: usize = 10;
/// Fewest rows that a regressor is fitted to, if some of the samples are left out: of cut networks, or far off all others.
const LEAST_FITTED: usize = 6;

/// Learns a cost from codes.
pub trait Regressor {
    /// Learns from codes `[n, n_features]` and targets `[n]`, which are above zero and in the same unit.
    ///
    /// # Errors
    /// [`PredictError::TooFew`], [`PredictError::Width`], [`PredictError::NotFinite`], [`PredictError::NotPositive`] or
    /// [`PredictError::Size`] if the data do not fit, [`PredictError::Fit`] if the library used for the fit fails.
    fn fit(&mut self, x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError>;

    /// Costs `[n]` of codes `[n, n_features]`, in the unit of the targets.
    ///
    /// # Errors
    /// [`PredictError::NotFitted`] before a fit, [`PredictError::Width`] and [`PredictError::NotFinite`] if the codes do not fit.
    fn predict(&self, x: ArrayView2<f32>) -> Result<Array1<f64>, PredictError>;

    /// The differentiable form; None if the regressor has none or is not fitted.
    fn differentiable(&self) -> Option<Differentiable<'_>> {
        None
    }
}

/// A fitted regressor's differentiable form, from which a [`crate::Predictor`] is made.
#[derive(Debug, Clone, Copy)]
pub struct Differentiable<'a>(pub(crate) &'a Model);

impl Differentiable<'_> {
    /// Average relative error of held-out predictions during fitting, percent; each row counts at most 100 %. Regressors are
    /// compared by it.
    pub fn validation_error(&self) -> f64 {
        self.0.validation_error
    }
}

/// How features are grouped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Per feature the number of its group.
    pub groups: Vec<usize>,
    /// Per feature the number of its block; None if only its group determines the variance.
    pub blocks: Vec<Option<usize>>,
    /// Numbers of groups with few features, such as counts, that make a model by themselves if there are few rows. May be empty.
    pub simple: Vec<usize>,
}

impl Layout {
    /// The layout of some of the features.
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

/// The settings that a regressor is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Seed of splits, initial weights and batches.
    pub seed: u64,
    /// How the columns of the code are grouped. If empty, all belong to one group.
    pub layout: Layout,
    /// Columns that networks read as they are: those of simple features.
    pub inputs: Vec<usize>,
    /// Columns whose costs form a subtotal, such as those of one cell type or stage. May be empty.
    pub parts: Vec<Vec<usize>>,
    /// The scale on which targets are fitted. If None, `structured` chooses it, and the others fit targets as they are.
    pub(crate) scale: Option<Scale>,
    /// Receives the progress of the fit.
    pub progress: Progress,
}

impl Setup {
    /// The setup for a code of this width. If it describes a code of another width, all columns become one group and inputs.
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
    /// Whether it can be saved and used in a search.
    pub differentiable: bool,
    /// Whether [`crate::RegressorChoice::Auto`] may choose it. These are the regressors that are worth their time by default.
    pub is_candidate: bool,
    /// Makes a regressor that is not fitted yet.
    pub build: fn(&Setup) -> Box<dyn Regressor>,
}

/// The current name of a regressor: older files and flags say `mlp`.
pub(crate) fn current_name(name: &str) -> &str {
    if name == "mlp" { "structured" } else { name }
}

/// Checks that rows can be learnt from.
pub(crate) fn check_rows(x: ArrayView2<f32>, y: ArrayView1<f64>) -> Result<(), PredictError> {
    if x.nrows() != y.len() {
        let (expected, found) = (x.nrows(), y.len());
        return Err(PredictError::Width { what: "targets", expected, found });
    }
    if y.len() < LEAST_FITTED {
        let (needed, found) = (LEAST_FITTED, y.len());
        return Err(PredictError::TooFew { what: "training samples", needed, found });
    }
    if x.ncols() == 0 {
        return Err(PredictError::TooFew { what: "features", needed: 1, found: 0 });
    }
    check_codes(x, x.ncols())?;
    check_positive(y.iter().copied())
}

/// Checks that codes have this width and are finite.
pub(crate) fn check_codes(x: ArrayView2<f32>, n_features: usize) -> Result<(), PredictError> {
    if x.ncols() != n_features {
        let (expected, found) = (n_features, x.ncols());
        return Err(PredictError::Width { what: "features", expected, found });
    }
    check_finite("codes", x.rows().into_iter().map(|row| f64::from(row.sum())))
}

/// Predictions of a model; an error if there is no model yet.
pub(crate) fn predict_with(
    model: Option<&Model>,
    name: &'static str,
    x: ArrayView2<f32>,
) -> Result<Array1<f64>, PredictError> {
    let model = model.ok_or(PredictError::NotFitted { name })?;
    check_codes(x, model.n_features())?;
    Ok(predict_codes(model, x))
}
