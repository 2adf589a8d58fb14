//! A file that is there whole or not at all, also after a crash: the one way in which this program writes its results.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::DataError;

/// Links that are followed one after the other before it is taken for a circle, as Linux does.
const MOST_LINKS: usize = 40;
/// Writers of one path at the same time that find a temporary name each.
const MOST_WRITERS: usize = 100;

/// A file on its way to its name. It is written beside its place, brought to the disk and renamed by [`WholeFile::finish`];
/// dropped before, it leaves nothing, and what was there before stays.
///
/// A path is followed through symlinks, so that the file at their end is replaced and not a link. What is no regular file (a
/// pipe, a device, the program's own standard output) cannot be replaced as a whole and is written straight into.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    /// As it was named, for messages.
    path: PathBuf,
    /// Where it stands until it is renamed, and to what; nothing where it is written straight into.
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
    /// [`DataError::Io`] where the folder is not there or cannot be written, or the path is a folder's.
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
    /// [`DataError::Io`] where the system refuses; what was there before is then untouched.
    pub fn write(path: &Path, content: &[u8]) -> Result<(), DataError> {
        let mut file = Self::create(path)?;
        file.write_all(content).map_err(DataError::io("write", path))?;
        file.finish()
    }

    /// Brings the file to the disk and gives it its name.
    ///
    /// # Errors
    /// [`DataError::Io`] where the system refuses; what was there before is then untouched.
    pub fn finish(mut self) -> Result<(), DataError> {
        let path = std::mem::take(&mut self.path);
        let Some(way) = &self.way else {
            // A pipe or a terminal has no disk to be brought to.
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
            // The first error is the one to tell; what cannot be removed is written over by the next try.
            let _ = fs::remove_file(&way.temporary);
        }
    }
}

/// Brings the folder's entry for `path` to the disk: without it a crash may undo a rename or a creation.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DataError> {
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(DataError::io("write", folder))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file to write straight into: what is no regular file, and this process's own standard output and error, which a rename
/// would cut off from their name where they are regular files.
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
        // A stream that was closed is no file.
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

/// The path that a chain of symlinks ends at, whether or not anything is there.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&end) {
            Ok(next) => end = folder_of(&end).join(next),
            // No link, or nothing at all.
            Err(_) => return Ok(end),
        }
    }
    Err(io::Error::other("its symlinks lead round in a circle"))
}

/// A new file beside its place, with the permissions of the one it replaces. Its name is the same each time, so that what a
/// killed process left is used again and not left for good; a lock keeps several writers of one path apart.
fn open_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    for writer in 0..MOST_WRITERS {
        let number = if writer == 0 { String::new() } else { format!(".{writer}") };
        let temporary = target.with_file_name(format!(".{name}{number}.tmp"));
        // What it holds is cut off only once it is known to be nobody's.
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

/// Locks a file; not where another writer has it, nor where that one has renamed it meanwhile, so that it is a result now.
fn is_ours(file: &File, temporary: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        // A file system without locks: writers of one path then have to keep apart by themselves.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let now = file.metadata()?;
    Ok(fs::symlink_metadata(temporary).is_ok_and(|there| is_same(&there, &now)))
}

#[cfg(test)]
mod tests;
