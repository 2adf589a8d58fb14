//! Exports an extracted network for other programs, as `TorchScript`.

use std::path::Path;

use lat_data::WholeFile;
use lat_predictor::torchscript_file;
use tch::{CModule, Kind, Tensor};

use super::ExtractedNet;
use crate::error::SearchError;

/// How much the module's logits may differ, relative to the largest.
const TOLERANCE: f64 = 1e-5;
/// Number of images on which the two are compared; it differs from the number used for tracing.
const COMPARED: i64 = 3;

impl ExtractedNet {
    /// Writes the network as a `TorchScript` module in eval mode: `forward` takes normalised images `[n, 3, h, w]` and returns
    /// logits `[n, classes]`. The file contains the label as JSON in the extra file `lat_label`. Consumes the network, whose weights
    /// become constants.
    ///
    /// # Errors
    /// [`SearchError::Nn`] if libtorch cannot trace it, [`SearchError::Trace`] if the module computes something else or cannot be
    /// written, [`SearchError::Write`] if the file cannot be written.
    pub fn write_torchscript(self, path: &Path) -> Result<(), SearchError> {
        let hw = self.label.skeleton.resolution;
        let device = self.net.weights().device();
        let label = serde_json::to_string(&self.label).expect("a label is plain data");
        let n_bytes: usize =
            self.net.weights().variables().values().map(|weight| 4 * weight.numel()).sum();
        let side = i64::from(hw);
        let images = lat_nn::guard(|| {
            let n = COMPARED * 3 * side * side;
            let wave = Tensor::arange(n, (Kind::Float, device)).sin();
            wave.view([COMPARED, 3, side, side])
        })?;
        let expected = self.net.forward(&images)?.detach();
        let module = self.net.traced(hw)?;
        compare(&module, &images, &expected)?;
        let bytes =
            torchscript_file(&module, ("network", n_bytes), &label).map_err(SearchError::Trace)?;
        WholeFile::write(path, &bytes).map_err(SearchError::Write)
    }
}

/// Refuses a module whose logits differ.
fn compare(module: &CModule, images: &Tensor, expected: &Tensor) -> Result<(), SearchError> {
    let found = module.forward_ts(&[images]).map_err(lat_nn::NnError::from)?;
    let off = lat_nn::guard(|| (found - expected).abs().max().double_value(&[]))?;
    let largest = expected.abs().max().double_value(&[]).max(1.0);
    if off <= TOLERANCE * largest {
        return Ok(());
    }
    Err(SearchError::Trace(format!("its logits are off by {off}")))
}
