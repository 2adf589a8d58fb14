//! Timing on a processor that other programs disturb: every run is between two runs of a small reference network.
//!
//! On shared machines the same network can be 1.5 times slower in one second than in the next (other tenants, the second thread
//! of the core, clocks). The disturbance changes slowly compared with a run, so it affects the reference in the same way: run /
//! reference is steady even if the run is not (in our measurements a spread of 16 % becomes 3 % over ten runs). A run's time is
//! that ratio times the reference's undisturbed time, which is determined once per data set and kept in its header. The clock's
//! own reading is kept too.

use std::time::Instant;

use lat_nn::WeightArena;
use lat_space::{NasBench201, SearchSpace, Skeleton, Space, Stem};
use tch::{Device, Kind};

use crate::{CpuStopwatch, NetWorkload, ProfileError, Stopwatch, Workload};

/// Seconds spent on measuring the reference's undisturbed time.
const CALIBRATION_S: f64 = 2.0;
/// The undisturbed time is this quantile of the calibration's runs: low enough to exclude the disturbed ones, high enough not to
/// depend on a single lucky one.
const UNDISTURBED: f64 = 0.05;
/// If the longer of two reference runs takes more than this many times the shorter one, the run is repeated.
const UNSTEADY: f64 = 2.0;
/// The most times that a run is made for one value. On a machine that is never steady the last one counts as it is.
const MOST_TRIES: u32 = 4;
/// All edges are 3x3 convolutions, the layers that most networks spend their time in.
const ARCHITECTURE: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";

/// The host's clock, corrected by a reference network before and after each run.
#[derive(Debug)]
pub struct PairedStopwatch {
    clock: CpuStopwatch,
    reference: NetWorkload,
    pairs: Pairs,
}

/// Runs as multiples of the reference.
#[expect(clippy::struct_field_names, reason = "units are suffixes")]
#[derive(Debug)]
struct Pairs {
    undisturbed_ms: f64,
    /// The reference run after the previous run, if nothing came in between.
    before_ms: Option<f64>,
    raw_ms: Vec<f64>,
}

impl PairedStopwatch {
    /// A stopwatch with the reference's undisturbed time as an earlier process found it; if None, it is measured. `clock` may
    /// empty the caches before the timed runs; the reference always runs warm.
    ///
    /// # Errors
    /// [`ProfileError::Network`] if libtorch cannot build or run the reference.
    pub fn new(undisturbed_ms: Option<f64>, clock: CpuStopwatch) -> Result<Self, ProfileError> {
        let mut reference = reference_network()?;
        let undisturbed_ms = match undisturbed_ms {
            Some(ms) => ms,
            None => calibrate(&mut reference)?,
        };
        let pairs = Pairs { undisturbed_ms, before_ms: None, raw_ms: Vec::new() };
        Ok(Self { clock, reference, pairs })
    }

    /// The reference's undisturbed time in milliseconds.
    pub fn undisturbed_ms(&self) -> f64 {
        self.pairs.undisturbed_ms
    }
}

impl Pairs {
    /// Times a run between two runs of the reference; the first may be the one after the previous run. If these two differ so
    /// much that a disturbance began or ended during the run, the run is repeated.
    fn time_ms(
        &mut self,
        mut reference_ms: impl FnMut() -> Result<f64, ProfileError>,
        mut run_ms: impl FnMut() -> Result<f64, ProfileError>,
    ) -> Result<f64, ProfileError> {
        let mut before_ms = self.before_ms.take().map_or_else(&mut reference_ms, Ok)?;
        let mut tries = 0;
        loop {
            let raw_ms = run_ms()?;
            let after_ms = reference_ms()?;
            tries += 1;
            if tries < MOST_TRIES && before_ms.max(after_ms) > UNSTEADY * before_ms.min(after_ms) {
                before_ms = after_ms;
                continue;
            }
            self.before_ms = Some(after_ms);
            self.raw_ms.push(raw_ms);
            return Ok(raw_ms / f64::midpoint(before_ms, after_ms) * self.undisturbed_ms);
        }
    }

    fn take_raw_ms(&mut self) -> Vec<f64> {
        // The next run may come much later, so it needs a new reference run before it.
        self.before_ms = None;
        std::mem::take(&mut self.raw_ms)
    }
}

impl Stopwatch for PairedStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        let (reference, is_cold) = (&mut self.reference, self.clock.is_cold());
        let reference_ms = || {
            if is_cold {
                // After the previous run, the reference's weights are not in the caches.
                CpuStopwatch::time_hot_ms(reference)?;
            }
            CpuStopwatch::time_hot_ms(reference)
        };
        let clock = &mut self.clock;
        self.pairs.time_ms(reference_ms, || clock.time_ms(work))
    }

    fn take_raw_ms(&mut self) -> Vec<f64> {
        self.pairs.take_raw_ms()
    }

    fn reference_ms(&self) -> Option<f64> {
        // With empty caches, the caches would have to be emptied before each pass.
        (!self.clock.is_cold()).then_some(self.pairs.undisturbed_ms)
    }
}

/// The undisturbed time of the reference on this machine with the current number of threads, in milliseconds.
///
/// # Errors
/// The errors of [`PairedStopwatch::new`].
pub fn calibrate_reference() -> Result<f64, ProfileError> {
    Ok(PairedStopwatch::new(None, CpuStopwatch::default())?.undisturbed_ms())
}

fn calibrate(reference: &mut NetWorkload) -> Result<f64, ProfileError> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 20 || begin.elapsed().as_secs_f64() < CALIBRATION_S {
        times.push(CpuStopwatch::time_hot_ms(reference)?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[(times.len() as f64 * UNDISTURBED) as usize])
}

pub(crate) fn reference_network() -> Result<NetWorkload, ProfileError> {
    let space = NasBench201::new();
    // This is not a preset, because existing data sets must keep their reference even if presets change.
    let skeleton =
        Skeleton { channels: 8, layers: 3, resolution: 8, classes: 10, stem: Stem::Cifar };
    let graph = space.graph(&skeleton).derive(&space.parse(ARCHITECTURE)?);
    let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
    NetWorkload::new(&graph, &arena, &arena.images(1, skeleton.resolution)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that takes four times the reference, on a machine that is slower by these factors, one per run.
    fn times(pairs: &mut Pairs, slowness: &[f64]) -> f64 {
        let mut now = slowness.iter();
        let mut next = |ms: f64| Ok(ms * now.next().unwrap());
        let next = std::cell::RefCell::new(&mut next);
        let found = pairs.time_ms(|| (next.borrow_mut())(5.0), || (next.borrow_mut())(20.0));
        assert!(now.next().is_none(), "as many runs as factors");
        found.unwrap()
    }

    #[test]
    fn a_run_is_given_in_multiples_of_the_reference() {
        let mut pairs = Pairs { undisturbed_ms: 10.0, before_ms: None, raw_ms: Vec::new() };
        // The disturbance grows evenly over the three runs.
        assert!((times(&mut pairs, &[1.0, 1.5, 2.0]) - 40.0).abs() < 1e-9);
        // The reference run after the last run is also the one before this run.
        assert!((times(&mut pairs, &[3.0, 4.0]) - 40.0).abs() < 1e-9);
        assert_eq!(pairs.take_raw_ms(), [30.0, 60.0], "what the clock showed");
        assert!(pairs.take_raw_ms().is_empty());
        // Time may have passed in between.
        assert!((times(&mut pairs, &[1.0, 1.0, 1.0]) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_in_which_the_disturbance_came_or_went_is_made_again() {
        let mut pairs = Pairs { undisturbed_ms: 10.0, before_ms: None, raw_ms: Vec::new() };
        // The reference is delayed once: neither the run before it nor the run after it counts.
        assert!((times(&mut pairs, &[1.0, 1.0, 400.0, 1.0, 1.0, 1.0, 1.0]) - 40.0).abs() < 1e-9);
        // Never steady, so the fourth run counts.
        let found = times(&mut pairs, &[1.0, 9.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0]);
        assert!((found - 8.0).abs() < 1e-9, "{found}");
        assert_eq!(pairs.take_raw_ms().len(), 2, "one value each");
    }

    #[test]
    fn the_reference_and_a_run_are_timed() {
        let mut stopwatch = PairedStopwatch::new(Some(10.0), CpuStopwatch::default()).unwrap();
        let time_ms = stopwatch.time_ms(&mut reference_network().unwrap()).unwrap();
        assert!(time_ms.is_finite() && time_ms > 0.0, "{time_ms}");
        assert!(stopwatch.take_raw_ms()[0] > 0.0);
    }
}
