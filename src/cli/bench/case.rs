//! A method on a space, whose steps are timed.

use std::process::{Command, Stdio};

use anyhow::Context;
use lat::diagnostics::Watch;
use lat::ending::Ending;
use lat::methods::{MethodEntry, Options, find_method};
use lat::search::{NO_COST, Search, SearchSettings};
use lat::spent::Meter;
use lat_data::{Dataset, LoadOptions, find_dataset};
use lat_profiler::{DeviceSpec, Summary};
use lat_space::{SearchSpace, Skeleton, find_space};
use serde::{Deserialize, Serialize};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use super::Args;
use crate::cli::STOP;
use crate::cli::failure::{bad, failed};
use crate::cli::output::{Screen, step_to};
use crate::cli::skeleton::torch_device;

/// The images: part of the program, at whatever size is asked for.
const DATASET: &str = "fashion-part";

/// A method on a space.
pub(super) struct Case<'a> {
    args: &'a Args,
    space: Box<dyn SearchSpace>,
    method: &'static MethodEntry,
    skeleton: Skeleton,
    batch: u32,
    device: DeviceSpec,
}

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) space: String,
    pub(super) method: String,
    pub(super) skeleton: Skeleton,
    pub(super) batch: u32,
    /// Median by the clock, milliseconds.
    pub(super) step_ms: f64,
    pub(super) quartiles_ms: [f64; 2],
    /// Each step's, milliseconds.
    pub(super) steps_ms: Vec<f64>,
    /// Images that a second of such steps trains on.
    pub(super) images_per_s: f64,
    /// Mean of all processors' time per step, the steps before included, milliseconds; none if the system does not tell.
    pub(super) processor_ms: Option<f64>,
    /// Most memory of the process, MiB; none if the system does not tell.
    pub(super) peak_memory_mib: Option<f64>,
}

impl<'a> Case<'a> {
    /// Checks what is asked for.
    pub(super) fn new(
        args: &'a Args,
        space: &str,
        method: &str,
        device: DeviceSpec,
    ) -> anyhow::Result<Self> {
        if device == DeviceSpec::Fake {
            return Err(bad("expected a device that computes, cpu or cuda:N; found fake"));
        }
        let (space, method) = (find_space(space)?, find_method(method)?);
        // What a method needs of a space, and of its options, is said before anything runs.
        let built = method.build(args.preset, &Options::new(), space.as_ref(), args.seed)?;
        let batch = args.batch.unwrap_or(method.schedule(args.preset).batch);
        built
            .check_batch(batch)
            .map_err(|expected| bad(format!("method {}: expected {expected}", method.name)))?;
        let skeleton = args.skeleton.skeleton(space.as_ref(), "search")?;
        Ok(Self { args, space, method, skeleton, batch, device })
    }

    /// Runs this case by this program in a process of its own.
    pub(super) fn in_its_own_process(&self) -> anyhow::Result<Measured> {
        let Self { args, skeleton, .. } = self;
        let program = std::env::current_exe().context("could not find this program's own file")?;
        let number = |name: &str, value: &dyn ToString| [format!("--{name}"), value.to_string()];
        let output = Command::new(program)
            .args(number("threads", &tch::get_num_threads()))
            .args(["bench", "--one"])
            .args(number("space", &self.space.id()))
            .args(number("method", &self.method.name))
            .args(number("channels", &skeleton.channels))
            .args(number("layers", &skeleton.layers))
            .args(number("resolution", &skeleton.resolution))
            .args(number("batch", &self.batch))
            .args(number("preset", &format!("{:?}", args.preset).to_lowercase()))
            .args(number("device", &self.device))
            .args(number("steps", &args.steps))
            .args(number("warm-up", &args.warm_up))
            .args(number("seed", &args.seed))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("could not start a process for the case")?;
        if !output.status.success() {
            let (method, space) = (self.method.name, self.space.id());
            return Err(failed(format!(
                "the process that timed {method} on {space} ended with {}",
                output.status
            )));
        }
        serde_json::from_slice(&output.stdout)
            .context("the process that timed a case did not say what it found")
    }

    /// Times the steps in this process.
    pub(super) fn measure(&self, screen: Screen) -> anyhow::Result<Measured> {
        let (warm_up, n) = (self.args.warm_up as usize, self.args.steps as usize);
        let dataset = self.images()?;
        let search = Search {
            space: self.space.as_ref(),
            method: self.method.build(
                self.args.preset,
                &Options::new(),
                self.space.as_ref(),
                self.args.seed,
            )?,
            objective: None,
            settings: self.settings(&dataset),
            device: torch_device(self.device),
            checkpoint: std::path::PathBuf::new(),
            watch: Watch { diagnostics: false, hessian_every: 0, stop_on_collapse: false },
            more_targets: Vec::new(),
            ranks: None,
            may_adopt: false,
            meter: Meter::begin(None),
        };
        let meter = Meter::begin(Some(self.device));
        let bar = screen.bar("steps");
        let before_ms = processor_ms();
        let mut on_step = |done| step_to(&bar, done as u64, (warm_up + n) as u64);
        let steps_ms = search.time_steps(&dataset, (warm_up, n), &STOP, &mut on_step)?;
        bar.finish_and_clear();
        let processor_ms = processor_ms()
            .zip(before_ms)
            .map(|(now, before)| (now - before) / (warm_up + n) as f64);
        let summary = Summary::of(&steps_ms).ok_or_else(|| failed("no step was timed"))?;
        Ok(Measured {
            space: self.space.id().to_owned(),
            method: self.method.name.to_owned(),
            skeleton: self.skeleton,
            batch: self.batch,
            step_ms: summary.median,
            quartiles_ms: [summary.q1, summary.q3],
            images_per_s: f64::from(self.batch) * 1e3 / summary.median,
            steps_ms,
            processor_ms,
            peak_memory_mib: meter.spent().peak_memory_mib,
        })
    }

    /// Images of the skeleton's size, so many that both halves have a batch.
    fn images(&self) -> anyhow::Result<Dataset> {
        let resolution = Some(u32::from(self.skeleton.resolution));
        let options = LoadOptions { resolution, ..LoadOptions::default() };
        Ok(find_dataset(DATASET)?.load(None, &options)?)
    }

    fn settings(&self, dataset: &Dataset) -> SearchSettings {
        SearchSettings {
            space: self.space.id().to_owned(),
            method: self.method.name.to_owned(),
            dataset: DATASET.to_owned(),
            images: dataset.checksum(),
            skeleton: Skeleton { classes: dataset.train.classes as u32, ..self.skeleton },
            epochs: self.method.schedule(self.args.preset).epochs,
            batch: self.batch,
            seed: self.args.seed,
            goal: NO_COST.to_owned(),
            options: String::new(),
            risk: 0.0,
            finalists: 1,
            ending: Ending::Finalists,
            bn_rule: String::new(),
            bn_images: 0,
            steps_goal: NO_COST.to_owned(),
            cost_model: None,
        }
    }
}

/// Milliseconds of all processors that this process has taken so far.
fn processor_ms() -> Option<f64> {
    let pid = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cpu();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    Some(system.process(pid)?.accumulated_cpu_time() as f64)
}
