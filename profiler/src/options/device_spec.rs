//! Devices by name, and which ones this machine has.

use std::fmt;

use lat_device::{CudaStatus, enable_cuda};
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use crate::ProfileError;

/// A device on which networks are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// This machine's CPU.
    Cpu,
    /// The GPU with this number, as CUDA counts.
    Cuda(u32),
    /// A device with known costs and virtual time; see [`crate::fake_latency_ms`].
    Fake,
}

/// A device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// The device for `--device`.
    pub spec: DeviceSpec,
    /// Its model.
    pub name: String,
}

impl DeviceSpec {
    /// Reads `cpu`, `cuda` (the same as `cuda:0`), `cuda:N` or `fake`, and checks that this machine has it.
    ///
    /// # Errors
    /// [`ProfileError::Device`] and [`ProfileError::NoGpu`] list the devices of this machine; the latter gives the number of GPUs
    /// found.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        Self::resolve(text, enable_cuda())
    }

    /// `cuda:0` if there is a usable GPU, else `cpu`.
    pub fn best() -> Self {
        if enable_cuda().count() > 0 { Self::Cuda(0) } else { Self::Cpu }
    }

    /// The device's own name: the CPU's or GPU's model.
    pub fn name(self) -> String {
        match self {
            Self::Cpu => cpu_name(),
            Self::Cuda(ordinal) => match enable_cuda() {
                CudaStatus::Ready { gpus } => gpus.get(ordinal as usize).cloned(),
                CudaStatus::Absent { .. } => None,
            }
            .unwrap_or_else(|| "unknown GPU".into()),
            Self::Fake => "fake device with known costs".into(),
        }
    }

    fn resolve(text: &str, cuda: &CudaStatus) -> Result<Self, ProfileError> {
        let known = || {
            let gpus = (0..cuda.count()).map(Self::Cuda);
            let all = [Self::Cpu].into_iter().chain(gpus).chain([Self::Fake]);
            all.map(|d| d.to_string()).collect::<Vec<_>>().join(", ")
        };
        let ordinal = match text {
            "cpu" => return Ok(Self::Cpu),
            "fake" => return Ok(Self::Fake),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
        };
        match ordinal {
            None => Err(ProfileError::Device { given: text.to_owned(), known: known() }),
            Some(ordinal) if ordinal < cuda.count() => Ok(Self::Cuda(ordinal)),
            Some(ordinal) => {
                let reason = cuda.reason().map(|r| format!(" ({r})")).unwrap_or_default();
                Err(ProfileError::NoGpu { ordinal, found: cuda.count(), reason, known: known() })
            }
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Fake => write!(f, "fake"),
        }
    }
}

/// All devices of this machine, the fake one last.
pub fn available() -> Vec<Available> {
    let gpus = (0..enable_cuda().count()).map(DeviceSpec::Cuda);
    let all = [DeviceSpec::Cpu].into_iter().chain(gpus).chain([DeviceSpec::Fake]);
    all.map(|spec| Available { spec, name: spec.name() }).collect()
}

fn cpu_name() -> String {
    let cpus = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(cpus);
    let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
    brand.filter(|b| !b.is_empty()).unwrap_or_else(|| "unknown CPU".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(n: usize) -> CudaStatus {
        CudaStatus::Ready { gpus: vec!["GPU".into(); n] }
    }

    #[test]
    fn reads_the_names_it_writes() {
        let cuda = ready(4);
        let all = [DeviceSpec::Cpu, DeviceSpec::Cuda(0), DeviceSpec::Cuda(3), DeviceSpec::Fake];
        for spec in all {
            assert_eq!(DeviceSpec::resolve(&spec.to_string(), &cuda).unwrap(), spec);
        }
        assert_eq!(DeviceSpec::resolve("cuda", &cuda).unwrap(), DeviceSpec::Cuda(0));
    }

    #[test]
    fn a_gpu_too_many_says_how_many_there_are() {
        let error = DeviceSpec::resolve("cuda:7", &ready(2)).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected a GPU numbered 7 for 'cuda:7', found 2 GPU(s); this machine has: cpu, cuda:0, cuda:1, fake"
        );
    }

    #[test]
    fn no_gpu_says_why() {
        let absent = CudaStatus::Absent { reason: "no NVIDIA driver".into() };
        let error = DeviceSpec::resolve("cuda:7", &absent).unwrap_err().to_string();
        assert!(error.contains("found 0 GPU(s) (no NVIDIA driver); this machine has: cpu, fake"));
    }

    #[test]
    fn nonsense_lists_what_there_is() {
        for text in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""] {
            let error = DeviceSpec::resolve(text, &ready(1)).unwrap_err();
            assert!(matches!(error, ProfileError::Device { .. }), "{text}");
            assert!(error.to_string().ends_with("this machine has: cpu, cuda:0, fake"));
        }
    }

    #[test]
    fn this_machine_has_a_cpu_with_a_name_and_the_fake_device() {
        let all = available();
        assert_eq!(all.first().unwrap().spec, DeviceSpec::Cpu);
        assert!(!all.first().unwrap().name.is_empty());
        assert_eq!(all.last().unwrap().spec, DeviceSpec::Fake);
        assert!(DeviceSpec::parse("cuda:9999").is_err());
    }
}
