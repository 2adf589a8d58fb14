//! A row of the table of methods.

use lat_space::SearchSpace;

use super::Method;
use super::tools::needs::{self, Need};
use super::tools::settings::{self, Settings};
use crate::ending::Ending;
use crate::error::SearchError;

/// The size of a search.
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

/// Options of a method given by the user: `--set key=value` as one TOML table.
pub type Options = toml::Table;

type Build = fn(
    &MethodEntry,
    Preset,
    &Options,
    &dyn SearchSpace,
    u64,
) -> Result<Box<dyn Method>, SearchError>;

/// A row of [`super::METHODS`].
#[derive(Debug, Clone, Copy)]
pub struct MethodEntry {
    /// The paper's name in lower case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Title, year and arXiv id.
    pub paper: &'static str,
    /// Whether the method chooses among architectures that it drew; if not, it moves a distribution by gradients.
    pub is_sampling: bool,
    /// Whether the method only trains a supernet, whose subnets are compared afterwards. Until then it prefers none of them.
    pub is_two_stage: bool,
    /// Conditions that a space must meet.
    pub needs: &'static [Need],
    /// Options that define the method, as TOML.
    pub(super) fixed: &'static str,
    /// Schedules of the quick preset and of the paper's.
    schedules: [Schedule; 2],
    build: Build,
}

/// Length and batch of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Passes over the training half.
    pub epochs: u32,
    /// Images per batch.
    pub batch: u32,
}

impl MethodEntry {
    /// A method with options of type `S`. The last argument has epochs and batch size of the quick preset and of the paper's.
    pub(super) const fn of<S: Settings>(
        name: &'static str,
        summary: &'static str,
        paper: &'static str,
        [quick, paper_s]: [(u32, u32); 2],
    ) -> Self {
        let quick = Schedule { epochs: quick.0, batch: quick.1 };
        let schedules = [quick, Schedule { epochs: paper_s.0, batch: paper_s.1 }];
        let needs = needs::PLAIN;
        let build = settings::build::<S>;
        let (is_sampling, is_two_stage, fixed) = (false, false, "");
        Self { name, summary, paper, is_sampling, is_two_stage, needs, fixed, schedules, build }
    }

    /// This method under another name, with fixed options (TOML) that `--set` may not change.
    pub(super) const fn fixed(
        self,
        name: &'static str,
        summary: &'static str,
        fixed: &'static str,
    ) -> Self {
        Self { name, summary, fixed, ..self }
    }

    /// Marks a method that chooses among architectures that it drew.
    pub(super) const fn sampling(self) -> Self {
        Self { is_sampling: true, ..self }
    }

    /// Marks a method that only trains a supernet, on spaces that meet these needs.
    pub(super) const fn two_stage(self, needs: &'static [Need]) -> Self {
        Self { is_two_stage: true, needs, ..self }
    }

    /// Sets the method's needs; the default is a space that chooses among operations.
    pub(super) const fn needing(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    /// How its search ends if the user does not say.
    pub fn ending(&self) -> Ending {
        if self.is_two_stage { Ending::Evolution } else { Ending::Finalists }
    }

    /// Epochs and batch of the preset.
    pub fn schedule(&self, preset: Preset) -> Schedule {
        let [quick, paper] = self.schedules;
        if preset == Preset::Quick { quick } else { paper }
    }

    /// Builds the method with the preset's settings, some overridden; `seed` fixes its initial parameters.
    ///
    /// # Errors
    /// [`SearchError::Settings`] if the method cannot search the space, or if an option is unknown or out of range.
    pub fn build(
        &self,
        preset: Preset,
        options: &Options,
        space: &dyn SearchSpace,
        seed: u64,
    ) -> Result<Box<dyn Method>, SearchError> {
        (self.build)(self, preset, options, space, seed)
    }
}
