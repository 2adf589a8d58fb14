//! The CUDA driver: lists GPUs and their properties.

use std::sync::Arc;

use cudarc::driver::result::device;
use cudarc::driver::sys::{self, CUdevice_attribute};
use cudarc::driver::{CudaContext, CudaStream, DriverError};

use crate::DeviceError;

/// A stream of a GPU: work that is put on it runs in order.
#[derive(Debug, Clone)]
pub struct Stream(pub(crate) Arc<CudaStream>);

/// Size of a GPU's L2 cache in bytes.
///
/// # Errors
/// [`DeviceError::Cuda`] if the driver does not give it.
pub(crate) fn l2_bytes(ordinal: u32) -> Result<u64, DeviceError> {
    let context = context(ordinal)?;
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
    let bytes = named("cuDeviceGetAttribute", context.attribute(attribute))?;
    Ok(u64::try_from(bytes).unwrap_or(0).max(1))
}

pub(crate) fn context(ordinal: u32) -> Result<Arc<CudaContext>, DeviceError> {
    if !is_driver_present() {
        let reason = "no NVIDIA driver on this machine".to_owned();
        return Err(DeviceError::Cuda { call: "open", reason });
    }
    named("cuDevicePrimaryCtxRetain", CudaContext::new(ordinal as usize))
}

pub(crate) fn named<T>(
    call: &'static str,
    result: Result<T, DriverError>,
) -> Result<T, DeviceError> {
    result.map_err(|error| DeviceError::Cuda { call, reason: format!("{error:?}") })
}

/// Whether the driver's library can be opened. cudarc panics if it cannot, so this is checked before any call of cudarc.
#[expect(unsafe_code, reason = "opening a library runs its initialisers")]
pub(crate) fn is_driver_present() -> bool {
    // SAFETY: opens and closes libcuda.so.1, NVIDIA's own, whose initialisers may run at any time.
    unsafe { sys::is_culib_present() }
}

/// Names of the GPUs that the driver lists, without making a context on any of them.
pub(crate) fn gpu_names() -> Result<Vec<String>, String> {
    if !is_driver_present() {
        return Err("no NVIDIA driver: libcuda.so.1 cannot be opened".into());
    }
    let list = || {
        let count = CudaContext::device_count()?;
        (0..count).map(|i| device::get_name(device::get(i)?)).collect::<Result<Vec<_>, _>>()
    };
    match list() {
        Ok(names) if names.is_empty() => Err("the NVIDIA driver lists no GPU".into()),
        Ok(names) => Ok(names),
        Err(error) => Err(format!("the NVIDIA driver does not start: {error:?}")),
    }
}

/// UUID of a GPU as NVML writes it. It connects CUDA's numbers, which follow `CUDA_VISIBLE_DEVICES`, with NVML's, which do not.
pub(crate) fn uuid(ordinal: u32) -> Option<String> {
    if !is_driver_present() {
        return None;
    }
    // Starts the driver if nothing has done so yet.
    CudaContext::device_count().ok()?;
    let uuid = device::get(ordinal as i32).and_then(device::get_uuid).ok()?;
    Some(uuid_text(u128::from_be_bytes(uuid.bytes.map(|byte| byte as u8))))
}

/// `GPU-` and the 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid_text(uuid: u128) -> String {
    let mut text = format!("{uuid:032x}");
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    format!("GPU-{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_nvml_writes_it() {
        let uuid = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        assert_eq!(uuid_text(uuid), "GPU-01234567-89ab-cdef-0011-223344556677");
    }
}
