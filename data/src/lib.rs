//! Everything on disk: measurements, latency tables, and image sets. Only this crate opens data files; it has no libtorch.

mod measurement;

pub use measurement::{Measurement, Role, RunHeader, Status};
