//! The predictor as TorchScript: a trace of itself.

use std::io::{Cursor, Write};

use tch::{CModule, Device, Kind, TchError, Tensor};
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::LABEL;
use crate::{PredictError, Predictor};

/// The bytes of a module whose `forward` is the predictor's. The label is among its extra files.
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

/// The bytes of a module's file, whose archive has this name, with a label among its extra files, as `lat_label`. What the module is
/// made of takes about so many bytes.
///
/// # Errors
/// libtorch's or the system's words.
pub fn torchscript_file(
    module: &CModule,
    (name, n_bytes): (&str, usize),
    label: &str,
) -> Result<Vec<u8>, String> {
    let bytes = saved(module, name, n_bytes).map_err(|e| e.to_string())?;
    labelled(bytes, label).map_err(|e| e.to_string())
}

/// What the predictor does to two rows of gates, recorded. No size of the two rows is part of it.
fn traced(predictor: &Predictor, with_sd: bool) -> Result<CModule, TchError> {
    let n_gates = predictor.map.n_gates as i64;
    let example = Tensor::zeros([2, n_gates], (Kind::Float, Device::Cpu));
    let mut forward = |inputs: &[Tensor]| {
        // A single vector is a row; gates of another width stop here, with both numbers.
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

/// The module's file, of a module of so many bytes. libtorch names the archive's folder after the file, so its name is always
/// the same.
fn saved(module: &CModule, name: &str, n_bytes: usize) -> Result<Vec<u8>, TchError> {
    let folder = tempfile::tempdir()?;
    // libtorch ends the whole program where it finds no room, so it is looked for before.
    let probe = folder.path().join("room");
    std::fs::write(&probe, vec![0; 4 * n_bytes + (1 << 18)])?;
    std::fs::remove_file(probe)?;
    let path = folder.path().join(format!("{name}.pt"));
    module.save(&path)?;
    Ok(std::fs::read(path)?)
}

/// The file with the label where `torch.jit.load(.., _extra_files=..)` looks for it.
fn labelled(bytes: Vec<u8>, label: &str) -> zip::result::ZipResult<Vec<u8>> {
    let folder = {
        let archive = ZipArchive::new(Cursor::new(&bytes))?;
        let first = archive.file_names().next().unwrap_or_default();
        first.split('/').next().unwrap_or_default().to_owned()
    };
    let mut archive = ZipWriter::new_append(Cursor::new(bytes))?;
    let options = FileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // Not the hour of the export, so that the same predictor gives the same file.
        .last_modified_time(DateTime::default());
    archive.start_file(format!("{folder}/extra/{LABEL}"), options)?;
    archive.write_all(label.as_bytes())?;
    Ok(archive.finish()?.into_inner())
}
