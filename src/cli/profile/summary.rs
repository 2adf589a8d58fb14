//! JSON summaries of `lat profile`: of a finished run, and of a planned one.

use std::path::PathBuf;

use lat_profiler::{Plan, ProfileOptions, Verdict};
use serde::Serialize;

/// How a run with `--until` ended, as JSON.
#[derive(Serialize)]
pub(super) struct Ending {
    pub(super) goal_percent: f64,
    pub(super) reached: bool,
    pub(super) rounds: usize,
    pub(super) samples: u64,
    pub(super) chosen_percent: f64,
    pub(super) judged: Option<u64>,
    pub(super) validation_mape: Option<f64>,
    pub(super) validation_low: Option<f64>,
    pub(super) validation_high: Option<f64>,
    /// All of this as one sentence.
    pub(super) text: String,
}

/// The JSON result.
#[derive(Serialize)]
pub(super) struct Summary {
    dir: PathBuf,
    valid: bool,
    verdict: String,
    rows: u64,
    rows_per_s: f64,
    busy_share: f64,
    noise_floor_percent: Option<f64>,
    fresh_noise_percent: Option<f64>,
    drift_percent: Option<f64>,
    drift_spread_percent: Option<f64>,
    superseded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Ending>,
}

pub(super) fn summary(dir: PathBuf, verdict: &Verdict, until: Option<Ending>) -> Summary {
    Summary {
        dir,
        valid: verdict.valid,
        verdict: verdict.text.clone(),
        rows: verdict.done,
        rows_per_s: verdict.rows_per_s,
        busy_share: verdict.busy_share,
        noise_floor_percent: verdict.noise_floor.map(|n| 100.0 * n),
        fresh_noise_percent: verdict.fresh_noise.map(|n| 100.0 * n),
        drift_percent: verdict.drift.map(|d| 100.0 * d),
        drift_spread_percent: verdict.drift_spread.map(|d| 100.0 * d),
        superseded: verdict.n_superseded,
        until,
    }
}

pub(super) fn plan_text(plan: &Plan, options: &ProfileOptions) -> String {
    let Plan {
        rows,
        n_pilot,
        seconds_per_row,
        hours,
        bytes,
        latency_ms,
        latency_range_ms,
        busy_share,
    } = plan;
    let (low, high) = latency_range_ms;
    format!(
        "plan for {} samples on {} (from {n_pilot} measured): {rows} rows, {seconds_per_row:.3} s each, {hours:.2} h, {:.1} MB; \
         latency {latency_ms:.3} ms ({low:.3} to {high:.3}), {:.0} % of the time inside runs",
        options.samples,
        options.device,
        *bytes as f64 / 1e6,
        100.0 * busy_share
    )
}
