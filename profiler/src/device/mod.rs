//! What touches drivers and libtorch's own functions: the CUDA driver, capture, the allocator, caches, sensors.

pub(crate) mod allocator;
pub(crate) mod cache_flush;
mod cuda;
pub(crate) mod cuda_graph;
pub(crate) mod events;
pub(crate) mod libtorch;
pub(crate) mod telemetry;
pub(crate) mod torch_context;

pub use libtorch::{CudaStatus, LIBTORCH_VERSION, enable_cuda};
pub use telemetry::{CpuSensor, NvmlSensor, Sensor, Telemetry};
