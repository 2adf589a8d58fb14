//! Measures on several devices, with one process for each, because a GPU error can make the GPU unusable for the whole process.
//!
//! Each worker measures a shard in a folder of its own, `worker-0` and so on, so no file has two writers. A worker that is killed or
//! loses its GPU is started again. An architecture at which this happens three times gets a failed row, written while no worker uses
//! the folder. At the end the shards are merged into the run's folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use lat_data::{MergeOptions, Shard, check_replaceable, merge};
use lat_profiler::{DeviceSpec, ProfileOptions, schedule};
use lat_space::SearchSpace;
use serde::Serialize;

use super::args::Args;
use super::opened::run_dir;
use super::worker::{VERDICT, Worker};
use crate::cli::failure::{Interrupted, failed};
use crate::cli::merge::say_merged;
use crate::cli::output::{Screen, say, write_json};
use crate::cli::{STOP, runs, signals};

/// How often workers are polled.
const PERIOD: Duration = Duration::from_millis(100);

/// The JSON result.
#[derive(Serialize)]
struct Summary {
    dir: PathBuf,
    valid: bool,
    rows: u64,
    workers: Vec<serde_json::Value>,
}

/// Measures on all devices at once and merges the result.
pub(super) fn run(
    args: &Args,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    devices: &[DeviceSpec],
    screen: Screen,
) -> anyhow::Result<()> {
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let dir = run_dir(args, space, options, &names.join(","));
    check_replaceable(&dir)?;
    let parts = parts(options, devices)?;
    parts.iter().try_for_each(|part| part.check_run(space))?;
    runs::writable_dir(&dir)?;
    say(format!(
        "{}: {} on {} ({}), batch {}, {}, a process for each device",
        dir.display(),
        space.id(),
        names.join(", "),
        options.device.name(),
        options.batch,
        options.skeleton
    ))?;
    let bar = screen.bar("architectures");
    bar.set_length(parts.iter().map(|part| schedule(space, part).len() as u64).sum());
    let mut workers = Vec::new();
    for (k, part) in parts.into_iter().enumerate() {
        workers.push(Worker::start(space, part, dir.join(format!("worker-{k}")))?);
    }
    watch(&mut workers, &bar, screen)?;
    bar.finish_and_clear();
    conclude(args, &dir, &mut workers)
}

/// The options for each device: its share of the samples of the run (or of the shard).
fn parts(options: &ProfileOptions, devices: &[DeviceSpec]) -> anyhow::Result<Vec<ProfileOptions>> {
    let whole = options.shard.unwrap_or(Shard::WHOLE);
    let part = |(k, device): (usize, &DeviceSpec)| {
        let shard = whole.split(k as u32 + 1, devices.len() as u32);
        let shard =
            shard.with_context(|| format!("expected fewer shards than {whole} for each device"))?;
        Ok(ProfileOptions { device: *device, shard: Some(shard), ..options.clone() })
    };
    devices.iter().enumerate().map(part).collect()
}

/// Watches the workers until all have ended.
fn watch(workers: &mut [Worker<'_>], bar: &ProgressBar, screen: Screen) -> anyhow::Result<()> {
    while workers.iter().any(|worker| !worker.has_ended()) {
        std::thread::sleep(PERIOD);
        for worker in workers.iter_mut().filter(|worker| !worker.has_ended()) {
            if STOP.load(Ordering::Relaxed) {
                worker.ask_to_stop();
            }
            worker.look(bar, screen)?;
        }
        bar.set_position(workers.iter_mut().map(Worker::rows).sum());
    }
    Ok(())
}

/// Says what is left to do, or merges the finished shards.
fn conclude(args: &Args, dir: &Path, workers: &mut [Worker<'_>]) -> anyhow::Result<()> {
    let faults: Vec<String> = workers.iter().filter_map(Worker::fault).collect();
    let rows: u64 = workers.iter_mut().map(Worker::rows).sum();
    let (place, again) = (dir.display(), "run the same command again to go on");
    if !faults.is_empty() {
        let faults = faults.join("; ");
        return Err(failed(format!(
            "{faults}; the {rows} rows so far are kept in {place}: {again}"
        )));
    }
    if STOP.load(Ordering::Relaxed) {
        if !signals::terminated() {
            return Err(Interrupted.into());
        }
        return say(format!("asked to stop: {rows} rows are in {place}/worker-*; {again}"));
    }
    let verdicts: Vec<serde_json::Value> =
        workers.iter().map(|worker| verdict(worker.dir())).collect::<anyhow::Result<_>>()?;
    for (worker, verdict) in workers.iter().zip(&verdicts) {
        say(format!("{}: {}", worker.name(), verdict["verdict"].as_str().unwrap_or_default()))?;
    }
    join(args, dir, workers)?;
    let valid = verdicts.iter().all(|verdict| verdict["valid"] == true);
    match &args.json {
        Some(path) => {
            let dir = dir.to_owned();
            write_json(path, &Summary { dir, valid, rows, workers: verdicts })
        }
        None => Ok(()),
    }
}

/// Merges the workers' shards. If they are only parts of a shard, the other shards are missing and the user merges later.
fn join(args: &Args, dir: &Path, workers: &[Worker<'_>]) -> anyhow::Result<()> {
    if args.shard.is_some() {
        return say(format!(
            "finished; join the shards of all machines by `lat merge OUT {}/worker-* ...`",
            dir.display()
        ));
    }
    let shards: Vec<PathBuf> = workers.iter().map(|worker| worker.dir().to_owned()).collect();
    say_merged(&merge(dir, &shards, MergeOptions::default()).map_err(failed)?)
}

/// The verdict that a finished worker left in its folder.
fn verdict(dir: &Path) -> anyhow::Result<serde_json::Value> {
    let path = dir.join(VERDICT);
    let read = || -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&std::fs::read(&path)?)?)
    };
    read().with_context(|| format!("could not read a worker's verdict at {}", path.display()))
}
