//! Tests that need a GPU. They are ignored by default; scripts/test runs them if there is one.

use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;

use lat_data::{Measurement, Mode, OperatingPoint, Precision, Status};
use lat_nn::{Phase, StaticNet, WeightInit};
use lat_profiler::{CudaStatus, DeviceSpec, ProfileOptions, enable_cuda, header, measure_one, run};
use lat_space::{SPACES, architecture_at, find_space};
use tch::{Device, Kind, Tensor};

use crate::{formula, setup, toy};

/// cuDNN may compute convolutions of `f32` with a mantissa of 10 bits (TF32), which adds up to about 1e-3 over a network. A wrong
/// piece would be off by as much as the values themselves.
const TOLERANCE: f64 = 5e-3;

/// Makes the GPU usable, and locks libtorch's generator.
fn gpu() -> MutexGuard<'static, ()> {
    let generator = setup::exclusive();
    if let CudaStatus::Absent { reason } = enable_cuda() {
        panic!("expected a GPU, found none: {reason}");
    }
    generator
}

#[test]
#[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
fn gpu_and_cpu_compute_the_same() {
    let _generator = gpu();
    for space in SPACES.iter().map(|build| build()) {
        let graph = space.graph(&toy::skeleton(space.as_ref()));
        for i in 0..3 {
            let derived = graph.derive(&architecture_at(space.as_ref(), 8, i).unwrap());
            let net = |device| {
                let derived = derived.without_auxiliary();
                StaticNet::new(derived, device, Phase::Evaluation, WeightInit::Uniform).unwrap()
            };
            let (on_cpu, mut on_gpu) = (net(Device::Cpu), net(Device::Cuda(0)));
            formula::fill(on_cpu.weights());
            on_gpu.weights_mut().copy(on_cpu.weights()).unwrap();
            let images = formula::tensor("x", &[4, 3, 8, 8]);
            let expected = on_cpu.forward(&images).unwrap();
            let found = on_gpu.forward(&images.to_device(Device::Cuda(0))).unwrap();
            assert_eq!(found.device(), Device::Cuda(0));
            let largest = expected.abs().max().double_value(&[]);
            let error = largest_difference(&found.to_device(Device::Cpu), &expected);
            assert!(error <= TOLERANCE * largest, "{} {i}: {error} of {largest}", space.id());
        }
    }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
}

/// Eager and replayed runs of the same network on the same card: a replay saves the launches and nothing else.
#[test]
#[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
fn a_captured_graph_takes_no_longer_than_its_eager_runs() {
    let _generator = gpu();
    let space = find_space("nasbench201").unwrap();
    for precision in Precision::ALL {
        let point = OperatingPoint { mode: Mode::Both, precision, ..OperatingPoint::default() };
        let options = ProfileOptions {
            point,
            ..ProfileOptions::new(toy::skeleton(space.as_ref()), DeviceSpec::Cuda(0))
        };
        let row = measure_one(space.as_ref(), &options, &space.at(15_000)).unwrap();
        assert!(row.latency_graph_ms > 0.0, "{row:?}");
        assert!(row.latency_graph_ms < 1.05 * row.latency_eager_ms, "{row:?}");
        // In a network this small, launches take nearly all the time.
        assert_eq!(row.launch_bound, Some(true), "{row:?}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
fn a_gpu_gives_rows_that_count() {
    let _generator = gpu();
    let cases = SPACES.iter().flat_map(|build| [Mode::Eager, Mode::Graph].map(|m| (build(), m)));
    for (space, mode) in cases {
        let options = ProfileOptions {
            point: OperatingPoint { mode, ..OperatingPoint::default() },
            samples: 3,
            anchors_every: 0,
            repeat_fraction: 0.0,
            soak_s: 1.0,
            ..ProfileOptions::new(toy::skeleton(space.as_ref()), DeviceSpec::Cuda(0))
        };
        let mut rows: Vec<Measurement> = Vec::new();
        let stop = AtomicBool::new(false);
        run(space.as_ref(), &options, &mut rows, &mut |_| {}, &stop).unwrap();
        assert_eq!(rows.len(), 3);
        let versions = header(space.as_ref(), &options).versions;
        assert!(versions.contains(&"peak-memory allocator".to_owned()), "{versions:?}");
        for row in rows {
            // Networks this small do nothing but launch, so the host decides how steady eager runs are.
            let steady = matches!(row.status, Status::Converged | Status::Capped);
            let counts = steady || (mode == Mode::Eager && row.status == Status::Noisy);
            assert!(counts, "{}: {row:?}", space.id());
            assert!(row.latency_ms > 0.0 && row.n_runs >= 10, "{}: {row:?}", space.id());
            // From the allocator, so it is more than the weights alone.
            let weights_mib = row.params as f64 * 4.0 / f64::from(1 << 20);
            assert!(row.peak_memory_mib.unwrap() > weights_mib, "{}: {row:?}", space.id());
        }
    }
}

/// The stream ends together with the graphs that were captured on it. Later work of the same thread must not use it.
#[test]
#[ignore = "needs an NVIDIA GPU; scripts/test runs it where there is one"]
fn after_a_graph_libtorch_is_back_on_the_default_stream() {
    let _generator = gpu();
    let space = find_space("nasbench201").unwrap();
    for mode in [Mode::Graph, Mode::Eager, Mode::Both, Mode::Eager] {
        let options = ProfileOptions {
            point: OperatingPoint { mode, ..OperatingPoint::default() },
            ..ProfileOptions::new(toy::skeleton(space.as_ref()), DeviceSpec::Cuda(0))
        };
        let row = measure_one(space.as_ref(), &options, &space.at(7)).unwrap();
        assert!(row.latency_ms > 0.0, "{row:?}");
        let drawn = Tensor::randn([1000], (Kind::Float, Device::Cuda(0)));
        assert!(drawn.abs().max().double_value(&[]) < 10.0);
    }
}
