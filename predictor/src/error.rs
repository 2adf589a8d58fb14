//! Errors: wrong samples, predictor files and costs.

use std::path::PathBuf;

use lat_data::{COSTS, DataError};
use lat_space::SpaceError;

/// An error with samples, predictor files, costs or penalties.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// There are fewer samples than needed to judge a fit.
    #[error("expected at least {needed} {what}, found {found}; measure more architectures")]
    TooFew {
        /// Kind of samples, such as `training samples`.
        what: &'static str,
        /// The least number.
        needed: usize,
        /// The number given.
        found: usize,
    },
    /// ONNX export of a predictor that contains predictors of other devices.
    #[error(
        "expected a predictor of one model, found one transferred from predictors with networks or on other scales, \
         which ONNX export does not write; export it as TorchScript, or transfer from `--regressor linear` predictors"
    )]
    NotExported,
    /// There are more samples than a transfer can use.
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
    /// A name that is in no table.
    #[error("unknown regressor '{name}'; expected auto or one of: {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// A regressor that cannot be used in a search.
    #[error("{name} has no gradient, so no predictor can be made of it; train one of: {known}")]
    NotDifferentiable {
        /// The regressor's name.
        name: String,
        /// Regressors that can be saved, separated by commas.
        known: String,
    },
    /// A vector or matrix of the wrong width or length.
    #[error("expected {expected} {what}, found {found}; was it made for another search space?")]
    Width {
        /// The things that are counted, such as `features`.
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
    /// A prediction that is NaN or infinite.
    #[error(
        "expected a number for {column}, found {found} for architecture {} of those priced together; the predictor's own numbers are \
         out of range: restore its file from a copy, or train again",
        row + 1
    )]
    NoAnswer {
        /// The predicted column.
        column: String,
        /// Index of the architecture, from 0.
        row: usize,
        /// The predicted value.
        found: f64,
    },
    /// A cost that is not above zero.
    #[error(
        "expected targets above zero, found {found} in row {row}; check the column and its unit"
    )]
    NotPositive {
        /// Row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// A cost outside [`lat_data::COSTS`].
    #[error("expected targets from {:e} to {:e}, found {found:e} in row {row}; give them in another unit", COSTS.0, COSTS.1)]
    Size {
        /// Row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// A prediction was asked of a regressor that has not been fitted.
    #[error("{name} has not been fitted; call fit before predict")]
    NotFitted {
        /// The regressor's name.
        name: &'static str,
    },
    /// The library that a regressor uses failed.
    #[error("{name} could not be fitted: {reason}")]
    Fit {
        /// The regressor's name.
        name: &'static str,
        /// The library's message.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file that is not a predictor.
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
    /// A predictor or architecture does not match the request.
    #[error("expected {what} {expected}, found {found}; {advice}")]
    Mismatch {
        /// The property that differs, such as `search space`.
        what: &'static str,
        /// The value that was asked for.
        expected: String,
        /// The value that the predictor or architecture has.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// An unknown export format.
    #[error("unknown format '{name}'; expected one of: {known}")]
    UnknownFormat {
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// libtorch could not write a predictor.
    #[error(
        "the predictor could not be written as TorchScript: {reason}; \
         check that the folder for temporary files has room, or export as onnx"
    )]
    TorchScript {
        /// The library's message.
        reason: String,
    },
    /// A number of a search's goal is out of range.
    #[error("{what} must be {allowed}, found {found}")]
    Range {
        /// Name of the number, such as `lambda`.
        what: &'static str,
        /// Its range in words.
        allowed: &'static str,
        /// The value found.
        found: f64,
    },
    /// A latency table lacks an entry that the network needs.
    #[error("the latency table has no entry for {key}; measure that operation too")]
    NoEntry {
        /// Key of the operation and its place, see `lat_space::OpSpec::key`.
        key: String,
    },
    /// A published latency table lacks a row that the network needs.
    #[error(
        "expected a latency table with a row '{name}', found none, the most like it '{nearest}'; a table of other widths, image sizes or \
         classes, or a part of one, does not price these networks"
    )]
    NoRow {
        /// The row's name.
        name: String,
        /// The row whose name is most similar.
        nearest: String,
    },
    /// No published latency table was given for an image size.
    #[error(
        "expected a latency table for images of {size} pixels, found tables for {found}; name its file too, or measure one with lat \
         profile --per-op"
    )]
    NoSize {
        /// Height (= width) in pixels.
        size: u16,
        /// The sizes for which there are tables.
        found: String,
    },
    /// The space rejected a skeleton or an architecture.
    #[error(transparent)]
    Space(#[from] SpaceError),
}
