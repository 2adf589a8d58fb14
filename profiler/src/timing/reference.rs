//! Timing on a processor that others disturb: every run stands between two runs of a small reference network.
//!
//! On shared machines the same network is 1.5 times slower in one second than in the next (other tenants, the second thread of
//! the core, clocks). The disturbance is slow beside a run, so it hits the reference alike: run / reference is steady where run
//! is not (measured: a spread of 16 % becomes 3 % over ten runs). A run's time is given as that ratio times the reference's
//! undisturbed time, which is fixed once per data set and kept in its header; what the clock showed is kept too.

use std::time::Instant;

use lat_nn::WeightArena;
use lat_space::{NasBench201, SearchSpace, Skeleton, Space, Stem};
use tch::{Device, Kind};

use crate::{CpuStopwatch, NetWorkload, ProfileError, Stopwatch, Workload};

/// Time spent on learning the reference's undisturbed time.
const CALIBRATION_S: f64 = 2.0;
/// Share of the calibration's runs that are taken as undisturbed: low enough to miss the disturbed ones, high enough not to
/// hang on a single lucky one.
const UNDISTURBED: f64 = 0.05;
/// How many times the shorter of two reference runs the longer may take.
const UNSTEADY: f64 = 2.0;
/// How often a run is made for one value; on a machine that never rests the last counts as it is.
const MOST_TRIES: u32 = 4;
/// All edges a 3x3 convolution: the layers that most networks spend their time in.
const ARCHITECTURE: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";

/// The host's clock, corrected by a reference network before and after each run.
#[derive(Debug)]
pub struct PairedStopwatch {
    clock: CpuStopwatch,
    reference: NetWorkload,
    pairs: Pairs,
}

/// Runs in multiples of the reference.
#[expect(clippy::struct_field_names, reason = "units are suffixes")]
#[derive(Debug)]
struct Pairs {
    undisturbed_ms: f64,
    /// The reference's run after the run before, where nothing came between.
    before_ms: Option<f64>,
    raw_ms: Vec<f64>,
}

impl PairedStopwatch {
    /// With the reference's undisturbed time as an earlier process found it, or newly calibrated. `clock` may empty the caches
    /// before the runs that are timed; the reference always runs warm.
    ///
    /// # Errors
    /// [`ProfileError::Network`] where libtorch cannot build or run the reference.
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
    /// A run between two of the reference, the first of which may be that after the run before. If these two differ so much that the
    /// disturbance came or went within the run, the run is made again.
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
        // What comes next may come much later: its first run needs a reference of its own.
        self.before_ms = None;
        std::mem::take(&mut self.raw_ms)
    }
}

impl Stopwatch for PairedStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        let (reference, is_cold) = (&mut self.reference, self.clock.is_cold());
        let reference_ms = || {
            if is_cold {
                // The run before left it without its weights in the caches.
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
        // With empty caches each pass would have to begin with emptying them.
        (!self.clock.is_cold()).then_some(self.pairs.undisturbed_ms)
    }
}

/// The undisturbed time of the reference on this machine with the threads now set, in milliseconds.
///
/// # Errors
/// As [`PairedStopwatch::new`].
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
    // Not a preset: data sets that stand must keep their reference whatever becomes of presets.
    let skeleton =
        Skeleton { channels: 8, layers: 3, resolution: 8, classes: 10, stem: Stem::Cifar };
    let graph = space.graph(&skeleton).derive(&space.parse(ARCHITECTURE)?);
    let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
    NetWorkload::new(&graph, &arena, &arena.images(1, skeleton.resolution)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of four references on a machine that is slower by these factors, run by run.
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
        // The reference after the last run is the one before this one.
        assert!((times(&mut pairs, &[3.0, 4.0]) - 40.0).abs() < 1e-9);
        assert_eq!(pairs.take_raw_ms(), [30.0, 60.0], "what the clock showed");
        assert!(pairs.take_raw_ms().is_empty());
        // Time may have passed since.
        assert!((times(&mut pairs, &[1.0, 1.0, 1.0]) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_in_which_the_disturbance_came_or_went_is_made_again() {
        let mut pairs = Pairs { undisturbed_ms: 10.0, before_ms: None, raw_ms: Vec::new() };
        // The reference is held up once: neither the run before it nor the one behind it counts.
        assert!((times(&mut pairs, &[1.0, 1.0, 400.0, 1.0, 1.0, 1.0, 1.0]) - 40.0).abs() < 1e-9);
        // Never steady: the fourth counts.
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
