//! `lat profile`: measures architectures.

mod fresh;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use lat_data::{Journal, read_run};
use lat_profiler::{
    DeviceSpec, Event, Mode, OperatingPoint, Plan, Precision, ProfileOptions, Verdict,
    calibrate_reference, examine, header, judge, plan,
};
use lat_space::{SearchSpace, find_space};
use serde::Serialize;

use super::failure::Interrupted;
use super::output::{Screen, say, write_json};
use super::skeleton::{SkeletonArgs, device, is_small};
use super::{STOP, runs};

/// Share of the samples that a fresh process repeats.
const FRESH_FRACTION: f64 = 0.01;
/// Architectures measured for `--plan`.
const PILOT: u64 = 20;

/// Measure how long architectures take on a device.
///
/// Draws distinct architectures, builds each, times it until the 95 % interval of its median is within 1 %, and writes a row
/// with its proof. Ctrl-C or a crash loses at most the row at hand; the same command resumes.
///
/// Example: lat profile --device cuda:0 --samples 100000
#[derive(clap::Args)]
pub(super) struct Args {
    /// cpu, cuda:N or fake [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Search space; see `lat list spaces`.
    #[arg(long, default_value = "darts")]
    space: String,
    /// Number of distinct architectures.
    #[arg(long, default_value_t = 1000)]
    samples: u64,
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
    /// time), or both, which also says where launches take the time.
    #[arg(long, default_value = "eager", value_name = "eager|graph|both")]
    mode: Mode,
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
}

/// The result for machines.
#[derive(Serialize)]
struct Summary {
    dir: PathBuf,
    valid: bool,
    verdict: String,
    rows: u64,
    rows_per_s: f64,
    busy_share: f64,
    noise_floor_percent: Option<f64>,
    fresh_noise_percent: Option<f64>,
    drift_percent: Option<f64>,
    drift_spread_percent: Option<f64>,
    superseded: u64,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let space = find_space(&args.space)?;
    let mut options = options(args, space.as_ref())?;
    options.check(space.as_ref())?;
    if args.plan {
        return say(plan_text(&plan(space.as_ref(), &options, PILOT)?, &options));
    }
    let dir = args.out.clone().unwrap_or_else(|| runs::profile_dir(space.id(), &options));
    options.reference_ms = reference_ms(options.device, &dir)?;
    let header = header(space.as_ref(), &options);
    let mut journal = Journal::open(&dir, &header)?;
    if let Some(line) = journal.recovered() {
        screen.note(None, &line);
    }
    if args.fresh {
        fresh::end_with_the_parent();
        return measure(space.as_ref(), &options, &mut journal, screen).map(drop);
    }
    say(format!(
        "{}: {} on {} ({}), batch {}, {}, {}",
        dir.display(),
        space.id(),
        header.device,
        header.device_name,
        options.batch,
        options.skeleton,
        options.point
    ))?;
    if journal.rows().is_empty() {
        // What the machine was like when the run began stands beside its rows.
        write_json(&dir.join("doctor.json"), &examine(options.device)?)?;
    }
    let mut verdict = measure(space.as_ref(), &options, &mut journal, screen)?;
    if verdict.done < verdict.total && !STOP.load(Ordering::Relaxed) {
        drop(journal);
        fresh::measure_in_a_fresh_process()?;
        journal = Journal::open(&dir, &header)?;
        let Verdict { rows_per_s, soak_s, soak_flat, .. } = verdict;
        verdict = judge(space.as_ref(), &options, journal.rows());
        verdict = Verdict { rows_per_s, soak_s, soak_flat, ..verdict };
    }
    if verdict.done < verdict.total {
        say(&verdict.text)?;
        return Err(Interrupted.into());
    }
    let table = journal.seal()?;
    say(&verdict.text)?;
    say(format!(
        "{} rows in {}; {:.1} rows/s, {:.0} % of the time inside runs",
        verdict.done,
        table.display(),
        verdict.rows_per_s,
        100.0 * verdict.busy_share
    ))?;
    match &args.json {
        Some(path) => write_json(path, &summary(dir, &verdict)),
        None => Ok(()),
    }
}

fn options(args: &Args, space: &dyn SearchSpace) -> anyhow::Result<ProfileOptions> {
    let device = device(args.device.as_deref())?;
    let preset = args.preset.as_deref().unwrap_or(if is_small(device) { "quick" } else { "cifar" });
    let skeleton = args.skeleton.skeleton(space, preset)?;
    let defaults = ProfileOptions::new(skeleton, device);
    let max_ms = args.max_ms.unwrap_or(defaults.max_ms);
    Ok(ProfileOptions {
        samples: args.samples,
        seed: args.seed,
        batch: args.batch,
        point: OperatingPoint {
            mode: args.mode,
            precision: args.precision,
            channels_last: args.channels_last,
            cold: args.cold,
        },
        max_ms,
        fresh_fraction: FRESH_FRACTION,
        is_fresh: args.fresh,
        energy_fraction: args.energy,
        ..defaults
    })
}

/// The CPU's reference time: that of the run to be resumed, else measured now.
fn reference_ms(device: DeviceSpec, dir: &Path) -> anyhow::Result<Option<f64>> {
    if device != DeviceSpec::Cpu {
        return Ok(None);
    }
    let resumed = if dir.join("run.json").exists() { read_run(dir)?.0.reference_ms } else { None };
    Ok(Some(match resumed {
        Some(ms) => ms,
        None => calibrate_reference()?,
    }))
}

fn measure(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    journal: &mut Journal,
    screen: Screen,
) -> anyhow::Result<Verdict> {
    let bar = screen.bar("architectures");
    let mut on_event = |event: Event<'_>| match event {
        Event::Begun { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            bar.reset_eta();
            if done > 0 && done < total {
                screen.note(Some(&bar), &format!("resuming: {done} of {total} rows are there"));
            }
        }
        Event::Row { done, row, .. } => {
            bar.set_position(done);
            bar.set_message(format!("{:.3} ms", row.latency_ms));
        }
        Event::Soaked { seconds, flat } if !flat => {
            let line = format!(
                "latency still moves after {seconds:.0} s of warming up; other programs may be running"
            );
            screen.note(Some(&bar), &line);
        }
        Event::Drifted { rows } => {
            let line = format!(
                "the device was off its level for a while; measuring {rows} rows again, anchors before and after them"
            );
            bar.inc_length(rows);
            screen.note(Some(&bar), &line);
        }
        _ => {}
    };
    let verdict = lat_profiler::run(space, options, journal, &mut on_event, &STOP);
    bar.finish_and_clear();
    Ok(verdict?)
}

fn plan_text(plan: &Plan, options: &ProfileOptions) -> String {
    let Plan {
        rows,
        n_pilot,
        seconds_per_row,
        hours,
        bytes,
        latency_ms,
        latency_range_ms,
        busy_share,
    } = plan;
    let (low, high) = latency_range_ms;
    format!(
        "plan for {} samples on {} (from {n_pilot} measured): {rows} rows, {seconds_per_row:.3} s each, {hours:.2} h, {:.1} MB; \
         latency {latency_ms:.3} ms ({low:.3} to {high:.3}), {:.0} % of the time inside runs",
        options.samples,
        options.device,
        *bytes as f64 / 1e6,
        100.0 * busy_share
    )
}

fn summary(dir: PathBuf, verdict: &Verdict) -> Summary {
    Summary {
        dir,
        valid: verdict.valid,
        verdict: verdict.text.clone(),
        rows: verdict.done,
        rows_per_s: verdict.rows_per_s,
        busy_share: verdict.busy_share,
        noise_floor_percent: verdict.noise_floor.map(|n| 100.0 * n),
        fresh_noise_percent: verdict.fresh_noise.map(|n| 100.0 * n),
        drift_percent: verdict.drift.map(|d| 100.0 * d),
        drift_spread_percent: verdict.drift_spread.map(|d| 100.0 * d),
        superseded: verdict.n_superseded,
    }
}
