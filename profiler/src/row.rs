//! Rows: one measured alone, and the empty one.

use std::time::SystemTime;

use lat_data::{Measurement, Role, Status};
use lat_space::{Architecture, SearchSpace};

use crate::bench::Bench;
use crate::{ProfileError, ProfileOptions, Task, open};

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
    Ok(Bench::new(bed.as_mut(), space, options)?.measure(task, architecture, None))
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

#[cfg(test)]
mod tests {
    use lat_data::{Mode, OperatingPoint};
    use lat_space::{count, find_skeleton, find_space};

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
        // 10 ms of warm-up and 10 ms of timed runs at least, all of it on the device's clock.
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
