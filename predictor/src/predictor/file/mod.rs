//! Predictor files: safetensors, with the label and the scale as JSON under the metadata key `lat`.

mod part;

use std::collections::HashMap;
use std::path::Path;

use lat_data::{BLANK_CHECKSUM, WholeFile, check_sealed, checksum, read_at_most, seal, unit};
use lat_space::FeatureMap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::disconnected::Disconnected;
use crate::model::correction::Correction;
use crate::model::members::Members;
use crate::model::scale::{Scale, Standard};
use crate::model::spread::Spread;
use crate::model::{Model, to_vec};
use crate::predictor::Part;
use crate::{Label, PredictError, Predictor};
use part::PartHeader;

/// Version of the file's format that this program writes and reads.
pub const FORMAT: u32 = 2;

/// Only one key, because the order of several keys would change from run to run.
const KEY: &str = "lat";

/// The longest file that is read, in bytes: a hundred times the size of usual predictors.
const MOST_BYTES: u64 = 256 << 20;

/// Everything in the file that is not a tensor.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Checksum of the whole file with zeros in its own place; files of older programs have none. It is the first field, because
    /// [`seal`] looks for it there.
    #[serde(default)]
    checksum: String,
    format: u32,
    label: Label,
    scale: Scale,
    mu: f64,
    sd: f64,
    intercept: f64,
    floor: f64,
    validation_error: f64,
    /// From gates to features.
    map: FeatureMap,
    /// Number of layers of the networks; 0 if there are no networks.
    n_layers: usize,
    /// Numbers of the features that networks read as they are.
    inputs: Vec<usize>,
    deviation: Option<Deviation>,
    /// Models of other devices whose costs are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartHeader>,
    /// The cost of networks without a path from input to output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disconnected: Option<DisconnectedHeader>,
}

/// The stored form of [`Disconnected`].
#[derive(Serialize, Deserialize)]
struct DisconnectedHeader {
    cost: f64,
    sd: f64,
    /// From gates to one feature: 1 if there is a path, else 0.
    map: FeatureMap,
}

impl DisconnectedHeader {
    fn read(self, n_gates: usize) -> Result<Disconnected, String> {
        let Self { cost, sd, map } = self;
        let is_sound = map.n_gates == n_gates && map.len() == 1 && map.is_sound();
        match is_sound && cost.is_finite() && sd.is_finite() {
            true => Ok(Disconnected { map, cost, sd }),
            false => {
                Err("its price of networks without a path is not made of its gates".to_owned())
            }
        }
    }
}

/// Shape and little-endian bytes of a tensor.
pub(crate) type Packed = (Vec<usize>, Vec<u8>);

/// The sizes from which the shapes of a model's tensors follow.
pub(crate) struct Shape<'a> {
    pub(crate) n_features: usize,
    pub(crate) n_layers: usize,
    pub(crate) inputs: &'a [usize],
}

/// The stored numbers of a [`Spread`].
#[derive(Serialize, Deserialize)]
struct Deviation {
    noise: f64,
    typical: f64,
    calibration: f64,
    limit: f64,
}

impl Predictor {
    /// Writes the file beside its place and then moves it there, so that no reader ever sees half a file.
    ///
    /// # Errors
    /// [`PredictError::Data`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PredictError> {
        let bytes = self.to_bytes().map_err(|reason| file(path, reason))?;
        Ok(WholeFile::write(path, &bytes)?)
    }

    /// Reads a file that [`Predictor::save`] wrote.
    ///
    /// # Errors
    /// [`PredictError::Data`] if it cannot be read, [`PredictError::File`] if it is no complete predictor or is damaged,
    /// [`PredictError::Version`] if its format has another version.
    pub fn load(path: &Path) -> Result<Self, PredictError> {
        Ok(Self::load_with_checksum(path)?.0)
    }

    /// Reads a file and its checksum, by which one can tell whether two predictors are the same.
    ///
    /// # Errors
    /// The errors of [`Predictor::load`].
    pub fn load_with_checksum(path: &Path) -> Result<(Self, String), PredictError> {
        let bytes = read_at_most(path, MOST_BYTES)?;
        Ok((Self::from_bytes(&bytes, path)?, checksum(&bytes)))
    }

    /// Reads a file's content; `path` is used in messages only.
    pub(crate) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, PredictError> {
        let text = metadata(bytes).map_err(|reason| file(path, reason))?;
        check_sealed(bytes).map_err(|reason| file(path, reason))?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| file(path, format!("its metadata is no JSON ({e})")))?;
        match json.get("format") {
            Some(format) if *format == FORMAT => {}
            Some(format) => {
                let found = format.to_string();
                return Err(PredictError::Version { path: path.into(), expected: FORMAT, found });
            }
            None => return Err(file(path, "its metadata lack `format`".to_owned())),
        }
        let mut header: Header = serde_json::from_value(json)
            .map_err(|e| file(path, format!("its metadata are incomplete ({e})")))?;
        // Older programs took the last word of any name for the unit.
        unit(&header.label.column).clone_into(&mut header.label.unit);
        Self::from_parts(header, bytes).map_err(|reason| file(path, reason))
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let Model { intercept, correction, standard, floor, validation_error, spread, .. } =
            &self.model;
        let parts = self.parts.iter().enumerate().map(|(i, part)| PartHeader::of(part, i));
        let (parts, of_parts): (Vec<_>, Vec<_>) = parts.unzip();
        let layers = correction.as_ref().map_or(&[][..], |c| &c.members.layers);
        let header = Header {
            checksum: BLANK_CHECKSUM.to_owned(),
            format: FORMAT,
            label: self.label.clone(),
            scale: standard.scale,
            mu: standard.mu,
            sd: standard.sd,
            intercept: *intercept,
            floor: *floor,
            validation_error: *validation_error,
            map: self.map.clone(),
            n_layers: layers.len(),
            inputs: correction.as_ref().map_or_else(Vec::new, |c| c.inputs.clone()),
            deviation: spread.as_ref().map(|s| Deviation {
                noise: s.noise,
                typical: s.typical,
                calibration: s.calibration,
                limit: s.limit,
            }),
            parts,
            disconnected: self.disconnected.as_ref().map(|d| DisconnectedHeader {
                cost: d.cost,
                sd: d.sd,
                map: d.map.clone(),
            }),
        };
        let mut tensors = model_tensors(&self.model, "");
        tensors.extend(of_parts.into_iter().flatten());
        if let Some(spread) = spread {
            tensors.push(("draws".to_owned(), packed(&spread.draws)));
            tensors.push(("draws.intercepts".to_owned(), packed(&spread.intercepts)));
        }
        let views = tensors.iter().map(|(name, (shape, bytes))| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let json = serde_json::to_string(&header).map_err(|e| e.to_string())?;
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())?;
        seal(&mut bytes);
        Ok(bytes)
    }

    fn from_parts(header: Header, bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| cut_short(&e))?;
        let numbers = [header.mu, header.sd, header.intercept, header.floor];
        if numbers.iter().any(|v| !v.is_finite()) || header.sd <= 0.0 {
            return Err("its scale is not finite".to_owned());
        }
        let n_choices: usize = header.label.decisions.iter().map(|d| d.choices.len()).sum();
        if header.map.n_gates != n_choices {
            let found = header.map.n_gates;
            return Err(format!(
                "its gates are {found}, but its decisions have {n_choices} choices"
            ));
        }
        if !header.map.is_sound() || header.inputs.iter().any(|&i| i >= header.map.len()) {
            return Err("its features are not made of its gates".to_owned());
        }
        let n_features = header.map.len();
        let weights = sized(&file, "linear", &[n_features, 1])?;
        let shape = Shape { n_features, n_layers: header.n_layers, inputs: &header.inputs };
        let model = Model {
            weights,
            intercept: header.intercept,
            correction: read_correction(&shape, &file, "")?,
            standard: Standard { scale: header.scale, mu: header.mu, sd: header.sd },
            floor: header.floor,
            validation_error: header.validation_error,
            spread: read_spread(&header, &file)?,
        };
        let n_gates = header.map.n_gates;
        let parts = header.parts.into_iter().enumerate();
        let parts = parts.map(|(i, part)| part.read(i, n_gates, &file));
        let parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
        let disconnected = header.disconnected.map(|d| d.read(n_gates)).transpose()?;
        let predictor = Self::of_parts(header.label, header.map, &model).with_parts(parts);
        Ok(predictor.with_disconnected(disconnected))
    }
}

/// The tensors of a model without its deviations; their names begin with `prefix`.
pub(crate) fn model_tensors(model: &Model, prefix: &str) -> Vec<(String, Packed)> {
    let mut tensors = vec![(format!("{prefix}linear"), packed(&model.weights))];
    let Some(correction) = &model.correction else { return tensors };
    tensors.push((format!("{prefix}subtotals"), packed(&correction.subtotals)));
    tensors.push((format!("{prefix}subtotals.means"), packed(&correction.means)));
    for (i, (weights, biases)) in correction.members.layers.iter().enumerate() {
        tensors.push((format!("{prefix}layer{i}.weights"), packed(weights)));
        tensors.push((format!("{prefix}layer{i}.biases"), packed(biases)));
    }
    tensors
}

pub(crate) fn read_correction(
    shape: &Shape<'_>,
    file: &SafeTensors<'_>,
    prefix: &str,
) -> Result<Option<Correction>, String> {
    if shape.n_layers == 0 {
        return Ok(None);
    }
    let layers = (0..shape.n_layers).map(|i| {
        let read = |part| unpacked(file, &format!("{prefix}layer{i}.{part}"));
        Ok((read("weights")?, read("biases")?))
    });
    let layers = layers.collect::<Result<Vec<_>, String>>()?;
    let means = unpacked(file, &format!("{prefix}subtotals.means"))?;
    let n_subtotals = means.numel();
    let subtotals = sized(file, &format!("{prefix}subtotals"), &[shape.n_features, n_subtotals])?;
    check_layers(&layers, shape.inputs.len() + n_subtotals)?;
    let inputs = shape.inputs.to_vec();
    Ok(Some(Correction::new(inputs, subtotals, means, Members { layers })))
}

fn read_spread(header: &Header, file: &SafeTensors<'_>) -> Result<Option<Spread>, String> {
    let Some(Deviation { noise, typical, calibration, limit }) = header.deviation else {
        return Ok(None);
    };
    let is_scale = |v: f64| v.is_finite() && v >= 0.0;
    if ![noise, calibration, limit].into_iter().all(is_scale) || typical.is_nan() || typical <= 0.0
    {
        return Err("its deviations are not finite".to_owned());
    }
    let intercepts = unpacked(file, "draws.intercepts")?;
    let draws = sized(file, "draws", &[header.map.len(), intercepts.numel()])?;
    Ok(Some(Spread { draws, intercepts, noise, typical, calibration, limit }))
}

/// Checks that each layer reads the outputs of the one before, and that the last one gives a single number.
fn check_layers(layers: &[(Tensor, Tensor)], n_inputs: usize) -> Result<(), String> {
    let Some((first, _)) = layers.first() else { return Ok(()) };
    let (k, mut n_in) = (first.size()[0], n_inputs as i64);
    for (i, (weights, biases)) in layers.iter().enumerate() {
        let n_out = match *weights.size() {
            [members, n, n_out] if members == k && n == n_in && k > 0 => n_out,
            ref found => return Err(format!("layer{i}.weights has shape {found:?}")),
        };
        if biases.size() != [k, 1, n_out] {
            return Err(format!("layer{i}.biases has shape {:?}", biases.size()));
        }
        n_in = n_out;
    }
    if n_in == 1 { Ok(()) } else { Err(format!("its last layer has {n_in} outputs, not 1")) }
}

fn file(path: &Path, reason: String) -> PredictError {
    PredictError::File { path: path.to_owned(), reason }
}

fn cut_short(error: &safetensors::SafeTensorError) -> String {
    format!("it is no whole safetensors file ({error})")
}

fn metadata(bytes: &[u8]) -> Result<String, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| cut_short(&e))?;
    let entry = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).cloned();
    entry.ok_or_else(|| format!("its metadata lack the key `{KEY}`"))
}

/// Shape and little-endian bytes.
fn packed(tensor: &Tensor) -> Packed {
    let shape = tensor.size().iter().map(|&n| n as usize).collect();
    (shape, to_vec(tensor).into_iter().flat_map(f32::to_le_bytes).collect())
}

pub(crate) fn sized(file: &SafeTensors<'_>, name: &str, size: &[usize]) -> Result<Tensor, String> {
    let tensor = unpacked(file, name)?;
    let found: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
    if found == size {
        Ok(tensor)
    } else {
        Err(format!("`{name}` has shape {found:?}, not {size:?}"))
    }
}

fn unpacked(file: &SafeTensors<'_>, name: &str) -> Result<Tensor, String> {
    let view = file.tensor(name).map_err(|e| e.to_string())?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    if view.dtype() != Dtype::F32 || !(1..=3).contains(&shape.len()) {
        return Err(format!("tensor {name} is {} of shape {shape:?}", view.dtype()));
    }
    let float = |bytes: &[u8]| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes);
    let values: Vec<f32> = view.data().chunks_exact(4).map(float).collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(format!("tensor {name} holds values that are not finite"));
    }
    Ok(Tensor::from_slice(&values).view(shape.as_slice()))
}

#[cfg(test)]
mod tests;
