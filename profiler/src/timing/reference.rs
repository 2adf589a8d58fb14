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

use lat_data::median;

use crate::{CpuStopwatch, NetWorkload, ProfileError, Stopwatch, Workload};

/// Time spent on learning the reference's undisturbed time.
const CALIBRATION_S: f64 = 2.0;
/// Share of the calibration's runs that are taken as undisturbed: low enough to miss the disturbed ones, high enough not to
/// hang on a single lucky one.
const UNDISTURBED: f64 = 0.05;
/// All edges a 3x3 convolution: the layers that most networks spend their time in.
const ARCHITECTURE: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";

/// The host's clock, corrected by a reference network before and after each run.
#[derive(Debug)]
pub struct PairedStopwatch {
    clock: CpuStopwatch,
    reference: NetWorkload,
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
        Ok(Self { clock, reference, undisturbed_ms, before_ms: None, raw_ms: Vec::new() })
    }

    fn reference_ms(&mut self) -> Result<f64, ProfileError> {
        if self.clock.is_cold() {
            // The run before left it without its weights in the caches.
            CpuStopwatch::time_hot_ms(&mut self.reference)?;
        }
        CpuStopwatch::time_hot_ms(&mut self.reference)
    }

    /// The reference's undisturbed time in milliseconds.
    pub fn undisturbed_ms(&self) -> f64 {
        self.undisturbed_ms
    }
}

impl Stopwatch for PairedStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        let before_ms = match self.before_ms.take() {
            Some(ms) => ms,
            None => self.reference_ms()?,
        };
        let raw_ms = self.clock.time_ms(work)?;
        let after_ms = self.reference_ms()?;
        self.before_ms = Some(after_ms);
        self.raw_ms.push(raw_ms);
        Ok(raw_ms / f64::midpoint(before_ms, after_ms) * self.undisturbed_ms)
    }

    fn take_raw_ms(&mut self) -> Option<f64> {
        // What comes next may come much later: its first run needs a reference of its own.
        self.before_ms = None;
        median(std::mem::take(&mut self.raw_ms))
    }
}

/// The undisturbed time of the reference on this machine with the threads now set, in milliseconds.
///
/// # Errors
/// As [`PairedStopwatch::new`].
pub fn calibrate_reference() -> Result<f64, ProfileError> {
    Ok(PairedStopwatch::new(None, CpuStopwatch::default())?.undisturbed_ms)
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

    /// Takes as long as so many reference runs.
    struct Multiple(NetWorkload, u32);

    impl Workload for Multiple {
        fn enqueue(&mut self) -> Result<(), ProfileError> {
            (0..self.1).try_for_each(|_| self.0.enqueue())
        }

        fn synchronize(&mut self) -> Result<(), ProfileError> {
            self.0.synchronize()
        }
    }

    #[test]
    fn a_run_is_given_in_multiples_of_the_reference() {
        let mut stopwatch = PairedStopwatch::new(Some(10.0), CpuStopwatch::default()).unwrap();
        let mut work = Multiple(reference_network().unwrap(), 4);
        // A busy machine may interrupt most runs of some series, since these are longer than the reference's; not of all.
        let series = (0..20)
            .map(|_| median((0..30).map(|_| stopwatch.time_ms(&mut work).unwrap())).unwrap());
        let mut seen_ms = Vec::new();
        let is_near = |time_ms: f64| {
            seen_ms.push(time_ms);
            (30.0..50.0).contains(&time_ms)
        };
        assert!(series.into_iter().any(is_near), "{seen_ms:?} ms for four times 10 ms");
        assert!(stopwatch.take_raw_ms().unwrap() > 0.0);
        assert_eq!(stopwatch.take_raw_ms(), None);
    }
}
