//! A run's folder, from its beginning to its seal.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use lat_data::{DOCTOR_FILE, DataError, Journal, Role, Rounds, RunHeader, Wanted};
use lat_profiler::{ProfileOptions, Verdict, examine, header, judge, schedule};
use lat_space::SearchSpace;

use super::args::Args;
use super::fresh;
use super::measuring::reference_ms;
use super::summary::{Ending, summary};
use crate::cli::failure::{Interrupted, bad, failed};
use crate::cli::output::{Screen, say, write_json};
use crate::cli::{STOP, runs, signals};

/// A run that is ready to be measured.
pub(super) struct Opened {
    pub(super) options: ProfileOptions,
    pub(super) header: RunHeader,
    pub(super) journal: Journal,
}

/// Begins the run, or opens it if it exists.
pub(super) fn open(
    args: &Args,
    space: &dyn SearchSpace,
    mut options: ProfileOptions,
    screen: Screen,
) -> anyhow::Result<Opened> {
    let dir = run_dir(args, space, &options, &options.device.to_string());
    if args.fresh && !lat_data::has_run(&dir) {
        // A fresh process repeats rows of an existing run and never begins one.
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

/// Checks that the folder's samples were chosen the way this command chooses them: either the first samples in order, or the choices
/// of `--until`.
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

/// Prints what will be measured, and records the state of the machine when the run begins.
pub(super) fn announce(space: &dyn SearchSpace, opened: &mut Opened) -> anyhow::Result<()> {
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
        // The state of the machine at the beginning of the run is saved beside its rows.
        let certificate = serde_json::to_string_pretty(&examine(options.device)?)? + "\n";
        journal.keep(DOCTOR_FILE, certificate.as_bytes())?;
    }
    Ok(())
}

/// Has a fresh process measure the remaining rows, and concludes the run.
pub(super) fn finish(
    args: &Args,
    space: &dyn SearchSpace,
    opened: Opened,
    mut verdict: Verdict,
    ending: Option<Ending>,
) -> anyhow::Result<()> {
    let Opened { options, header, mut journal } = opened;
    let dir = journal.dir().to_owned();
    // On a CPU each process measures one row. On a GPU, where starting takes long, one process measures all.
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

/// Seals the run and prints its verdict, or says what is left to do.
pub(super) fn conclude(
    args: &Args,
    journal: &mut Journal,
    verdict: &Verdict,
    ending: Option<Ending>,
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

/// The rows that a finished run has.
pub(super) fn wanted(space: &dyn SearchSpace, options: &ProfileOptions) -> Wanted {
    let tasks = schedule(space, options);
    let rows = tasks.iter().filter(|task| task.role != Role::Anchor).count() as u64;
    // If samples are chosen by rounds, their numbers have gaps, so their count does not tell which ones are missing.
    let samples = if options.rounds.is_empty() { options.samples } else { 0 };
    Wanted { rows, samples }
}

/// The folder given by the user, or one named by the run's contents.
pub(super) fn run_dir(
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
