//! What libtorch's CUDA allocator says of a GPU's memory, through the C functions of `allocator.cpp`: tch has no name for it.

use std::sync::OnceLock;

// SAFETY: the signatures are those of allocator.cpp, which this crate's build script compiles. The functions take and give integers,
// look the allocator up by themselves, let no exception out, and may be called at any time from any thread: the allocator has
// locks of its own. So they are safe to call.
#[expect(unsafe_code, reason = "the C functions of allocator.cpp")]
unsafe extern "C" {
    safe fn lat_cuda_allocator_is_registered() -> i32;
    safe fn lat_cuda_allocated_bytes(device: i8) -> i64;
    safe fn lat_cuda_reset_peak_bytes(device: i8) -> i64;
    safe fn lat_cuda_peak_bytes(device: i8) -> i64;
}

/// Whether libtorch's CUDA half is there with an allocator that keeps figures. To be asked after [`crate::enable_cuda`].
pub fn is_registered() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| lat_cuda_allocator_is_registered() == 1)
}

/// Lets a GPU's peak begin at what is allocated now; nothing happens where there is no such allocator.
pub fn reset_peak(device: i8) {
    lat_cuda_reset_peak_bytes(device);
}

/// Most that was allocated on a GPU since the last reset, MiB; nothing where there is no such allocator or it keeps no figures.
pub fn peak_mib(device: i8) -> Option<f64> {
    let bytes = lat_cuda_peak_bytes(device);
    (bytes > 0).then_some(bytes as f64 / f64::from(1 << 20))
}

/// The growth of what is allocated on a GPU over some work, at its peak.
#[derive(Debug, Clone, Copy)]
pub struct AllocatedPeak {
    device: i8,
    begin_bytes: i64,
}

impl AllocatedPeak {
    /// From now on; nothing where there is no such allocator or it has not used this GPU yet.
    pub fn begin(ordinal: u32) -> Option<Self> {
        let device = i8::try_from(ordinal).ok()?;
        let begin_bytes = lat_cuda_reset_peak_bytes(device);
        (begin_bytes >= 0).then_some(Self { device, begin_bytes })
    }

    /// The peak since then above the beginning, in bytes. Nothing where the work did not give back all it took: then another
    /// thread allocated meanwhile, and the peak is partly its own; nor where nothing was taken, as without caching, when the
    /// allocator keeps no figures.
    pub fn grown_bytes(self) -> Option<u64> {
        let (now, peak) = (lat_cuda_allocated_bytes(self.device), lat_cuda_peak_bytes(self.device));
        grown(self.begin_bytes, peak, now)
    }
}

fn grown(begin_bytes: i64, peak_bytes: i64, now_bytes: i64) -> Option<u64> {
    let is_alone = now_bytes == begin_bytes;
    u64::try_from(peak_bytes - begin_bytes).ok().filter(|grown| is_alone && *grown > 0)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::enable_cuda;

    #[test]
    fn without_a_cuda_allocator_the_answer_is_none() {
        if enable_cuda().count() > 0 {
            // The other test's.
            return;
        }
        assert!(!is_registered());
        for ordinal in [0, 5, 127, 128, u32::MAX] {
            assert!(AllocatedPeak::begin(ordinal).is_none(), "{ordinal}");
        }
        assert_eq!(lat_cuda_peak_bytes(0), -1);
        assert_eq!(AllocatedPeak { device: 0, begin_bytes: 0 }.grown_bytes(), None);
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
    fn a_gpu_s_allocator_sees_what_is_taken_and_given_back() {
        assert!(enable_cuda().count() > 0, "expected a GPU");
        assert!(is_registered());
        let zeros = |mib: i64| Tensor::zeros([mib << 20], (Kind::Uint8, Device::Cuda(0)));
        let kept = zeros(1);
        // Tests beside this one may allocate too: then there is no answer, and it is asked again.
        let grown = (0..100).find_map(|_| {
            let peak = AllocatedPeak::begin(0)?;
            drop((zeros(8), zeros(4)));
            peak.grown_bytes()
        });
        drop(kept);
        assert_eq!(grown, Some(12 << 20));
    }

    #[test]
    fn a_peak_that_others_are_part_of_is_no_answer() {
        assert_eq!(grown(100, 700, 100), Some(600));
        assert_eq!(grown(100, 700, 120), None);
        assert_eq!(grown(100, 100, 100), None);
        assert_eq!(grown(100, -1, -1), None);
    }
}
