//! Contracts of all probes: each finds the true value of the fake device.

use lat_data::{Role, Status};
use lat_profiler::{
    DeviceSpec, FakeTestbed, MedianInterval, PROBES, ProfileOptions, Task, Testbed,
    fake_latency_ms, measure_one,
};
use lat_space::{Graph, SPACES, SearchSpace, architecture_at, peak_memory_bytes};

use crate::planted_space::PlantedSpace;
use crate::toy;

/// The fake device's true value of the quantity that a probe measures.
fn truth(column: &str, graph: &Graph, batch: u32) -> f64 {
    match column {
        "latency_ms" => fake_latency_ms(graph, batch),
        // 50 W are 50 mJ per millisecond.
        "energy_mj" => 50.0 * fake_latency_ms(graph, batch),
        "peak_memory_mib" => peak_memory_bytes(graph, batch, 4) as f64 / f64::from(1 << 20),
        _ => panic!("the fake device has no truth for {column}: give it one, and name it here"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn every_probe_finds_the_fake_devices_truth() {
    for entry in PROBES {
        for space in SPACES.iter().map(|build| build()) {
            let graph = space.graph(&toy::skeleton(space.as_ref()));
            let mut truths = Vec::new();
            for (i, batch) in (0..20).flat_map(|i| [1, 16].map(|batch| (i, batch))) {
                let architecture = architecture_at(space.as_ref(), 9, i).unwrap();
                let derived = graph.derive(&architecture).without_auxiliary();
                let mut bed = FakeTestbed::new(4, batch);
                let task = Task { role: Role::Sample, index: i, occurrence: 0 };
                let mut work = bed.load(&derived, task).unwrap();
                let mut stop = MedianInterval::with_cap(80.0);
                let mut probe = (entry.build)();
                let reading = probe.read(&mut bed, work.as_mut(), &mut stop).unwrap();
                assert!(!reading.samples.is_empty(), "{:?}", entry.quantity);
                let truth = truth(&entry.quantity.column(), &derived, batch);
                let error = median(reading.samples) / truth - 1.0;
                // Five standard errors of the median of ten runs with 1 % of noise: 5 * 1.25 * 1 % / sqrt(10).
                let name = entry.quantity.name;
                assert!(error.abs() < 0.02, "{name} of {} {i}: off by {error}", space.id());
                truths.push(truth);
            }
            truths.sort_by(f64::total_cmp);
            assert!(truths[39] > 1.1 * truths[0], "architectures differ, else nothing is shown");
        }
    }
}

#[test]
fn one_architecture_is_measured_where_there_are_fewer_than_a_run_draws() {
    let space = PlantedSpace::new();
    let options = ProfileOptions::new(toy::skeleton(&space), DeviceSpec::Fake);
    assert!(space.size() < u128::from(options.samples));
    let row = measure_one(&space, &options, &space.at(0)).unwrap();
    assert_eq!(row.status, Status::Converged, "{}", row.reason);
}
