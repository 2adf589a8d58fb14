//! Empties the last-level cache before a run.

use std::fs;

use lat_nn::guard;
use tch::{Device, Kind, Tensor};

use crate::DeviceError;
use crate::cuda;

/// The size used if that of a CPU's caches cannot be read; larger than most caches.
const UNKNOWN_CACHE_BYTES: u64 = 64 << 20;

/// Empties a device's last-level cache by overwriting as many bytes as it has, so that the next run finds its weights and input
/// in memory. (It uses the real size, not a fixed 256 MB: pytorch PR 127953, triton PR 3943.)
#[derive(Debug)]
pub struct CacheFlush {
    bytes: Tensor,
}

impl CacheFlush {
    /// A flush for this device.
    ///
    /// # Errors
    /// [`DeviceError::Torch`] if libtorch cannot allocate that many bytes.
    pub fn new(device: Device) -> Result<Self, DeviceError> {
        let size = match device {
            Device::Cuda(ordinal) => cuda::l2_bytes(ordinal as u32)?,
            _ => cpu_cache_bytes(),
        };
        let bytes = guard(|| Tensor::zeros([size as i64], (Kind::Uint8, device)))?;
        Ok(Self { bytes })
    }

    /// Overwrites the cache. On a GPU this is enqueued before the next work.
    ///
    /// # Errors
    /// [`DeviceError::Torch`] with libtorch's message.
    pub fn flush(&mut self) -> Result<(), DeviceError> {
        guard(|| self.bytes.fill_(1)).map(drop)?;
        Ok(())
    }
}

/// The largest cache of the first core, in bytes.
fn cpu_cache_bytes() -> u64 {
    let folder = "/sys/devices/system/cpu/cpu0/cache";
    let sizes = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = sizes.filter_map(|entry| fs::read_to_string(entry.path().join("size")).ok());
    sizes.filter_map(|text| bytes_of(text.trim())).max().unwrap_or(UNKNOWN_CACHE_BYTES)
}

/// Reads a size such as `32768K`, as the kernel writes it.
fn bytes_of(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.len() - usize::from(text.ends_with(['K', 'M', 'G'])));
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => 0,
    };
    digits.parse::<u64>().ok().map(|n| n << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_kernel_writes_them() {
        assert_eq!(bytes_of("32K"), Some(32 << 10));
        assert_eq!(bytes_of("16M"), Some(16 << 20));
        assert_eq!(bytes_of("512"), Some(512));
        assert_eq!(bytes_of("K"), None);
        assert_eq!(bytes_of(""), None);
    }

    #[test]
    fn the_whole_cache_is_written_over() {
        let mut flush = CacheFlush::new(Device::Cpu).unwrap();
        flush.flush().unwrap();
        assert!(flush.bytes.size()[0] >= 1 << 18, "{:?}", flush.bytes.size());
        assert_eq!(flush.bytes.min().int64_value(&[]), 1);
    }
}
