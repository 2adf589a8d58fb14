//! The CUDA driver: which GPUs there are, and timing by events on their own clock.

use std::sync::Arc;

use cudarc::driver::result::device;
use cudarc::driver::sys::{self, CUdevice_attribute, CUevent_flags};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError};

use crate::cache_flush::CacheFlush;
use crate::cuda_graph::SideStream;
use crate::{ProfileError, Stopwatch, Workload};

/// Size of the L2 cache of a GPU in bytes.
///
/// # Errors
/// [`ProfileError::Cuda`] where the driver does not tell.
pub(crate) fn l2_bytes(ordinal: u32) -> Result<u64, ProfileError> {
    let context = context(ordinal)?;
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
    let bytes = named("cuDeviceGetAttribute", context.attribute(attribute))?;
    Ok(u64::try_from(bytes).unwrap_or(0).max(1))
}

fn context(ordinal: u32) -> Result<Arc<CudaContext>, ProfileError> {
    if !is_driver_present() {
        let reason = "no NVIDIA driver on this machine".to_owned();
        return Err(ProfileError::Cuda { call: "open", reason });
    }
    named("cuDevicePrimaryCtxRetain", CudaContext::new(ordinal as usize))
}

/// Times runs by two events on the stream that libtorch works on: the GPU's clock, resolution about 0.5 us. The GPU is idle when
/// the first event is recorded, so for networks whose kernels are shorter than their launches the launches count, as they do
/// for whoever runs the network in the same way.
#[derive(Debug)]
pub struct CudaStopwatch {
    // Before the stream, so that it is dropped first.
    _side: Option<SideStream>,
    stream: Arc<CudaStream>,
    start: CudaEvent,
    end: CudaEvent,
    flush: Option<CacheFlush>,
}

impl CudaStopwatch {
    /// The stopwatch of GPU number `ordinal`, on the legacy default stream of the primary context: what libtorch uses unless told
    /// otherwise.
    ///
    /// # Errors
    /// [`ProfileError::Cuda`] where there is no driver or no such GPU.
    pub fn new(ordinal: u32) -> Result<Self, ProfileError> {
        let context = context(ordinal)?;
        let stream = context.default_stream();
        Self::on(&context, stream)
    }

    /// The stopwatch on a stream of its own, which libtorch then works on too and which can be captured.
    ///
    /// # Errors
    /// As [`CudaStopwatch::new`], and where libtorch's CUDA half lacks the functions for it.
    pub(crate) fn on_side_stream(ordinal: u32) -> Result<Self, ProfileError> {
        let context = context(ordinal)?;
        let stream = named("cuStreamCreate", context.new_stream())?;
        let side = SideStream::enter(Arc::clone(&stream), ordinal)?;
        Ok(Self { _side: Some(side), ..Self::on(&context, stream)? })
    }

    /// The stream that runs are timed on.
    pub(crate) fn stream(&self) -> Arc<CudaStream> {
        Arc::clone(&self.stream)
    }

    /// Empties the L2 cache before each run from now on.
    pub(crate) fn flushing(self, flush: CacheFlush) -> Self {
        Self { flush: Some(flush), ..self }
    }

    fn on(context: &Arc<CudaContext>, stream: Arc<CudaStream>) -> Result<Self, ProfileError> {
        // Without the flag, cudarc makes events that cannot tell a time.
        let event =
            || named("cuEventCreate", context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT)));
        Ok(Self { _side: None, start: event()?, end: event()?, stream, flush: None })
    }
}

impl Stopwatch for CudaStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        self.flush.as_mut().map_or(Ok(()), CacheFlush::flush)?;
        named("cuEventRecord", self.start.record(&self.stream))?;
        work.enqueue()?;
        named("cuEventRecord", self.end.record(&self.stream))?;
        named("cuEventSynchronize", self.end.synchronize())?;
        named("cuEventElapsedTime", self.start.elapsed_ms(&self.end)).map(f64::from)
    }
}

pub(crate) fn named<T>(
    call: &'static str,
    result: Result<T, DriverError>,
) -> Result<T, ProfileError> {
    result.map_err(|error| ProfileError::Cuda { call, reason: format!("{error:?}") })
}

/// Whether the driver's library can be opened. cudarc panics where it cannot, so this comes before any call of it.
#[expect(unsafe_code, reason = "opening a library runs its initialisers")]
fn is_driver_present() -> bool {
    // SAFETY: opens and closes libcuda.so.1, NVIDIA's own, whose initialisers may run at any time.
    unsafe { sys::is_culib_present() }
}

/// Names of the GPUs that the driver lists, without making a context on any.
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

/// UUID of a GPU as NVML writes it. CUDA's numbers follow `CUDA_VISIBLE_DEVICES`, NVML's don't.
pub(crate) fn uuid(ordinal: u32) -> Option<String> {
    if !is_driver_present() {
        return None;
    }
    // Starts the driver where nothing did so far.
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
    use std::time::Instant;

    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::{CpuStopwatch, enable_cuda};

    /// Ten large products: milliseconds of work with ten launches.
    struct Products(Tensor);

    impl Workload for Products {
        fn enqueue(&mut self) -> Result<(), ProfileError> {
            (0..10).for_each(|_| drop(self.0.matmul(&self.0)));
            Ok(())
        }

        fn synchronize(&mut self) -> Result<(), ProfileError> {
            tch::Cuda::synchronize(0);
            Ok(())
        }
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
    fn events_agree_with_the_host_clock_on_long_work() {
        assert!(enable_cuda().count() > 0, "expected a GPU");
        let mut work = Products(Tensor::randn([4096, 4096], (Kind::Float, Device::Cuda(0))));
        let mut events = CudaStopwatch::new(0).unwrap();
        for _ in 0..5 {
            events.time_ms(&mut work).unwrap();
        }
        let mut pairs: Vec<f64> = (0..11)
            .map(|_| {
                let host_ms = CpuStopwatch::default().time_ms(&mut work).unwrap();
                events.time_ms(&mut work).unwrap() / host_ms
            })
            .collect();
        pairs.sort_by(f64::total_cmp);
        assert!((0.9..1.1).contains(&pairs[5]), "events / host = {pairs:?}");
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
    fn the_enqueue_alone_is_much_shorter_than_what_the_events_see() {
        assert!(enable_cuda().count() > 0, "expected a GPU");
        let mut work = Products(Tensor::randn([4096, 4096], (Kind::Float, Device::Cuda(0))));
        let mut events = CudaStopwatch::new(0).unwrap();
        events.time_ms(&mut work).unwrap();
        let event_ms = events.time_ms(&mut work).unwrap();
        let begin = Instant::now();
        work.enqueue().unwrap();
        let enqueue_ms = begin.elapsed().as_secs_f64() * 1e3;
        work.synchronize().unwrap();
        assert!(enqueue_ms < 0.5 * event_ms, "enqueue {enqueue_ms} ms, events {event_ms} ms");
    }

    #[test]
    fn a_uuid_is_written_as_nvml_writes_it() {
        let uuid = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        assert_eq!(uuid_text(uuid), "GPU-01234567-89ab-cdef-0011-223344556677");
    }

    #[test]
    fn without_a_driver_the_stopwatch_is_an_error_not_a_crash() {
        if is_driver_present() {
            assert!(CudaStopwatch::new(9_999).is_err());
        } else {
            let error = CudaStopwatch::new(0).unwrap_err().to_string();
            assert!(error.contains("no NVIDIA driver"), "{error}");
        }
    }
}
