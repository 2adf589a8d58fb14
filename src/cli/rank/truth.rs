//! True accuracies of architectures: published ones, or those after training from scratch.

use std::fmt;
use std::path::Path;

use lat::evaluate::{EvaluationSettings, TrainingPlan, evaluate};
use lat::methods::Preset;
use lat::search::OpenedSupernet;
use lat_data::{AccuracyTable, Dataset};
use lat_profiler::DeviceSpec;
use lat_space::{Architecture, SearchSpace};

use super::{Args, Subject};
use crate::cli::STOP;
use crate::cli::accuracy::AccuracyArgs;
use crate::cli::failure::bad;
use crate::cli::skeleton::is_small;

/// Where true accuracies come from.
pub(super) enum Truth {
    /// A column of a table.
    Table { table: AccuracyTable, column: usize },
    /// Training from scratch.
    Trained { plan: TrainingPlan, seed: u64 },
}

impl Truth {
    /// The source that the flags ask for.
    pub(super) fn of(
        args: &Args,
        opened: &OpenedSupernet,
        device: DeviceSpec,
    ) -> anyhow::Result<Self> {
        if let Some(epochs) = args.train_epochs {
            let preset = if is_small(device) { Preset::Quick } else { Preset::Paper };
            let plan = TrainingPlan { epochs, ..TrainingPlan::preset(preset) };
            return Ok(Self::Trained { plan, seed: args.seed });
        }
        let flags = AccuracyArgs::of(args.truth.clone(), args.accuracy.clone());
        let space = opened.space.as_ref();
        let Some(table) = flags.table(space)? else {
            return Err(bad(format!(
                "expected --truth TABLE or --train-epochs E, found neither, and the program has no published accuracies of {}",
                space.id()
            )));
        };
        let column = table.find_column(args.accuracy.as_deref())?;
        Ok(Self::Table { table, column })
    }

    /// Refuses architectures (read from this file) whose true accuracy is not known.
    pub(super) fn check(
        &self,
        file: &Path,
        space: &dyn SearchSpace,
        architectures: &[Architecture],
    ) -> anyhow::Result<()> {
        let Self::Table { table, .. } = self else { return Ok(()) };
        let texts = architectures.iter().map(|architecture| space.format(architecture));
        let missing: Vec<String> = texts.filter(|text| table.accuracies(text).is_none()).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        Err(bad(format!(
            "expected accuracies of all {} architectures of {} in {}, found none of {}, {first} the first; take these out, or name \
             another --truth",
            architectures.len(),
            file.display(),
            table.source,
            missing.len()
        )))
    }

    /// Refuses a data set that is too small to train on.
    pub(super) fn check_images(&self, dataset: &Dataset) -> anyhow::Result<()> {
        match self {
            Self::Trained { plan, .. } if dataset.train.n < plan.batch as usize => {
                Err(bad(format!(
                    "expected at least one batch of {} training images for --train-epochs, found {}; name a --truth instead",
                    plan.batch, dataset.train.n
                )))
            }
            _ => Ok(()),
        }
    }

    /// The true accuracy in percent.
    pub(super) fn accuracy(
        &self,
        subject: &Subject<'_>,
        architecture: &Architecture,
    ) -> anyhow::Result<f64> {
        let space = subject.opened.space.as_ref();
        let text = space.format(architecture);
        match self {
            Self::Table { table, column } => match table.accuracies(&text) {
                Some(accuracies) => Ok(accuracies[*column]),
                None => Err(bad(format!("expected {text} in {}, found none", table.source))),
            },
            Self::Trained { plan, seed } => {
                let opened = subject.opened;
                let settings = EvaluationSettings {
                    architecture: text,
                    space: space.id().to_owned(),
                    dataset: opened.settings.dataset.clone(),
                    images: subject.dataset.checksum(),
                    skeleton: opened.skeleton(),
                    plan: *plan,
                    seed: *seed,
                    weights: None,
                };
                // Nobody will resume this training, so its folder is temporary.
                let folder = tempfile::tempdir()?;
                let checkpoint = folder.path().join("checkpoint.safetensors");
                let on = (subject.dataset, subject.device);
                let of = (space, architecture);
                let found = evaluate(of, &settings, on, checkpoint, &STOP, &mut |_| ())?;
                Ok(found.test_accuracy)
            }
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { table, column } => {
                write!(f, "{} ({})", table.source, table.columns[*column].label)
            }
            Self::Trained { plan, .. } => {
                write!(f, "test accuracy after {} epochs from scratch", plan.epochs)
            }
        }
    }
}
