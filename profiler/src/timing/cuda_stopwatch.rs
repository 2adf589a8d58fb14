//! The stopwatch of a GPU: events on its own clock.

use lat_device::{CacheFlush, Events, Stream};

use super::clock::Stopwatch;
use super::workload::Workload;
use crate::ProfileError;

/// Times runs by two events on the stream that libtorch uses: on the GPU's clock, with a resolution of about 0.5 us. The GPU is
/// idle when the first event is recorded. So if a network's kernels are shorter than their launches, the time is that of the
/// launches, as for any user who runs the network in this way.
#[derive(Debug)]
pub struct CudaStopwatch {
    events: Events,
    flush: Option<CacheFlush>,
}

impl CudaStopwatch {
    /// The stopwatch of GPU number `ordinal`, on the legacy default stream of the primary context, which libtorch uses by
    /// default.
    ///
    /// # Errors
    /// [`ProfileError::Driver`] if there is no driver or no such GPU.
    pub fn new(ordinal: u32) -> Result<Self, ProfileError> {
        Ok(Self { events: Events::new(ordinal)?, flush: None })
    }

    /// A stopwatch with its own stream, which libtorch then uses too, and which can be captured.
    ///
    /// # Errors
    /// The errors of [`CudaStopwatch::new`], and if libtorch's CUDA half lacks the functions for it.
    pub(crate) fn on_side_stream(ordinal: u32) -> Result<Self, ProfileError> {
        Ok(Self { events: Events::on_side_stream(ordinal)?, flush: None })
    }

    /// The stream on which runs are timed.
    pub(crate) fn stream(&self) -> Stream {
        self.events.stream()
    }

    /// Empties the L2 cache before each run.
    pub(crate) fn flushing(self, flush: CacheFlush) -> Self {
        Self { flush: Some(flush), ..self }
    }
}

impl Stopwatch for CudaStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        self.flush.as_mut().map_or(Ok(()), CacheFlush::flush)?;
        self.events.time_ms(|| work.enqueue())
    }
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
}
