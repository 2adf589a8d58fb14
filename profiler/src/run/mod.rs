//! Runs: which rows are measured, in what order, and when one is measured again.

mod bench;
mod header;
mod lost;
mod plan;
mod rounds;
mod schedule;
mod sink;
mod soak;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lat_data::{Measurement, Role, Status};
use lat_space::SearchSpace;

use crate::verdict::{Soak, drift};
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Verdict, open};
use bench::Bench;
pub use bench::measure_one;
pub use header::header;
pub use lost::{is_sticky, lost_row};
pub use plan::{Plan, plan};
use schedule::n_anchors;
pub use schedule::{ANCHORS, schedule};
pub use sink::RowSink;
use soak::soak;

/// After this many failed rows in succession a run stops, because the fault must be in the device or the options, not in
/// architectures.
const MOST_FAILURES: u32 = 5;

/// The most times that a failing row is measured.
pub(crate) const MOST_ATTEMPTS: u32 = 3;
/// The most times that rows of drifting stretches are measured again.
const MOST_PASSES: u32 = 2;

/// An event that a run reports.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins.
    Begun {
        /// Number of rows that exist already.
        done: u64,
        /// Number of rows wanted.
        total: u64,
    },
    /// The heat-soak is over.
    Soaked {
        /// Seconds it took, on the device's clock.
        seconds: f64,
        /// Whether the latency had stopped moving.
        flat: bool,
    },
    /// Rows were measured while the device was off its level. They are measured again, with anchors before and after them.
    Drifted {
        /// Number of rows to measure again.
        rows: u64,
    },
    /// A row is safe.
    Row {
        /// Number of rows that exist.
        done: u64,
        /// Number of rows wanted.
        total: u64,
        /// Rows per second of the host's time since the run began.
        rows_per_s: f64,
        /// The row.
        row: &'a Measurement,
    },
}

/// Measures all rows of [`schedule`] that the sink does not have yet. When `stop` is set, it returns after the current row.
///
/// # Errors
/// [`ProfileError`] if the options are out of range, the device does not answer, recorded rows belong to another run, a row
/// cannot be kept, or five architectures in succession fail. Rows appended so far are safe in every case.
pub fn run(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    sink: &mut dyn RowSink,
    on_event: &mut dyn FnMut(Event<'_>),
    stop: &AtomicBool,
) -> Result<Verdict, ProfileError> {
    options.check_run(space)?;
    let mut bed = open(options)?;
    run_on(bed.as_mut(), space, options, sink, on_event, stop)
}

/// [`run`] on a given testbed.
///
/// # Errors
/// The errors of [`run`].
pub fn run_on(
    bed: &mut dyn Testbed,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    sink: &mut dyn RowSink,
    on_event: &mut dyn FnMut(Event<'_>),
    stop: &AtomicBool,
) -> Result<Verdict, ProfileError> {
    let mut bench = Bench::new(bed, space, options)?;
    check_recorded(space, options.seed, sink.recorded())?;
    let tasks = schedule(space, options);
    let total = tasks.len() as u64;
    let done = n_done(&tasks, sink.recorded());
    let mut pending = pending(&tasks, sink.recorded(), options.is_fresh);
    if options.is_fresh && options.device == DeviceSpec::Cpu {
        // Each of these rows gets a process of its own, so that the growth of the process's memory is that of the row.
        pending.truncate(1);
    }
    let mut progress = Progress { done, total, on_event };
    (progress.on_event)(Event::Begun { done: progress.done, total });
    let begin = Instant::now();
    let soak = if pending.is_empty() || options.soak_s <= 0.0 {
        None
    } else {
        Some(progress.soak(&mut bench, options, stop)?)
    };
    let already = sink.recorded().len();
    bench.restart_wall();
    measure_all(&mut bench, &pending, options.seed, sink, &mut progress, stop)?;
    for _ in 0..MOST_PASSES {
        let again = again(space, sink.recorded());
        if again.is_empty() || options.is_fresh || stop.load(Ordering::Relaxed) {
            break;
        }
        (progress.on_event)(Event::Drifted { rows: again.len() as u64 });
        measure_all(&mut bench, &again, options.seed, sink, &mut progress, stop)?;
    }
    sink.settle()?;
    let rows = sink.recorded();
    let mut verdict = Verdict::of(rows, n_done(&tasks, rows), total, soak);
    verdict.rows_per_s = (rows.len() - already) as f64 / begin.elapsed().as_secs_f64();
    Ok(verdict)
}

/// The verdict on recorded rows, whichever processes measured them.
pub fn judge(space: &dyn SearchSpace, options: &ProfileOptions, rows: &[Measurement]) -> Verdict {
    let tasks = schedule(space, options);
    Verdict::of(rows, n_done(&tasks, rows), tasks.len() as u64, None)
}

/// A row to be measured, and how often it was measured before.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Due {
    task: Task,
    attempt: u32,
}

struct Progress<'a> {
    done: u64,
    total: u64,
    on_event: &'a mut dyn FnMut(Event<'_>),
}

impl Progress<'_> {
    fn soak(
        &mut self,
        bench: &mut Bench<'_>,
        options: &ProfileOptions,
        stop: &AtomicBool,
    ) -> Result<Soak, ProfileError> {
        let soak = soak(bench, options.soak_s, stop)?;
        (self.on_event)(Event::Soaked { seconds: soak.seconds, flat: soak.flat });
        Ok(soak)
    }
}

fn measure_all(
    bench: &mut Bench<'_>,
    pending: &[Due],
    seed: u64,
    sink: &mut dyn RowSink,
    progress: &mut Progress<'_>,
    stop: &AtomicBool,
) -> Result<(), ProfileError> {
    let begin = Instant::now();
    let mut failures = 0;
    let draw = |due: &Due| due.task.architecture(bench.space, seed).map(|a| (due.task, a));
    let mut ahead = pending.first().map(draw).transpose()?;
    for (position, due) in pending.iter().enumerate() {
        let Some((task, architecture)) = ahead.take() else { break };
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let draw = |due: &Due| due.task.architecture(bench.space, seed).map(|a| (due.task, a));
        ahead = pending.get(position + 1).map(draw).transpose()?;
        let next = ahead.as_ref().map(|(task, architecture)| (*task, architecture));
        sink.begin(task, due.attempt);
        let row = bench.measure(task, &architecture, next);
        if row.status == Status::Failed && is_sticky(&row.reason) {
            let Measurement { architecture, reason, .. } = row;
            return Err(ProfileError::DeviceLost { architecture, reason });
        }
        let row = Measurement { attempt: due.attempt, ..row };
        sink.append(&row)?;
        progress.done += u64::from(due.attempt == 0);
        let rows_per_s = (position + 1) as f64 / begin.elapsed().as_secs_f64();
        let (done, total) = (progress.done, progress.total);
        (progress.on_event)(Event::Row { done, total, rows_per_s, row: &row });
        failures = if row.status == Status::Failed { failures + 1 } else { 0 };
        if failures == MOST_FAILURES {
            return Err(ProfileError::TooManyFailures { count: failures, reason: row.reason });
        }
    }
    Ok(())
}

/// How many tasks have a row.
fn n_done(tasks: &[Task], recorded: &[Measurement]) -> u64 {
    let done: HashSet<_> = recorded.iter().map(Measurement::identity).collect();
    tasks.iter().filter(|task| done.contains(&task.identity())).count() as u64
}

/// The tasks that have no row, in their order, and those that failed but may succeed this time. The new process for fresh repeats
/// has tasks of its own.
fn pending(tasks: &[Task], recorded: &[Measurement], is_fresh: bool) -> Vec<Due> {
    let mut last: HashMap<_, &Measurement> = HashMap::new();
    for row in recorded {
        let newest = last.entry(row.identity()).or_insert(row);
        if row.attempt > newest.attempt {
            *newest = row;
        }
    }
    let due = |task: &Task| match last.get(&task.identity()) {
        None => Some(Due { task: *task, attempt: 0 }),
        Some(row) if row.status == Status::Failed && row.attempt + 1 < MOST_ATTEMPTS => {
            Some(Due { task: *task, attempt: row.attempt + 1 })
        }
        Some(_) => None,
    };
    tasks.iter().filter(|t| (t.role == Role::Fresh) == is_fresh).filter_map(due).collect()
}

/// The row that [`run`] would measure next, including those of the process for fresh repeats. None if all rows exist, even if
/// some should be measured again. A process that ended at a row has recorded which one ([`RowSink::begin`]); this function is for
/// a process that ended before its first row.
pub fn next_task(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    recorded: &[Measurement],
) -> Option<Task> {
    let tasks = schedule(space, options);
    let next = |is_fresh| pending(&tasks, recorded, is_fresh).first().map(|due| due.task);
    next(false).or_else(|| next(true))
}

/// Rows of drifting stretches, with a round of anchors before and after them. Empty if more than half of the rows would have to
/// be measured again: then the device has no level to return to, and the verdict says so.
fn again(space: &dyn SearchSpace, recorded: &[Measurement]) -> Vec<Due> {
    let positions = drift::to_measure_again(recorded);
    if positions.is_empty() || positions.len() > recorded.len() / 2 {
        return Vec::new();
    }
    let anchors = || recorded.iter().filter(|row| row.role == Role::Anchor);
    let round = anchors().map(|row| row.occurrence + 1).max().unwrap_or(0);
    let anchor = |index, occurrence| Due {
        task: Task { role: Role::Anchor, index, occurrence },
        attempt: 0,
    };
    let n_anchors = n_anchors(space);
    let rows = positions.into_iter().map(|position| {
        let Measurement { role, index, occurrence, attempt, .. } = recorded[position];
        Due { task: Task { role, index, occurrence }, attempt: attempt + 1 }
    });
    let before = (0..n_anchors).map(|index| anchor(index, round));
    let after = (0..n_anchors).map(|index| anchor(index, round + 1));
    before.chain(rows).chain(after).collect()
}

/// Checks that every recorded row has the architecture that this run measures under its number.
fn check_recorded(
    space: &dyn SearchSpace,
    seed: u64,
    recorded: &[Measurement],
) -> Result<(), ProfileError> {
    for (row, found) in recorded.iter().enumerate() {
        let task = Task { role: found.role, index: found.index, occurrence: 0 };
        let expected = space.format(&task.architecture(space, seed)?);
        if expected != found.architecture {
            let found = found.architecture.clone();
            return Err(ProfileError::ForeignRow { row, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
