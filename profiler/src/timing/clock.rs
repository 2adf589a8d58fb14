//! Stopwatches: how one run is timed.

use std::time::Instant;

use lat_device::CacheFlush;

use crate::{ProfileError, Workload};

/// Times one run of a workload.
pub trait Stopwatch {
    /// Runs the workload once, waits for it, and returns the time it took in milliseconds.
    ///
    /// # Errors
    /// Whatever the workload or the device reports.
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError>;

    /// What the clock showed since the last call, run by run, if [`Stopwatch::time_ms`] gives corrected times; else nothing.
    fn take_raw_ms(&mut self) -> Vec<f64> {
        Vec::new()
    }

    /// How long the reference runs take by which times are corrected, milliseconds, if they are. A run that is far shorter is
    /// drowned in what disturbs the reference.
    fn reference_ms(&self) -> Option<f64> {
        None
    }
}

/// The host's monotonic clock around a run and the wait for its end: right for the CPU, where the call computes. On a GPU it
/// adds the way back of the signal; [`crate::CudaStopwatch`] does not.
#[derive(Debug, Default)]
pub struct CpuStopwatch {
    flush: Option<CacheFlush>,
}

impl CpuStopwatch {
    /// Empties the caches before each run from now on.
    pub(crate) fn flushing(flush: CacheFlush) -> Self {
        Self { flush: Some(flush) }
    }

    /// Whether caches are emptied before each run.
    pub(crate) fn is_cold(&self) -> bool {
        self.flush.is_some()
    }

    /// As [`Stopwatch::time_ms`], with the caches as they are.
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

    /// Enqueues at once and takes its time only when waited for, as a GPU does.
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
