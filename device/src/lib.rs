//! Everything that uses drivers and libtorch's own functions: the list of GPUs, libtorch's CUDA half, timing by events, capture,
//! the allocator, caches, sensors, the ranks of a job, TorchScript modules.
//!
//! Invariants: all `unsafe` code of the program, its CUDA bindings and its C++ are here. A machine without a GPU, a driver or
//! libtorch's CUDA half gets an error or None, and no crash. Nothing here knows what a network is, or why it is timed.

pub mod allocator;
mod cache_flush;
mod cuda;
mod cuda_graph;
mod error;
mod events;
mod launch;
mod libtorch;
mod nvml;
mod process_group;
mod script_module;
mod sleep;
mod telemetry;
mod torch_context;

pub use cache_flush::CacheFlush;
pub use cuda::Stream;
pub use cuda_graph::CapturedRun;
pub use error::DeviceError;
pub use events::Events;
pub use launch::Launch;
pub use libtorch::{
    CudaStatus, LIBTORCH_VERSION, cuda_runtime_version, cudnn_version, enable_cuda,
};
pub use nvml::{Card, driver_version};
pub use process_group::ProcessGroup;
pub use script_module::{Argument, ScriptModule};
pub use sleep::sleep;
pub use telemetry::{CpuSensor, NvmlSensor, Sensor, Telemetry};
pub use torch_context::{CUDNN_CHOICE, allow_tf32, choose_by_trial};
