//! Search methods: one file each, one row in [`METHODS`].
//!
//! A method owns its loop body ([`Method::step`]), written in the order of its paper. It sees the supernet through gates and the
//! cost through an [`Objective`], and knows no space.

mod bilevel;
mod cell_alphas;
mod coverage;
mod darts;
mod derive;
mod dropnas;
mod entrannas;
mod entrannas_dst;
mod entrannas_thresholds;
mod frequencies;
mod gdas;
mod local_search;
mod mergenas;
mod neighbours;
mod p_darts;
mod parsec;
mod pc_darts;
mod proxylessnas;
mod random;
mod ranges;
mod snas;
mod stage;
mod toponas;
mod toponas_regulariser;

use std::fmt::Debug;

use lat_space::{Architecture, SearchSpace};
use rand::RngCore;
use tch::Tensor;

use crate::error::SearchError;
use crate::objective::Objective;
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{BuildMixedOp, Gating, Supernet};

pub(crate) use bilevel::{GRADIENT_SQUARES, named_weights, ordered_weights};
pub(crate) use derive::is_connected;
pub use derive::{derive, learns};
pub(crate) use neighbours::neighbours;
pub use stage::Stage;

/// Images `[n, 3, h, w]` and labels `[n]`.
#[derive(Debug)]
pub struct Batch {
    /// Normalised pixels.
    pub images: Tensor,
    /// Class numbers.
    pub labels: Tensor,
}

/// What one step works on: a batch for the operation weights and one for the architecture.
#[derive(Debug)]
pub struct Batches {
    /// For the operation weights.
    pub train: Batch,
    /// For the architecture parameters.
    pub valid: Batch,
}

/// Where a step stands and what it may use.
pub struct Context<'a, 'c> {
    /// The space.
    pub space: &'a dyn SearchSpace,
    /// The supernet.
    pub net: &'a dyn Supernet,
    /// The cost, where the search has one.
    pub objective: Option<&'a mut Objective<'c>>,
    /// Share of the search that is done, from 0 to 1: drives schedules.
    pub progress: f64,
    /// All randomness of a method comes from here.
    pub rng: &'a mut dyn RngCore,
}

impl Context<'_, '_> {
    /// The cost's gradient in these architecture parameters, where the search has a cost. Ask for it before the task's backward
    /// pass, which frees what the two graphs share.
    ///
    /// # Errors
    /// Where the cost model cannot answer.
    fn cost_gradient(
        &mut self,
        relaxed: &Relaxed,
        parameters: &[Tensor],
    ) -> Result<Option<Vec<Tensor>>, SearchError> {
        match &mut self.objective {
            Some(objective) => objective.gradient(relaxed, parameters),
            None => Ok(None),
        }
    }

    /// The task's gradient with the cost's beside it, where there is one.
    fn joined(&mut self, task: Vec<Tensor>, cost: Option<Vec<Tensor>>) -> Vec<Tensor> {
        match (&mut self.objective, cost) {
            (Some(objective), Some(cost)) => objective.joined(task, cost),
            _ => task,
        }
    }
}

/// What a step reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepReport {
    /// Cross entropy on the training batch.
    pub train_loss: f64,
    /// Correct answers on the training batch.
    pub n_correct: i64,
    /// Cross entropy on the validation batch, the cost aside; NaN where the architecture was not stepped, or on the training batch.
    pub valid_loss: f64,
}

/// A search method.
pub trait Method: Debug {
    /// Into how many stages the epochs are cut; each has a supernet of its own (P-DARTS).
    fn n_stages(&self) -> usize {
        1
    }

    /// What the supernet of this stage, numbered from 0, is made of. Asked for the first one before the search, for others at the
    /// end of the stage before.
    fn stage(&self, number: usize) -> Stage {
        Stage::of_whole(number)
    }

    /// Called where a stage begins or is taken up again, before the method is asked for its sites.
    fn enter(&mut self, _stage: &Stage) {}

    /// How it wants its sites built.
    fn mixed_op(&self) -> Box<dyn BuildMixedOp>;

    /// Called once the supernet of a stage stands.
    ///
    /// # Errors
    /// Where the method cannot work with it.
    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError>;

    /// One step of architecture and weights.
    ///
    /// # Errors
    /// Where the cost model cannot answer.
    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError>;

    /// Whether weights and architecture learn from the same images, all of them; else each has a half of its own.
    fn is_one_level(&self) -> bool {
        false
    }

    /// The gates of the supernet as it stands, for evaluating it.
    fn gates(&self, space: &dyn SearchSpace) -> Box<dyn Gating>;

    /// What the method believes at the moment.
    fn relaxed(&self) -> Relaxed;

    /// What finalists are drawn from at the end: what the method believes, or a wider field where it follows single architectures.
    fn proposal(&self, _: &dyn SearchSpace) -> Relaxed {
        self.relaxed()
    }

    /// The architecture it would settle on.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        derive(space, &self.relaxed())
    }

    /// Everything a resumed search needs besides the supernet's weights.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Takes the state back; called after [`Method::begin`].
    ///
    /// # Errors
    /// The name of a tensor that is missing or of another shape.
    fn load(&mut self, state: &StateMap) -> Result<(), String>;
}

/// How far a search goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Minutes on two CPU cores; shrinks the network and the epochs and speeds up the architecture's learning to match.
    Quick,
    /// The paper's settings.
    Paper,
}

/// Options of a method given by hand: `--set key=value` as one TOML table.
pub type Options = toml::Table;

/// Builds a method on a space with a preset's settings, some overridden; the last argument is the seed.
pub type BuildMethod =
    fn(Preset, &Options, &dyn SearchSpace, u64) -> Result<Box<dyn Method>, SearchError>;

/// A row of [`METHODS`].
#[derive(Debug)]
pub struct MethodEntry {
    /// The paper's name in lower case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Title, year, arXiv id.
    pub paper: &'static str,
    /// Whether it chooses among architectures that it drew; else it moves a distribution by gradients.
    pub is_sampling: bool,
    /// Epochs and batch of the preset.
    pub schedule: fn(Preset) -> Schedule,
    /// Builds the method with the preset's settings, some overridden; `seed` fixes its initial parameters.
    pub build: BuildMethod,
}

/// Length and batch of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Passes over the training half.
    pub epochs: u32,
    /// Images per batch.
    pub batch: u32,
}

/// All methods, one row each.
pub const METHODS: &[MethodEntry] = &[
    darts::ENTRY,
    darts::SECOND_ORDER,
    pc_darts::ENTRY,
    gdas::ENTRY,
    snas::ENTRY,
    parsec::ENTRY,
    dropnas::ENTRY,
    proxylessnas::ENTRY,
    p_darts::ENTRY,
    mergenas::ENTRY,
    entrannas::ENTRY,
    entrannas_dst::ENTRY,
    toponas::ENTRY,
    random::ENTRY,
    local_search::ENTRY,
];

/// The method of this name.
///
/// # Errors
/// [`SearchError::Unknown`] lists the methods.
pub fn find_method(name: &str) -> Result<&'static MethodEntry, SearchError> {
    METHODS.iter().find(|m| m.name == name).ok_or_else(|| SearchError::Unknown {
        kind: "method",
        name: name.to_owned(),
        known: METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", "),
    })
}

/// An option's condition; `expected` completes "expected ..., found ..." where it does not hold.
fn expect(method: &str, holds: bool, expected: impl FnOnce() -> String) -> Result<(), SearchError> {
    if holds {
        return Ok(());
    }
    Err(SearchError::Settings(format!("option of method {method}: expected {}", expected())))
}

/// Cell-based methods hold one row of logits per decision, so decisions must share one list of operations.
fn is_covered(method: &str, space: &dyn SearchSpace) -> Result<(), SearchError> {
    let is_plain = |space: &dyn SearchSpace| {
        let preset = space.skeletons().first();
        preset.is_none_or(|preset| !space.graph(&preset.skeleton).is_elastic())
    };
    coverage::covered(method, space, "that choose among operations and cut none down", is_plain)?;
    coverage::covered(method, space, "whose decisions share one list of operations", |space| {
        let decisions = space.decisions();
        decisions.iter().all(|d| d.choices == decisions[0].choices)
    })
}

/// A method's settings: the preset's, with those given by hand put over them. Unknown keys are errors that list the known.
fn configure<C>(
    method: &str,
    preset: C,
    options: &Options,
    space: &dyn SearchSpace,
) -> Result<C, SearchError>
where
    C: serde::Serialize + serde::de::DeserializeOwned,
{
    is_covered(method, space)?;
    let wrong = |e: &dyn std::fmt::Display| {
        SearchError::Settings(format!("option of method {method}: {e}").trim_end().to_owned())
    };
    let mut table = Options::try_from(preset).map_err(|e| wrong(&e))?;
    for (key, value) in options {
        if !table.contains_key(key) {
            let known = table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(wrong(&format!("expected one of {known}; found '{key}'")));
        }
        let value = as_float(&table[key], value);
        let out_of_range = ranges::expected(key, &value);
        table.insert(key.clone(), value);
        // Read again with each option, so that the message can name the one that does not fit.
        table
            .clone()
            .try_into::<C>()
            .map_err(|e: toml::de::Error| wrong(&format!("{key}: {}", e.message())))?;
        if let Some(expected) = out_of_range {
            return Err(wrong(&format!("expected {key} to be {expected}, found {}", table[key])));
        }
    }
    table.try_into().map_err(|e: toml::de::Error| wrong(&e.message()))
}

/// `--set tau=1` means 1.0 where a float is expected, in lists too.
fn as_float(preset: &toml::Value, value: &toml::Value) -> toml::Value {
    use toml::Value::{Array, Float, Integer};
    match (preset, value) {
        (Float(_), Integer(i)) => Float(*i as f64),
        (Array(preset), Array(values)) if !preset.is_empty() => {
            Array(values.iter().map(|v| as_float(&preset[0], v)).collect())
        }
        _ => value.clone(),
    }
}
