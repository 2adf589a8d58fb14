use std::fmt;
use std::str::FromStr;

use tch::Kind;

use crate::{DeviceSpec, ProfileError};

/// How runs are launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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

/// How networks run while they are timed: with batch, skeleton and device it makes a row comparable with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OperatingPoint {
    /// How runs are launched: eager.
    pub mode: Mode,
    /// Number format: fp32.
    pub precision: Precision,
    /// Whether images and weights lie channels last (NHWC) in memory: no.
    pub channels_last: bool,
    /// Whether the device's last-level cache is emptied before each timed run: no, since a deployed network is run again and
    /// again.
    pub cold: bool,
}

/// Eager time over graph time beyond which launches are what takes the time.
const LAUNCH_BOUND: f64 = 1.25;

/// Whether launches, not the device's own work, take the time of a network.
pub(crate) fn is_launch_bound(eager_ms: f64, graph_ms: f64) -> bool {
    eager_ms > LAUNCH_BOUND * graph_ms
}

impl Mode {
    /// All of them.
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
    /// All of them.
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

    /// What tensors are made of.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Fp32 | Self::Tf32 => Kind::Float,
            Self::Fp16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

impl OperatingPoint {
    /// Whether the device can run so.
    ///
    /// # Errors
    /// [`ProfileError::Option`] names what it cannot do.
    pub fn check(&self, device: DeviceSpec) -> Result<(), ProfileError> {
        let refuse = |name, expected, found: &str| {
            Err(ProfileError::Option { name, expected, found: found.to_owned() })
        };
        let (mode, precision) = (self.mode.name(), self.precision.name());
        match device {
            DeviceSpec::Cpu if self.mode != Mode::Eager => {
                refuse("the mode", "eager on a CPU, which has no CUDA graphs", mode)
            }
            DeviceSpec::Cpu if self.precision == Precision::Tf32 => {
                refuse("the precision", "fp32, fp16 or bf16 on a CPU", precision)
            }
            DeviceSpec::Fake if self.precision != Precision::Fp32 => {
                refuse("the precision", "fp32 on the fake device", precision)
            }
            DeviceSpec::Fake if self.channels_last || self.cold => refuse(
                "the memory",
                "neither channels last nor cold on the fake device, which has none",
                if self.cold { "cold" } else { "channels last" },
            ),
            DeviceSpec::Cuda(_) | DeviceSpec::Cpu | DeviceSpec::Fake => Ok(()),
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
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| unknown("mode", text, &Self::ALL.map(Self::name)))
    }
}

impl FromStr for Precision {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| unknown("precision", text, &Self::ALL.map(Self::name)))
    }
}

fn unknown(kind: &'static str, name: &str, known: &[&str]) -> ProfileError {
    ProfileError::Unknown { kind, name: name.to_owned(), known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse::<Mode>().unwrap(), mode);
        }
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
        }
        let error = "int8".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "unknown precision 'int8'; expected one of: fp32, tf32, fp16, bf16");
    }

    #[test]
    fn what_a_device_cannot_do_is_refused() {
        let error = |point: OperatingPoint, device| point.check(device).unwrap_err().to_string();
        let plain = OperatingPoint::default();
        let graph = OperatingPoint { mode: Mode::Graph, ..plain };
        let tf32 = OperatingPoint { precision: Precision::Tf32, ..plain };
        let cold = OperatingPoint { cold: true, ..plain };
        for device in [DeviceSpec::Cpu, DeviceSpec::Cuda(0), DeviceSpec::Fake] {
            plain.check(device).unwrap();
        }
        assert!(error(graph, DeviceSpec::Cpu).contains("eager on a CPU"));
        graph.check(DeviceSpec::Fake).unwrap();
        assert!(error(tf32, DeviceSpec::Cpu).contains("found tf32"));
        assert!(error(tf32, DeviceSpec::Fake).contains("fp32 on the fake device"));
        assert!(error(cold, DeviceSpec::Fake).contains("found cold"));
        cold.check(DeviceSpec::Cpu).unwrap();
    }

    #[test]
    fn a_quarter_more_is_where_launches_begin_to_bind() {
        assert!(is_launch_bound(1.26, 1.0) && !is_launch_bound(1.25, 1.0));
    }
}
