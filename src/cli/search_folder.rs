//! Opens a search's folder: its supernet, and the images that it was trained on.

use std::path::{Path, PathBuf};

use lat::record::SearchRecord;
use lat::search::OpenedSupernet;
use lat_data::Dataset;

use super::datasets::DatasetArgs;
use super::failure::bad;

/// The checkpoint's file name in the folder of a search or an evaluation.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The files that are read from a search's folder.
pub(super) fn files(dir: &Path) -> [PathBuf; 2] {
    [CHECKPOINT, SearchRecord::FILE].map(|name| dir.join(name))
}

/// Opens the supernet in a search's folder.
pub(super) fn open(dir: &Path, device: tch::Device) -> anyhow::Result<OpenedSupernet> {
    let file = dir.join(CHECKPOINT);
    if !file.is_file() {
        return Err(bad(format!(
            "expected the folder of a search, with its {CHECKPOINT}, at {}, found none; make one by lat search --out DIR",
            dir.display()
        )));
    }
    Ok(OpenedSupernet::open(&file, device)?)
}

/// The images to use (the search's own data set, if no flag names another) and a line that describes them.
pub(super) fn images(
    opened: &OpenedSupernet,
    flags: &DatasetArgs,
) -> anyhow::Result<(Dataset, String)> {
    let flags = flags.or_of(&opened.settings.dataset);
    let (_, dataset, line) = flags.load(Some(opened.settings.skeleton.resolution))?;
    opened.check_images(&dataset)?;
    Ok((dataset, line))
}
