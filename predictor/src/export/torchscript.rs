//! The predictor as TorchScript: a trace of its own forward pass.

use std::io::{Cursor, Write};

use tch::{CModule, Device, Kind, TchError, Tensor};
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::LABEL;
use crate::{PredictError, Predictor};

/// The bytes of a module whose `forward` is the predictor's. The label is one of its extra files.
pub(super) fn file(
    predictor: &Predictor,
    with_sd: bool,
    label: &str,
) -> Result<Vec<u8>, PredictError> {
    let failed = |reason: String| PredictError::TorchScript { reason };
    let module = traced(predictor, with_sd).map_err(|e| failed(e.to_string()))?;
    let n_bytes = predictor.to_bytes().map_or(0, |bytes| bytes.len());
    torchscript_file(&module, ("predictor", n_bytes), label).map_err(failed)
}

/// The bytes of a module's file, with the label as the extra file `lat_label`. `name` is the name of the archive inside;
/// `n_bytes` is about the size of the module's tensors.
///
/// # Errors
/// The message of libtorch or of the system.
pub fn torchscript_file(
    module: &CModule,
    (name, n_bytes): (&str, usize),
    label: &str,
) -> Result<Vec<u8>, String> {
    let bytes = saved(module, name, n_bytes).map_err(|e| e.to_string())?;
    labelled(bytes, label).map_err(|e| e.to_string())
}

/// Traces the predictor on two rows of gates. The trace does not depend on their number.
fn traced(predictor: &Predictor, with_sd: bool) -> Result<CModule, TchError> {
    let n_gates = predictor.map.n_gates as i64;
    let example = Tensor::zeros([2, n_gates], (Kind::Float, Device::Cpu));
    let mut forward = |inputs: &[Tensor]| {
        // A single vector becomes a row. Gates of another width fail here, with both widths in the message.
        let gates = inputs[0].to_kind(Kind::Float).atleast_2d().unflatten(-1, [n_gates]);
        if with_sd {
            let (cost, sd) = predictor.sum_with_sd(&gates);
            vec![Tensor::stack(&[cost, sd], 0)]
        } else {
            vec![predictor.sum(&gates)]
        }
    };
    CModule::create_by_tracing("Predictor", "forward", &[example], &mut forward)
}

/// Saves a module of `n_bytes` bytes. libtorch names the archive's folder after the file, so the file always has the same name.
fn saved(module: &CModule, name: &str, n_bytes: usize) -> Result<Vec<u8>, TchError> {
    let folder = tempfile::tempdir()?;
    // libtorch ends the whole program if the disk is full, so the room is checked first.
    let probe = folder.path().join("room");
    std::fs::write(&probe, vec![0; 4 * n_bytes + (1 << 18)])?;
    std::fs::remove_file(probe)?;
    let path = folder.path().join(format!("{name}.pt"));
    module.save(&path)?;
    Ok(std::fs::read(path)?)
}

/// The file with the label added where `torch.jit.load(.., _extra_files=..)` looks for it.
fn labelled(bytes: Vec<u8>, label: &str) -> zip::result::ZipResult<Vec<u8>> {
    let folder = {
        let archive = ZipArchive::new(Cursor::new(&bytes))?;
        let first = archive.file_names().next().unwrap_or_default();
        first.split('/').next().unwrap_or_default().to_owned()
    };
    let mut archive = ZipWriter::new_append(Cursor::new(bytes))?;
    let options = FileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // Not the time of the export, so that the same predictor gives the same file.
        .last_modified_time(DateTime::default());
    archive.start_file(format!("{folder}/extra/{LABEL}"), options)?;
    archive.write_all(label.as_bytes())?;
    Ok(archive.finish()?.into_inner())
}
