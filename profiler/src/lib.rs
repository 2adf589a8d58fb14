//! Times networks on a device so that each number carries its own proof.
//!
//! A [`Workload`] is what a network looks like from here: something to enqueue and to wait for. A [`Stopwatch`] times one run
//! of it, on the device's own clock where the device has one. A [`StopRule`] says when enough runs are seen, and [`Summary`]
//! turns them into a median with its interval. [`run`] does that for a whole draw of architectures, between anchors that show
//! drift and repeats that show the noise, and says at the end whether the numbers can be trusted ([`Verdict`]).
//!
//! Invariants: a host clock is never read around work that has not been waited for; what is timed is the pruned graph of
//! exactly one architecture; rows are handed to the sink one by one, so that a killed run loses one row at most; without a GPU
//! everything here works on the CPU and on [`DeviceSpec::Fake`], whose truth is known ([`fake_latency_ms`]).

mod allocator;
mod bench;
mod builder;
mod cache_flush;
mod clock;
mod compare;
mod cuda;
mod cuda_graph;
mod device;
mod doctor;
mod drift;
mod error;
mod fake;
mod header;
mod libtorch;
mod lost;
mod memory_peak;
mod module;
mod op_bench;
mod operating_point;
mod options;
mod plan;
mod probes;
mod reference;
mod resident;
mod rounds;
mod row;
mod runner;
mod schedule;
mod sink;
mod soak;
mod stop;
mod summary;
mod telemetry;
mod testbed;
mod throttle;
mod timer;
mod torch_context;
mod verdict;
mod workload;

pub use clock::{CpuStopwatch, Stopwatch};
pub use compare::{Change, Comparison, RATIO_MEANT, RowPair, compare};
pub use cuda::CudaStopwatch;
pub use device::{Available, DeviceSpec, available};
pub use doctor::{Certificate, Finding, Grade, examine};
pub use error::ProfileError;
pub use fake::{
    FakeFaults, FakeStopwatch, FakeTestbed, FakeWorkload, fake_graph_ms, fake_latency_ms,
};
pub use header::{LIBTORCH_VERSION, header};
pub use libtorch::{CudaStatus, enable_cuda};
pub use lost::{is_sticky, lost_row};
pub use memory_peak::MemoryPeak;
pub use module::time_module;
pub use op_bench::{OpRow, measure_ops};
pub use operating_point::{check_point, usual_point};
pub use options::ProfileOptions;
pub use plan::{Plan, plan};
pub use probes::{PROBES, Probe, ProbeEntry, Quantity, Reading, find_probe};
pub use reference::{PairedStopwatch, calibrate_reference};
pub use row::measure_one;
pub use runner::{Event, judge, next_task, run, run_on};
pub use schedule::{ANCHORS, Task, schedule};
pub use sink::RowSink;
pub use stop::{MedianInterval, StopRule};
pub use summary::Summary;
pub use telemetry::{CpuSensor, NvmlSensor, Sensor, Telemetry};
pub use testbed::{Testbed, TorchTestbed, open};
pub use verdict::Verdict;
pub use workload::{NetWorkload, Workload};
