use std::time::{Duration, Instant};

use lat_space::Graph;
use tch::{Device, Tensor};

use crate::{
    CpuSensor, CudaStopwatch, DeviceSpec, FakeTestbed, NetWorkload, NvmlSensor, PairedStopwatch,
    ProfileError, ProfileOptions, Sensor, Stopwatch, Task, Workload,
};

/// A device with all that measuring on it takes. The runner knows nothing else of devices.
pub trait Testbed {
    /// Builds the network of a derived graph on the device. `task` says what for, so that the fake device can answer the same
    /// whenever a row is measured.
    ///
    /// # Errors
    /// Where the network cannot be built; the run then goes on with the next.
    fn load(&mut self, graph: &Graph, task: Task) -> Result<Box<dyn Workload>, ProfileError>;

    /// What times runs.
    fn stopwatch(&mut self) -> &mut dyn Stopwatch;

    /// What reads the device's state.
    fn sensor(&mut self) -> &mut dyn Sensor;

    /// Seconds since some moment in the past, on the clock that the device lives by.
    fn now_s(&self) -> f64;

    /// Lets the device rest.
    fn pause(&mut self, seconds: f64);
}

impl std::fmt::Debug for dyn Testbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Testbed at {:.3} s", self.now_s())
    }
}

/// The device of the options, ready to measure.
///
/// # Errors
/// [`ProfileError::Cuda`] where the GPU does not answer, [`ProfileError::Network`] where it has no room for a batch.
pub fn open(options: &ProfileOptions) -> Result<Box<dyn Testbed>, ProfileError> {
    Ok(match options.device {
        DeviceSpec::Fake => Box::new(FakeTestbed::new(options.seed, options.batch)),
        _ => Box::new(TorchTestbed::new(options)?),
    })
}

/// The CPU or a GPU, through libtorch.
pub struct TorchTestbed {
    input: Tensor,
    stopwatch: Box<dyn Stopwatch>,
    sensor: Box<dyn Sensor>,
    origin: Instant,
}

impl TorchTestbed {
    /// The testbed for the options' device, batch and resolution.
    ///
    /// # Errors
    /// As [`open`].
    pub fn new(options: &ProfileOptions) -> Result<Self, ProfileError> {
        crate::enable_cuda();
        let (device, stopwatch, sensor): (_, Box<dyn Stopwatch>, Box<dyn Sensor>) =
            match options.device {
                DeviceSpec::Cuda(ordinal) => (
                    Device::Cuda(ordinal as usize),
                    Box::new(CudaStopwatch::new(ordinal)?),
                    Box::new(NvmlSensor::new(ordinal)),
                ),
                _ => (
                    Device::Cpu,
                    Box::new(PairedStopwatch::new(options.reference_ms)?),
                    Box::new(CpuSensor),
                ),
            };
        let input = NetWorkload::input(options.batch, &options.skeleton, device)?;
        Ok(Self { input, stopwatch, sensor, origin: Instant::now() })
    }
}

impl std::fmt::Debug for TorchTestbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TorchTestbed").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Testbed for TorchTestbed {
    fn load(&mut self, graph: &Graph, _: Task) -> Result<Box<dyn Workload>, ProfileError> {
        Ok(Box::new(NetWorkload::new(graph, &self.input)?))
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
