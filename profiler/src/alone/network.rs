//! Times a network that has weights of its own.

use lat_data::{Measurement, Role};
use lat_nn::{StaticNet, WeightArena};
use lat_space::count;
use serde::Serialize;

use crate::options::operating_point::{check_point, kind};
use crate::row::{blank, unix_s};
use crate::timer::Timer;
use crate::{DeviceSpec, NetWorkload, ProfileError, ProfileOptions, Task, Testbed, open};

/// The timing of a network or module by itself.
#[derive(Debug, Clone, Serialize)]
pub struct NetTiming {
    /// The row; for a module it has no architecture.
    #[serde(flatten)]
    pub row: Measurement,
    /// Passes in one timed run; more than one if the network is much shorter than the reference network.
    pub n_passes: u32,
}

/// Times a network as it is, in evaluation mode, with the same care as architectures. `architecture` is its text for the row. The
/// network is converted to the options' operating point and runs on their device. Of the options it uses device, operating point,
/// batch, the skeleton's resolution, and the times.
///
/// # Errors
/// [`ProfileError::Option`] if an option is out of range or the device does not compute; [`ProfileError::Network`] and
/// [`ProfileError::Driver`] if it cannot run.
pub fn time_net(
    net: StaticNet,
    architecture: &str,
    options: &ProfileOptions,
) -> Result<NetTiming, ProfileError> {
    options.check_numbers()?;
    check_point(options.point, options.device)?;
    if options.device == DeviceSpec::Fake {
        let (name, expected) = ("the device", "one that computes: cpu or cuda:N");
        return Err(ProfileError::Option { name, expected, found: "fake".into() });
    }
    let mut bed = open(options)?;
    let (kind, channels_last) = (kind(options.point.precision), options.point.channels_last);
    let device = net.weights().device();
    let counts = count(net.graph());
    let net = net.converted(kind, channels_last)?;
    let images = WeightArena::new(device, kind, channels_last);
    let images = images.images(options.batch, options.skeleton.resolution)?;
    let work = Box::new(NetWorkload::of(net, images));
    let begin_s = bed.now_s();
    let timing = Timer::new(options)?.time(bed.as_mut() as &mut dyn Testbed, work, false)?;
    let task = Task { role: Role::Sample, index: 0, occurrence: 0 };
    let n_passes = timing.n_passes();
    let row = timing.fill(Measurement {
        architecture: architecture.to_owned(),
        params: counts.params,
        multiply_adds: counts.multiply_adds,
        wall_s: bed.now_s() - begin_s,
        unix_s: unix_s(),
        ..blank(task)
    });
    Ok(NetTiming { row, n_passes })
}

#[cfg(test)]
mod tests {
    use lat_data::{OperatingPoint, Precision};
    use lat_nn::{Phase, WeightInit};
    use lat_space::{find_skeleton, find_space};
    use tch::Device;

    use super::*;

    #[test]
    fn a_network_is_timed_in_either_precision_and_the_fake_device_refused() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let graph = space.graph(&skeleton).derive(&space.at(9_000));
        let time = |device, precision| {
            let point = OperatingPoint { precision, ..OperatingPoint::default() };
            let options = ProfileOptions { point, ..ProfileOptions::new(skeleton, device) };
            let (phase, init) = (Phase::Search, WeightInit::Uniform);
            let net = StaticNet::new(graph.clone(), Device::Cpu, phase, init).unwrap();
            time_net(net, "text", &options)
        };
        for precision in [Precision::Fp32, Precision::Bf16] {
            let row = time(DeviceSpec::Cpu, precision).unwrap().row;
            assert!(row.latency_ms > 0.0 && row.n_runs >= 6, "{row:?}");
            assert_eq!((row.architecture.as_str(), row.params), ("text", count(&graph).params));
        }
        let error = time(DeviceSpec::Fake, Precision::Fp32).unwrap_err().to_string();
        assert!(error.contains("one that computes"), "{error}");
    }
}
