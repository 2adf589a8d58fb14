//! Checkpoints: one safetensors file each, with all tensors, a text label, and a checksum of everything.

use std::collections::HashMap;
use std::path::Path;

use lat_data::{BLANK_CHECKSUM, WholeFile, check_sealed, seal};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use crate::error::SearchError;
use crate::optimizer::StateMap;

/// Name of the tensor that holds the label.
const LABEL: &str = "label";
/// Key of the metadata, which holds the checksum. Checkpoints of older versions have none.
pub(crate) const KEY: &str = "lat";
/// Kinds of tensors that checkpoints may contain.
const KINDS: [(Kind, Dtype); 5] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

/// The data that a run needs to continue.
#[derive(Debug)]
pub struct Checkpoint {
    /// JSON: settings of the run and its progress.
    pub label: String,
    /// All tensors by name.
    pub tensors: StateMap,
}

impl Checkpoint {
    /// Writes label and tensors. The old file stays until the new one is complete.
    ///
    /// # Errors
    /// [`SearchError::Write`] if the file cannot be written. The old checkpoint is then unchanged.
    pub fn save(
        path: &Path,
        label: &str,
        mut tensors: Vec<(String, Tensor)>,
    ) -> Result<(), SearchError> {
        tensors.push((LABEL.to_owned(), Tensor::from_slice(label.as_bytes())));
        let head = format!("{{\"checksum\":\"{BLANK_CHECKSUM}\"}}");
        let content = sealed(&tensors, head);
        WholeFile::write(path, &content).map_err(SearchError::Write)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`SearchError::Checkpoint`] if the file is damaged, cut short or not a checkpoint.
    pub fn load(path: &Path) -> Result<Self, SearchError> {
        let damaged = |reason: String| SearchError::Checkpoint {
            path: path.to_owned(),
            reason: format!("{reason}; restore it from a copy, or delete it to start over"),
        };
        let bytes = std::fs::read(path).map_err(|e| damaged(format!("cannot be read ({e})")))?;
        let file = SafeTensors::deserialize(&bytes);
        let file = file.map_err(|e| damaged(format!("cannot be read ({e})")))?;
        check_sealed(&bytes).map_err(damaged)?;
        let mut tensors = tensors(&file).map_err(damaged)?;
        let label = tensors
            .remove(LABEL)
            .filter(|t| t.kind() == Kind::Uint8)
            .and_then(|t| Vec::<u8>::try_from(&t).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| damaged("has no label".into()))?;
        Ok(Self { label, tensors })
    }
}

/// The bytes of a file with these tensors, sealed by a checksum. `head` is JSON whose first field is a [`BLANK_CHECKSUM`].
///
/// # Panics
/// If a tensor has a kind that no run's state has.
pub(crate) fn sealed(tensors: &[(String, Tensor)], head: String) -> Vec<u8> {
    let packed: Vec<_> = tensors.iter().map(|(name, tensor)| (name, packed(tensor))).collect();
    let views = packed.iter().map(|(name, (dtype, shape, bytes))| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("the bytes are the tensor's"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), head)]);
    let mut bytes =
        safetensors::serialize(views, Some(metadata)).expect("names of tensors are distinct");
    seal(&mut bytes);
    bytes
}

fn packed(tensor: &Tensor) -> (Dtype, Vec<usize>, Vec<u8>) {
    let kind = tensor.kind();
    let (_, dtype) = KINDS.into_iter().find(|(k, _)| *k == kind).expect("a kind of state");
    let tensor = tensor.detach().to_device(tch::Device::Cpu).contiguous();
    let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    (dtype, tensor.size().iter().map(|&n| n as usize).collect(), bytes)
}

/// The tensors of a file by name.
///
/// # Errors
/// A sentence ending that names a tensor of a kind that no run's state has.
pub(crate) fn tensors(file: &SafeTensors<'_>) -> Result<StateMap, String> {
    let read = |(name, view): (String, TensorView<'_>)| match tensor(&view) {
        Some(tensor) => Ok((name, tensor)),
        None => Err(format!("has no tensor '{name}'")),
    };
    file.tensors().into_iter().map(read).collect()
}

/// Converts the tensor; None if it has a kind that no run's state has.
fn tensor(view: &TensorView<'_>) -> Option<Tensor> {
    let (kind, _) = KINDS.into_iter().find(|(_, dtype)| *dtype == view.dtype())?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(path: &Path) -> Vec<(String, Tensor)> {
        let tensors = vec![
            ("w".to_owned(), Tensor::from_slice(&[1.5f32, -2.0]).view([2, 1])),
            ("n".to_owned(), Tensor::from(7i64)),
            ("empty".to_owned(), Tensor::from_slice::<f64>(&[])),
        ];
        let same = tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
        Checkpoint::save(path, "{\"epoch\":3}", same).unwrap();
        tensors
    }

    #[test]
    fn comes_back_as_it_was_and_says_so_when_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        let tensors = saved(&path);
        let back = Checkpoint::load(&path).unwrap();
        assert_eq!((back.label.as_str(), back.tensors.len()), ("{\"epoch\":3}", 3));
        for (name, tensor) in &tensors {
            let found = &back.tensors[name];
            assert_eq!((found.kind(), found.size()), (tensor.kind(), tensor.size()));
            assert_eq!(found, tensor);
        }
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn every_flipped_bit_of_what_it_holds_is_noticed_and_older_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        let tensors = saved(&path);
        let bytes = std::fs::read(&path).unwrap();
        // The metadata that mark the checksum's place are not part of the tensors and the label.
        let place = br#"{\"checksum\":\""#;
        let start = bytes.windows(place.len()).position(|found| found == place).unwrap();
        for byte in (8..start).chain(start + place.len()..bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, damaged).unwrap();
            let error = Checkpoint::load(&path).map(|found| found.label).unwrap_err().to_string();
            assert!(error.contains("restore it from a copy"), "byte {byte}: {error}");
        }
        Tensor::write_safetensors(
            &[("label", Tensor::from_slice(b"{}")), ("w", tensors[0].1.shallow_clone())],
            &path,
        )
        .unwrap();
        let old = Checkpoint::load(&path).unwrap();
        assert_eq!((old.label.as_str(), &old.tensors["w"]), ("{}", &tensors[0].1));
    }
}
