//! The meaning of each column of a run; the page explains all of them.

/// The meaning of each column of `measurements.parquet` (and field of `rows.jsonl`).
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("index", "number of the architecture in the run's draw (of an anchor: among the anchors)"),
    (
        "role",
        "why it was measured: sample (drawn for the data), anchor (one of four, measured again and again to see drift), repeat (a sample measured a second time in the same process), fresh (a second time by a process of its own)",
    ),
    (
        "occurrence",
        "how often the same was measured before under this role: the round of an anchor",
    ),
    ("attempt", "how often this very row was measured before; the last attempt counts"),
    (
        "superseded",
        "whether a later attempt replaces the row; such rows are kept and count for nothing",
    ),
    ("architecture", "the architecture in its space's text form"),
    (
        "status",
        "converged: the 95 % interval of the median is as narrow as asked (1 % to either side by default); capped: the time cap came first, interval within 5 %; noisy: cap came first, wider than 5 %; throttled: the clock stayed below the run's own level; failed: not built or not run",
    ),
    ("reason", "why it failed"),
    ("latency_ms", "median of the timed runs, milliseconds per batch: the number to use"),
    ("latency_eager_ms", "median of runs with all launches, as PyTorch makes them"),
    (
        "latency_graph_ms",
        "median of replays as one CUDA graph: the device's own time without launches",
    ),
    (
        "launch_bound",
        "whether eager time is over 1.25 times graph time: launches, not arithmetic, take the time",
    ),
    (
        "latency_raw_ms",
        "median of what the clock showed: differs from latency_ms on a CPU, where each run is corrected by a reference network that runs before and after it",
    ),
    ("latency_mad_ms", "median absolute deviation: half of the runs are within this of the median"),
    ("latency_q1_ms", "lower quartile: a quarter of the runs were faster"),
    ("latency_q3_ms", "upper quartile: a quarter of the runs were slower"),
    ("latency_min_ms", "fastest run"),
    (
        "latency_ci_low_ms",
        "lower end of the 95 % interval of the median (order statistics, no distribution assumed)",
    ),
    ("latency_ci_high_ms", "upper end of that interval"),
    ("latency_p90_ms", "90th percentile: one run in ten was slower; needs 64 runs"),
    ("latency_p99_ms", "99th percentile; needs 662 runs"),
    ("n_runs", "timed runs behind the median"),
    ("n_discarded", "timed runs thrown away and made again since the clock was low"),
    ("n_warmup", "runs before the timed ones"),
    ("params", "trainable parameters"),
    ("multiply_adds", "multiply-adds for one image"),
    (
        "peak_memory_mib",
        "memory for activations at their peak and for weights, MiB, counted over the graph",
    ),
    (
        "peak_rss_mib",
        "growth of the process's resident memory at its peak, MiB, in rows that a fresh process of their own measured on a CPU",
    ),
    ("energy_mj", "energy of one batch, millijoules, on the rows it was measured on"),
    ("clock_mhz", "clock of the device after the runs"),
    ("temperature_c", "temperature of the device"),
    ("power_w", "power drawn by the device"),
    ("throttle_reasons", "reasons for throttling that the driver gives; empty: none"),
    ("timed_s", "seconds inside warm-up and timed runs"),
    ("wall_s", "seconds spent on the row altogether, building included"),
    ("unix_s", "when the row was done, seconds since 1970"),
];

/// Names and meanings as table rows.
pub(super) fn explained() -> Vec<Vec<String>> {
    COLUMNS.iter().map(|(name, what)| vec![(*name).to_owned(), (*what).to_owned()]).collect()
}
