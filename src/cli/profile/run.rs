//! Chooses how a run is measured: by one process or several, rows in order or in rounds, or single operations.

use lat_profiler::{DeviceSpec, ProfileOptions, plan};
use lat_space::{SearchSpace, find_space};

use super::args::Args;
use super::devices::devices;
use super::measuring::measure;
use super::opened::{announce, finish, open, run_dir, wanted};
use super::options::options;
use super::summary::plan_text;
use super::{per_op, until, workers};
use crate::cli::failure::bad;
use crate::cli::output::{Screen, say};
use crate::cli::signals;
use crate::cli::skeleton::odd_stem;
use crate::cli::written::Written;

/// Architectures measured for `--plan`.
const PILOT: u64 = 20;

pub(in crate::cli) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let space = find_space(&args.space)?;
    if args.worker || args.fresh {
        signals::stop_when_input_ends();
    }
    let devices = devices(args.device.as_deref())?;
    let options = options(args, space.as_ref(), devices[0])?;
    options.check_run(space.as_ref())?;
    if let Some(line) =
        odd_stem(space.as_ref(), &options.skeleton).filter(|_| !args.worker && !args.fresh)
    {
        screen.warn(None, &line);
    }
    if !args.sizes.is_empty() && !args.per_op {
        return Err(bad("expected --sizes with --per-op alone, found no --per-op"));
    }
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
        let working = screen.working("measuring a few architectures");
        let found = plan(space.as_ref(), &options, PILOT)?;
        working.finish_and_clear();
        return say(plan_text(&found, &options));
    }
    run_on_one(args, space.as_ref(), options, screen)
}

/// Checks that the file for `--json` is not one of the files of the run, or of the table of operations.
fn check_json(
    args: &Args,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    devices: &[DeviceSpec],
) -> anyhow::Result<()> {
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let dir = match args.per_op {
        true => per_op::table_dir(args, space, options),
        false => run_dir(args, space, options, &names.join(",")),
    };
    // A worker's verdict is in its folder, which the worker makes itself.
    let json = args.json.as_deref().filter(|_| !args.worker);
    Written::default().output("--json", json).folder(&dir).check()
}

/// Measures on one device, in this process, except for the rows that a fresh one repeats.
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
