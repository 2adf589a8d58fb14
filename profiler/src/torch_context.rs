//! Settings of libtorch's global context that tch has no name for.

use std::ffi::{CStr, c_void};

use crate::libtorch::global_symbol;

const CONTEXT: &CStr = c"_ZN2at13globalContextEv";
const SETTERS: [&CStr; 2] =
    [c"_ZN2at7Context17setAllowTF32CuDNNEb", c"_ZN2at7Context18setAllowTF32CuBLASEb"];
#[cfg(test)]
const IS_ALLOWED: &CStr = c"_ZNK2at7Context15allowTF32CuBLASEv";

/// Allows or forbids TF32 in cuDNN's convolutions and cuBLAS' products. Without a word `PyTorch` allows it in convolutions, and
/// what is called fp32 is not.
///
/// # Errors
/// A sentence where this libtorch lacks the functions.
#[expect(unsafe_code, reason = "libtorch's own C++ functions")]
pub(crate) fn allow_tf32(allowed: bool) -> Result<(), String> {
    let context = context()?;
    for name in SETTERS {
        let symbol = symbol(name)?;
        // SAFETY: the mangled name says `void at::Context::setAllow...(bool)`, a member function, which takes the object first;
        // the object is libtorch's own and lives as long as the process.
        unsafe {
            let set: unsafe extern "C" fn(*mut c_void, bool) = std::mem::transmute(symbol);
            set(context, allowed);
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "libtorch's own C++ function")]
fn context() -> Result<*mut c_void, String> {
    let symbol = symbol(CONTEXT)?;
    // SAFETY: the mangled name says `at::Context& at::globalContext()`; a reference is returned as a pointer.
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
            crate::LIBTORCH_VERSION
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unsafe_code, reason = "libtorch's own C++ function")]
    fn is_allowed() -> bool {
        let symbol = symbol(IS_ALLOWED).unwrap();
        // SAFETY: the mangled name says `bool at::Context::allowTF32CuBLAS() const`.
        unsafe {
            let call: unsafe extern "C" fn(*const c_void) -> bool = std::mem::transmute(symbol);
            call(context().unwrap())
        }
    }

    #[test]
    fn tf32_is_as_it_was_set() {
        // Nothing on a CPU computes by it, so that tests beside this one don't mind.
        for allowed in [true, false, true, false] {
            allow_tf32(allowed).unwrap();
            assert_eq!(is_allowed(), allowed);
        }
    }
}
