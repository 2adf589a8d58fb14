//! How networks run while they are timed: launches, number format, memory layout, caches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How runs are launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Operation by operation, as a `PyTorch` user sees it, launches included.
    #[default]
    Eager,
    /// The whole network captured once as a CUDA graph and replayed: the device's own time.
    Graph,
    /// Both; graph time is the row's latency, and eager time says whether launches bound it.
    Both,
}

/// Number format of weights, activations and arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits throughout; TF32 is switched off, which `PyTorch` would otherwise use in convolutions.
    #[default]
    Fp32,
    /// 32 bits in memory, products with a mantissa of 10 bits (GPUs since Ampere).
    Tf32,
    /// 16-bit floats.
    Fp16,
    /// bfloat16.
    Bf16,
}

/// How networks run while they are timed. Rows can be compared if this, batch, skeleton and device are the same. Where older
/// files lack a setting, it has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Number format; fp32 by default.
    pub precision: Precision,
    /// How runs are launched; eager by default.
    #[serde(default)]
    pub mode: Mode,
    /// Whether images and weights are stored channels last (NHWC); false by default.
    #[serde(default)]
    pub channels_last: bool,
    /// Whether the device's last-level cache is emptied before each timed run. False by default, because a deployed network runs
    /// again and again.
    #[serde(default)]
    pub cold: bool,
}

/// The error for a name that is no mode or precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} '{name}'; expected one of: {known}")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: String,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Eager, Self::Graph, Self::Both];

    /// Its name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Graph => "graph",
            Self::Both => "both",
        }
    }
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Tf32, Self::Fp16, Self::Bf16];

    /// Its name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for OperatingPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.mode.name(), self.precision.name())?;
        if self.channels_last {
            write!(f, ", channels last")?;
        }
        if self.cold { write!(f, ", cold caches") } else { Ok(()) }
    }
}

impl FromStr for Mode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| unknown("mode", text, &Self::ALL.map(Self::name)))
    }
}

impl FromStr for Precision {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| unknown("precision", text, &Self::ALL.map(Self::name)))
    }
}

fn unknown(kind: &'static str, name: &str, known: &[&str]) -> UnknownName {
    UnknownName { kind, name: name.to_owned(), known: known.join(", ") }
}

/// An operating point as four fields of a record, for data that may not say how they were measured: then the names are null. For
/// `#[serde(flatten, with = "lat_data::known_point")]`.
pub mod known_point {
    use super::{
        Deserialize, Deserializer, Mode, OperatingPoint, Precision, Serialize, Serializer,
    };

    #[derive(Serialize, Deserialize)]
    struct Fields {
        #[serde(default)]
        precision: Option<Precision>,
        #[serde(default)]
        mode: Option<Mode>,
        #[serde(default)]
        channels_last: bool,
        #[serde(default)]
        cold: bool,
    }

    /// Writes the four fields.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        point: &Option<OperatingPoint>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let said = point.unwrap_or_default();
        let fields = Fields {
            precision: point.map(|p| p.precision),
            mode: point.map(|p| p.mode),
            channels_last: said.channels_last,
            cold: said.cold,
        };
        fields.serialize(to)
    }

    /// Reads the fields. None if both precision and mode are missing; if only one is, it has its default.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<OperatingPoint>, D::Error> {
        let Fields { precision, mode, channels_last, cold } = Fields::deserialize(from)?;
        let is_known = precision.is_some() || mode.is_some();
        Ok(is_known.then(|| OperatingPoint {
            precision: precision.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
            channels_last,
            cold,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse::<Mode>().unwrap(), mode);
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.name());
        }
        let error = "int8".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "unknown precision 'int8'; expected one of: fp32, tf32, fp16, bf16");
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        #[serde(flatten, with = "known_point")]
        point: Option<OperatingPoint>,
    }

    #[test]
    fn a_point_that_is_not_known_is_null_and_what_is_missing_is_as_usual() {
        let read = |text: &str| serde_json::from_str::<Record>(text).map(|record| record.point);
        let unknown = r#"{"precision":null,"mode":null,"channels_last":false,"cold":false}"#;
        assert_eq!(serde_json::to_string(&Record { point: None }).unwrap(), unknown);
        assert_eq!(read(unknown).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        let point = OperatingPoint { precision: Precision::Fp16, ..OperatingPoint::default() };
        assert_eq!(read(r#"{"precision":"fp16"}"#).unwrap(), Some(point));
        let cold = Some(OperatingPoint { cold: true, mode: Mode::Graph, ..point });
        let text = serde_json::to_string(&Record { point: cold }).unwrap();
        assert_eq!(read(&text).unwrap(), cold);
        assert!(read(r#"{"mode":"sideways"}"#).is_err());
    }
}
