//! Clock, temperature and power of a device while it is measured.

use std::io::{BufRead, BufReader};
use std::path::Path;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};

use crate::nvml::gpu_device;

/// State of a device at one moment; each value is None if it cannot be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Telemetry {
    /// Clock of the computing cores, MHz.
    pub clock_mhz: Option<f64>,
    /// Temperature, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Power drawn, watts.
    pub power_w: Option<f64>,
    /// Reasons for throttling in lower case, joined by `+`; an empty text if there are none.
    pub throttle_reasons: Option<String>,
}

/// Reads a device's state.
pub trait Sensor {
    /// Reads the current state.
    fn read(&mut self) -> Telemetry;

    /// Whether the clock shows how fast the device computes, so that a low one means throttling. It does not on CPUs, where one
    /// core's clock at one moment says little.
    fn judges_by_clock(&self) -> bool;

    /// Millijoules drawn since some moment in the past; None if the device does not count them.
    fn energy_mj(&mut self) -> Option<f64> {
        None
    }
}

/// The clock of the core that this thread runs on, from the kernel's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuSensor;

impl Sensor for CpuSensor {
    fn read(&mut self) -> Telemetry {
        Telemetry { clock_mhz: current_core().and_then(core_clock_mhz), ..Telemetry::default() }
    }

    fn judges_by_clock(&self) -> bool {
        false
    }

    fn energy_mj(&mut self) -> Option<f64> {
        package_energy_mj(Path::new("/sys/class/powercap"))
    }
}

/// Sum of the RAPL counters over the processor packages. The kernel gives them in microjoules to processes that may read them.
/// They wrap around after minutes to hours, so a difference of two readings may be negative.
fn package_energy_mj(powercap: &Path) -> Option<f64> {
    let packages = std::fs::read_dir(powercap).ok()?.flatten().filter(|entry| {
        // `intel-rapl:0` is a package, `intel-rapl:0:1` a part of one. AMD's counters have the same names.
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("intel-rapl:").is_some_and(|n| n.parse::<u32>().is_ok())
    });
    let energies = packages.map(|package| {
        let text = std::fs::read_to_string(package.path().join("energy_uj")).ok()?;
        text.trim().parse::<f64>().ok().map(|microjoules| microjoules / 1e3)
    });
    let energies: Option<Vec<f64>> = energies.collect();
    energies.filter(|e| !e.is_empty()).map(|e| e.iter().sum())
}

/// Number of the core that this thread runs on: field 39 of the kernel's `stat` file, the 37th after the name in brackets.
fn current_core() -> Option<u32> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()
}

fn core_clock_mhz(core: u32) -> Option<f64> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
    let khz = std::fs::read_to_string(Path::new(&file)).ok();
    khz.and_then(|text| text.trim().parse::<f64>().ok())
        .map(|khz| khz / 1e3)
        .or_else(|| cpuinfo_mhz(BufReader::new(std::fs::File::open("/proc/cpuinfo").ok()?), core))
}

/// `cpu MHz` of one core. Virtual machines have it even if they have no frequency driver.
fn cpuinfo_mhz(cpuinfo: impl BufRead, core: u32) -> Option<f64> {
    let mut at_core = false;
    for line in cpuinfo.lines() {
        let line = line.ok()?;
        let Some((key, value)) = line.split_once(':') else { continue };
        match key.trim() {
            "processor" => at_core = value.trim().parse() == Ok(core),
            "cpu MHz" if at_core => return value.trim().parse().ok(),
            _ => {}
        }
    }
    None
}

/// Reads a GPU's state through NVIDIA's management library.
#[derive(Debug)]
pub struct NvmlSensor {
    device: Option<nvml_wrapper::Device<'static>>,
}

impl NvmlSensor {
    /// The sensor of the GPU with this CUDA number. All its values are None if the library is missing or reports an error.
    pub fn new(ordinal: u32) -> Self {
        Self { device: gpu_device(ordinal) }
    }
}

impl Sensor for NvmlSensor {
    fn read(&mut self) -> Telemetry {
        let Some(device) = &self.device else { return Telemetry::default() };
        Telemetry {
            clock_mhz: device.clock_info(Clock::SM).ok().map(f64::from),
            temperature_c: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            power_w: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            throttle_reasons: device.current_throttle_reasons().ok().map(reasons),
        }
    }

    fn judges_by_clock(&self) -> bool {
        true
    }

    fn energy_mj(&mut self) -> Option<f64> {
        self.device.as_ref()?.total_energy_consumption().ok().map(|mj| mj as f64)
    }
}

/// The reasons, without idleness, which a GPU always reports just after its work has ended.
fn reasons(reasons: ThrottleReasons) -> String {
    let known = [
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications_clocks_setting"),
        (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync_boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
    ];
    let set = known.iter().filter(|(flag, _)| reasons.contains(*flag)).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_clock_of_the_core_asked_for() {
        let text = "processor\t: 0\ncpu MHz\t\t: 2445.4\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.5\n";
        assert_eq!(cpuinfo_mhz(text.as_bytes(), 1), Some(3000.5));
        assert_eq!(cpuinfo_mhz(text.as_bytes(), 2), None);
    }

    #[test]
    fn the_cpus_clock_is_plausible_where_it_can_be_read() {
        if let Some(mhz) = CpuSensor.read().clock_mhz {
            assert!((100.0..10_000.0).contains(&mhz), "{mhz} MHz");
        }
    }

    #[test]
    fn energy_is_summed_over_packages_and_their_parts_left_out() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(package_energy_mj(root.path()), None);
        for (name, uj) in [("intel-rapl:0", 5000), ("intel-rapl:0:0", 700), ("intel-rapl:1", 2500)]
        {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("energy_uj"), format!("{uj}\n")).unwrap();
        }
        assert_eq!(package_energy_mj(root.path()), Some(7.5));
    }

    #[test]
    fn reasons_are_named_and_idleness_left_out() {
        let set = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_SLOWDOWN;
        assert_eq!(reasons(set | ThrottleReasons::GPU_IDLE), "sw_power_cap+hw_slowdown");
        assert_eq!(reasons(ThrottleReasons::empty()), "");
    }

    #[test]
    fn a_gpu_that_is_not_there_has_no_state() {
        assert_eq!(NvmlSensor::new(9_999).read(), Telemetry::default());
    }
}
