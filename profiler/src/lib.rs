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

#![forbid(unsafe_code)]

mod alone;
mod bed;
mod doctor;
mod error;
mod memory;
mod options;
mod probes;
mod row;
mod run;
mod timer;
mod timing;
mod verdict;

pub use alone::{ModuleInput, NetTiming, OpRow, measure_ops, time_module, time_net};
pub use bed::{
    FakeFaults, FakeStopwatch, FakeTestbed, FakeWorkload, Testbed, TorchTestbed, fake_graph_ms,
    fake_latency_ms, open,
};
pub use doctor::{Certificate, Finding, Grade, examine};
pub use error::ProfileError;
pub use lat_device::{
    CpuSensor, CudaStatus, LIBTORCH_VERSION, NvmlSensor, Sensor, Telemetry, enable_cuda,
};
pub use memory::MemoryPeak;
pub use options::{Available, DeviceSpec, ProfileOptions, available, check_point, usual_point};
pub use probes::{PROBES, Probe, ProbeEntry, Quantity, Reading, find_probe};
pub use row::Task;
pub use run::{
    ANCHORS, Event, Plan, RowSink, header, is_sticky, judge, lost_row, measure_one, next_task,
    plan, run, run_on, schedule,
};
pub use timing::{
    CpuStopwatch, CudaStopwatch, MedianInterval, NetWorkload, PairedStopwatch, StopRule, Stopwatch,
    Summary, Workload, calibrate_reference,
};
pub use verdict::{Change, Comparison, RATIO_MEANT, RowPair, Verdict, compare};
