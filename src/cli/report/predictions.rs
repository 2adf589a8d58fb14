//! Chooses the predictor to show with a run, and judges it on the run.

use std::path::{Path, PathBuf};

use lat::report::JudgedPredictions;
use lat_data::{LatencyTable, RunHeader};
use lat_predictor::Predictor;
use lat_space::find_space;

use crate::cli::newest;

/// Judges the named predictor, or the newest that fits, on the run in this folder.
pub(super) fn predictions(
    dir: &Path,
    named: Option<&PathBuf>,
    header: &RunHeader,
) -> anyhow::Result<Option<JudgedPredictions>> {
    let is_one = |p: &Predictor| fits(p, header) && p.label().column == "latency_ms";
    let found = match named {
        Some(path) => Some((path.clone(), Predictor::load(path)?)),
        None => newest::newest_fitting_predictor(&is_one),
    };
    let Some((path, predictor)) = found else { return Ok(None) };
    judged(dir, header, &predictor, &path.display().to_string()).map(Some)
}

/// Judges this predictor on the run; `source` says in words where the predictor comes from.
pub(super) fn judged(
    dir: &Path,
    header: &RunHeader,
    predictor: &Predictor,
    source: &str,
) -> anyhow::Result<JudgedPredictions> {
    let space = find_space(&header.space)?;
    let table = LatencyTable::load(dir, Some(&header.space), &predictor.label().column)?;
    Ok(JudgedPredictions::new(predictor, source, space.as_ref(), &table)?)
}

/// Whether a predictor is for networks measured the way the run measured them.
pub(super) fn fits(predictor: &Predictor, header: &RunHeader) -> bool {
    let label = predictor.label();
    label.space == header.space
        && label.declaration.is_none()
        && label.device_name.as_deref() == Some(&header.device_name)
        && label.batch == Some(header.batch)
        && label.skeleton == Some(header.skeleton)
        && label.point == Some(header.point)
}
