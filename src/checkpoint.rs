//! A checkpoint is one safetensors file: all tensors, and a text that says whose they are.

use std::fs::File;
use std::path::Path;

use tch::{Kind, Tensor};

use crate::error::SearchError;
use crate::optimizer::StateMap;

/// Name of the tensor that holds the text.
const LABEL: &str = "label";

/// What a run needs to continue.
#[derive(Debug)]
pub struct Checkpoint {
    /// JSON: settings of the run and how far it is.
    pub label: String,
    /// All tensors by name.
    pub tensors: StateMap,
}

impl Checkpoint {
    /// Writes label and tensors; the old file stays until the new one is whole.
    ///
    /// # Errors
    /// [`SearchError::File`] where the disk refuses, with the old checkpoint untouched.
    pub fn save(
        path: &Path,
        label: &str,
        mut tensors: Vec<(String, Tensor)>,
    ) -> Result<(), SearchError> {
        tensors.push((LABEL.to_owned(), Tensor::from_slice(label.as_bytes())));
        let temporary = path.with_extension("tmp");
        let failed = |source: std::io::Error| SearchError::File { path: path.to_owned(), source };
        let tensors: Vec<(String, Tensor)> = tensors
            .into_iter()
            .map(|(n, t)| (n, t.detach().to_device(tch::Device::Cpu).contiguous()))
            .collect();
        let written = Tensor::write_safetensors(&tensors, &temporary)
            .map_err(|e| std::io::Error::other(e.to_string()))
            .and_then(|()| File::open(&temporary)?.sync_all())
            .and_then(|()| std::fs::rename(&temporary, path));
        written.map_err(|source| {
            let _ = std::fs::remove_file(&temporary);
            failed(source)
        })
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`SearchError::Checkpoint`] where the file is cut short or none of ours.
    pub fn load(path: &Path) -> Result<Self, SearchError> {
        let damaged = |reason: String| SearchError::Checkpoint { path: path.to_owned(), reason };
        let tensors = Tensor::read_safetensors(path)
            .map_err(|e| damaged(format!("cannot be read ({e}); delete it to start over")))?;
        let mut tensors: StateMap = tensors.into_iter().collect();
        let label = tensors
            .remove(LABEL)
            .filter(|t| t.kind() == Kind::Uint8)
            .and_then(|t| Vec::<u8>::try_from(&t).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| damaged("has no label; delete it to start over".into()))?;
        Ok(Self { label, tensors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_and_says_so_when_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        let tensor = Tensor::from_slice(&[1.5f32, -2.0]);
        Checkpoint::save(&path, "{\"epoch\":3}", vec![("w".into(), tensor.shallow_clone())])
            .unwrap();
        let back = Checkpoint::load(&path).unwrap();
        assert_eq!((back.label.as_str(), &back.tensors["w"]), ("{\"epoch\":3}", &tensor));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
