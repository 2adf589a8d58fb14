//! `lat evaluate`: trains an architecture from scratch, or from weights of its own, and tests it.

use std::path::{Path, PathBuf};

use lat::evaluate::{
    Evaluation, EvaluationSettings, TrainedEpoch, TrainingEvent, TrainingPlan, evaluate, go_on,
};
use lat::extracted::{ExtractedNet, NetLabel};
use lat::methods::Preset;
use lat::record::{EvaluationRecord, Published};
use lat_data::{Dataset, RunLock};
use lat_profiler::{DeviceSpec, ProfileOptions, check_point, measure_one, time_net};
use lat_space::{Architecture, SearchSpace, Skeleton};

use super::accuracy::{AccuracyArgs, say_published};
use super::architectures::{Named, read};
use super::datasets::DatasetArgs;
use super::failure::{bad, failed};
use super::output::{Screen, figure, say, step_to, write_json};
use super::skeleton::{SkeletonArgs, device, is_small, torch_device};
use super::written::Written;
use super::{STOP, runs};

/// Train an architecture from scratch and test it.
///
/// Reports test accuracy, parameters, multiply-adds and measured latency. Ctrl-C keeps finished epochs; the same command resumes.
/// With --weights training starts from the weights of an extracted network; --epochs 0 only tests that network.
///
/// Example: lat evaluate --arch runs/search-darts-pc-darts-digits-lambda-0.1-on-latency-ms-by-4f0c2a91-c8-l4-r8-seed0/search.json
#[derive(clap::Args)]
pub(super) struct Args {
    /// An architecture text, or the search.json of a search.
    #[arg(
        long,
        value_name = "TEXT|FILE",
        required_unless_present = "weights",
        conflicts_with = "weights"
    )]
    arch: Option<String>,
    /// Continue training the network in this file, written by `lat extract`, instead of starting from scratch. Architecture, skeleton and
    /// normalisation come from the file; its layers are those of the search phase, without an auxiliary head.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Search space of the text [default: the one that reads it].
    #[arg(long)]
    space: Option<String>,
    #[command(flatten)]
    accuracies: AccuracyArgs,
    #[command(flatten)]
    images: DatasetArgs,
    /// Size of network and training [default: paper on a GPU, quick on a CPU].
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    #[command(flatten)]
    skeleton: SkeletonArgs,
    /// Passes over the training images; 0 is allowed only with --weights, which then only tests [default: the preset's].
    #[arg(long)]
    epochs: Option<u32>,
    /// SGD's learning rate at the start; it falls to zero along a cosine [default: the preset's].
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Images per batch [default: the preset's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    batch: Option<u32>,
    /// Seed for everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Folder for the result [default: ./runs/evaluate-...].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write the result as JSON here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let written = written(args);
    written.check()?;
    let device = device(args.device.as_deref())?;
    check(args, device)?;
    let start = Start::read(args, device)?;
    let found = start.named(args)?;
    let (space, architecture) = (found.space.as_ref(), &found.architecture);
    let accuracies = args.accuracies.table(space)?;
    let published = Published::of(accuracies.as_ref(), space, architecture);
    let preset =
        args.preset.unwrap_or(if is_small(device) { Preset::Quick } else { Preset::Paper });
    let resolution = start.label().map(|label| label.skeleton.resolution);
    let (name, dataset, line) = args.images.load(resolution.or(args.skeleton.resolution))?;
    let dataset = match start.label() {
        Some(label) => label.normalised(dataset)?,
        None => dataset,
    };
    let settings = settings(args, (&found, &start), preset, (name, &dataset))?;
    let dir = args.out.clone().unwrap_or_else(|| default_dir(&settings));
    written.folder(&dir).check()?;
    runs::writable_dir(&dir)?;
    let _lock = RunLock::take(&dir)?;
    say(format!("{line}; network {}, {} epochs", settings.skeleton, settings.plan.epochs))?;
    let work = Work { space, architecture, dataset: &dataset };
    let trained = train(&work, start, &settings, torch_device(device), &dir, screen)?;
    let measuring = std::time::Instant::now();
    let options = timing(&found, settings.skeleton, device);
    let row = match &args.weights {
        // The timing does not depend on the values of the weights.
        Some(path) => {
            let (extracted, _) = ExtractedNet::load(path, torch_device(device))?;
            time_net(extracted.net, &settings.architecture, &options)?.row
        }
        None => measure_one(space, &options, architecture)?,
    };
    let result = EvaluationRecord {
        settings,
        published,
        test_accuracy: trained.test_accuracy,
        test_loss: trained.test_loss,
        params: trained.cost.params,
        multiply_adds: trained.cost.multiply_adds,
        latency_ms: row.latency_ms.is_finite().then_some(row.latency_ms),
        device_name: device.name(),
        operating_point: Some(options.point),
        seconds: trained.seconds + measuring.elapsed().as_secs_f64(),
    };
    let path = dir.join(EvaluationRecord::FILE);
    write_json(&path, &result).map_err(failed)?;
    if let Some(path) = &args.json {
        write_json(path, &result)?;
    }
    say(result_line(&result, &row.reason, &path))?;
    say_published(&result.published)
}

/// The evaluation's settings, from the flags.
fn settings(
    args: &Args,
    (found, start): (&Named, &Start),
    preset: Preset,
    (name, dataset): (String, &Dataset),
) -> anyhow::Result<EvaluationSettings> {
    let space = found.space.as_ref();
    let size = if preset == Preset::Quick { "quick" } else { "cifar" };
    let defaults = TrainingPlan::preset(preset);
    let (batch, epochs) =
        (args.batch.unwrap_or(defaults.batch), args.epochs.unwrap_or(defaults.epochs));
    if epochs > 0 && dataset.train.n < batch as usize {
        return Err(bad(format!(
            "expected at least one batch of {batch} training images, found {}; lower --batch",
            dataset.train.n
        )));
    }
    Ok(EvaluationSettings {
        architecture: space.format(&found.architecture),
        space: space.id().to_owned(),
        dataset: name,
        images: dataset.checksum(),
        skeleton: match start.label() {
            Some(label) => label.skeleton,
            None => args.skeleton.for_images(space, size, dataset)?,
        },
        plan: TrainingPlan {
            epochs,
            batch,
            lr: args.lr.unwrap_or(defaults.lr),
            // An extracted network has no auxiliary head.
            auxiliary: if start.label().is_some() { 0.0 } else { defaults.auxiliary },
            ..defaults
        },
        seed: args.seed,
        weights: match start {
            Start::Scratch => None,
            Start::Weights(_, checksum) => Some(checksum.clone()),
        },
    })
}

/// Refuses flags that do not fit together, before anything is read.
fn check(args: &Args, device: DeviceSpec) -> anyhow::Result<()> {
    if args.epochs == Some(0) && args.weights.is_none() {
        return Err(bad(
            "expected --epochs of at least 1, found 0: only --weights can be tested untrained",
        ));
    }
    if let Some(lr) = args.lr.filter(|lr| !(lr.is_finite() && *lr > 0.0)) {
        return Err(bad(format!("expected --lr to be a number above 0, found {lr}")));
    }
    if args.weights.is_some() && device == DeviceSpec::Fake {
        return Err(bad("expected --weights on a device that computes, found fake: cpu or cuda:N"));
    }
    Ok(())
}

/// Where the initial weights come from.
enum Start {
    Scratch,
    /// An extracted network and the checksum of its file.
    Weights(Box<ExtractedNet>, String),
}

impl Start {
    fn read(args: &Args, device: DeviceSpec) -> anyhow::Result<Self> {
        let Some(path) = &args.weights else { return Ok(Self::Scratch) };
        let (extracted, checksum) = ExtractedNet::load(path, torch_device(device))?;
        args.skeleton.check_is(&extracted.label.skeleton)?;
        Ok(Self::Weights(Box::new(extracted), checksum))
    }

    fn label(&self) -> Option<&NetLabel> {
        match self {
            Self::Scratch => None,
            Self::Weights(extracted, _) => Some(&extracted.label),
        }
    }

    /// The architecture from the file or from the flags.
    fn named(&self, args: &Args) -> anyhow::Result<Named> {
        let asked = args.space.as_deref();
        let Some(label) = self.label() else {
            return read(args.arch.as_deref().unwrap_or_default(), asked);
        };
        if let Some(asked) = asked.filter(|asked| *asked != label.space) {
            return Err(bad(format!(
                "expected weights of a network of {asked}, found those of one of {}; leave --space out, or name another --weights",
                label.space
            )));
        }
        let (space, architecture) = label.named()?;
        Ok(Named { space, architecture, reference_ms: None, place: None })
    }
}

/// How to time the network: as in its search, if the search's cost was measured on this device, so that the two times can be compared;
/// else as `lat profile` does by default. A reference time of another device means nothing here.
fn timing(found: &Named, skeleton: Skeleton, device: DeviceSpec) -> ProfileOptions {
    let defaults = ProfileOptions::new(skeleton, device);
    let is_elsewhere = found.place.as_ref().is_some_and(|p| p.device_name != device.name());
    let of_search = found.place.as_ref().filter(|_| !is_elsewhere).map(|place| place.point);
    ProfileOptions {
        max_ms: 10.0 * defaults.max_ms,
        reference_ms: found.reference_ms.filter(|_| !is_elsewhere),
        point: of_search.filter(|p| check_point(*p, device).is_ok()).unwrap_or(defaults.point),
        ..defaults
    }
}

/// The output file that the flags ask for, and the inputs that must not be written over.
fn written(args: &Args) -> Written {
    let written = args.images.protected().inputs(args.accuracies.file.iter());
    let written = written.output("--json", args.json.as_deref()).inputs(&args.arch);
    let written = written.inputs(&args.weights);
    written.folder(args.out.as_deref().unwrap_or(runs::root()))
}

/// The architecture, settings and images of one evaluation.
struct Work<'a> {
    space: &'a dyn SearchSpace,
    architecture: &'a Architecture,
    dataset: &'a Dataset,
}

/// Trains and tests, with a progress bar of the steps.
fn train(
    work: &Work<'_>,
    start: Start,
    settings: &EvaluationSettings,
    device: tch::Device,
    dir: &Path,
    screen: Screen,
) -> anyhow::Result<Evaluation> {
    let epochs = settings.plan.epochs;
    let bar = screen.bar("steps");
    let checkpoint = dir.join("checkpoint.safetensors");
    let on = (work.dataset, device);
    let on_event = &mut |event: TrainingEvent<'_>| match event {
        TrainingEvent::Step(done, all) => step_to(&bar, done, all),
        TrainingEvent::Epoch(epoch) => {
            let TrainedEpoch { epoch, train_loss, train_accuracy, seconds } = epoch;
            let line = format!(
                "epoch {epoch}/{epochs}: loss {train_loss:.4} acc {train_accuracy:.1} %, {seconds:.1} s"
            );
            screen.note(Some(&bar), &line);
        }
    };
    let found = match start {
        Start::Scratch => {
            let subject = (work.space, work.architecture);
            evaluate(subject, settings, on, checkpoint, &STOP, on_event)
        }
        Start::Weights(extracted, _) => {
            go_on(*extracted, settings, on, checkpoint, &STOP, on_event)
        }
    };
    bar.finish_and_clear();
    Ok(found?)
}

/// The printed result; `reason` says why there is no latency.
fn result_line(record: &EvaluationRecord, reason: &str, path: &Path) -> String {
    let latency = record.latency_ms;
    let latency = latency
        .map_or_else(|| format!("not measured: {reason}"), |ms| format!("{} ms", figure(ms)));
    format!(
        "test accuracy {:.2} %, {} parameters, {} multiply-adds (ptflops' convention), latency {latency} per image (batch of one) on {}{}; {:.0} s; {}",
        record.test_accuracy,
        record.params,
        record.multiply_adds,
        record.device_name,
        record.operating_point.map_or_else(String::new, |point| format!(" ({point})")),
        record.seconds,
        path.display()
    )
}

/// The default folder: named by network, images and seed, with a hash of the architecture's text.
fn default_dir(settings: &EvaluationSettings) -> PathBuf {
    let EvaluationSettings { architecture, space, dataset, skeleton, seed, .. } = settings;
    // FNV-1a is short and stays the same in every version of the program, unlike the standard library's hash.
    let hash = architecture
        .bytes()
        .fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let from = settings.weights.as_ref().map_or_else(String::new, |sum| format!("-from-{sum}"));
    runs::named(&format!(
        "evaluate-{space}-{hash:08x}-{dataset}-{}{from}-seed{seed}",
        runs::short(skeleton)
    ))
}

#[cfg(test)]
mod tests {
    use lat::record::CostPlace;
    use lat_data::{Mode, OperatingPoint, Precision};
    use lat_space::find_space;

    use super::*;

    fn searched(device_name: String, point: OperatingPoint) -> Named {
        let space = find_space("nasbench201").unwrap();
        let skeleton = space.skeletons()[0].skeleton;
        let place = Some(CostPlace { device_name, skeleton, batch: 8, point });
        Named { architecture: space.at(0), space, reference_ms: Some(2.0), place }
    }

    #[test]
    fn what_is_timed_runs_as_its_search_measured_or_as_a_profile_would() {
        let skeleton = find_space("nasbench201").unwrap().skeletons()[0].skeleton;
        let fp16 = OperatingPoint { precision: Precision::Fp16, ..OperatingPoint::default() };
        let (cpu, gpu) = (DeviceSpec::Cpu, DeviceSpec::Cuda(0));
        let of = |found: &Named, device| {
            let options = timing(found, skeleton, device);
            (options.point, options.reference_ms)
        };
        let here = searched(cpu.name(), fp16);
        assert_eq!(of(&here, cpu), (fp16, Some(2.0)));
        // Eager rows of a CPU tell nothing about a GPU, where launch overhead would be measured.
        assert_eq!(of(&here, gpu).0.mode, Mode::Graph);
        let elsewhere = searched("Some CPU".into(), fp16);
        assert_eq!(of(&elsewhere, cpu), (OperatingPoint::default(), None));
        // Files of older versions do not say where the cost was measured.
        let old = Named { place: None, ..searched(String::new(), fp16) };
        assert_eq!(of(&old, cpu), (OperatingPoint::default(), Some(2.0)));
        let impossible = searched(cpu.name(), OperatingPoint { mode: Mode::Graph, ..fp16 });
        assert_eq!(of(&impossible, cpu).0, OperatingPoint::default());
    }
}
