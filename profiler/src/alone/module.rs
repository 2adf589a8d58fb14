//! Times a TorchScript module.

use std::path::Path;

use lat_data::{Measurement, OperatingPoint, Role};
use lat_device::{DeviceError, ScriptModule};
use lat_nn::guard;
use lat_space::{NasBench201, SearchSpace};
use tch::Device;

use super::module_file::not_a_module;
use super::module_input::ModuleInput;
use super::module_words::sentence;
use super::network::NetTiming;
use crate::open;
use crate::options::operating_point::kind;
use crate::row::{blank, unix_s};
use crate::timer::Timer;
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload};

/// The longest warm-up of a module. libtorch rewrites a module in its first runs, by what it sees there.
const WARMUP_MS: f64 = 300.0;
/// Runs before any is timed, if they take no longer than the limit.
const REWRITING_RUNS: u32 = 5;

/// A `TorchScript` module in evaluation mode, with its inputs.
struct ModuleWorkload {
    module: ScriptModule,
    device: Device,
}

impl Workload for ModuleWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        self.module.run().map_err(|error| {
            ProfileError::Module(sentence(
                &error.to_string(),
                &self.module.takes().unwrap_or_default(),
            ))
        })
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        if let Device::Cuda(ordinal) = self.device {
            guard(|| tch::Cuda::synchronize(ordinal as i64))?;
        }
        Ok(())
    }
}

/// Times a user's `TorchScript` module with the same care as architectures. Its result is ignored. The cap limits the
/// milliseconds of the timed runs by the clock, including those of the reference network.
///
/// # Errors
/// [`ProfileError::Module`] if the file is no module or does not run on such inputs, with advice; [`ProfileError::Option`] if the
/// device does not compute.
pub fn time_module(
    file: &Path,
    inputs: &[ModuleInput],
    device: DeviceSpec,
    point: OperatingPoint,
    max_ms: f64,
) -> Result<NetTiming, ProfileError> {
    // The testbed makes images of its own, which are not used here.
    let skeleton = NasBench201::new().skeletons()[0].skeleton;
    let defaults = ProfileOptions::new(skeleton, device);
    let options = ProfileOptions { point, max_ms, warmup_ms: WARMUP_MS.min(max_ms), ..defaults };
    options.check(&NasBench201::new())?;
    let torch_device = match device {
        DeviceSpec::Cuda(ordinal) => Device::Cuda(ordinal as usize),
        DeviceSpec::Cpu => Device::Cpu,
        DeviceSpec::Fake => {
            let (name, expected) = ("the device", "one that computes: cpu or cuda:N");
            return Err(ProfileError::Option { name, expected, found: "fake".into() });
        }
    };
    if let Some(found) = not_a_module(file) {
        return Err(ProfileError::Module(found));
    }
    let mut bed = open(&options)?;
    let mut work = load(file, inputs, torch_device, point)?;
    let begin_s = bed.now_s();
    let is_over = |bed: &dyn Testbed| (bed.now_s() - begin_s) * 1e3 > max_ms;
    for run in 0..REWRITING_RUNS {
        if run > 0 && is_over(bed.as_ref()) {
            break;
        }
        work.enqueue()?;
        work.synchronize()?;
    }
    let mut timer = Timer::new(&options)?.within_wall_ms(max_ms);
    let timing = timer.time(bed.as_mut() as &mut dyn Testbed, Box::new(work), false)?;
    let task = Task { role: Role::Sample, index: 0, occurrence: 0 };
    let wall_s = bed.now_s() - begin_s;
    let n_passes = timing.n_passes();
    let row = timing.fill(Measurement { wall_s, unix_s: unix_s(), ..blank(task) });
    Ok(NetTiming { row, n_passes })
}

fn load(
    file: &Path,
    inputs: &[ModuleInput],
    device: Device,
    point: OperatingPoint,
) -> Result<ModuleWorkload, ProfileError> {
    let said = |error: DeviceError| ProfileError::Module(sentence(&error.to_string(), ""));
    let kind = kind(point.precision);
    let mut module = ScriptModule::load(file, device).map_err(said)?;
    module.cast(kind).map_err(said)?;
    for input in inputs {
        let argument = guard(|| input.argument(kind, device, point.channels_last))?;
        module.push(&argument).map_err(said)?;
    }
    Ok(ModuleWorkload { module, device })
}

#[cfg(test)]
mod tests {
    use lat_data::Precision;
    use tch::{CModule, Tensor};

    use super::*;

    fn module(dir: &Path) -> std::path::PathBuf {
        let file = dir.join("module.pt");
        let mut double = |inputs: &[Tensor]| vec![(&inputs[0] * 2.0).relu()];
        let example = Tensor::zeros([1, 3, 4, 4], tch::kind::FLOAT_CPU);
        let module = CModule::create_by_tracing("double", "forward", &[example], &mut double);
        module.unwrap().save(&file).unwrap();
        file
    }

    fn time(file: &Path, shape: &str, precision: Precision) -> Result<Measurement, ProfileError> {
        let point = OperatingPoint { precision, ..OperatingPoint::default() };
        Ok(time_module(file, &[shape.parse().unwrap()], DeviceSpec::Cpu, point, 400.0)?.row)
    }

    #[test]
    fn a_traced_module_is_timed_in_either_precision() {
        let dir = tempfile::tempdir().unwrap();
        let file = module(dir.path());
        for precision in [Precision::Fp32, Precision::Bf16] {
            let row = time(&file, "2x3x8x8", precision).unwrap();
            assert!(row.latency_ms > 0.0 && row.n_runs >= 6, "{row:?}");
            assert!(row.latency_ci_low_ms <= row.latency_ms, "{row:?}");
        }
    }

    /// Loads a file of tests/modules, which scripts/modules.py wrote, and runs it once.
    fn run(file: &str, inputs: &[&str], precision: Precision) -> Result<(), String> {
        let point = OperatingPoint { precision, ..OperatingPoint::default() };
        let file = Path::new("../tests/modules").join(file);
        assert!(file.is_file(), "{file:?}");
        let inputs: Vec<ModuleInput> = inputs.iter().map(|text| text.parse().unwrap()).collect();
        let mut work = load(&file, &inputs, Device::Cpu, point).map_err(|e| e.to_string())?;
        work.enqueue().map_err(|error| error.to_string())
    }

    #[test]
    fn modules_of_all_forms_run_in_either_precision() {
        for (file, inputs) in [
            ("buffers.pt", &["1x3x8x8"] as &[&str]),
            ("conv.pt", &["2x3x16x16"]),
            ("double.pt", &["1x4"]),
            ("dict.pt", &["1x4"]),
            ("tuple.pt", &["1x4"]),
            ("list.pt", &["1x4"]),
            ("nested.pt", &["1x4"]),
            ("embedding.pt", &["1x5:i64<100"]),
            ("embedding.pt", &["1x5:i32<100"]),
            ("tokens.pt", &["1x5:i64<100", "1x5=1"]),
            ("scaled.pt", &["2x3", "int=4"]),
            ("scaled.pt", &["2x3", "int=4", "float=0.5"]),
            ("images.pt", &["[3x8x8,3x4x4]"]),
            ("pair.pt", &["[3,3]"]),
        ] {
            for precision in [Precision::Fp32, Precision::Bf16] {
                run(file, inputs, precision).unwrap_or_else(|error| panic!("{file}: {error}"));
            }
        }
    }

    #[test]
    fn what_does_not_run_is_told_in_a_sentence() {
        for (file, inputs, expected) in [
            ("embedding.pt", &["1x5"] as &[&str], "'1x5:i64<100'"),
            ("embedding.pt", &["1x5:i64<1000"], "lie below a bound"),
            ("scaled.pt", &["2x3"], "takes (x: Tensor, n: int, bias: float)"),
            ("images.pt", &["3x8x8"], "images: List[Tensor]"),
            ("conv.pt", &["1x5x8x8"], "to have 3 channels"),
            ("conv.pt", &["1x3x8x8", "1x3x8x8"], "takes ("),
            ("operator.pt", &["1x4"], "the operator torchvision::nms"),
            ("optimized.pt", &["1x3x8x8"], "optimize_for_inference"),
        ] {
            let error = run(file, inputs, Precision::Fp32).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{file}: {error}");
        }
        for (file, expected) in [
            ("state.pth", "a state dict"),
            ("whole.pt", "a pickled module"),
            ("old.pth", "an old torch.save"),
            ("exported.pt2", "a torch.export archive"),
        ] {
            let found = not_a_module(&Path::new("../tests/modules").join(file)).unwrap();
            assert!(found.contains(expected), "{file}: {found}");
        }
    }

    #[test]
    fn what_is_no_module_or_does_not_fit_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("no.pt");
        std::fs::write(&file, b"no module").unwrap();
        assert!(time(&file, "1x3x8x8", Precision::Fp32).is_err());
        assert!(time(&dir.path().join("none.pt"), "1", Precision::Fp32).is_err());
        let fake = time_module(
            &module(dir.path()),
            &["1".parse().unwrap()],
            DeviceSpec::Fake,
            OperatingPoint::default(),
            50.0,
        );
        assert!(fake.unwrap_err().to_string().contains("one that computes"));
    }
}
