//! What can be wrong with samples, predictor files and costs.

use std::path::PathBuf;

use lat_data::{COSTS, DataError};
use lat_space::SpaceError;

/// What can be wrong with samples, predictor files, costs and penalties.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// Fewer samples than a fit can be judged with.
    #[error("expected at least {needed} {what}, found {found}; measure more architectures")]
    TooFew {
        /// Kind of samples: `training samples`.
        what: &'static str,
        /// The least number.
        needed: usize,
        /// The number given.
        found: usize,
    },
    /// A predictor that holds those of other devices, as ONNX.
    #[error(
        "expected a predictor of one model, found one transferred from predictors with networks or on other scales, \
         which ONNX export does not write; export it as TorchScript, or transfer from `--regressor linear` predictors"
    )]
    NotExported,
    /// More samples than a transfer is for.
    #[error(
        "expected at most {most} samples of the new device to transfer to, found {found}; \
         take fewer with --train, or train on them without --from"
    )]
    TooMany {
        /// The largest number.
        most: usize,
        /// The number given.
        found: usize,
    },
    /// A name that no table holds.
    #[error("unknown regressor '{name}'; expected auto or one of: {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// A regressor that cannot steer a search.
    #[error("{name} has no gradient, so no predictor can be made of it; train one of: {known}")]
    NotDifferentiable {
        /// The regressor's name.
        name: String,
        /// Regressors that can be saved, comma separated.
        known: String,
    },
    /// A vector or matrix of another width or length.
    #[error("expected {expected} {what}, found {found}; was it made for another search space?")]
    Width {
        /// What is counted: `features`.
        what: &'static str,
        /// The number expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// NaN or infinity.
    #[error("expected finite {what}, found {found} in row {row}; leave out failed measurements")]
    NotFinite {
        /// `codes` or `targets`.
        what: &'static str,
        /// Row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// A prediction that is NaN or infinity.
    #[error(
        "expected a number for {column}, found {found} for architecture {} of those priced together; the predictor's own numbers are \
         out of range: restore its file from a copy, or train again",
        row + 1
    )]
    NoAnswer {
        /// What is predicted.
        column: String,
        /// Which of the architectures, from 0.
        row: usize,
        /// What was predicted.
        found: f64,
    },
    /// A cost that is zero or below.
    #[error(
        "expected targets above zero, found {found} in row {row}; check the column and its unit"
    )]
    NotPositive {
        /// Row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// A cost beyond [`lat_data::COSTS`].
    #[error("expected targets from {:e} to {:e}, found {found:e} in row {row}; give them in another unit", COSTS.0, COSTS.1)]
    Size {
        /// Row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// Prediction asked of a regressor that has seen no samples.
    #[error("{name} has not been fitted; call fit before predict")]
    NotFitted {
        /// The regressor's name.
        name: &'static str,
    },
    /// The library behind a regressor gave up.
    #[error("{name} could not be fitted: {reason}")]
    Fit {
        /// The regressor's name.
        name: &'static str,
        /// The library's own words.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file that is no predictor.
    #[error("{} is not a predictor as `lat train` wrote it: {reason}; restore it from a copy, or train again", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A predictor file of another version.
    #[error(
        "{} has predictor format {found}, but this program reads format {expected}; \
         train again with this version of lat",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version this program reads.
        expected: u32,
        /// The version found.
        found: String,
    },
    /// A predictor or architecture for something else than what is asked.
    #[error("expected {what} {expected}, found {found}; {advice}")]
    Mismatch {
        /// What differs: `search space`.
        what: &'static str,
        /// What is asked for.
        expected: String,
        /// What the predictor or architecture has.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// A form of a predictor that nobody writes.
    #[error("unknown format '{name}'; expected one of: {known}")]
    UnknownFormat {
        /// The name given.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// libtorch would not write a predictor down.
    #[error(
        "the predictor could not be written as TorchScript: {reason}; \
         check that the folder for temporary files has room, or export as onnx"
    )]
    TorchScript {
        /// The library's own words.
        reason: String,
    },
    /// A number of a search's goal out of range.
    #[error("{what} must be {allowed}, found {found}")]
    Range {
        /// Name of the number: `lambda`.
        what: &'static str,
        /// Its range in words.
        allowed: &'static str,
        /// The value found.
        found: f64,
    },
    /// A latency table without an entry that the network needs.
    #[error("the latency table has no entry for {key}; measure that operation too")]
    NoEntry {
        /// Key of the operation at its place, see `lat_space::OpSpec::key`.
        key: String,
    },
    /// A published latency table without a row that the network needs.
    #[error(
        "expected a latency table with a row '{name}', found none, the most like it '{nearest}'; a table of other widths, image sizes or \
         classes, or a part of one, does not price these networks"
    )]
    NoRow {
        /// The row's name.
        name: String,
        /// The row that begins most like it.
        nearest: String,
    },
    /// Published latency tables without one for an image size.
    #[error(
        "expected a latency table for images of {size} pixels, found tables for {found}; name its file too, or measure one with lat \
         profile --per-op"
    )]
    NoSize {
        /// Height and width in pixels.
        size: u16,
        /// The sizes that there are tables for.
        found: String,
    },
    /// The space refused a skeleton or an architecture.
    #[error(transparent)]
    Space(#[from] SpaceError),
}
