//! NVIDIA's management library: information about the driver and a card.

use std::sync::OnceLock;

use nvml_wrapper::enum_wrappers::device::{Api, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::{Device, Nvml};

use crate::cuda;

/// State of a card at one moment; each value is None if the library does not give it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Card {
    /// Number of other programs that compute on it.
    pub n_tenants: Option<usize>,
    /// Whether it is divided into slices (MIG).
    pub is_cut: Option<bool>,
    /// Its temperature, and the temperature at which it slows down, degrees Celsius.
    pub heat_c: Option<(u32, u32)>,
    /// Whether only root may set its clocks.
    pub are_clocks_restricted: Option<bool>,
}

impl Card {
    /// Reads the card of the GPU with this CUDA number; None if the library is missing or reports an error.
    pub fn read(ordinal: u32) -> Option<Self> {
        let device = gpu_device(ordinal)?;
        let processes = device.running_compute_processes().ok();
        let own = std::process::id();
        Some(Self {
            n_tenants: processes.map(|all| all.iter().filter(|p| p.pid != own).count()),
            is_cut: device.mig_mode().ok().map(|mig| mig.current != 0),
            heat_c: heat_c(&device),
            are_clocks_restricted: device.is_api_restricted(Api::ApplicationClocks).ok(),
        })
    }
}

fn heat_c(device: &Device<'_>) -> Option<(u32, u32)> {
    let now_c = device.temperature(TemperatureSensor::Gpu).ok()?;
    let limit_c = device.temperature_threshold(TemperatureThreshold::Slowdown).ok()?;
    Some((now_c, limit_c))
}

/// Version of the NVIDIA driver; None if there is no driver.
pub fn driver_version() -> Option<String> {
    nvml()?.sys_driver_version().ok()
}

/// NVIDIA's management library, opened once; None if there is no driver.
fn nvml() -> Option<&'static Nvml> {
    static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
    NVML.get_or_init(|| Nvml::init().ok()).as_ref()
}

/// NVML's handle of the GPU with this CUDA number.
pub(crate) fn gpu_device(ordinal: u32) -> Option<Device<'static>> {
    let uuid = cuda::uuid(ordinal);
    uuid.and_then(|uuid| nvml()?.device_by_uuid(uuid).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_has_no_card() {
        assert_eq!(Card::read(9_999), None);
    }
}
