//! Predictors as files for other programs: TorchScript and ONNX.
//!
//! Both take gates `probs` `[b, n_gates]` (all choices of all decisions in the label's order, 0/1 or soft) and give what
//! [`Predictor::forward_with_sd`] gives: `cost` `[b]` in the column's unit and the standard deviation `sd` `[b]` of a measurement
//! around it. The cost is the differentiable one, without the floor below which [`Predictor::predict_gates`] reports nothing.
//! Both hold the label as JSON.

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

/// A form in which other programs read predictors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A module for PyTorch, differentiable. Its result is the cost.
    TorchScript,
    /// A model for ONNX runtimes, opset 17. Its outputs are the cost and the standard deviation.
    Onnx,
}

impl ExportFormat {
    /// All.
    pub const ALL: [Self; 2] = [Self::TorchScript, Self::Onnx];

    /// The name for `--format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchScript => "torchscript",
            Self::Onnx => "onnx",
        }
    }

    /// The usual ending of such a file's name.
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
    /// Writes the predictor for other programs, whole or not at all.
    ///
    /// With `with_sd` a TorchScript module gives cost and standard deviation as `[2, b]`; without, the cost `[b]` alone. ONNX
    /// models have both as outputs anyway.
    ///
    /// # Errors
    /// [`PredictError::Data`] where the file cannot be written, [`PredictError::TorchScript`] where libtorch gives up,
    /// [`PredictError::NotExported`] for ONNX of a predictor that holds others.
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
