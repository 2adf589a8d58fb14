//! The peak memory of a piece of work.

use lat_device::allocator;

use super::resident::ResidentPeak;
use crate::DeviceSpec;

/// The peak memory of any work, such as a search. On a GPU it is the memory that libtorch's allocator gave out in this process,
/// as `torch.cuda.max_memory_allocated` counts it. Elsewhere it is the growth of the process's resident memory, which is complete
/// only for the first such work of a process.
#[derive(Debug)]
pub struct MemoryPeak {
    gpu: Option<i8>,
    resident: Option<ResidentPeak>,
}

impl MemoryPeak {
    /// Begins to watch.
    pub fn begin(device: DeviceSpec) -> Self {
        match device {
            DeviceSpec::Cuda(ordinal) => {
                let gpu = i8::try_from(ordinal).ok();
                if let Some(gpu) = gpu {
                    allocator::reset_peak(gpu);
                }
                Self { gpu, resident: None }
            }
            DeviceSpec::Cpu | DeviceSpec::Fake => {
                Self { gpu: None, resident: ResidentPeak::begin() }
            }
        }
    }

    /// The peak since the beginning in MiB; None if neither the allocator nor the kernel gives it.
    pub fn mib(&self) -> Option<f64> {
        let of_gpu = || allocator::peak_mib(self.gpu?);
        of_gpu().or_else(|| self.resident.as_ref()?.grown_mib())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_s_peak_is_what_the_process_grew_by() {
        let peak = MemoryPeak::begin(DeviceSpec::Cpu);
        let mut bytes = vec![0u8; 64 << 20];
        bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        assert_eq!(std::hint::black_box(&bytes)[4096], 1);
        // None if the kernel does not give it. Tests that run at the same time can only add to it.
        assert!(peak.mib().is_none_or(|mib| mib > 30.0), "{:?}", peak.mib());
    }

    #[test]
    fn without_a_gpu_there_is_no_figure_of_one() {
        if crate::enable_cuda().count() == 0 {
            assert_eq!(MemoryPeak::begin(DeviceSpec::Cuda(0)).mib(), None);
        }
    }
}
