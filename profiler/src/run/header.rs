//! The header of a run: device, options and versions when it begins.

use lat_data::RunHeader;
use lat_device::{
    CUDNN_CHOICE, LIBTORCH_VERSION, allocator, cuda_runtime_version, cudnn_version, driver_version,
    enable_cuda,
};
use lat_space::SearchSpace;

use crate::{DeviceSpec, ProfileOptions};

/// The header for a run with these options. It does not change after the run has begun.
pub fn header(space: &dyn SearchSpace, options: &ProfileOptions) -> RunHeader {
    enable_cuda();
    RunHeader {
        version: RunHeader::VERSION,
        space: space.id().to_owned(),
        skeleton: options.skeleton,
        seed: options.seed,
        batch: options.batch,
        device: options.device.to_string(),
        device_name: options.device.name(),
        point: options.point,
        shard: options.shard.map(|shard| shard.to_string()),
        threads: match options.device {
            DeviceSpec::Fake => 1,
            _ => tch::get_num_threads().unsigned_abs(),
        },
        reference_ms: options.reference_ms,
        versions: versions(options.device),
    }
}

fn versions(device: DeviceSpec) -> Vec<String> {
    let mut versions = vec![format!("lat {}", env!("CARGO_PKG_VERSION"))];
    versions.push(format!("peak-memory {}", peak_memory_source(device)));
    if device != DeviceSpec::Fake {
        versions.push(format!("libtorch {LIBTORCH_VERSION}"));
    }
    if let DeviceSpec::Cuda(_) = device {
        versions.extend(driver_version().map(|v| format!("driver {v}")));
        versions.extend(cuda_runtime_version().map(|v| format!("cuda {v}")));
        versions.extend(cudnn_version().map(|v| format!("cudnn {v}")));
        versions.extend(CUDNN_CHOICE.map(str::to_owned));
    }
    versions
}

/// The source of the column `peak_memory_mib`.
fn peak_memory_source(device: DeviceSpec) -> &'static str {
    match device {
        DeviceSpec::Cuda(_) if allocator::is_registered() => "allocator",
        _ => "counted",
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;

    fn of(device: DeviceSpec) -> RunHeader {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        header(space.as_ref(), &ProfileOptions { seed: 9, ..ProfileOptions::new(skeleton, device) })
    }

    #[test]
    fn names_the_device_and_the_versions() {
        let cpu = of(DeviceSpec::Cpu);
        assert_eq!((cpu.space.as_str(), cpu.seed, cpu.device.as_str()), ("darts", 9, "cpu"));
        assert!(cpu.threads >= 1 && !cpu.device_name.is_empty());
        for version in ["libtorch 2.11.0", "peak-memory counted"] {
            assert!(cpu.versions.contains(&version.to_owned()), "{version}: {:?}", cpu.versions);
        }
    }

    #[test]
    fn two_devices_are_two_runs_and_one_is_one() {
        assert_eq!(of(DeviceSpec::Fake).difference(&of(DeviceSpec::Fake)), None);
        assert!(of(DeviceSpec::Fake).difference(&of(DeviceSpec::Cpu)).is_some());
    }
}
