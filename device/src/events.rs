//! Timing by events, on a GPU's own clock.

use std::sync::Arc;

use cudarc::driver::sys::CUevent_flags;
use cudarc::driver::{CudaContext, CudaEvent, CudaStream};

use crate::DeviceError;
use crate::cuda::{Stream, context, named};
use crate::cuda_graph::SideStream;

/// Two events on a stream; the runs between them are timed.
#[derive(Debug)]
pub struct Events {
    // Declared before the stream, so that it is dropped first.
    _side: Option<SideStream>,
    stream: Arc<CudaStream>,
    start: CudaEvent,
    end: CudaEvent,
}

impl Events {
    /// Events on GPU number `ordinal`, on the legacy default stream of the primary context, which libtorch uses by default.
    ///
    /// # Errors
    /// [`DeviceError::Cuda`] if there is no driver or no such GPU.
    pub fn new(ordinal: u32) -> Result<Self, DeviceError> {
        let context = context(ordinal)?;
        let stream = context.default_stream();
        Self::on(&context, stream)
    }

    /// Events on a new stream, which libtorch then uses too, and which can be captured.
    ///
    /// # Errors
    /// The errors of [`Events::new`], and if libtorch's CUDA half lacks the functions for it.
    pub fn on_side_stream(ordinal: u32) -> Result<Self, DeviceError> {
        let context = context(ordinal)?;
        let stream = named("cuStreamCreate", context.new_stream())?;
        let side = SideStream::enter(Arc::clone(&stream), ordinal)?;
        Ok(Self { _side: Some(side), ..Self::on(&context, stream)? })
    }

    /// The stream on which runs are timed.
    pub fn stream(&self) -> Stream {
        Stream(Arc::clone(&self.stream))
    }

    /// Milliseconds between the events before and after the work that `enqueue` puts on the stream. Waits for its end.
    ///
    /// # Errors
    /// The errors of `enqueue`; [`DeviceError::Cuda`] if the GPU fails in the meantime.
    pub fn time_ms<E: From<DeviceError>>(
        &self,
        enqueue: impl FnOnce() -> Result<(), E>,
    ) -> Result<f64, E> {
        named("cuEventRecord", self.start.record(&self.stream))?;
        enqueue()?;
        named("cuEventRecord", self.end.record(&self.stream))?;
        named("cuEventSynchronize", self.end.synchronize())?;
        Ok(named("cuEventElapsedTime", self.start.elapsed_ms(&self.end)).map(f64::from)?)
    }

    fn on(context: &Arc<CudaContext>, stream: Arc<CudaStream>) -> Result<Self, DeviceError> {
        // Without this flag, cudarc makes events that cannot measure time.
        let event =
            || named("cuEventCreate", context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT)));
        Ok(Self { _side: None, start: event()?, end: event()?, stream })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::is_driver_present;

    #[test]
    fn without_a_driver_there_is_an_error_and_no_crash() {
        if is_driver_present() {
            assert!(Events::new(9_999).is_err());
        } else {
            let error = Events::new(0).unwrap_err().to_string();
            assert!(error.contains("no NVIDIA driver"), "{error}");
        }
    }
}
