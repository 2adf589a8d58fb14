use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lat_data::{Measurement, Role, Status};
use lat_space::SearchSpace;

use crate::row::Bench;
use crate::soak::{Soak, soak};
use crate::{ProfileError, ProfileOptions, RowSink, Task, Testbed, Verdict, open, schedule};

/// Failed rows in a row after which a run stops: then the fault lies with the device or the options, not with architectures.
const MOST_FAILURES: u32 = 5;

/// What a run reports while it runs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It begins.
    Begun {
        /// Rows there already.
        done: u64,
        /// Rows wanted.
        total: u64,
    },
    /// The heat-soak is over.
    Soaked {
        /// Seconds it took, on the device's clock.
        seconds: f64,
        /// Whether the latency had stopped moving.
        flat: bool,
    },
    /// A row is safe.
    Row {
        /// Rows there are.
        done: u64,
        /// Rows wanted.
        total: u64,
        /// Rows per second of the host's time since the run began.
        rows_per_s: f64,
        /// The row.
        row: &'a Measurement,
    },
}

/// Measures all rows of [`schedule`] that the sink does not have yet. Once `stop` is set, it returns after the row at hand.
///
/// # Errors
/// [`ProfileError`] where the options are out of range, the device does not answer, recorded rows are of another run, a row
/// cannot be kept, or five architectures in a row fail. Rows appended so far are safe in every case.
pub fn run(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    sink: &mut dyn RowSink,
    on_event: &mut dyn FnMut(Event<'_>),
    stop: &AtomicBool,
) -> Result<Verdict, ProfileError> {
    options.check(space)?;
    let mut bed = open(options)?;
    run_on(bed.as_mut(), space, options, sink, on_event, stop)
}

/// [`run`] on a testbed of one's own.
///
/// # Errors
/// As [`run`].
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
    let pending = pending(&tasks, sink.recorded());
    let total = tasks.len() as u64;
    let mut progress = Progress { done: total - pending.len() as u64, total, on_event };
    (progress.on_event)(Event::Begun { done: progress.done, total });
    let begin = Instant::now();
    let soak = if pending.is_empty() || options.soak_s <= 0.0 {
        None
    } else {
        Some(progress.soak(&mut bench, options, stop)?)
    };
    let already = progress.done;
    measure_all(&mut bench, &pending, options.seed, sink, &mut progress, stop)?;
    let mut verdict = Verdict::of(sink.recorded(), progress.done, total, soak);
    verdict.rows_per_s = (progress.done - already) as f64 / begin.elapsed().as_secs_f64();
    Ok(verdict)
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
    pending: &[Task],
    seed: u64,
    sink: &mut dyn RowSink,
    progress: &mut Progress<'_>,
    stop: &AtomicBool,
) -> Result<(), ProfileError> {
    let begin = Instant::now();
    let mut failures = 0;
    bench.restart_wall();
    for (position, task) in pending.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let row = bench.measure(*task, &task.architecture(bench.space, seed)?);
        sink.append(&row)?;
        progress.done += 1;
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

/// The tasks without a row, in their order.
fn pending(tasks: &[Task], recorded: &[Measurement]) -> Vec<Task> {
    let done: HashSet<(Role, u64, u32)> = recorded.iter().map(Measurement::identity).collect();
    let is_done = |t: &Task| done.contains(&(t.role, t.index, t.occurrence));
    tasks.iter().copied().filter(|task| !is_done(task)).collect()
}

/// Every recorded row must hold the architecture that this run measures under its number.
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
#[path = "runner_tests.rs"]
mod tests;
