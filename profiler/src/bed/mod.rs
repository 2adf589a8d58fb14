//! Testbeds: a device with everything needed to measure on it.

mod builder;
mod fake;
mod graph_workload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lat_data::{Mode, Precision};
use lat_device::{CacheFlush, Stream, allow_tf32, choose_by_trial, enable_cuda};
use lat_nn::WeightArena;
use lat_space::Graph;
use tch::{Device, Tensor};

use crate::options::operating_point::kind;
use crate::{
    CpuSensor, CpuStopwatch, CudaStopwatch, DeviceSpec, NetWorkload, NvmlSensor, PairedStopwatch,
    ProfileError, ProfileOptions, Sensor, Stopwatch, Task, Workload,
};
use builder::Builder;
pub use fake::{
    FakeFaults, FakeStopwatch, FakeTestbed, FakeWorkload, fake_graph_ms, fake_latency_ms,
};
use graph_workload::GraphWorkload;

/// A device with everything needed to measure on it. It is the only thing that the runner knows of devices.
pub trait Testbed {
    /// Builds the network of a derived graph on the device. `task` is the row that it is for, so that the fake device gives the
    /// same times whenever a row is measured.
    ///
    /// # Errors
    /// If the network cannot be built; the run then continues with the next one.
    fn load(&mut self, graph: &Graph, task: Task) -> Result<Box<dyn Workload>, ProfileError>;

    /// Announces the next call of [`Testbed::load`], so that a device may begin to build the network.
    fn announce(&mut self, _graph: &Graph, _task: Task) {}

    /// Turns a warmed-up workload into one that replays its run as one CUDA graph.
    ///
    /// # Errors
    /// If the device cannot do this, or if the run cannot be captured.
    fn capture(&mut self, work: Box<dyn Workload>) -> Result<Box<dyn Workload>, ProfileError>;

    /// The stopwatch that times runs.
    fn stopwatch(&mut self) -> &mut dyn Stopwatch;

    /// The sensor that reads the device's state.
    fn sensor(&mut self) -> &mut dyn Sensor;

    /// Seconds since some moment in the past, on the device's clock (virtual for the fake device).
    fn now_s(&self) -> f64;

    /// Lets the device rest.
    fn pause(&mut self, seconds: f64);
}

impl std::fmt::Debug for dyn Testbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Testbed at {:.3} s", self.now_s())
    }
}

/// Opens the device in the options, ready to measure.
///
/// # Errors
/// [`ProfileError::Driver`] if the GPU does not answer, [`ProfileError::Network`] if it has not enough memory for a batch.
pub fn open(options: &ProfileOptions) -> Result<Box<dyn Testbed>, ProfileError> {
    Ok(match options.device {
        DeviceSpec::Fake => Box::new(FakeTestbed::new(options.seed, options.batch)),
        _ => Box::new(TorchTestbed::new(options)?),
    })
}

/// The CPU or a GPU, through libtorch.
pub struct TorchTestbed {
    arena: Arc<WeightArena>,
    input: Tensor,
    stopwatch: Box<dyn Stopwatch>,
    sensor: Box<dyn Sensor>,
    /// The stream on which runs are captured, if the mode requires it.
    stream: Option<Stream>,
    /// Builds networks ahead, for a GPU only. A CPU is the device being measured and must not have other work at the same time.
    builder: Option<Builder>,
    origin: Instant,
}

impl TorchTestbed {
    /// The testbed for the options' device, operating point, batch and resolution.
    ///
    /// # Errors
    /// The errors of [`open`].
    pub fn new(options: &ProfileOptions) -> Result<Self, ProfileError> {
        enable_cuda();
        match options.device {
            DeviceSpec::Cuda(ordinal) => Self::on_gpu(options, ordinal),
            _ => Self::on_cpu(options),
        }
    }

    fn on_cpu(options: &ProfileOptions) -> Result<Self, ProfileError> {
        let (arena, input) = arena(options, Device::Cpu)?;
        let clock = match options.point.cold {
            true => CpuStopwatch::flushing(CacheFlush::new(Device::Cpu)?),
            false => CpuStopwatch::default(),
        };
        Ok(Self {
            arena,
            input,
            stopwatch: Box::new(PairedStopwatch::new(options.reference_ms, clock)?),
            sensor: Box::new(CpuSensor),
            stream: None,
            builder: None,
            origin: Instant::now(),
        })
    }

    fn on_gpu(options: &ProfileOptions, ordinal: u32) -> Result<Self, ProfileError> {
        let device = Device::Cuda(ordinal as usize);
        let allowed = options.point.precision == Precision::Tf32;
        allow_tf32(allowed)?;
        choose_by_trial()?;
        let mut stopwatch = match options.point.mode {
            Mode::Eager => CudaStopwatch::new(ordinal)?,
            Mode::Graph | Mode::Both => CudaStopwatch::on_side_stream(ordinal)?,
        };
        let stream = (options.point.mode != Mode::Eager).then(|| stopwatch.stream());
        let (arena, input) = arena(options, device)?;
        if options.point.cold {
            stopwatch = stopwatch.flushing(CacheFlush::new(device)?);
        }
        let builder = Builder::new(Arc::clone(&arena), input.shallow_clone());
        Ok(Self {
            arena,
            input,
            stopwatch: Box::new(stopwatch),
            sensor: Box::new(NvmlSensor::new(ordinal)),
            stream,
            builder: Some(builder),
            origin: Instant::now(),
        })
    }
}

fn arena(
    options: &ProfileOptions,
    device: Device,
) -> Result<(Arc<WeightArena>, Tensor), ProfileError> {
    let point = options.point;
    let arena = WeightArena::new(device, kind(point.precision), point.channels_last);
    let input = arena.images(options.batch, options.skeleton.resolution)?;
    Ok((arena, input))
}

impl std::fmt::Debug for TorchTestbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TorchTestbed").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Testbed for TorchTestbed {
    fn load(&mut self, graph: &Graph, task: Task) -> Result<Box<dyn Workload>, ProfileError> {
        let ahead = self.builder.as_mut().and_then(|builder| builder.take(task));
        let work = ahead.unwrap_or_else(|| NetWorkload::new(graph, &self.arena, &self.input))?;
        Ok(Box::new(work))
    }

    fn announce(&mut self, graph: &Graph, task: Task) {
        if let Some(builder) = &mut self.builder {
            builder.begin(graph, task);
        }
    }

    fn capture(&mut self, work: Box<dyn Workload>) -> Result<Box<dyn Workload>, ProfileError> {
        let stream = self.stream.as_ref().ok_or_else(|| ProfileError::Option {
            name: "the mode",
            expected: "eager, since this testbed captures no CUDA graphs",
            found: "graph".into(),
        })?;
        Ok(Box::new(GraphWorkload::capture(work, stream)?))
    }

    fn stopwatch(&mut self) -> &mut dyn Stopwatch {
        self.stopwatch.as_mut()
    }

    fn sensor(&mut self) -> &mut dyn Sensor {
        self.sensor.as_mut()
    }

    fn now_s(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    fn pause(&mut self, seconds: f64) {
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }
}
