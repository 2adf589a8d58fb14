//! Settings of libtorch's global context that tch does not offer.

use std::ffi::{CStr, c_void};

use crate::DeviceError;
use crate::libtorch::global_symbol;

const CONTEXT: &CStr = c"_ZN2at13globalContextEv";
const ALLOW_TF32: [&CStr; 2] =
    [c"_ZN2at7Context17setAllowTF32CuDNNEb", c"_ZN2at7Context18setAllowTF32CuBLASEb"];
const SET_BENCHMARK: &CStr = c"_ZN2at7Context17setBenchmarkCuDNNEb";
const SET_DETERMINISTIC: &CStr = c"_ZN2at7Context21setDeterministicCuDNNEb";
const SET_LIMIT: &CStr = c"_ZN2at7Context22setBenchmarkLimitCuDNNEi";

/// How cuDNN's algorithms are picked, in the form of the run's header: for each shape the first ten algorithms of cuDNN's
/// heuristic are tried, including those whose sums depend on the order of threads.
pub const CUDNN_CHOICE: [&str; 3] =
    ["cudnn-benchmark on", "cudnn-benchmark-limit 10", "cudnn-deterministic off"];
/// The limit in the second of these; also `PyTorch`'s default.
const LIMIT: i32 = 10;

/// Allows or forbids TF32 in cuDNN's convolutions and cuBLAS' products. By default `PyTorch` allows it in convolutions, and then
/// fp32 is not really fp32.
///
/// # Errors
/// [`DeviceError::Cuda`] if this libtorch lacks the functions.
pub fn allow_tf32(allowed: bool) -> Result<(), DeviceError> {
    let set = ALLOW_TF32.into_iter().try_for_each(|name| set_flag(name, allowed));
    set.map_err(|reason| DeviceError::Cuda { call: "setAllowTF32", reason })
}

/// Makes cuDNN pick algorithms as in [`CUDNN_CHOICE`]: for each shape in its first run, and kept from then on.
///
/// # Errors
/// [`DeviceError::Cuda`] if this libtorch lacks the functions.
pub fn choose_by_trial() -> Result<(), DeviceError> {
    set_choice().map_err(|reason| DeviceError::Cuda { call: "setBenchmarkCuDNN", reason })
}

#[expect(unsafe_code, reason = "libtorch's own C++ function")]
fn set_choice() -> Result<(), String> {
    set_flag(SET_BENCHMARK, true)?;
    set_flag(SET_DETERMINISTIC, false)?;
    let (context, symbol) = (context()?, symbol(SET_LIMIT)?);
    // SAFETY: the mangled name stands for `void at::Context::setBenchmarkLimitCuDNN(int)`, a member function, which takes the
    // object first. The object is libtorch's own and lives as long as the process.
    unsafe {
        let set: unsafe extern "C" fn(*mut c_void, i32) = std::mem::transmute(symbol);
        set(context, LIMIT);
    }
    Ok(())
}

/// Calls one of the context's setters that take a boolean.
#[expect(unsafe_code, reason = "libtorch's own C++ functions")]
fn set_flag(name: &CStr, value: bool) -> Result<(), String> {
    let (context, symbol) = (context()?, symbol(name)?);
    // SAFETY: the mangled names above that end in `Eb` stand for `void at::Context::set...(bool)`, a member function, which takes
    // the object first. The object is libtorch's own and lives as long as the process.
    unsafe {
        let set: unsafe extern "C" fn(*mut c_void, bool) = std::mem::transmute(symbol);
        set(context, value);
    }
    Ok(())
}

#[expect(unsafe_code, reason = "libtorch's own C++ function")]
fn context() -> Result<*mut c_void, String> {
    let symbol = symbol(CONTEXT)?;
    // SAFETY: the mangled name stands for `at::Context& at::globalContext()`; a reference is returned as a pointer.
    Ok(unsafe {
        let call: unsafe extern "C" fn() -> *mut c_void = std::mem::transmute(symbol);
        call()
    })
}

fn symbol(name: &CStr) -> Result<*mut c_void, String> {
    global_symbol(name).ok_or_else(|| {
        format!(
            "expected {} in libtorch, found none; lat is built for libtorch {}",
            name.to_string_lossy(),
            crate::libtorch::LIBTORCH_VERSION
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TF32: &CStr = c"_ZNK2at7Context15allowTF32CuBLASEv";
    const BENCHMARK: &CStr = c"_ZNK2at7Context14benchmarkCuDNNEv";
    const DETERMINISTIC: &CStr = c"_ZNK2at7Context18deterministicCuDNNEv";
    const LIMIT_NOW: &CStr = c"_ZNK2at7Context19benchmarkLimitCuDNNEv";

    #[expect(unsafe_code, reason = "libtorch's own C++ functions")]
    fn flag(name: &CStr) -> bool {
        let symbol = symbol(name).unwrap();
        // SAFETY: the mangled names stand for `bool at::Context::...() const`.
        unsafe {
            let call: unsafe extern "C" fn(*const c_void) -> bool = std::mem::transmute(symbol);
            call(context().unwrap())
        }
    }

    #[test]
    fn tf32_is_as_it_was_set() {
        // Nothing on a CPU uses these settings, so tests that run at the same time are not affected.
        for allowed in [true, false, true, false] {
            allow_tf32(allowed).unwrap();
            assert_eq!(flag(TF32), allowed);
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "libtorch's own C++ function")]
    fn cudnn_is_set_to_what_the_header_says() {
        set_flag(SET_DETERMINISTIC, true).unwrap();
        choose_by_trial().unwrap();
        // SAFETY: the mangled name stands for `int at::Context::benchmarkLimitCuDNN() const`.
        let limit = unsafe {
            let call: unsafe extern "C" fn(*const c_void) -> i32 =
                std::mem::transmute(symbol(LIMIT_NOW).unwrap());
            call(context().unwrap())
        };
        let on = |flag| if flag { "on" } else { "off" };
        let found = [
            format!("cudnn-benchmark {}", on(flag(BENCHMARK))),
            format!("cudnn-benchmark-limit {limit}"),
            format!("cudnn-deterministic {}", on(flag(DETERMINISTIC))),
        ];
        assert_eq!(found, CUDNN_CHOICE);
    }
}
