//! A network's run captured once as a CUDA graph and replayed: one launch instead of hundreds, so that the device's own time
//! is what is measured.
//!
//! libtorch works on the legacy default stream, which cannot be captured. So runs are put on a stream of their own by
//! libtorch's `getStreamFromExternal` and `setCurrentCUDAStream`; warm-up runs there fill the allocator's pool of that stream
//! and let cuDNN pick its algorithms, so that the captured run neither allocates nor tunes. Memory that the captured run used
//! goes back to that pool; the runs of the next network may write to it, when this graph is no longer replayed.

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

/// A stream that libtorch works on, on the thread that made this, as long as this lives.
#[derive(Debug)]
pub(crate) struct SideStream {
    stream: Arc<CudaStream>,
    ordinal: u32,
}

impl SideStream {
    /// Makes libtorch work on this stream from now on.
    ///
    /// # Errors
    /// [`DeviceError::Cuda`] where libtorch's CUDA half lacks the functions.
    pub(crate) fn enter(stream: Arc<CudaStream>, ordinal: u32) -> Result<Self, DeviceError> {
        work_on(stream.cu_stream().cast(), ordinal)?;
        Ok(Self { stream, ordinal })
    }
}

impl Drop for SideStream {
    /// Takes libtorch back to the default stream: it would go on to use the destroyed one, and crash.
    fn drop(&mut self) {
        // What was enqueued is done before the stream may go. An error here was, or will be, seen by whoever waits for the work.
        let _ = self.stream.synchronize();
        // The functions were there when this was made. libtorch numbers external streams by their handles, and the default
        // stream is number 0, as is the driver's own handle of it (c10/cuda/CUDAStream.cpp, `makeStreamId`).
        let _ = work_on(std::ptr::null_mut(), self.ordinal);
    }
}

/// Makes libtorch work on this stream on this thread.
#[expect(unsafe_code, reason = "libtorch's own C++ functions")]
fn work_on(stream: *mut c_void, ordinal: u32) -> Result<(), DeviceError> {
    let (from_external, set_current) = (symbol(FROM_EXTERNAL)?, symbol(SET_CURRENT)?);
    // SAFETY: the mangled names say `CUDAStream getStreamFromExternal(CUstream_st*, signed char)` and
    // `void setCurrentCUDAStream(CUDAStream)`. The class is trivially copyable, 16 bytes of integers, so the C calling
    // convention of x86-64 and aarch64 passes it in two registers as it does this struct. A stream outlives its use: the
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

/// A run that was captured and can be replayed.
pub struct CapturedRun {
    graph: CudaGraph,
}

impl std::fmt::Debug for CapturedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedRun").finish_non_exhaustive()
    }
}

impl CapturedRun {
    /// Captures what `enqueue` puts on `stream`, on which nothing may be at work: a run that was warmed up, so that it neither
    /// allocates nor tunes.
    ///
    /// # Errors
    /// Those of `enqueue`; [`DeviceError::Cuda`] where something in the run cannot be captured.
    pub fn capture<E: From<DeviceError>>(
        Stream(stream): &Stream,
        enqueue: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        // Relaxed: the allocator may ask the driver for memory while another thread builds the next network.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        named("cuStreamBeginCapture", stream.begin_capture(mode))?;
        let ran = enqueue();
        // Ended in any case: a stream left in capture refuses all further work.
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
    /// [`DeviceError::Cuda`] where the driver refuses.
    pub fn launch(&self) -> Result<(), DeviceError> {
        named("cuGraphLaunch", self.graph.launch())
    }
}
