//! What a search left in its folder, opened: its supernet, and the images that it was trained on.

use std::path::{Path, PathBuf};

use lat::record::SearchRecord;
use lat::search::OpenedSupernet;
use lat_data::Dataset;

use super::datasets::DatasetArgs;
use super::failure::bad;

/// The checkpoint's name in the folder of a search or an evaluation.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Files of a search's folder that are read.
pub(super) fn files(dir: &Path) -> [PathBuf; 2] {
    [CHECKPOINT, SearchRecord::FILE].map(|name| dir.join(name))
}

/// Opens the supernet of a search's folder.
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

/// The images of a search, which are its own data set's where no flag names another, and a line that says which they are.
pub(super) fn images(
    opened: &OpenedSupernet,
    flags: &DatasetArgs,
) -> anyhow::Result<(Dataset, String)> {
    let flags = flags.or_of(&opened.settings.dataset);
    let (_, dataset, line) = flags.load(Some(opened.settings.skeleton.resolution))?;
    opened.check_images(&dataset)?;
    Ok((dataset, line))
}
