//! A TorchScript module that is run again and again on the same arguments, through the C functions of `script_module.cpp`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::DeviceError;

#[expect(unsafe_code, reason = "the C functions of script_module.cpp")]
// SAFETY: the signatures are those of script_module.cpp, which this crate's build script compiles. No function lets an exception
// out. Each writes at most `length` bytes to its text, the last of them 0.
unsafe extern "C" {
    fn lat_module_load(
        file: *const c_char,
        cuda: i8,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
    fn lat_module_free(module: *mut c_void);
    fn lat_module_cast(module: *mut c_void, kind: i8, error: *mut c_char, length: usize) -> i32;
    fn lat_module_takes(module: *const c_void, text: *mut c_char, length: usize) -> i32;
    fn lat_module_push_none(module: *mut c_void);
    fn lat_module_push_int(module: *mut c_void, value: i64);
    fn lat_module_push_double(module: *mut c_void, value: f64);
    fn lat_module_push_bool(module: *mut c_void, value: bool);
    fn lat_module_push_tensor(module: *mut c_void, tensor: *const c_void);
    fn lat_module_push_tensors(
        module: *mut c_void,
        tensors: *const *const c_void,
        n: usize,
        error: *mut c_char,
        length: usize,
    ) -> i32;
    fn lat_module_run(module: *mut c_void, error: *mut c_char, length: usize) -> i32;
}

/// Size in bytes of the buffer for a C function's message. The interpreter's messages are long: they begin with a trace of the
/// module's program.
const MESSAGE: usize = 1 << 14;

/// An argument of a module's `forward`.
#[derive(Debug)]
pub enum Argument {
    /// Python's `None`.
    None,
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A tensor, on the module's device.
    Tensor(Tensor),
    /// A list of tensors, or a tuple if `forward` takes one.
    Tensors(Vec<Tensor>),
}

/// A `TorchScript` module in evaluation mode, with the arguments on which it is run.
pub struct ScriptModule {
    module: *mut c_void,
}

impl std::fmt::Debug for ScriptModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScriptModule({})", self.takes().unwrap_or_default())
    }
}

impl ScriptModule {
    /// Loads a module onto a device. It has no arguments yet.
    ///
    /// # Errors
    /// [`DeviceError::Module`] with libtorch's message if the file is no module that this libtorch can read.
    #[expect(unsafe_code, reason = "a C function of script_module.cpp")]
    pub fn load(file: &Path, device: Device) -> Result<Self, DeviceError> {
        let name = CString::new(file.as_os_str().as_encoded_bytes())
            .map_err(|_| DeviceError::Module("expected a path without zeros".into()))?;
        let cuda = match device {
            Device::Cuda(ordinal) => i8::try_from(ordinal)
                .map_err(|_| DeviceError::Module(format!("no such device: cuda:{ordinal}")))?,
            _ => -1,
        };
        let mut message = vec![0; MESSAGE];
        // SAFETY: the name ends in 0 and outlives the call, and so does the message buffer.
        let module =
            unsafe { lat_module_load(name.as_ptr(), cuda, message.as_mut_ptr(), message.len()) };
        if module.is_null() { Err(said(&message)) } else { Ok(Self { module }) }
    }

    /// Converts floating point parameters and buffers; whole numbers stay as they are.
    ///
    /// # Errors
    /// [`DeviceError::Module`] if there is not enough memory for them.
    #[expect(unsafe_code, reason = "a C function of script_module.cpp")]
    pub fn cast(&mut self, kind: Kind) -> Result<(), DeviceError> {
        // Numbers of c10::ScalarType.
        let kind = match kind {
            Kind::Half => 5,
            Kind::Double => 7,
            Kind::BFloat16 => 15,
            _ => 6,
        };
        // SAFETY: the module was loaded; `checked` provides the message buffer.
        checked(|text, length| unsafe { lat_module_cast(self.module, kind, text, length) })
    }

    /// The arguments of `forward`, such as `x: Tensor, n: int`.
    ///
    /// # Errors
    /// [`DeviceError::Module`] if it has no `forward`.
    #[expect(unsafe_code, reason = "a C function of script_module.cpp")]
    pub fn takes(&self) -> Result<String, DeviceError> {
        let mut text = vec![0; MESSAGE];
        // SAFETY: the module was loaded; the text buffer outlives the call.
        let failed = unsafe { lat_module_takes(self.module, text.as_mut_ptr(), text.len()) } != 0;
        if failed { Err(said(&text)) } else { Ok(words(&text)) }
    }

    /// Adds an argument after the others.
    ///
    /// # Errors
    /// [`DeviceError::Module`] if the module has no `forward`.
    #[expect(unsafe_code, reason = "C functions of script_module.cpp")]
    pub fn push(&mut self, argument: &Argument) -> Result<(), DeviceError> {
        // SAFETY: the module was loaded; a tensor outlives the call, which copies its handle.
        unsafe {
            match argument {
                Argument::None => lat_module_push_none(self.module),
                Argument::Int(value) => lat_module_push_int(self.module, *value),
                Argument::Float(value) => lat_module_push_double(self.module, *value),
                Argument::Bool(value) => lat_module_push_bool(self.module, *value),
                Argument::Tensor(tensor) => {
                    lat_module_push_tensor(self.module, tensor.as_ptr().cast());
                }
                Argument::Tensors(tensors) => {
                    let all: Vec<*const c_void> =
                        tensors.iter().map(|tensor| tensor.as_ptr().cast()).collect();
                    return checked(|text, length| {
                        lat_module_push_tensors(self.module, all.as_ptr(), all.len(), text, length)
                    });
                }
            }
        }
        Ok(())
    }

    /// Runs `forward` without gradients and drops its result. On a GPU this returns before the run has ended.
    ///
    /// # Errors
    /// [`DeviceError::Module`] with libtorch's message if it does not run on these arguments.
    #[expect(unsafe_code, reason = "a C function of script_module.cpp")]
    pub fn run(&mut self) -> Result<(), DeviceError> {
        // SAFETY: the module was loaded; `checked` provides the message buffer.
        checked(|text, length| unsafe { lat_module_run(self.module, text, length) })
    }
}

impl Drop for ScriptModule {
    #[expect(unsafe_code, reason = "a C function of script_module.cpp")]
    fn drop(&mut self) {
        // SAFETY: the module was loaded, and nothing else owns it.
        unsafe { lat_module_free(self.module) }
    }
}

/// Makes an error of a call that returns a number other than 0.
fn checked(call: impl FnOnce(*mut c_char, usize) -> i32) -> Result<(), DeviceError> {
    // Runs are timed, so the buffer for a message that rarely comes is not cleared.
    let mut message: Vec<c_char> = Vec::with_capacity(MESSAGE);
    if call(message.as_mut_ptr(), message.capacity()) == 0 {
        return Ok(());
    }
    #[expect(unsafe_code, reason = "a text that a C function wrote")]
    // SAFETY: a call that fails has written a text that ends in 0.
    let text = unsafe { CStr::from_ptr(message.as_ptr()) };
    Err(DeviceError::Module(text.to_string_lossy().into_owned()))
}

fn said(message: &[c_char]) -> DeviceError {
    DeviceError::Module(words(message))
}

fn words(message: &[c_char]) -> String {
    let bytes: Vec<u8> = message.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use tch::CModule;

    use super::*;

    #[test]
    fn a_module_says_what_it_takes_and_runs_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("module.pt");
        let mut sum = |inputs: &[Tensor]| vec![&inputs[0] + &inputs[1]];
        let xs =
            [Tensor::zeros([2, 3], tch::kind::FLOAT_CPU), Tensor::zeros([3], tch::kind::FLOAT_CPU)];
        CModule::create_by_tracing("sum", "forward", &xs, &mut sum).unwrap().save(&file).unwrap();
        let mut module = ScriptModule::load(&file, Device::Cpu).unwrap();
        assert_eq!(module.takes().unwrap().matches(": Tensor").count(), 2, "{module:?}");
        module.cast(Kind::BFloat16).unwrap();
        module.push(&Argument::Tensor(xs[0].shallow_clone())).unwrap();
        assert!(module.run().unwrap_err().to_string().contains("missing value"), "one is missing");
        module.push(&Argument::Tensor(xs[1].shallow_clone())).unwrap();
        module.run().unwrap();
        assert!(ScriptModule::load(&dir.path().join("none.pt"), Device::Cpu).is_err());
    }
}
