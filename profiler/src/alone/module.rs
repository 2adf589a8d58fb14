//! Times a TorchScript module.

use std::path::Path;

use lat_data::{Measurement, OperatingPoint, Role};
use lat_nn::{NnError, guard};
use lat_space::{NasBench201, SearchSpace};
use tch::{CModule, Device, Kind, Tensor};

use crate::open;
use crate::options::operating_point::kind;
use crate::row::{blank, unix_s};
use crate::timer::Timer;
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload};

/// Warm-up of a module: libtorch rewrites it in its first runs, by what it sees there.
const WARMUP_MS: f64 = 300.0;
/// Runs before any is timed, whatever the warm-up's time.
const REWRITING_RUNS: u32 = 5;

/// A `TorchScript` module in evaluation mode with its inputs.
struct ModuleWorkload {
    module: CModule,
    inputs: Vec<Tensor>,
    device: Device,
}

impl Workload for ModuleWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        let output = tch::no_grad(|| self.module.forward_ts(&self.inputs));
        output.map(drop).map_err(|error| NnError::Torch { message: reason(&error.to_string()) })?;
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        if let Device::Cuda(ordinal) = self.device {
            guard(|| tch::Cuda::synchronize(ordinal as i64))?;
        }
        Ok(())
    }
}

/// Times somebody's own `TorchScript` module with the care that architectures get: `shapes` are those of its inputs, which are
/// filled with normal numbers; the cap is in milliseconds of timed runs. The row has no architecture.
///
/// # Errors
/// [`ProfileError::Network`] where the file is no module, or it does not run on such inputs.
pub fn time_module(
    file: &Path,
    shapes: &[Vec<i64>],
    device: DeviceSpec,
    point: OperatingPoint,
    max_ms: f64,
) -> Result<Measurement, ProfileError> {
    // The testbed brings images of its own, which nothing here looks at.
    let skeleton = NasBench201::new().skeletons()[0].skeleton;
    let defaults = ProfileOptions::new(skeleton, device);
    let options = ProfileOptions { point, max_ms, warmup_ms: WARMUP_MS, ..defaults };
    options.check(&NasBench201::new())?;
    let mut bed = open(&options)?;
    let torch_device = match device {
        DeviceSpec::Cuda(ordinal) => Device::Cuda(ordinal as usize),
        DeviceSpec::Cpu => Device::Cpu,
        DeviceSpec::Fake => {
            let (name, expected) = ("the device", "one that computes: cpu or cuda:N");
            return Err(ProfileError::Option { name, expected, found: "fake".into() });
        }
    };
    let mut work = load(file, shapes, torch_device, point)?;
    (0..REWRITING_RUNS).try_for_each(|_| work.enqueue())?;
    work.synchronize()?;
    let begin_s = bed.now_s();
    let timing =
        Timer::new(&options)?.time(bed.as_mut() as &mut dyn Testbed, Box::new(work), false)?;
    let task = Task { role: Role::Sample, index: 0, occurrence: 0 };
    let wall_s = bed.now_s() - begin_s;
    Ok(timing.fill(Measurement { wall_s, unix_s: unix_s(), ..blank(task) }))
}

/// The line that says what went wrong: the interpreter's messages begin with a trace of the program.
fn reason(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines.find(|line| line.contains("Error: ")).unwrap_or(first).to_owned()
}

fn load(
    file: &Path,
    shapes: &[Vec<i64>],
    device: Device,
    point: OperatingPoint,
) -> Result<ModuleWorkload, ProfileError> {
    let kind = kind(point.precision);
    let mut module = CModule::load_on_device(file, device).map_err(NnError::from)?;
    module.f_set_eval().map_err(NnError::from)?;
    guard(|| module.to(device, kind, false))?;
    let input = |shape: &Vec<i64>| {
        let input = Tensor::randn(shape.as_slice(), (Kind::Float, device)).to_kind(kind);
        match point.channels_last && shape.len() == 4 {
            true => lat_nn::channels_last(&input),
            false => input,
        }
    };
    let inputs = guard(|| shapes.iter().map(input).collect())?;
    Ok(ModuleWorkload { module, inputs, device })
}

#[cfg(test)]
mod tests {
    use lat_data::Precision;

    use super::*;

    fn module(dir: &Path) -> std::path::PathBuf {
        let file = dir.join("module.pt");
        let mut double = |inputs: &[Tensor]| vec![(&inputs[0] * 2.0).relu()];
        let example = Tensor::zeros([1, 3, 4, 4], tch::kind::FLOAT_CPU);
        let module = CModule::create_by_tracing("double", "forward", &[example], &mut double);
        module.unwrap().save(&file).unwrap();
        file
    }

    fn time(file: &Path, shape: &[i64], precision: Precision) -> Result<Measurement, ProfileError> {
        let point = OperatingPoint { precision, ..OperatingPoint::default() };
        time_module(file, &[shape.to_vec()], DeviceSpec::Cpu, point, 50.0)
    }

    #[test]
    fn a_traced_module_is_timed_in_either_precision() {
        let dir = tempfile::tempdir().unwrap();
        let file = module(dir.path());
        for precision in [Precision::Fp32, Precision::Bf16] {
            let row = time(&file, &[2, 3, 8, 8], precision).unwrap();
            assert!(row.latency_ms > 0.0 && row.n_runs >= 10, "{row:?}");
            assert!(row.latency_ci_low_ms <= row.latency_ms, "{row:?}");
        }
    }

    #[test]
    fn what_is_no_module_or_does_not_fit_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("no.pt");
        std::fs::write(&file, b"no module").unwrap();
        assert!(time(&file, &[1, 3, 8, 8], Precision::Fp32).is_err());
        assert!(time(&dir.path().join("none.pt"), &[1], Precision::Fp32).is_err());
        let fake = time_module(
            &module(dir.path()),
            &[vec![1]],
            DeviceSpec::Fake,
            OperatingPoint::default(),
            50.0,
        );
        assert!(fake.unwrap_err().to_string().contains("one that computes"));
    }
}
