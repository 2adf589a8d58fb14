use std::time::SystemTime;

use lat_data::{Measurement, Role, Status};
use lat_space::{Architecture, Graph, SearchSpace, count};

use crate::throttle::ClockLevel;
use crate::{
    MedianInterval, Probe, ProfileError, ProfileOptions, Reading, Summary, Task, Telemetry,
    Testbed, Workload, find_probe, open,
};

/// Runs before the timed ones at least: the first picks algorithms and allocates, the second shows whether that is over.
const FEWEST_WARMUP_RUNS: u32 = 2;
/// How often a row is timed again because the clock was low.
const THROTTLE_RETRIES: i32 = 3;
/// Rest before the first of these retries; each further one is half as long again.
const THROTTLE_REST_S: f64 = 0.05;

/// Measures one architecture after another on one testbed.
pub(crate) struct Bench<'a> {
    pub(crate) bed: &'a mut dyn Testbed,
    pub(crate) space: &'a dyn SearchSpace,
    options: &'a ProfileOptions,
    /// The space's graph with all candidates, made once.
    graph: Graph,
    probe: Box<dyn Probe>,
    stop: MedianInterval,
    clocks: ClockLevel,
    /// When the row before ended. A row's wall time starts there, so that writing rows down is counted too.
    last_end_s: f64,
}

struct Timing {
    reading: Reading,
    summary: Summary,
    raw_ms: f64,
    n_warmup: u32,
    timed_s: f64,
    telemetry: Telemetry,
    throttled: bool,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// [`ProfileError::Option`] and the like where the options are out of range.
    pub(crate) fn new(
        bed: &'a mut dyn Testbed,
        space: &'a dyn SearchSpace,
        options: &'a ProfileOptions,
    ) -> Result<Self, ProfileError> {
        options.check(space)?;
        let last_end_s = bed.now_s();
        Ok(Self {
            bed,
            space,
            options,
            graph: space.graph(&options.skeleton),
            probe: find_probe("latency")?,
            stop: MedianInterval::with_cap(options.max_ms),
            clocks: ClockLevel::default(),
            last_end_s,
        })
    }

    /// From now on counts as the first row's time.
    pub(crate) fn restart_wall(&mut self) {
        self.last_end_s = self.bed.now_s();
    }

    /// The network of a task, ready to run.
    pub(crate) fn load(
        &mut self,
        architecture: &Architecture,
        task: Task,
    ) -> Result<Box<dyn Workload>, ProfileError> {
        self.bed.load(&self.graph.derive(architecture).without_auxiliary(), task)
    }

    /// The row of a task. What cannot be built or run gives a row too, with [`Status::Failed`] and the reason.
    pub(crate) fn measure(&mut self, task: Task, architecture: &Architecture) -> Measurement {
        let derived = self.graph.derive(architecture);
        let cost = count(&derived);
        let timed = self.time(&derived.without_auxiliary(), task);
        let end_s = self.bed.now_s();
        let row = Measurement {
            architecture: self.space.format(architecture),
            params: cost.params,
            multiply_adds: cost.multiply_adds,
            wall_s: end_s - self.last_end_s,
            unix_s: unix_s(),
            ..blank(task)
        };
        self.last_end_s = end_s;
        match timed {
            Ok(timed) => with_times(row, &timed, self.stop.rel_half_width),
            Err(error) => Measurement { reason: error.to_string(), ..row },
        }
    }

    fn time(&mut self, graph: &Graph, task: Task) -> Result<Timing, ProfileError> {
        let mut work = self.bed.load(graph, task)?;
        let mut timed_s = 0.0;
        let mut retry = 0;
        loop {
            let begin_s = self.bed.now_s();
            let n_warmup = self.warm_up(work.as_mut())?;
            self.bed.stopwatch().take_raw_ms();
            let reading = self.probe.read(self.bed, work.as_mut(), &mut self.stop)?;
            let raw_ms = self.bed.stopwatch().take_raw_ms();
            timed_s += self.bed.now_s() - begin_s;
            let telemetry = self.bed.sensor().read();
            let throttled =
                self.bed.sensor().judges_by_clock() && self.clocks.is_low(telemetry.clock_mhz);
            if throttled && retry < THROTTLE_RETRIES {
                self.bed.pause(THROTTLE_REST_S * 1.5f64.powi(retry));
                retry += 1;
                continue;
            }
            self.clocks.push(telemetry.clock_mhz);
            let summary = Summary::of(&reading.samples).ok_or_else(|| ProfileError::NoReading {
                probe: self.probe.quantity().name,
                found: format!("{:?}", reading.samples),
            })?;
            let raw_ms = raw_ms.unwrap_or(summary.median);
            return Ok(Timing {
                reading,
                summary,
                raw_ms,
                n_warmup,
                timed_s,
                telemetry,
                throttled,
            });
        }
    }

    /// Runs until the warm-up time is over; returns the number of runs.
    fn warm_up(&mut self, work: &mut dyn Workload) -> Result<u32, ProfileError> {
        let end_s = self.bed.now_s() + self.options.warmup_ms / 1e3;
        let mut runs = 0;
        while runs < FEWEST_WARMUP_RUNS || self.bed.now_s() < end_s {
            self.bed.stopwatch().time_ms(work)?;
            runs += 1;
        }
        Ok(runs)
    }
}

/// Measures one architecture as a run would: what `lat search` derived, or what somebody asks about. One that cannot be
/// measured has [`Status::Failed`].
///
/// # Errors
/// [`ProfileError`] where the options are out of range, the architecture is not of the space, or the device does not answer.
pub fn measure_one(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    architecture: &Architecture,
) -> Result<Measurement, ProfileError> {
    space.check(architecture)?;
    let mut bed = open(options)?;
    let task = Task { role: Role::Sample, index: 0, occurrence: 0 };
    Ok(Bench::new(bed.as_mut(), space, options)?.measure(task, architecture))
}

fn with_times(row: Measurement, timed: &Timing, rel_half_width: f64) -> Measurement {
    let Timing { reading, summary, raw_ms, n_warmup, timed_s, telemetry, throttled } = timed;
    let status = if *throttled { Status::Throttled } else { summary.status(rel_half_width) };
    Measurement {
        status,
        latency_ms: summary.median,
        latency_eager_ms: summary.median,
        latency_raw_ms: *raw_ms,
        latency_mad_ms: summary.mad,
        latency_q1_ms: summary.q1,
        latency_q3_ms: summary.q3,
        latency_min_ms: summary.min,
        latency_ci_low_ms: summary.ci_low,
        latency_ci_high_ms: summary.ci_high,
        latency_p90_ms: summary.p90,
        latency_p99_ms: summary.p99,
        n_runs: reading.samples.len() as u32,
        n_warmup: *n_warmup,
        clock_mhz: telemetry.clock_mhz,
        temperature_c: telemetry.temperature_c,
        power_w: telemetry.power_w,
        throttle_reasons: telemetry.throttle_reasons.clone(),
        timed_s: *timed_s,
        ..row
    }
}

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

fn unix_s() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::{DeviceSpec, FakeTestbed, fake_latency_ms};

    fn sample(index: u64) -> Task {
        Task { role: Role::Sample, index, occurrence: 0 }
    }

    #[test]
    fn a_row_carries_its_proof() {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options =
            ProfileOptions { batch: 4, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        let architecture = space.at(123_456_789);
        let row = measure_one(space.as_ref(), &options, &architecture).unwrap();
        let graph = space.graph(&skeleton).derive(&architecture);
        let truth_ms = fake_latency_ms(&graph.without_auxiliary(), 4);
        assert!((row.latency_ms / truth_ms - 1.0).abs() < 0.01, "{} {truth_ms}", row.latency_ms);
        assert_eq!(row.status, Status::Converged);
        assert_eq!(row.params, count(&graph).params);
        assert_eq!(space.parse(&row.architecture).unwrap(), architecture);
        assert!(
            row.latency_ci_low_ms <= row.latency_ms && row.latency_ms <= row.latency_ci_high_ms
        );
        assert!(row.latency_min_ms <= row.latency_q1_ms && row.latency_q1_ms <= row.latency_q3_ms);
        assert!(row.n_runs >= 10 && row.n_warmup >= 2);
        // 10 ms of warm-up and 10 ms of timed runs at least, all of it on the device's clock.
        assert!(row.timed_s >= 0.02 && (row.wall_s - row.timed_s).abs() < 1e-9);
        assert_eq!(row.clock_mhz, Some(1000.0));
    }

    #[test]
    fn a_throttled_row_is_retried_then_marked_and_later_ones_are_not() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        let mut bed = FakeTestbed::new(0, 1);
        bed.faults.throttled.insert(12);
        let mut bench = Bench::new(&mut bed, space.as_ref(), &options).unwrap();
        let rows: Vec<_> = (0..20).map(|i| bench.measure(sample(i), &space.at(5000))).collect();
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(row.status == Status::Throttled, i == 12, "row {i}: {:?}", row.status);
        }
        // Rests of 50, 75 and 112.5 ms.
        assert!((rows[12].wall_s - rows[12].timed_s - 0.2375).abs() < 1e-6);
        assert!(rows[12].timed_s > 3.0 * rows[11].timed_s);
    }

    #[test]
    fn an_architecture_of_another_space_is_an_error() {
        let darts = find_space("darts").unwrap();
        let other = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(darts.as_ref(), "quick").unwrap();
        let options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        assert!(measure_one(darts.as_ref(), &options, &other.at(1)).is_err());
    }

    #[test]
    fn the_cpu_measures_too() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options = ProfileOptions::new(skeleton, DeviceSpec::Cpu);
        let row = measure_one(space.as_ref(), &options, &space.at(9_000)).unwrap();
        assert_ne!(row.status, Status::Failed, "{}", row.reason);
        assert!(row.latency_ms > 0.0 && row.n_runs >= 6 && row.timed_s <= row.wall_s);
    }
}
