//! Stopwatches: how one run is timed.

use std::time::Instant;

use lat_device::CacheFlush;

use crate::{ProfileError, Workload};

/// Times one run of a workload.
pub trait Stopwatch {
    /// Runs the workload once, waits for it, and returns the time it took in milliseconds.
    ///
    /// # Errors
    /// Errors of the workload or the device.
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError>;

    /// The clock's readings since the last call, run by run, if [`Stopwatch::time_ms`] gives corrected times; else empty.
    fn take_raw_ms(&mut self) -> Vec<f64> {
        Vec::new()
    }

    /// Length of the reference runs by which times are corrected, in milliseconds; None if times are not corrected. If a run is
    /// far shorter than this, disturbances of the reference hide it.
    fn reference_ms(&self) -> Option<f64> {
        None
    }
}

/// The host's monotonic clock around a run and the wait for its end. This is right for the CPU, where the call itself computes.
/// On a GPU it would include the time until the host is notified; [`crate::CudaStopwatch`] does not.
#[derive(Debug, Default)]
pub struct CpuStopwatch {
    flush: Option<CacheFlush>,
}

impl CpuStopwatch {
    /// Empties the caches before each run.
    pub(crate) fn flushing(flush: CacheFlush) -> Self {
        Self { flush: Some(flush) }
    }

    /// Whether caches are emptied before each run.
    pub(crate) fn is_cold(&self) -> bool {
        self.flush.is_some()
    }

    /// Like [`Stopwatch::time_ms`], but leaves the caches as they are.
    pub(crate) fn time_hot_ms(work: &mut dyn Workload) -> Result<f64, ProfileError> {
        let begin = Instant::now();
        work.enqueue()?;
        work.synchronize()?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    }
}

impl Stopwatch for CpuStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        self.flush.as_mut().map_or(Ok(()), CacheFlush::flush)?;
        Self::time_hot_ms(work)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Enqueues at once and takes its time only when it is waited for, like a GPU.
    struct Asynchronous {
        log: Vec<&'static str>,
    }

    impl Workload for Asynchronous {
        fn enqueue(&mut self) -> Result<(), ProfileError> {
            self.log.push("enqueue");
            Ok(())
        }

        fn synchronize(&mut self) -> Result<(), ProfileError> {
            self.log.push("synchronize");
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        }
    }

    #[test]
    fn the_wait_is_inside_the_time() {
        let mut work = Asynchronous { log: vec![] };
        let time_ms = CpuStopwatch::default().time_ms(&mut work).unwrap();
        assert!(time_ms >= 5.0, "{time_ms} ms");
        assert_eq!(work.log, ["enqueue", "synchronize"]);
    }
}
