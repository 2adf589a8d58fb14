//! Files that are there whole or not at all, also after a crash.

use std::fs::{self, File};
use std::path::Path;

use crate::DataError;

/// Replaces `path` by what `write` puts into the file: written beside it, brought to the disk, then renamed. Where anything
/// fails, the old file stays and nothing half-written is left.
///
/// Two writers of one path must exclude each other: they share the temporary name.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let result = fill(&temporary, write)
        .and_then(|()| fs::rename(&temporary, path).map_err(DataError::io("write", path)));
    if result.is_err() {
        // The first error is the one to tell; a file that cannot be removed is overwritten by the next try.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    sync_folder(path)
}

fn fill(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut file = File::create(path).map_err(DataError::io("create", path))?;
    write(&mut file)?;
    file.sync_all().map_err(DataError::io("write", path))
}

/// Brings the folder's entry for `path` to the disk: without it a crash may undo a rename or a creation.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DataError> {
    // Only Unix opens folders as files; elsewhere the system orders these by itself.
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|file| file.sync_all());
        synced.map_err(DataError::io("write", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_replacement_keeps_the_old_file_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace(&path, |file| file.write_all(b"old").map_err(DataError::io("write", &path)))
            .unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"ne").map_err(DataError::io("write", &path))?;
            Err(DataError::content(&path, "room", "none"))
        });
        assert!(error.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
