//! An extracted network as a file: safetensors, with its label as JSON under the metadata key `lat`.

use std::path::Path;

use lat_data::{BLANK_CHECKSUM, WholeFile, check_sealed, checksum, read_at_most};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{ExtractedNet, NetLabel, blank};
use crate::checkpoint::{KEY, sealed, tensors};
use crate::error::SearchError;
use crate::optimizer::StateMap;

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes: twenty times the weights of the largest network of any space.
const MOST_BYTES: u64 = 8 << 30;

/// Everything except tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Checksum of the whole file, computed with zeros in this field. It must be the first field, where [`lat_data::seal`] looks for it.
    checksum: String,
    format: u32,
    #[serde(flatten)]
    label: NetLabel,
}

impl ExtractedNet {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`SearchError::Write`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SearchError> {
        let label = self.label.clone();
        let header = Header { checksum: BLANK_CHECKSUM.to_owned(), format: FORMAT, label };
        let head = serde_json::to_string(&header).expect("a label is plain data");
        let weights: Vec<(String, Tensor)> = self.net.weights().variables().into_iter().collect();
        WholeFile::write(path, &sealed(&weights, head)).map_err(SearchError::Write)
    }

    /// Reads a file that [`ExtractedNet::save`] wrote. Also returns its checksum, which identifies the file.
    ///
    /// # Errors
    /// [`SearchError::Network`] if it is not such a file or is damaged, [`SearchError::Space`] if this program does not know the
    /// space or the architecture.
    pub fn load(path: &Path, device: Device) -> Result<(Self, String), SearchError> {
        let wrong = |reason: String| SearchError::Network { path: path.to_owned(), reason };
        let bytes = read_at_most(path, MOST_BYTES)?;
        let label = read_label(&bytes).map_err(wrong)?;
        let (space, architecture) = label.named()?;
        let net = blank(space.as_ref(), &label.skeleton, &architecture, device)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(no_file(&e)))?;
        let weights = tensors(&file).map_err(wrong)?;
        take(&net.weights().variables(), &weights).map_err(wrong)?;
        Ok((Self { label, net }, checksum(&bytes)))
    }
}

/// Reads the label of a file whose checksum has been verified.
fn read_label(bytes: &[u8]) -> Result<NetLabel, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| no_file(&e))?;
    let head = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let head = head.ok_or_else(|| {
        format!("expected a network of `lat extract`, found a file whose metadata lack `{KEY}`")
    })?;
    check_sealed(bytes)?;
    let json: serde_json::Value = serde_json::from_str(head).unwrap_or_default();
    match json.get("format") {
        Some(format) if *format == FORMAT => {}
        Some(format) => {
            return Err(format!(
                "expected format {FORMAT}, which this program reads, found {format}"
            ));
        }
        None => {
            return Err(
                "expected a network of `lat extract`, found another file of this program; \
                        make one by `lat extract --search DIR`"
                    .to_owned(),
            );
        }
    }
    let header: Header = serde_json::from_value(json)
        .map_err(|e| format!("expected the label of a network, found an incomplete one: {e}"))?;
    Ok(header.label)
}

fn no_file(error: &safetensors::SafeTensorError) -> String {
    format!("expected a whole safetensors file, found none: {error}")
}

/// Copies the weights. Their names must be exactly the network's.
fn take(network: &StateMap, weights: &StateMap) -> Result<(), String> {
    if let Some(more) = weights.keys().find(|name| !network.contains_key(*name)) {
        return Err(format!("expected weights of its architecture alone, found '{more}' too"));
    }
    tch::no_grad(|| {
        for (name, own) in network {
            let size = own.size();
            let saved = weights.get(name).filter(|saved| saved.size() == size);
            let saved =
                saved.ok_or_else(|| format!("expected '{name}' of shape {size:?}, found none"))?;
            own.shallow_clone().copy_(saved);
        }
        Ok(())
    })
}
