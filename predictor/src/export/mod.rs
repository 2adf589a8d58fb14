//! Predictors as files for other programs: TorchScript and ONNX.
//!
//! Both take gates `probs` `[b, n_gates]` (all choices of all decisions in the label's order, 0/1 or soft) and give the results
//! of [`Predictor::forward_with_sd`]: `cost` `[b]` in the column's unit, and the standard deviation `sd` `[b]` of a measurement
//! around it. The cost is the differentiable one, without the floor that [`Predictor::predict_gates`] applies. Both contain the
//! label as JSON.

mod onnx;
mod onnx_graph;
mod onnx_proto;
mod torchscript;

use std::path::Path;
use std::str::FromStr;

use lat_data::WholeFile;

use crate::{PredictError, Predictor};
pub use torchscript::torchscript_file;

/// Name of the label in exported files.
const LABEL: &str = "lat_label";

/// A file format in which other programs read predictors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A module for PyTorch, differentiable. Its result is the cost.
    TorchScript,
    /// A model for ONNX runtimes, opset 17. Its outputs are the cost and the standard deviation.
    Onnx,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::TorchScript, Self::Onnx];

    /// The name for `--format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchScript => "torchscript",
            Self::Onnx => "onnx",
        }
    }

    /// The usual extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::TorchScript => "pt",
            Self::Onnx => "onnx",
        }
    }
}

impl FromStr for ExportFormat {
    type Err = PredictError;

    fn from_str(name: &str) -> Result<Self, PredictError> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            PredictError::UnknownFormat {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

impl Predictor {
    /// Writes the predictor for other programs. The file is either complete or not there at all.
    ///
    /// With `with_sd` a TorchScript module returns cost and standard deviation as `[2, b]`, without it only the cost `[b]`. ONNX
    /// models always have both as outputs.
    ///
    /// # Errors
    /// [`PredictError::Data`] if the file cannot be written, [`PredictError::TorchScript`] if libtorch fails,
    /// [`PredictError::NotExported`] for ONNX if the predictor contains predictors of other devices.
    pub fn export(
        &self,
        format: ExportFormat,
        with_sd: bool,
        path: &Path,
    ) -> Result<(), PredictError> {
        let label = serde_json::to_string(&self.label).expect("a label is plain data");
        let bytes = match format {
            ExportFormat::TorchScript => torchscript::file(self, with_sd, &label)?,
            ExportFormat::Onnx if !self.parts.is_empty() => return Err(PredictError::NotExported),
            ExportFormat::Onnx => onnx::file(self, &label),
        };
        Ok(WholeFile::write(path, &bytes)?)
    }
}

#[cfg(test)]
mod tests;
