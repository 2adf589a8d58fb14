//! Memory figures of libtorch's CUDA allocator, through the C functions of `allocator.cpp`, because tch does not offer them.

use std::sync::OnceLock;

// SAFETY: the signatures are those of allocator.cpp, which this crate's build script compiles. The functions take and return
// integers, look the allocator up by themselves and let no exception out. They may be called at any time from any thread, because
// the allocator has its own locks. So they are safe to call.
#[expect(unsafe_code, reason = "the C functions of allocator.cpp")]
unsafe extern "C" {
    safe fn lat_cuda_allocator_is_registered() -> i32;
    safe fn lat_cuda_allocated_bytes(device: i8) -> i64;
    safe fn lat_cuda_reset_peak_bytes(device: i8) -> i64;
    safe fn lat_cuda_peak_bytes(device: i8) -> i64;
}

/// Whether libtorch's CUDA half is loaded and has an allocator that keeps figures. Call [`crate::enable_cuda`] before.
pub fn is_registered() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| lat_cuda_allocator_is_registered() == 1)
}

/// Resets a GPU's peak to what is allocated now. Does nothing if there is no such allocator.
pub fn reset_peak(device: i8) {
    lat_cuda_reset_peak_bytes(device);
}

/// The most memory that was allocated on a GPU since the last reset, MiB. None if there is no such allocator or it keeps no
/// figures.
pub fn peak_mib(device: i8) -> Option<f64> {
    let bytes = lat_cuda_peak_bytes(device);
    (bytes > 0).then_some(bytes as f64 / f64::from(1 << 20))
}

/// The growth of allocated memory on a GPU during some work, at its peak.
#[derive(Debug, Clone, Copy)]
pub struct AllocatedPeak {
    device: i8,
    begin_bytes: i64,
}

impl AllocatedPeak {
    /// Begins to watch. None if there is no such allocator or it has not used this GPU yet.
    pub fn begin(ordinal: u32) -> Option<Self> {
        let device = i8::try_from(ordinal).ok()?;
        let begin_bytes = lat_cuda_reset_peak_bytes(device);
        (begin_bytes >= 0).then_some(Self { device, begin_bytes })
    }

    /// The peak since the beginning, above the level at the beginning, in bytes. None if the work did not give back all it took:
    /// then another thread allocated in the meantime, and the peak is partly due to that thread. Also None if nothing was taken,
    /// as happens without caching, when the allocator keeps no figures.
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
            // This is for the other test.
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
        // Tests that run at the same time may allocate too. Then there is no result, and it is tried again.
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
