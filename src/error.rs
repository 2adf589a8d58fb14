//! The error type of searches and evaluations.

use std::path::PathBuf;

/// An error in a search or an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A name that does not exist.
    #[error("unknown {kind} '{name}'; expected one of: {known}")]
    Unknown {
        /// Kind of thing that was looked up.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The existing names, comma separated.
        known: String,
    },
    /// Settings that do not fit together or are out of range.
    #[error("{0}")]
    Settings(String),
    /// The data set cannot be used for the search.
    #[error("the data set {name} cannot serve: {reason}")]
    Dataset {
        /// Name of the data set.
        name: String,
        /// The problem and how to solve it.
        reason: String,
    },
    /// The loss is NaN or infinite.
    #[error(
        "the {what} became {value} in epoch {epoch}, step {step}; {}. Try a lower learning rate",
        kept(*.epoch)
    )]
    NotANumber {
        /// Which loss.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Epoch, from 1.
        epoch: u32,
        /// Step within the epoch, from 1.
        step: usize,
    },
    /// A checkpoint that belongs to another search or is damaged.
    #[error("checkpoint {path}: {reason}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What differs or is broken.
        reason: String,
    },
    /// The file of an extracted network is damaged, or is not such a file.
    #[error("network {path}: {reason}", path = path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What is broken.
        reason: String,
    },
    /// A network could not be written as `TorchScript`.
    #[error("the network could not be written as TorchScript: {0}; leave --torchscript out")]
    Trace(String),
    /// A checkpoint could not be written.
    #[error(transparent)]
    Write(lat_data::DataError),
    /// The user interrupted; finished work is kept.
    #[error("interrupted; run the same command again to continue")]
    Interrupted,
    /// Error of the search space.
    #[error(transparent)]
    Space(#[from] lat_space::SpaceError),
    /// Error of libtorch.
    #[error(transparent)]
    Nn(#[from] lat_nn::NnError),
    /// Error of the processes that work on the search together.
    #[error(transparent)]
    Device(#[from] lat_device::DeviceError),
    /// Error of the cost model.
    #[error(transparent)]
    Predict(#[from] lat_predictor::PredictError),
    /// Error of a data file.
    #[error(transparent)]
    Data(#[from] lat_data::DataError),
    /// Error of the profiler.
    #[error(transparent)]
    Profile(#[from] lat_profiler::ProfileError),
}

/// A sentence about the saved state of a run that fails in this epoch.
fn kept(epoch: u32) -> String {
    match epoch {
        1 => "nothing is kept of its first epoch".to_owned(),
        _ => format!("the checkpoint of epoch {} is kept", epoch - 1),
    }
}

impl SearchError {
    /// Whether the input was bad (exit code 2) rather than the work (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::NotANumber { .. }
                | Self::Trace(_)
                | Self::Nn(_)
                | Self::Device(_)
                | Self::Write(_)
                | Self::Interrupted
        )
    }
}
