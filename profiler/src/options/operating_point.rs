//! The operating points that a device supports, and the one that it uses by default.

use lat_data::{Mode, OperatingPoint, Precision};
use tch::Kind;

use crate::{DeviceSpec, ProfileError};

/// If eager time is more than this many times graph time, the launches limit the speed.
const LAUNCH_BOUND: f64 = 1.25;

/// Whether launches, and not the device's own work, limit the speed of a network.
pub(crate) fn is_launch_bound(eager_ms: f64, graph_ms: f64) -> bool {
    eager_ms > LAUNCH_BOUND * graph_ms
}

/// The kind of tensors for a precision.
pub(crate) const fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Fp32 | Precision::Tf32 => Kind::Float,
        Precision::Fp16 => Kind::Half,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// The default operating point of a device. A fast GPU finishes a layer before the host has launched the next one, so in eager
/// mode the host's jitter would be measured. On an H100 predictions from eager rows were 18 % off, from graphs 0.4 %
/// (docs/gpu.md).
pub fn usual_point(device: DeviceSpec) -> OperatingPoint {
    let mode = match device {
        DeviceSpec::Cuda(_) => Mode::Graph,
        DeviceSpec::Cpu | DeviceSpec::Fake => Mode::Eager,
    };
    OperatingPoint { mode, ..OperatingPoint::default() }
}

/// Checks that the device supports the operating point.
///
/// # Errors
/// [`ProfileError::Option`] names what it does not support.
pub fn check_point(point: OperatingPoint, device: DeviceSpec) -> Result<(), ProfileError> {
    let refuse = |name, expected, found: &str| {
        Err(ProfileError::Option { name, expected, found: found.to_owned() })
    };
    let (mode, precision) = (point.mode.name(), point.precision.name());
    match device {
        DeviceSpec::Cpu if point.mode != Mode::Eager => {
            refuse("the mode", "eager on a CPU, which has no CUDA graphs", mode)
        }
        DeviceSpec::Cpu if point.precision == Precision::Tf32 => {
            refuse("the precision", "fp32, fp16 or bf16 on a CPU", precision)
        }
        DeviceSpec::Fake if point.precision != Precision::Fp32 => {
            refuse("the precision", "fp32 on the fake device", precision)
        }
        DeviceSpec::Fake if point.channels_last || point.cold => refuse(
            "the memory",
            "neither channels last nor cold on the fake device, which has none",
            if point.cold { "cold" } else { "channels last" },
        ),
        DeviceSpec::Cuda(_) | DeviceSpec::Cpu | DeviceSpec::Fake => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_cannot_do_is_refused() {
        let error =
            |point: OperatingPoint, device| check_point(point, device).unwrap_err().to_string();
        let plain = OperatingPoint::default();
        let graph = OperatingPoint { mode: Mode::Graph, ..plain };
        let tf32 = OperatingPoint { precision: Precision::Tf32, ..plain };
        let cold = OperatingPoint { cold: true, ..plain };
        for device in [DeviceSpec::Cpu, DeviceSpec::Cuda(0), DeviceSpec::Fake] {
            check_point(plain, device).unwrap();
        }
        assert!(error(graph, DeviceSpec::Cpu).contains("eager on a CPU"));
        check_point(graph, DeviceSpec::Fake).unwrap();
        assert!(error(tf32, DeviceSpec::Cpu).contains("found tf32"));
        assert!(error(tf32, DeviceSpec::Fake).contains("fp32 on the fake device"));
        assert!(error(cold, DeviceSpec::Fake).contains("found cold"));
        check_point(cold, DeviceSpec::Cpu).unwrap();
    }

    #[test]
    fn a_quarter_more_is_where_launches_begin_to_bind() {
        assert!(is_launch_bound(1.26, 1.0) && !is_launch_bound(1.25, 1.0));
    }

    #[test]
    fn a_gpu_is_measured_by_graphs_and_everything_else_as_it_can() {
        assert_eq!(usual_point(DeviceSpec::Cuda(1)).mode, Mode::Graph);
        for device in [DeviceSpec::Cpu, DeviceSpec::Fake] {
            assert_eq!(usual_point(device), OperatingPoint::default());
        }
    }
}
