//! Measures one row: an architecture is built, timed and measured.

use lat_data::{Measurement, Role};
use lat_space::{Architecture, Graph, SearchSpace, count};

use super::schedule::measures_energy;
use crate::memory::resident::ResidentPeak;
use crate::row::{blank, unix_s};
use crate::timer::{Timer, Timing};
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload, open};

/// Measures one architecture after another on one testbed.
pub(crate) struct Bench<'a> {
    pub(crate) bed: &'a mut dyn Testbed,
    pub(crate) space: &'a dyn SearchSpace,
    options: &'a ProfileOptions,
    /// The space's graph with all candidates, built once.
    graph: Graph,
    timer: Timer,
    /// When the previous row ended. A row's wall time starts there, so that the time to write rows is included.
    last_end_s: f64,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// [`ProfileError::Option`] and the like if options are out of range.
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
            timer: Timer::new(options)?,
            last_end_s,
        })
    }

    /// The first row's wall time starts now.
    pub(crate) fn restart_wall(&mut self) {
        self.last_end_s = self.bed.now_s();
    }

    /// Loads the network of a task, ready to run.
    pub(crate) fn load(
        &mut self,
        architecture: &Architecture,
        task: Task,
    ) -> Result<Box<dyn Workload>, ProfileError> {
        self.bed.load(&self.timed_graph(architecture), task)
    }

    /// The network that is timed: derived, and without the auxiliary head.
    fn timed_graph(&self, architecture: &Architecture) -> Graph {
        self.graph.derive(architecture).without_auxiliary()
    }

    /// Measures the row of a task. If the network cannot be built or run, the row has [`lat_data::Status::Failed`] and the
    /// reason. `next` is the task that will be asked for afterwards, so that its network can be built in the meantime.
    pub(crate) fn measure(
        &mut self,
        task: Task,
        architecture: &Architecture,
        next: Option<(Task, &Architecture)>,
    ) -> Measurement {
        let derived = self.graph.derive(architecture);
        let cost = count(&derived);
        let is_alone = self.options.is_fresh && self.options.device == DeviceSpec::Cpu;
        let memory = if is_alone { ResidentPeak::begin() } else { None };
        let timing = self.time(&derived.without_auxiliary(), task, next);
        let end_s = self.bed.now_s();
        let row = Measurement {
            peak_rss_mib: memory.and_then(|memory| memory.grown_mib()),
            architecture: self.space.format(architecture),
            params: cost.params,
            multiply_adds: cost.multiply_adds,
            wall_s: end_s - self.last_end_s,
            unix_s: unix_s(),
            ..blank(task)
        };
        self.last_end_s = end_s;
        match timing {
            Ok(timing) => timing.fill(row),
            Err(error) => Measurement { reason: error.to_string(), ..row },
        }
    }

    fn time(
        &mut self,
        graph: &Graph,
        task: Task,
        next: Option<(Task, &Architecture)>,
    ) -> Result<Timing, ProfileError> {
        let work = self.bed.load(graph, task)?;
        if let Some((task, architecture)) = next {
            self.bed.announce(&self.timed_graph(architecture), task);
        }
        let with_energy = measures_energy(task, self.options);
        self.timer.time(self.bed, work, with_energy)
    }
}

/// Measures one architecture as a run would, for example the one that `lat search` derived or that a user asks about. If it
/// cannot be measured, the row has [`lat_data::Status::Failed`]. Nothing is drawn, so the number of samples in the options may be
/// larger than the space.
///
/// # Errors
/// [`ProfileError`] if the options are out of range, the architecture does not belong to the space, or the device does not
/// answer.
pub fn measure_one(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    architecture: &Architecture,
) -> Result<Measurement, ProfileError> {
    space.check(architecture)?;
    let mut bed = open(options)?;
    let task = Task { role: Role::Sample, index: 0, occurrence: 0 };
    Ok(Bench::new(bed.as_mut(), space, options)?.measure(task, architecture, None))
}

#[cfg(test)]
mod tests {
    use lat_data::{Mode, OperatingPoint, Status};
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::{DeviceSpec, FakeTestbed, fake_graph_ms, fake_latency_ms};

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
        // At least 10 ms of warm-up and 10 ms of timed runs, all on the device's clock.
        assert!(row.timed_s >= 0.02 && (row.wall_s - row.timed_s).abs() < 1e-9);
        assert_eq!(row.clock_mhz, Some(1000.0));
    }

    #[test]
    fn replayed_runs_are_timed_beside_eager_ones_and_need_no_warm_up_by_time() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let point = OperatingPoint { mode: Mode::Both, ..OperatingPoint::default() };
        let options = ProfileOptions { point, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        let architecture = space.at(9_000);
        let row = measure_one(space.as_ref(), &options, &architecture).unwrap();
        let graph = space.graph(&skeleton).derive(&architecture).without_auxiliary();
        let off = |found: f64, truth: f64| (found / truth - 1.0).abs();
        assert!(off(row.latency_eager_ms, fake_latency_ms(&graph, 1)) < 0.01, "{row:?}");
        assert!(off(row.latency_graph_ms, fake_graph_ms(&graph, 1)) < 0.01, "{row:?}");
        assert_eq!((row.n_warmup, row.launch_bound), (2, Some(true)));
        let eager = measure_one(
            space.as_ref(),
            &ProfileOptions { point: OperatingPoint::default(), ..options },
            &architecture,
        );
        assert!(eager.unwrap().n_warmup > 10, "ten milliseconds of them");
    }

    #[test]
    fn a_throttled_row_is_retried_then_marked_and_later_ones_are_not() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        let mut bed = FakeTestbed::new(0, 1);
        bed.faults.throttled.insert(12);
        let mut bench = Bench::new(&mut bed, space.as_ref(), &options).unwrap();
        let rows: Vec<_> =
            (0..20).map(|i| bench.measure(sample(i), &space.at(5000), None)).collect();
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(row.status == Status::Throttled, i == 12, "row {i}: {:?}", row.status);
        }
        // Pauses of 50, 75 and 112.5 ms.
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
