//! `lat profile`: measures architectures.

mod devices;
mod faults;
mod fresh;
mod measuring;
mod options;
mod per_op;
mod summary;
mod until;
mod worker;
mod workers;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use devices::devices;
use faults::FakeFault;
use lat::sampling::Goal;
use lat_data::{
    DOCTOR_FILE, DataError, Journal, Mode, Precision, Role, Rounds, RunHeader, Shard, Wanted,
};
use lat_profiler::{DeviceSpec, ProfileOptions, Verdict, examine, header, judge, plan, schedule};
use lat_space::{SearchSpace, find_space};
use measuring::{measure, reference_ms};
use options::options;
use summary::{plan_text, summary};

use super::failure::{Interrupted, bad, failed};
use super::output::{Screen, say, write_json};
use super::skeleton::SkeletonArgs;
use super::written::Written;
use super::{STOP, runs, signals};

/// Architectures measured for `--plan`.
const PILOT: u64 = 20;

/// Measure how long architectures take on a device.
///
/// Draws distinct architectures, builds each, times it until the 95 % interval of its median is within 1 %, and writes a row
/// with its proof. Ctrl-C or a killed process loses at most the row at hand, a power cut the rows of the last fifth of a second;
/// the same command resumes. A scheduler's SIGTERM seals what there is. Several GPUs are measured by a process each; several machines measure a shard each, which `lat merge` joins.
///
/// Example: lat profile --device cuda:0 --samples 100000
///
/// Until predictions are good enough: lat profile --device cuda:0 --until 'mape<3%'
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
// Processes of several devices get the whole command with their own device, shard and folder behind it.
#[command(args_override_self = true)]
pub(super) struct Args {
    /// cpu, cuda:N, several GPUs as cuda:0,cuda:1, or fake [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Measure part I of N of the samples only, in a folder of its own; `lat merge` joins the parts.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Measure one device by a process of its own too, as several are: one that a GPU error ends is started again.
    #[arg(long)]
    supervise: bool,
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    space: String,
    /// Number of distinct architectures; with --until the most there may be [default: 1000, with --until 20000].
    #[arg(long)]
    samples: Option<u64>,
    /// Measure in rounds until predictions of samples that the fit has not seen are this good, in quotes: 'mape<3%'. A quarter
    /// of each round after the first is random, the rest is what a predictor knows least of. It ends when the upper end of the
    /// error's 90 % interval is below the goal. Such a run has a folder of its own; another goal or --samples goes on in it.
    #[arg(long, value_name = "GOAL")]
    until: Option<Goal>,
    /// Time each distinct operation of the space's networks alone instead of architectures: a latency table (operations.csv) for
    /// `lat train --per-op` to judge and `lat search --per-op` to use.
    #[arg(long, conflicts_with_all = ["samples", "until", "plan", "shard", "supervise", "energy"])]
    per_op: bool,
    /// Images per batch.
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Seed of the draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Skeleton: quick, search, cifar or imagenet [default: cifar on a GPU, quick elsewhere].
    #[arg(long)]
    preset: Option<String>,
    #[command(flatten)]
    skeleton: SkeletonArgs,
    /// How runs are launched: eager (as PyTorch does, launches included), graph (replayed as one CUDA graph: the GPU's own
    /// time), or both, which also says where launches take the time [default: graph on a GPU, eager elsewhere].
    #[arg(long, value_name = "eager|graph|both")]
    mode: Option<Mode>,
    /// Number format of the computation. fp32 is fp32: TF32 is off.
    #[arg(long, default_value = "fp32", value_name = "fp32|tf32|fp16|bf16")]
    precision: Precision,
    /// Lay images and weights out channels last (NHWC).
    #[arg(long)]
    channels_last: bool,
    /// Empty the last-level cache (a GPU's L2) before each timed run.
    #[arg(long)]
    cold: bool,
    /// Share of the samples whose energy is measured too, two seconds each, where the device counts energy (column energy_mj).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    energy: f64,
    /// Cap on the timed runs of one architecture, in milliseconds.
    #[arg(long, value_name = "MS")]
    max_ms: Option<f64>,
    /// Run folder [default: ./runs/profile-SPACE-DEVICE-SKELETON-BATCH-SEED].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure a few and say how many hours and bytes the whole run takes.
    #[arg(long)]
    plan: bool,
    /// Also write the verdict as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only what a fresh process repeats: how a run calls itself at its end.
    #[arg(long, hide = true)]
    fresh: bool,
    /// This process measures for another, whose end ends it too.
    #[arg(long, hide = true)]
    worker: bool,
    /// What goes wrong on the fake device: abort=N, abort-again=N, slow-round=N, lose=N, pause-ms=N.
    #[arg(long, hide = true, value_delimiter = ',', requires = "device")]
    fake_fault: Vec<FakeFault>,
}

/// A run that can be measured.
struct Opened {
    options: ProfileOptions,
    header: RunHeader,
    journal: Journal,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let space = find_space(&args.space)?;
    if args.worker || args.fresh {
        signals::stop_when_input_ends();
    }
    let devices = devices(args.device.as_deref())?;
    let options = options(args, space.as_ref(), devices[0])?;
    options.check(space.as_ref())?;
    check_json(args, space.as_ref(), &options, &devices)?;
    if args.per_op {
        return per_op::run(args, space.as_ref(), options, &devices, screen);
    }
    if let Some(goal) = args.until {
        until::check(args, devices.len())?;
        return until::run(args, goal, space.as_ref(), options, screen);
    }
    if (devices.len() > 1 || args.supervise) && !args.plan && !args.worker {
        return workers::run(args, space.as_ref(), &options, &devices, screen);
    }
    if args.plan {
        return say(plan_text(&plan(space.as_ref(), &options, PILOT)?, &options));
    }
    run_on_one(args, space.as_ref(), options, screen)
}

/// The verdict's file must not be one that the run keeps.
fn check_json(
    args: &Args,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    devices: &[DeviceSpec],
) -> anyhow::Result<()> {
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let dir = run_dir(args, space, options, &names.join(","));
    // A worker's verdict lies in its folder, which it makes itself.
    let json = args.json.as_deref().filter(|_| !args.worker);
    Written::default().output("--json", json).folder(&dir).check()
}

/// Measures on one device, in this process but for the rows that a fresh one repeats.
fn run_on_one(
    args: &Args,
    space: &dyn SearchSpace,
    options: ProfileOptions,
    screen: Screen,
) -> anyhow::Result<()> {
    let mut opened = open(args, space, options, screen)?;
    if args.fresh {
        return measure(args, space, &opened.options, &mut opened.journal, screen).map(drop);
    }
    opened.journal.expect(wanted(space, &opened.options))?;
    announce(space, &mut opened)?;
    let verdict = measure(args, space, &opened.options, &mut opened.journal, screen)?;
    finish(args, space, opened, verdict, None)
}

/// Begins the run or opens the one that is there.
fn open(
    args: &Args,
    space: &dyn SearchSpace,
    mut options: ProfileOptions,
    screen: Screen,
) -> anyhow::Result<Opened> {
    let dir = run_dir(args, space, &options, &options.device.to_string());
    if args.fresh && !lat_data::has_run(&dir) {
        // It repeats rows of a run and never begins one.
        return Err(DataError::Gone { dir, rows: 0 }.into());
    }
    options.reference_ms = reference_ms(options.device, &dir)?;
    let mut header = header(space, &options);
    if args.until.is_some() {
        header.versions.push("samples chosen".into());
    }
    let journal = Journal::open(&dir, &header)?;
    if let Some(line) = journal.recovered() {
        screen.warn(None, &line);
    }
    check_kind(args, &journal)?;
    Ok(Opened { options, header, journal })
}

/// Whether the folder's samples are chosen as this command wants them: a run is either the first samples in order or what
/// `--until` chose.
fn check_kind(args: &Args, journal: &Journal) -> anyhow::Result<()> {
    let dir = journal.dir().display();
    let is_chosen = Rounds::read(journal.dir())?.is_some();
    match args.until.is_some() {
        true if !is_chosen && !journal.rows().is_empty() => Err(bad(format!(
            "expected a run of --until in {dir}, found one whose samples are the first in order: go on without --until, or name another folder with --out"
        ))),
        false if is_chosen => Err(bad(format!(
            "expected a run whose samples are the first in order in {dir}, found one of --until: go on with --until, or name another folder with --out"
        ))),
        _ => Ok(()),
    }
}

/// Says what is measured, and notes the state of the machine when it begins.
fn announce(space: &dyn SearchSpace, opened: &mut Opened) -> anyhow::Result<()> {
    let Opened { options, header, journal } = opened;
    say(format!(
        "{}: {} on {} ({}), batch {}, {}, {}",
        journal.dir().display(),
        space.id(),
        header.device,
        header.device_name,
        options.batch,
        options.skeleton,
        options.point
    ))?;
    if journal.rows().is_empty() {
        // What the machine was like when the run began stands beside its rows.
        let certificate = serde_json::to_string_pretty(&examine(options.device)?)? + "\n";
        journal.keep(DOCTOR_FILE, certificate.as_bytes())?;
    }
    Ok(())
}

/// Has a fresh process measure what is left, and concludes.
fn finish(
    args: &Args,
    space: &dyn SearchSpace,
    opened: Opened,
    mut verdict: Verdict,
    ending: Option<until::Ending>,
) -> anyhow::Result<()> {
    let Opened { options, header, mut journal } = opened;
    let dir = journal.dir().to_owned();
    // On a CPU each process measures one row, on a GPU, where starting takes long, one process all.
    while verdict.done < verdict.total && !STOP.load(Ordering::Relaxed) {
        journal.flush()?;
        drop(journal);
        fresh::measure_in_a_fresh_process()?;
        journal = Journal::open(&dir, &header)?;
        let Verdict { rows_per_s, soak_s, soak_flat, done, .. } = verdict;
        verdict = judge(space, &options, journal.rows());
        verdict = Verdict { rows_per_s, soak_s, soak_flat, ..verdict };
        if verdict.done == done {
            break;
        }
    }
    conclude(args, &mut journal, &verdict, ending)
}

/// Seals what there is and says what it is worth, or what is left to do.
fn conclude(
    args: &Args,
    journal: &mut Journal,
    verdict: &Verdict,
    ending: Option<until::Ending>,
) -> anyhow::Result<()> {
    let is_done = verdict.done == verdict.total;
    if !is_done && !signals::terminated() {
        say(&verdict.text)?;
        return Err(Interrupted.into());
    }
    let table = journal.seal().map_err(failed)?;
    if !is_done {
        return say(format!(
            "asked to stop: the {} rows so far are in {}; {} of {} rows are left: run the same command again to go on",
            verdict.done,
            table.display(),
            verdict.total - verdict.done,
            verdict.total
        ));
    }
    say(&verdict.text)?;
    say(format!(
        "{} rows in {}; {:.1} rows/s, {:.0} % of the time inside runs",
        verdict.done,
        table.display(),
        verdict.rows_per_s,
        100.0 * verdict.busy_share
    ))?;
    if let Some(ending) = &ending {
        say(&ending.text)?;
    }
    match &args.json {
        Some(path) => write_json(path, &summary(journal.dir().to_owned(), verdict, ending)),
        None => Ok(()),
    }
}

/// What a finished run holds.
fn wanted(space: &dyn SearchSpace, options: &ProfileOptions) -> Wanted {
    let tasks = schedule(space, options);
    let rows = tasks.iter().filter(|task| task.role != Role::Anchor).count() as u64;
    // Where samples are chosen their numbers have gaps, so that their count does not say which ones lack.
    let samples = if options.rounds.is_empty() { options.samples } else { 0 };
    Wanted { rows, samples }
}

/// The folder asked for, or one named by what it will hold.
fn run_dir(
    args: &Args,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    device: &str,
) -> PathBuf {
    let named = || {
        let dir = runs::profile_dir(space.id(), device, options);
        let dir = if args.until.is_some() { runs::until_dir(&dir) } else { dir };
        options.shard.map_or(dir.clone(), |shard| runs::shard_dir(&dir, shard))
    };
    args.out.clone().unwrap_or_else(named)
}
