//! Numbers that may be missing in a JSON record. JSON has no NaN and no infinity, so they are written as null and read as NaN.
//! For `#[serde(with = "lat_data::nullable")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// NaN, for a field that a record lacks: `default = "nullable::missing"`.
pub fn missing() -> f64 {
    f64::NAN
}

/// Writes the number, or null if it is NaN or infinite.
///
/// # Errors
/// The serializer's.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(to)
}

/// Reads a number; null becomes NaN.
///
/// # Errors
/// If it is neither a number nor null.
pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}
