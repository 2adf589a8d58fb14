//! Checks whether the host's clock measures correctly.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lat_data::median;

use super::{Finding, Grade};
use crate::{ProfileError, Stopwatch, Workload};

/// Number of runs whose median is one figure.
const RUNS: usize = 51;
/// Length of a known run. It is shorter than the time slice that a busy machine's scheduler gives, so that some runs are not
/// interrupted.
const KNOWN_MS: f64 = 1.0;
/// The fastest of these runs must be this close, relative.
const NEAR: f64 = 0.01;
/// The most such runs, on a machine that interrupts all of them.
const MOST_RUNS: usize = 1000;

/// A run that does nothing.
struct Empty;

impl Workload for Empty {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }
}

/// Keeps the processor busy for this long.
struct Spin(Duration);

impl Workload for Spin {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        let begin = Instant::now();
        while begin.elapsed() < self.0 {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }
}

/// Returns at once and works in the background, like a GPU.
struct Background {
    length: Duration,
    running: Option<JoinHandle<()>>,
}

impl Workload for Background {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        let length = self.length;
        self.running = Some(thread::spawn(move || thread::sleep(length)));
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        // Joining can only report a panic of the sleeping thread, which does not panic.
        self.running.take().map(JoinHandle::join);
        Ok(())
    }
}

/// Median of some runs, milliseconds.
pub(super) fn median_ms(
    stopwatch: &mut dyn Stopwatch,
    work: &mut dyn Workload,
    runs: usize,
) -> Result<f64, ProfileError> {
    let times: Result<Vec<f64>, ProfileError> =
        (0..runs).map(|_| stopwatch.time_ms(work)).collect();
    Ok(median(times?).unwrap_or(f64::NAN))
}

/// Smallest step that the host's clock shows, in nanoseconds.
pub(super) fn clock_resolution() -> Finding {
    let steps = (0..1000).filter_map(|_| {
        let begin = Instant::now();
        (0..10_000).map(|_| begin.elapsed()).find(|step| !step.is_zero())
    });
    let step_ns = steps.min().map_or(f64::INFINITY, |step| step.as_secs_f64() * 1e9);
    let advice = "the clock is coarse: check the kernel's clock source, which should be tsc, kvm-clock or the like";
    let found = format!("{step_ns:.0} ns");
    Finding::check("clock resolution", found, step_ns < 2000.0, Grade::Bad, advice)
}

/// The time that the stopwatch shows for a run that does nothing.
pub(super) fn floor(stopwatch: &mut dyn Stopwatch) -> Result<Finding, ProfileError> {
    let floor_us = 1e3 * median_ms(stopwatch, &mut Empty, RUNS)?;
    let advice = "an empty run should take microseconds; networks that take less than a hundred times this cannot be told apart";
    let found = format!("{floor_us:.2} us");
    Ok(Finding::check("empty run", found, floor_us < 20.0, Grade::Doubtful, advice))
}

/// The stopwatch must show the right time for a run of known length: never less, and on an undisturbed machine not more. The
/// fastest run decides, because others may have been interrupted.
pub(super) fn known_length(stopwatch: &mut dyn Stopwatch) -> Result<Finding, ProfileError> {
    let mut spin = Spin(Duration::from_secs_f64(KNOWN_MS / 1e3));
    let (mut shown_ms, mut runs) = (f64::INFINITY, 0);
    let error = |shown_ms: f64| (shown_ms / KNOWN_MS - 1.0).abs();
    while runs < RUNS || (runs < MOST_RUNS && error(shown_ms) >= NEAR) {
        shown_ms = shown_ms.min(stopwatch.time_ms(&mut spin)?);
        runs += 1;
    }
    let found = format!("{shown_ms:.3} ms for {KNOWN_MS:.3} ms, the fastest of {runs}");
    let grade = match error(shown_ms) {
        error if error < NEAR => Grade::Good,
        error if error < 0.10 => Grade::Doubtful,
        _ => Grade::Bad,
    };
    let advice = "the processor is taken away while it works: end other programs, or ask for a machine of your own";
    Ok(Finding::graded("run of known length", found, grade, advice))
}

/// A stopwatch that does not wait for the end would show almost no time for work in the background.
pub(super) fn missing_wait(stopwatch: &mut dyn Stopwatch) -> Result<Finding, ProfileError> {
    let length_ms = 20.0;
    let mut work = Background { length: Duration::from_secs_f64(length_ms / 1e3), running: None };
    let shown_ms = median_ms(stopwatch, &mut work, 5)?;
    let begin = Instant::now();
    work.enqueue()?;
    let started_ms = begin.elapsed().as_secs_f64() * 1e3;
    work.synchronize()?;
    let found = format!(
        "{shown_ms:.1} ms for {length_ms:.0} ms in the background, whose start alone takes {started_ms:.2} ms"
    );
    let advice = "the stopwatch does not wait for the end of what it times: report this, no number of this build can be trusted";
    Ok(Finding::check("missing wait", found, shown_ms >= length_ms, Grade::Bad, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CpuStopwatch;

    /// Stops before the end, as four published tools do.
    struct Hasty;

    impl Stopwatch for Hasty {
        fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
            let begin = Instant::now();
            work.enqueue()?;
            let time_ms = begin.elapsed().as_secs_f64() * 1e3;
            work.synchronize()?;
            Ok(time_ms)
        }
    }

    #[test]
    fn a_stopwatch_that_does_not_wait_is_found_out() {
        assert_eq!(missing_wait(&mut Hasty).unwrap().grade, Grade::Bad);
        assert_eq!(missing_wait(&mut CpuStopwatch::default()).unwrap().grade, Grade::Good);
    }

    #[test]
    fn a_stopwatch_that_shows_half_is_found_out() {
        struct Half;
        impl Stopwatch for Half {
            fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
                Ok(CpuStopwatch::default().time_ms(work)? / 2.0)
            }
        }
        assert_eq!(known_length(&mut Half).unwrap().grade, Grade::Bad);
    }
}
