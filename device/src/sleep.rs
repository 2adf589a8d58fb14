//! Work of known length on a GPU.

use std::ffi::CStr;

use lat_nn::guard;

use crate::DeviceError;
use crate::libtorch::global_symbol;

/// `void at::cuda::sleep(int64_t cycles)`: a kernel that does nothing for this many clock cycles.
const SLEEP: &CStr = c"_ZN2at4cuda5sleepEl";

/// Puts a kernel that does nothing for this many cycles of the GPU's clock on libtorch's stream, and returns at once.
///
/// # Errors
/// [`DeviceError::Cuda`] if this libtorch has no such function, [`DeviceError::Torch`] if the launch fails.
#[expect(unsafe_code, reason = "libtorch's own C++ function")]
pub fn sleep(cycles: i64) -> Result<(), DeviceError> {
    let symbol = global_symbol(SLEEP).ok_or_else(|| DeviceError::Cuda {
        call: "at::cuda::sleep",
        reason: "this libtorch has no such function".into(),
    })?;
    // SAFETY: the mangled name stands for `void at::cuda::sleep(long)`. A C++ exception would abort the process; it throws only
    // if the launch fails.
    guard(|| unsafe {
        let sleep: unsafe extern "C" fn(i64) = std::mem::transmute(symbol);
        sleep(cycles);
    })?;
    Ok(())
}
