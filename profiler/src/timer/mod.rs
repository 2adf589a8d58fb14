//! Times one workload: warm-up, runs until the stop rule ends them, then the other probes.

mod throttle;

use lat_data::{Measurement, Mode, Status, median};

use crate::options::operating_point::is_launch_bound;
use crate::timing::summary::is_spread_by_correction;
use crate::timing::workload::Passes;
use crate::{
    MedianInterval, Probe, ProfileError, ProfileOptions, Reading, StopRule, Summary, Telemetry,
    Testbed, Workload, find_probe,
};
use throttle::ClockLevel;

/// The fewest runs before the timed ones: the first picks algorithms and allocates, the second shows whether that is over.
const FEWEST_WARMUP_RUNS: u32 = 2;
/// The most times that a row is timed again because the clock was low.
const THROTTLE_RETRIES: i32 = 3;
/// Pause before the first of these retries; each further one is 1.5 times as long.
const THROTTLE_REST_S: f64 = 0.05;
/// If one pass of a workload takes less than this share of the reference run, a run consists of several passes, until it takes as
/// long.
const SHORT: f64 = 0.25;
/// The most passes in a run.
const MOST_PASSES: f64 = 1e4;

/// Times workloads of any kind: architectures of a space or a user's own network.
pub(crate) struct Timer {
    mode: Mode,
    warmup_ms: f64,
    latency: Box<dyn Probe>,
    peak_memory: Box<dyn Probe>,
    energy: Box<dyn Probe>,
    stop: MedianInterval,
    clocks: ClockLevel,
    /// Seconds inside warm-up and timed runs of the current workload.
    timed_s: f64,
}

/// The results from which a row is made.
pub(crate) struct Timing {
    series: Series,
    summary: Summary,
    eager_ms: f64,
    graph_ms: f64,
    peak_memory_mib: Option<f64>,
    energy_mj: Option<f64>,
    mode: Mode,
    /// Half-width of the median's interval that the stop rule asks for, relative.
    rel_half_width: f64,
    timed_s: f64,
}

/// One series of runs.
struct Series {
    reading: Reading,
    /// The clock's readings, if values are corrected; milliseconds of one pass, like the values.
    raw_ms: Vec<f64>,
    n_passes: u32,
    telemetry: Telemetry,
    throttled: bool,
    n_discarded: u32,
    n_warmup: u32,
}

/// A workload as it was timed last, its series, and the medians of eager and of replayed runs.
type Timed = (Box<dyn Workload>, Series, [f64; 2]);

impl Timer {
    /// A timer with these options.
    ///
    /// # Errors
    /// None in practice: all its probes are in the table.
    pub(crate) fn new(options: &ProfileOptions) -> Result<Self, ProfileError> {
        Ok(Self {
            mode: options.point.mode,
            warmup_ms: options.warmup_ms,
            latency: find_probe("latency")?,
            peak_memory: find_probe("peak_memory")?,
            energy: find_probe("energy")?,
            stop: MedianInterval::with_cap(options.max_ms),
            clocks: ClockLevel::default(),
            timed_s: 0.0,
        })
    }

    /// Limits each series to this many milliseconds by the clock, however they are spent.
    pub(crate) fn within_wall_ms(mut self, wall_ms: f64) -> Self {
        self.stop.wall_ms = wall_ms;
        self
    }

    /// Warms up and times.
    ///
    /// # Errors
    /// Errors of the workload or the device.
    pub(crate) fn time(
        &mut self,
        bed: &mut dyn Testbed,
        work: Box<dyn Workload>,
        with_energy: bool,
    ) -> Result<Timing, ProfileError> {
        self.timed_s = 0.0;
        let (mut work, series, [eager_ms, graph_ms]) = self.time_modes(bed, work)?;
        let summary = self.summary(&series)?;
        let memory = self.peak_memory.as_mut();
        let peak_memory_mib = read_one(memory, bed, work.as_mut(), &mut self.stop)?;
        let mut energy_mj = None;
        if with_energy {
            let begin_s = bed.now_s();
            energy_mj = read_one(self.energy.as_mut(), bed, work.as_mut(), &mut self.stop)?;
            self.timed_s += bed.now_s() - begin_s;
        }
        Ok(Timing {
            series,
            summary,
            eager_ms,
            graph_ms,
            peak_memory_mib,
            energy_mj,
            mode: self.mode,
            rel_half_width: self.stop.rel_half_width,
            timed_s: self.timed_s,
        })
    }

    /// The workload as it was timed last, the series for the row, and the medians of eager and of replayed runs (NaN if the mode
    /// does not need them).
    fn time_modes(
        &mut self,
        bed: &mut dyn Testbed,
        mut work: Box<dyn Workload>,
    ) -> Result<Timed, ProfileError> {
        let mode = self.mode;
        let mut eager_ms = f64::NAN;
        if mode == Mode::Graph {
            self.warm_up(bed, work.as_mut())?;
        } else {
            let series = self.series(bed, work.as_mut())?;
            eager_ms = self.summary(&series)?.median;
            if mode == Mode::Eager {
                return Ok((work, series, [eager_ms, f64::NAN]));
            }
        }
        let mut work = bed.capture(work)?;
        let series = self.series(bed, work.as_mut())?;
        let graph_ms = self.summary(&series)?.median;
        Ok((work, series, [eager_ms, graph_ms]))
    }

    fn summary(&self, series: &Series) -> Result<Summary, ProfileError> {
        Summary::of(&series.reading.samples).ok_or_else(|| ProfileError::NoReading {
            probe: self.latency.quantity().name,
            found: format!("{:?}", series.reading.samples),
        })
    }

    /// Warm-up and timed runs. If the clock was low, they are repeated after a pause.
    fn series(
        &mut self,
        bed: &mut dyn Testbed,
        work: &mut dyn Workload,
    ) -> Result<Series, ProfileError> {
        let (mut retry, mut n_discarded) = (0, 0);
        loop {
            let begin_s = bed.now_s();
            let (n_warmup, warm_ms) = self.warm_up(bed, work)?;
            bed.stopwatch().take_raw_ms();
            let n_passes = passes(warm_ms, bed.stopwatch().reference_ms());
            let mut passes = Passes { of: &mut *work, n: n_passes };
            let mut reading = self.latency.read(bed, &mut passes, &mut self.stop)?;
            let mut raw_ms = bed.stopwatch().take_raw_ms();
            let of_one = |ms: &mut f64| *ms /= f64::from(n_passes);
            reading.samples.iter_mut().chain(&mut raw_ms).for_each(of_one);
            self.timed_s += bed.now_s() - begin_s;
            let telemetry = bed.sensor().read();
            let throttled =
                bed.sensor().judges_by_clock() && self.clocks.is_low(telemetry.clock_mhz);
            if throttled && retry < THROTTLE_RETRIES {
                bed.pause(THROTTLE_REST_S * 1.5f64.powi(retry));
                n_discarded += reading.samples.len() as u32;
                retry += 1;
                continue;
            }
            self.clocks.push(telemetry.clock_mhz);
            return Ok(Series {
                reading,
                raw_ms,
                n_passes,
                telemetry,
                throttled,
                n_discarded,
                n_warmup,
            });
        }
    }

    /// Runs until the warm-up time is over, or only a few times if everything is tuned. Returns the number of runs and the
    /// milliseconds of the last one.
    fn warm_up(
        &self,
        bed: &mut dyn Testbed,
        work: &mut dyn Workload,
    ) -> Result<(u32, f64), ProfileError> {
        let warmup_ms = if work.is_tuned() { 0.0 } else { self.warmup_ms };
        let end_s = bed.now_s() + warmup_ms / 1e3;
        let (mut runs, mut last_ms) = (0, f64::NAN);
        while runs < FEWEST_WARMUP_RUNS || bed.now_s() < end_s {
            last_ms = bed.stopwatch().time_ms(work)?;
            runs += 1;
        }
        Ok((runs, last_ms))
    }
}

/// The number of passes in a run, for a workload whose pass takes `once_ms`; `reference_ms` is the length of a reference run.
fn passes(once_ms: f64, reference_ms: Option<f64>) -> u32 {
    match reference_ms {
        Some(reference_ms) if once_ms < SHORT * reference_ms => {
            (reference_ms / once_ms).ceil().min(MOST_PASSES) as u32
        }
        _ => 1,
    }
}

impl Timing {
    /// Number of passes in a timed run; more than one if the workload is much shorter than the reference run.
    pub(crate) fn n_passes(&self) -> u32 {
        self.series.n_passes
    }

    /// Standard deviation of the timed runs, milliseconds.
    pub(crate) fn sd_ms(&self) -> f64 {
        let samples = &self.series.reading.samples;
        let mean =
            |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / samples.len() as f64;
        let middle = mean(&mut samples.iter().copied());
        mean(&mut samples.iter().map(|ms| (ms - middle).powi(2))).sqrt()
    }

    /// The row, filled with the results.
    pub(crate) fn fill(self, row: Measurement) -> Measurement {
        let Self { series, summary, eager_ms, graph_ms, peak_memory_mib, energy_mj, .. } = self;
        let status = match series.throttled {
            true => Status::Throttled,
            false if is_spread_by_correction(&summary, &series.raw_ms) => Status::Noisy,
            false => summary.status(self.rel_half_width),
        };
        let launch_bound = is_launch_bound(eager_ms, graph_ms);
        Measurement {
            status,
            latency_ms: summary.median,
            latency_eager_ms: eager_ms,
            latency_graph_ms: graph_ms,
            launch_bound: (self.mode == Mode::Both).then_some(launch_bound),
            latency_raw_ms: median(series.raw_ms).unwrap_or(summary.median),
            latency_mad_ms: summary.mad,
            latency_q1_ms: summary.q1,
            latency_q3_ms: summary.q3,
            latency_min_ms: summary.min,
            latency_ci_low_ms: summary.ci_low,
            latency_ci_high_ms: summary.ci_high,
            latency_p90_ms: summary.p90,
            latency_p99_ms: summary.p99,
            n_runs: series.reading.samples.len() as u32,
            n_discarded: series.n_discarded,
            n_warmup: series.n_warmup,
            peak_memory_mib,
            energy_mj,
            clock_mhz: series.telemetry.clock_mhz,
            temperature_c: series.telemetry.temperature_c,
            power_w: series.telemetry.power_w,
            throttle_reasons: series.telemetry.throttle_reasons,
            timed_s: self.timed_s,
            ..row
        }
    }
}

/// The single value of a probe; None if the device does not give it.
fn read_one(
    probe: &mut dyn Probe,
    bed: &mut dyn Testbed,
    work: &mut dyn Workload,
    stop: &mut dyn StopRule,
) -> Result<Option<f64>, ProfileError> {
    Ok(median(probe.read(bed, work, stop)?.samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_shorter_than_the_reference_is_passed_until_a_run_is_as_long() {
        assert_eq!(passes(0.5, Some(1.0)), 1);
        assert_eq!(passes(0.01, Some(1.0)), 100);
        assert_eq!(passes(1e-9, Some(1.0)), 10_000);
        assert_eq!(passes(1e-9, None), 1, "a clock of the device's own sees single runs");
    }
}
