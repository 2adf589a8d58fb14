//! Begins or resumes a run: its header, and the manifest that lists it.

use std::path::Path;

use crate::run::folder::{DOCTOR_FILE, HEADER_FILE, ROWS_FILE, TABLE_FILE, read_header};
use crate::run::manifest::{MANIFEST_FILE, Manifest};
use crate::{DataError, RunHeader, WholeFile};

/// The header and manifest of the run that `dir` contains, or of the one that begins now. Adds a sentence to `recovered` about
/// anything that was missing and is made again.
///
/// # Errors
/// [`DataError::OtherRun`] if the folder contains a run with other settings, [`DataError::Content`] if it is damaged,
/// [`DataError::Io`] if it cannot be written.
pub(crate) fn start(
    dir: &Path,
    header: &RunHeader,
    recovered: &mut Vec<String>,
) -> Result<(RunHeader, Manifest), DataError> {
    match read_header(dir)? {
        Some(recorded) => {
            // The manifest comes first, so that a damaged header is reported as damaged and not as that of another run.
            let manifest = listed(dir, recovered)?;
            Ok((same_run(dir, recorded, header)?, manifest))
        }
        None => begin(dir, header),
    }
}

/// The manifest of a run that has begun. A folder that has lost it, or that an older program wrote, gets a new one: rows have
/// checksums of their own, and a table that is not listed is not read.
fn listed(dir: &Path, recovered: &mut Vec<String>) -> Result<Manifest, DataError> {
    if let Some(manifest) = Manifest::read(dir)? {
        manifest.verify_rest(dir)?;
        return Ok(manifest);
    }
    let mut manifest = Manifest::default();
    manifest.list(dir, HEADER_FILE, None)?;
    if dir.join(DOCTOR_FILE).exists() {
        manifest.list(dir, DOCTOR_FILE, None)?;
    }
    manifest.write(dir)?;
    let path = dir.join(MANIFEST_FILE);
    recovered.push(format!(
        "{} was not there and is made anew; whether {HEADER_FILE} changed meanwhile cannot be told",
        path.display()
    ));
    Ok(manifest)
}

fn same_run(dir: &Path, recorded: RunHeader, asked: &RunHeader) -> Result<RunHeader, DataError> {
    match recorded.difference(asked) {
        None => Ok(recorded),
        Some((field, recorded, asked)) => {
            Err(DataError::OtherRun { dir: dir.to_owned(), field, recorded, asked })
        }
    }
}

/// Writes the manifest first: after a crash in between, the next try begins the run again.
fn begin(dir: &Path, header: &RunHeader) -> Result<(RunHeader, Manifest), DataError> {
    let path = dir.join(HEADER_FILE);
    for name in [ROWS_FILE, TABLE_FILE] {
        if dir.join(name).exists() {
            let found = format!("{name} without it; choose another --out");
            return Err(DataError::content(dir, "run.json, or an empty folder", found));
        }
    }
    let json = serde_json::to_vec_pretty(header)
        .map_err(|error| DataError::io("write", &path)(error.into()))?;
    let mut manifest = Manifest::default();
    manifest.list_bytes(HEADER_FILE, &json, None);
    manifest.write(dir)?;
    WholeFile::write(&path, &json)?;
    Ok((header.clone(), manifest))
}
