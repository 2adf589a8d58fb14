//! Fits the regressors that are worth their time, and chooses one.

mod active;
mod disturbed;
mod few;
mod validation;

use std::time::Instant;

use lat_data::RunHeader;
use lat_space::{Architecture, Decision, Space};
use ndarray::{Array1, Array2};

use crate::disconnected::{Disconnected, reach, split};
use crate::metrics::check_finite;
use crate::model::scale::Scale;
use crate::regressor::{LEAST_SAMPLES, check_rows};
use crate::regressors::names;
use crate::structured::linear::better_scale;
use crate::{
    FitEvent, Label, Metrics, PredictError, Predictor, Progress, REGRESSORS, Regressor,
    RegressorEntry, Setup, encoding, find_regressor,
};
pub use active::most_informative;
pub use disturbed::{Disturbed, disturbed};
pub(crate) use few::without_lone;
pub use validation::{Validation, validate};

/// To be chosen, another regressor's held-out error must be below this share of the preferred one's, however many rows there are.
const CLEARLY_LESS: f64 = 0.95;
/// It must also be below by this many times `1 / sqrt(rows)`, because errors of few rows are uncertain, and those of the simple
/// regressors are too good (their penalty is chosen on the same rows). On 36 tables with 10 rows (`scripts/figures-predictor`)
/// the chosen regressor had 9 % more error than the preferred one without this rule, 1 % with it.
const UNCERTAIN: f64 = 1.5;

/// Architectures and their costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// 0/1 gates `[n, n_gates]`, see [`Architecture::gates`].
    pub gates: Array2<f32>,
    /// Costs `[n]` above zero, in the column's unit.
    pub values: Array1<f64>,
}

impl Samples {
    /// Samples of these architectures, each with its cost.
    ///
    /// # Errors
    /// [`PredictError::Space`] if the space does not allow an architecture.
    pub fn of<'a>(
        space: &dyn Space,
        rows: impl IntoIterator<Item = (&'a Architecture, f64)>,
    ) -> Result<Self, PredictError> {
        let n_gates = space.decisions().iter().map(Decision::n_gates).sum();
        let (mut gates, mut values) = (Vec::new(), Vec::new());
        for (architecture, value) in rows {
            space.check(architecture)?;
            gates.extend(architecture.gates(space.decisions()));
            values.push(value);
        }
        let gates = Array2::from_shape_vec((values.len(), n_gates), gates)
            .expect("each architecture has as many gates as the space");
        Ok(Self { gates, values: values.into() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// The regressor that becomes the predictor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegressorChoice {
    /// The last of the candidates in [`REGRESSORS`], unless another has clearly less error on rows held out during fitting.
    Auto,
    /// The regressor with this name.
    Named(String),
}

/// Options of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainOptions {
    /// The regressor that becomes the predictor.
    pub choice: RegressorChoice,
    /// Whether to fit all regressors to compare their errors, not only those that may be chosen. Baselines can take longer than
    /// everything else.
    pub compare: bool,
    /// Seed of splits, initial weights and batches.
    pub seed: u64,
}

/// The result of one regressor.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The regressor's row in the table.
    pub entry: &'static RegressorEntry,
    /// Average relative error of rows held out during fitting, percent; each row counts at most 100 %. Only differentiable
    /// regressors have it.
    pub validation_error: Option<f64>,
    /// Errors on the test rows, if there are any.
    pub test: Option<Metrics>,
    /// Costs predicted for the test rows, in their order and unit.
    pub predicted: Array1<f64>,
    /// Time to fit, seconds.
    pub seconds: f64,
}

/// The result of a training.
pub struct Report {
    /// One row per regressor that was fitted, in the table's order.
    pub fitted: Vec<Fitted>,
    /// Index of the chosen one.
    pub chosen: usize,
    /// The reason for the choice, as a sentence.
    pub reason: String,
    /// Number of training rows.
    pub n_train: usize,
    seed: u64,
    disconnected: Option<Disconnected>,
    regressor: Box<dyn Regressor>,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fitted, chosen, reason, .. } = self;
        f.debug_struct("Report")
            .field("fitted", fitted)
            .field("chosen", chosen)
            .field("reason", reason)
            .finish_non_exhaustive()
    }
}

impl Report {
    /// The result of the chosen regressor.
    pub fn best(&self) -> &Fitted {
        &self.fitted[self.chosen]
    }

    /// The predictor to save. `header` and `noise_floor` (percent) are those of the measurements.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] if the header belongs to another space.
    pub fn predictor(
        &self,
        space: &dyn Space,
        column: &str,
        header: Option<&RunHeader>,
        noise_floor: Option<f64>,
    ) -> Result<Predictor, PredictError> {
        let best = self.best();
        let label = Label::new(space, best.entry.encoding, column, header)?;
        let label = Label {
            regressor: best.entry.name.to_owned(),
            errors: best.test,
            noise_floor,
            n_train: self.n_train,
            seed: self.seed,
            ..label
        };
        let fitted = self.regressor.differentiable();
        let fitted = fitted.ok_or_else(|| not_differentiable(best.entry.name))?;
        let map = encoding::find(space, best.entry.encoding)?;
        Ok(Predictor::new(label, &map, fitted)?.with_disconnected(self.disconnected.clone()))
    }
}

/// Fits regressors to `train`, tests them on `test` (which may be empty) and chooses one.
///
/// # Errors
/// [`PredictError::Unknown`] if the name is unknown, [`PredictError::NotDifferentiable`] if the regressor cannot be saved; those
/// of [`Regressor::fit`] if the rows do not fit.
pub fn train(
    space: &dyn Space,
    train: &Samples,
    test: &Samples,
    options: &TrainOptions,
) -> Result<Report, PredictError> {
    train_watched(space, train, test, options, &Progress::default())
}

/// [`train`], with reports of its progress.
///
/// # Errors
/// The errors of [`train`].
pub fn train_watched(
    space: &dyn Space,
    train: &Samples,
    test: &Samples,
    options: &TrainOptions,
    progress: &Progress,
) -> Result<Report, PredictError> {
    check_finite("targets", test.values.iter().copied())?;
    let wanted = wanted(&options.choice)?;
    let n_train = train.len();
    if n_train < LEAST_SAMPLES {
        let (what, needed, found) = ("training samples", LEAST_SAMPLES, n_train);
        return Err(PredictError::TooFew { what, needed, found });
    }
    let (live, disconnected) = split(reach(space), train, false);
    let train = &without_lone(live);
    let entries: Vec<_> =
        REGRESSORS.iter().filter(|e| options.compare || wanted.contains(&e.name)).collect();
    let scale = shared_scale(space, train, options.seed)?;
    let mut fitted = Vec::new();
    let mut regressors = Vec::new();
    let n = entries.len();
    for (i, entry) in entries.into_iter().enumerate() {
        progress.tell(FitEvent::Regressor(entry.name, i + 1, n));
        let map = encoding::find(space, entry.encoding)?;
        let codes = encoding::encode(&map, train.gates.view())?;
        let test_codes = encoding::encode(&map, test.gates.view())?;
        let setup = encoding::setup(&map, space, options.seed);
        let setup = Setup { scale, progress: progress.clone(), ..setup };
        let mut regressor = (entry.build)(&setup);
        let started = Instant::now();
        regressor.fit(codes.view(), train.values.view())?;
        let seconds = started.elapsed().as_secs_f64();
        let mut predicted = regressor.predict(test_codes.view())?;
        if let (Some(disconnected), Some(costs)) = (&disconnected, predicted.as_slice_mut()) {
            disconnected.put(test.gates.view(), costs);
        }
        fitted.push(judge(entry, &*regressor, predicted, &test.values, seconds)?);
        regressors.push(regressor);
    }
    let (chosen, reason) = choose(&fitted, &wanted, n_train);
    let regressor = regressors.swap_remove(chosen);
    Ok(Report { fitted, chosen, reason, n_train, seed: options.seed, disconnected, regressor })
}

/// The scale on which all regressors are fitted, so that the comparison is fair: the one that suits `structured`. None if the
/// rows do not fit; the first fit then reports the error.
fn shared_scale(
    space: &dyn Space,
    train: &Samples,
    seed: u64,
) -> Result<Option<Scale>, PredictError> {
    let map = encoding::find(space, "structured")?;
    let codes = encoding::encode(&map, train.gates.view())?;
    if check_rows(codes.view(), train.values.view()).is_err() {
        return Ok(None);
    }
    let layout = encoding::setup(&map, space, seed).layout;
    better_scale(codes.view(), train.values.view(), &layout, seed).map(Some)
}

/// Names of the regressors that may be chosen.
fn wanted(choice: &RegressorChoice) -> Result<Vec<&'static str>, PredictError> {
    match choice {
        RegressorChoice::Auto => {
            Ok(REGRESSORS.iter().filter(|e| e.is_candidate).map(|e| e.name).collect())
        }
        RegressorChoice::Named(name) => {
            let entry = find_regressor(name)?;
            if entry.differentiable { Ok(vec![entry.name]) } else { Err(not_differentiable(name)) }
        }
    }
}

fn not_differentiable(name: &str) -> PredictError {
    PredictError::NotDifferentiable { name: name.to_owned(), known: names(|e| e.differentiable) }
}

fn judge(
    entry: &'static RegressorEntry,
    regressor: &dyn Regressor,
    predicted: Array1<f64>,
    truth: &Array1<f64>,
    seconds: f64,
) -> Result<Fitted, PredictError> {
    let validation_error = regressor.differentiable().map(|d| d.validation_error());
    let test = if truth.is_empty() {
        None
    } else {
        Some(Metrics::of(&truth.to_vec(), &predicted.to_vec())?)
    };
    Ok(Fitted { entry, validation_error, test, predicted, seconds })
}

/// The last of the wanted regressors, unless another has clearly less validation error; and the reason.
fn choose(fitted: &[Fitted], wanted: &[&str], n_train: usize) -> (usize, String) {
    let error = |i: usize| fitted[i].validation_error.unwrap_or(f64::INFINITY);
    let name = |i: usize| fitted[i].entry.name;
    let candidates: Vec<usize> = (0..fitted.len()).filter(|&i| wanted.contains(&name(i))).collect();
    let preferred = candidates.last().copied().unwrap_or(0);
    let least =
        candidates.iter().copied().min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(0);
    let share = CLEARLY_LESS.min(1.0 - UNCERTAIN / (n_train as f64).sqrt());
    let chosen = if error(least) < share * error(preferred) { least } else { preferred };
    if candidates.len() == 1 {
        return (chosen, format!("{} was asked for", name(chosen)));
    }
    let others = candidates.iter().filter(|&&i| i != chosen);
    let others = others.map(|&i| format!("{} {:.2} %", name(i), error(i))).collect::<Vec<_>>();
    let because = if chosen == preferred && chosen != least {
        format!(", and {} is not better by {:.0} %", name(least), 100.0 * (1.0 - share))
    } else {
        String::new()
    };
    let (name, own, others) = (name(chosen), error(chosen), others.join(", "));
    (
        chosen,
        format!("{name} has {own:.2} % error on rows held out while fitting ({others}){because}"),
    )
}

#[cfg(test)]
pub(crate) mod tests;
