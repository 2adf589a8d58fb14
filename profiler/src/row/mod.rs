//! Rows before they are measured: the task, and the empty row.

mod task;

use std::time::SystemTime;

use lat_data::{Measurement, Status};

pub use task::Task;

/// A row without any value.
pub(crate) fn blank(task: Task) -> Measurement {
    Measurement {
        index: task.index,
        role: task.role,
        occurrence: task.occurrence,
        attempt: 0,
        architecture: String::new(),
        status: Status::Failed,
        reason: String::new(),
        latency_ms: f64::NAN,
        latency_eager_ms: f64::NAN,
        latency_graph_ms: f64::NAN,
        launch_bound: None,
        latency_raw_ms: f64::NAN,
        latency_mad_ms: f64::NAN,
        latency_q1_ms: f64::NAN,
        latency_q3_ms: f64::NAN,
        latency_min_ms: f64::NAN,
        latency_ci_low_ms: f64::NAN,
        latency_ci_high_ms: f64::NAN,
        latency_p90_ms: f64::NAN,
        latency_p99_ms: f64::NAN,
        n_runs: 0,
        n_discarded: 0,
        n_warmup: 0,
        params: 0,
        multiply_adds: 0,
        peak_memory_mib: None,
        peak_rss_mib: None,
        energy_mj: None,
        clock_mhz: None,
        temperature_c: None,
        power_w: None,
        throttle_reasons: None,
        timed_s: 0.0,
        wall_s: 0.0,
        unix_s: 0.0,
    }
}

/// Seconds since 1970.
pub(crate) fn unix_s() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
