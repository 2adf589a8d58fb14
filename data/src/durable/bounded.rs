//! Reads a whole file up to a limit, so that an endless file is rejected and does not fill the memory.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::DataError;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// [`DataError::Io`] if it cannot be read, [`DataError::Content`] if it is longer.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(DataError::io("read", path))?;
    if bytes.len() as u64 > most {
        let expected = format!("a file of at most {} MiB", most >> 20);
        return Err(DataError::content(path, expected, "a longer one"));
    }
    Ok(bytes)
}

/// Reads a UTF-8 text file of at most `most` bytes.
///
/// # Errors
/// The errors of [`read_at_most`], and [`DataError::Io`] if it is not UTF-8.
pub fn read_text_at_most(path: &Path, most: u64) -> Result<String, DataError> {
    String::from_utf8(read_at_most(path, most)?).map_err(|_| {
        let refused = std::io::Error::new(ErrorKind::InvalidData, "it is no text in UTF-8");
        DataError::io("read", path)(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_it_may_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [b'a'; 5]).unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap().len(), 5);
        assert!(read_at_most(&path, 4).unwrap_err().to_string().contains("a longer one"));
        // A file that never ends.
        assert!(read_at_most(Path::new("/dev/zero"), 1 << 20).is_err());
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text_at_most(&path, 5).unwrap_err().to_string().contains("UTF-8"));
    }
}
