//! Times networks on a device in such a way that each number can be checked.
//!
//! A [`Workload`] is a network as seen from here: something to enqueue and to wait for. A [`Stopwatch`] times one run of it, on
//! the device's own clock if it has one. A [`StopRule`] decides when there are enough runs, and [`Summary`] turns them into a
//! median with its interval. [`run`] does this for a whole draw of architectures. In between it measures anchors, which show
//! drift, and repeats, which show the noise. At the end it says whether the numbers can be trusted ([`Verdict`]).
//!
//! Invariants: the host's clock is never read around work that has not been waited for. What is timed is the pruned graph of
//! exactly one architecture. Rows are passed to the sink one by one, so that a killed run loses at most one row. Without a GPU
//! everything here works on the CPU and on [`DeviceSpec::Fake`], whose true latencies are known ([`fake_latency_ms`]).

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

pub use alone::{ModuleInput, NetTiming, OpRow, measure_ops, not_a_module, time_module, time_net};
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
