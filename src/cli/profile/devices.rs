//! `--device` of `lat profile`, which may name several devices.

use std::collections::BTreeSet;

use lat_profiler::DeviceSpec;

use crate::cli::failure::bad;
use crate::cli::skeleton::device;

/// The named devices, or the best one of this machine. Several must be GPUs of one model (or fake ones, for tests).
pub(super) fn devices(names: Option<&str>) -> anyhow::Result<Vec<DeviceSpec>> {
    let Some(names) = names.filter(|names| names.contains(',')) else {
        return Ok(vec![device(names)?]);
    };
    let devices = names.split(',').map(DeviceSpec::parse).collect::<Result<Vec<_>, _>>()?;
    let is_gpu = |device: &DeviceSpec| matches!(device, DeviceSpec::Cuda(_));
    let is_fake = |device: &DeviceSpec| *device == DeviceSpec::Fake;
    let twice = devices.iter().enumerate().find(|(i, d)| is_gpu(d) && devices[..*i].contains(d));
    if let Some((_, device)) = twice {
        return Err(bad(format!("expected each GPU once in --device, found {device} twice")));
    }
    if !devices.iter().all(is_gpu) && !devices.iter().all(is_fake) {
        return Err(bad(format!(
            "expected several GPUs in --device, such as cuda:0,cuda:1, found '{names}': measure other devices by a command each"
        )));
    }
    let models: BTreeSet<String> = devices.iter().map(|device| device.name()).collect();
    if models.len() > 1 {
        let models = Vec::from_iter(models).join(", ");
        return Err(bad(format!(
            "expected GPUs of one model in --device, found {models}: a run is of one model, so measure each by a command of its own"
        )));
    }
    Ok(devices)
}
