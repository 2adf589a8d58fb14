//! A file that is complete or does not exist, even after a crash. All of this program's results are written this way.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::DataError;

/// The most symlinks that are followed before they are taken for a circle; Linux has the same limit.
const MOST_LINKS: usize = 40;
/// The most processes that can write the same path at the same time, each with its own temporary name.
const MOST_WRITERS: usize = 100;

/// A file that is being written. The content goes to a temporary file beside its place; [`WholeFile::finish`] flushes it to the
/// disk and renames it. If it is dropped before, it leaves nothing behind, and an older file stays.
///
/// Symlinks are followed, so the file at their end is replaced and not a link. Anything that is not a regular file (a pipe, a
/// device, the program's own standard output) cannot be replaced as a whole and is written directly.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    /// The path as the caller named it, for messages.
    path: PathBuf,
    /// The temporary path and the final one; None if the file is written directly.
    way: Option<Way>,
}

#[derive(Debug)]
struct Way {
    temporary: PathBuf,
    target: PathBuf,
}

impl WholeFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`DataError::Io`] if the folder does not exist or cannot be written, or if the path is a folder.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let refused = DataError::io("write", path);
        let begin = || -> io::Result<(File, Option<Way>)> {
            if let Some(file) = open_straight(path)? {
                return Ok((file, None));
            }
            let target = end_of_links(path)?;
            let (file, temporary) = open_beside(&target)?;
            Ok((file, Some(Way { temporary, target })))
        };
        let (file, way) = begin().map_err(refused)?;
        Ok(Self { file, path: path.to_owned(), way })
    }

    /// Writes a file with this content.
    ///
    /// # Errors
    /// [`DataError::Io`] if the system reports an error; an older file is then unchanged.
    pub fn write(path: &Path, content: &[u8]) -> Result<(), DataError> {
        let mut file = Self::create(path)?;
        file.write_all(content).map_err(DataError::io("write", path))?;
        file.finish()
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// [`DataError::Io`] if the system reports an error; an older file is then unchanged.
    pub fn finish(mut self) -> Result<(), DataError> {
        let path = std::mem::take(&mut self.path);
        let Some(way) = &self.way else {
            // A pipe or terminal cannot be flushed to a disk.
            return self.file.flush().map_err(DataError::io("write", &path));
        };
        let rename = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(&way.temporary, &way.target)
        };
        rename().map_err(DataError::io("write", &path))?;
        let target = way.target.clone();
        self.way = None;
        sync_folder(&target)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(way) = &self.way {
            // The first error is the one to report. If the temporary file cannot be removed, the next try overwrites it.
            let _ = fs::remove_file(&way.temporary);
        }
    }
}

/// Flushes the folder's entry for `path` to the disk. Without this, a crash may undo a rename or a creation.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DataError> {
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(DataError::io("write", folder))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file to write directly, if there is one: anything that is not a regular file, and this process's own standard output and
/// error. If these are regular files, a rename would separate them from their name.
fn open_straight(path: &Path) -> io::Result<Option<File>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    io::stdout().flush()?;
    for own in
        [io::stdout().as_fd().try_clone_to_owned(), io::stderr().as_fd().try_clone_to_owned()]
    {
        // A stream that was closed is not a file.
        let Ok(own) = own.map(File::from) else { continue };
        if own.metadata().is_ok_and(|own| is_same(&own, &found)) {
            return Ok(Some(own));
        }
    }
    if found.is_file() {
        return Ok(None);
    }
    OpenOptions::new().write(true).open(path).map(Some)
}

fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// The path at the end of a chain of symlinks, whether or not it exists.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&end) {
            Ok(next) => end = folder_of(&end).join(next),
            // Not a link, or does not exist.
            Err(_) => return Ok(end),
        }
    }
    Err(io::Error::other("its symlinks lead round in a circle"))
}

/// Creates the temporary file beside its place, with the permissions of the file that it replaces. Its name is the same each
/// time, so that a file left by a killed process is used again. A lock keeps several writers of one path apart.
fn open_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    for writer in 0..MOST_WRITERS {
        let number = if writer == 0 { String::new() } else { format!(".{writer}") };
        let temporary = target.with_file_name(format!(".{name}{number}.tmp"));
        // The content is cut off only after the lock shows that no other process writes it.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&temporary)?;
        if !is_ours(&file, &temporary)? {
            continue;
        }
        file.set_len(0)?;
        if let Ok(old) = fs::metadata(target) {
            file.set_permissions(old.permissions())?;
        }
        return Ok((file, temporary));
    }
    Err(io::Error::other(format!("{MOST_WRITERS} other processes are writing it")))
}

/// Locks a temporary file. Returns false if another writer has the lock, or if that writer has renamed it in the meantime, so
/// that it is a result now.
fn is_ours(file: &File, temporary: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        // The file system has no locks: writers of one path then have to be kept apart by their users.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let now = file.metadata()?;
    Ok(fs::symlink_metadata(temporary).is_ok_and(|there| is_same(&there, &now)))
}

#[cfg(test)]
mod tests;
