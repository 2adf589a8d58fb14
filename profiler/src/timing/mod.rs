//! How one run is timed, and when there are enough runs.

mod clock;
mod cuda_stopwatch;
pub(crate) mod reference;
mod stop;
pub(crate) mod summary;
pub(crate) mod workload;

pub use clock::{CpuStopwatch, Stopwatch};
pub use cuda_stopwatch::CudaStopwatch;
pub use reference::{PairedStopwatch, calibrate_reference};
pub use stop::{MedianInterval, StopRule};
pub use summary::Summary;
pub use workload::{NetWorkload, Workload};
