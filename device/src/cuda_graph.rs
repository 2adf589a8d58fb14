//! A network's run, captured once as a CUDA graph and then replayed. A replay is one launch instead of hundreds, so the device's
//! own time is measured.
//!
//! libtorch uses the legacy default stream, which cannot be captured. So runs are put on another stream, by libtorch's
//! `getStreamFromExternal` and `setCurrentCUDAStream`. Warm-up runs on this stream fill the allocator's pool for it and let cuDNN
//! pick its algorithms, so that the captured run neither allocates nor tunes. The captured run's memory goes back to that pool.
//! Runs of the next network may write to it, but then this graph is no longer replayed.

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream};

use crate::DeviceError;
use crate::cuda::{Stream, named};
use crate::libtorch::global_symbol;

const FROM_EXTERNAL: &CStr = c"_ZN3c104cuda21getStreamFromExternalEP11CUstream_sta";
const SET_CURRENT: &CStr = c"_ZN3c104cuda20setCurrentCUDAStreamENS0_10CUDAStreamE";

/// `c10::cuda::CUDAStream`: a device (two bytes and padding) and a number, passed in two registers.
#[repr(C)]
#[derive(Clone, Copy)]
struct TorchStream {
    device: u64,
    id: i64,
}

/// A stream that libtorch uses on the thread that made this value, as long as the value lives.
#[derive(Debug)]
pub(crate) struct SideStream {
    stream: Arc<CudaStream>,
    ordinal: u32,
}

impl SideStream {
    /// Makes libtorch use this stream from now on.
    ///
    /// # Errors
    /// [`DeviceError::Cuda`] if libtorch's CUDA half lacks the functions.
    pub(crate) fn enter(stream: Arc<CudaStream>, ordinal: u32) -> Result<Self, DeviceError> {
        work_on(stream.cu_stream().cast(), ordinal)?;
        Ok(Self { stream, ordinal })
    }
}

impl Drop for SideStream {
    /// Makes libtorch use the default stream again. Otherwise it would go on using the destroyed one, and crash.
    fn drop(&mut self) {
        // All enqueued work must be done before the stream is destroyed. An error here is also reported to the code that waits
        // for the work.
        let _ = self.stream.synchronize();
        // This cannot fail, because the functions existed when this value was made. libtorch numbers external streams by their
        // handles, and the default stream has number 0, which is also the driver's handle for it (c10/cuda/CUDAStream.cpp,
        // `makeStreamId`).
        let _ = work_on(std::ptr::null_mut(), self.ordinal);
    }
}

/// Makes libtorch use this stream on this thread.
#[expect(unsafe_code, reason = "libtorch's own C++ functions")]
fn work_on(stream: *mut c_void, ordinal: u32) -> Result<(), DeviceError> {
    let (from_external, set_current) = (symbol(FROM_EXTERNAL)?, symbol(SET_CURRENT)?);
    // SAFETY: the mangled names stand for `CUDAStream getStreamFromExternal(CUstream_st*, signed char)` and `void
    // setCurrentCUDAStream(CUDAStream)`. The class is trivially copyable and consists of 16 bytes of integers, so the C calling
    // convention of x86-64 and aarch64 passes it in two registers, like this struct. The stream outlives its use: the
    // `SideStream` that holds it ends the use before.
    unsafe {
        let from_external: unsafe extern "C" fn(*mut c_void, i8) -> TorchStream =
            std::mem::transmute(from_external);
        let set_current: unsafe extern "C" fn(TorchStream) = std::mem::transmute(set_current);
        set_current(from_external(stream, ordinal as i8));
    }
    Ok(())
}

fn symbol(name: &CStr) -> Result<*mut c_void, DeviceError> {
    global_symbol(name).ok_or_else(|| DeviceError::Cuda {
        call: "getStreamFromExternal",
        reason: format!("this libtorch has no {}", name.to_string_lossy()),
    })
}

/// A captured run that can be replayed.
pub struct CapturedRun {
    graph: CudaGraph,
}

impl std::fmt::Debug for CapturedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedRun").finish_non_exhaustive()
    }
}

impl CapturedRun {
    /// Captures the work that `enqueue` puts on `stream`, which must be idle. The run must be warmed up, so that it neither
    /// allocates nor tunes.
    ///
    /// # Errors
    /// The errors of `enqueue`; [`DeviceError::Cuda`] if something in the run cannot be captured.
    pub fn capture<E: From<DeviceError>>(
        Stream(stream): &Stream,
        enqueue: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        // Relaxed, because the allocator may ask the driver for memory while another thread builds the next network.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        named("cuStreamBeginCapture", stream.begin_capture(mode))?;
        let ran = enqueue();
        // The capture is ended in any case, because a stream that is still in capture refuses all further work.
        let graph = named("cuStreamEndCapture", stream.end_capture(CUgraphInstantiate_flags(0)));
        ran?;
        let graph = graph?.ok_or_else(|| DeviceError::Cuda {
            call: "cuStreamEndCapture",
            reason: "the captured run did nothing on its stream".into(),
        })?;
        named("cuGraphUpload", graph.upload())?;
        Ok(Self { graph })
    }

    /// Starts the run once more, by one launch.
    ///
    /// # Errors
    /// [`DeviceError::Cuda`] if the driver reports an error.
    pub fn launch(&self) -> Result<(), DeviceError> {
        named("cuGraphLaunch", self.graph.launch())
    }
}
