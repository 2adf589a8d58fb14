//! A network whose run is replayed as one CUDA graph.

use lat_device::{CapturedRun, Stream};

use crate::{ProfileError, Workload};

/// A captured network.
pub(super) struct GraphWorkload {
    // Declared first, so that it is dropped before the workload that it replays.
    run: CapturedRun,
    eager: Box<dyn Workload>,
}

impl GraphWorkload {
    /// Captures one run of a warmed-up workload, whose libtorch calls go to `stream`.
    ///
    /// # Errors
    /// [`ProfileError::Driver`] or [`ProfileError::Network`] if something in the run cannot be captured.
    pub(super) fn capture(
        mut eager: Box<dyn Workload>,
        stream: &Stream,
    ) -> Result<Self, ProfileError> {
        eager.synchronize()?;
        let run = CapturedRun::capture(stream, || eager.enqueue())?;
        Ok(Self { run, eager })
    }
}

impl Workload for GraphWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        Ok(self.run.launch()?)
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        self.eager.synchronize()
    }

    fn peak_memory_bytes(&self) -> Option<u64> {
        self.eager.peak_memory_bytes()
    }

    fn is_tuned(&self) -> bool {
        // A replay neither picks algorithms nor loads libraries.
        true
    }
}
