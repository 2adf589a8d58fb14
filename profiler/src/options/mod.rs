//! The options of a run: what to measure, and how carefully.

mod device_spec;
pub(crate) mod operating_point;

use lat_data::{OperatingPoint, Shard};
use lat_space::{SearchSpace, Skeleton, SpaceError};

use crate::ProfileError;
pub use device_spec::{Available, DeviceSpec, available};
pub use operating_point::{check_point, usual_point};

/// The most samples of a run, because its plan is held in memory. This many would take months on ten GPUs.
const MOST_SAMPLES: u64 = 100_000_000;

/// The options of a run: what to measure, and how carefully. [`ProfileOptions::new`] has the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileOptions {
    /// Number of distinct architectures to draw: 1000. If the run chooses its samples, the most that it may measure.
    pub samples: u64,
    /// For a run that chooses its samples: their numbers in the draw, round by round, each once; only without shards. Empty by
    /// default: then the first samples of the draw are measured in order.
    pub rounds: Vec<Vec<u64>>,
    /// Seed of the draw: 0.
    pub seed: u64,
    /// Images per batch: 1.
    pub batch: u32,
    /// Macro architecture.
    pub skeleton: Skeleton,
    /// The device.
    pub device: DeviceSpec,
    /// How networks run while they are timed: see [`usual_point`](crate::usual_point).
    pub point: OperatingPoint,
    /// Limit on the timed runs of one architecture in milliseconds: 80, on a CPU 100. At least ten runs are made, however long
    /// they take, or six if ten take more than a second (see [`crate::MedianInterval`]).
    pub max_ms: f64,
    /// Length of the warm-up before the timed runs in milliseconds: 10. There are at least two runs.
    pub warmup_ms: f64,
    /// The anchors are measured at the start, every time this many samples have been measured, and at the end: 100. With 0 there
    /// are no anchors.
    pub anchors_every: u64,
    /// Share of the samples that are measured a second time later: 0.02. There are at least ten of them, or one in five samples
    /// if there are fewer than 50. With 0 there are none.
    pub repeat_fraction: f64,
    /// Undisturbed time of the CPU's reference network in milliseconds, as an earlier process found it; see
    /// [`crate::PairedStopwatch`]. If None, it is measured again.
    pub reference_ms: Option<f64>,
    /// Share of the samples that a new process measures once more when the others are done, at least five of them: 0. `lat
    /// profile` asks for 0.01.
    pub fresh_fraction: f64,
    /// Whether this is that new process: then it measures only those rows (on a CPU, one of them), otherwise all others.
    pub is_fresh: bool,
    /// Share of the samples whose energy is also measured: 0. It takes two seconds each.
    pub energy_fraction: f64,
    /// The longest heat-soak before the first row in seconds: 5. With 0 there is none.
    pub soak_s: f64,
    /// The part of the samples to measure, with the repeats of that part and all anchors. None by default, which means all.
    pub shard: Option<Shard>,
}

impl ProfileOptions {
    /// The defaults for this skeleton and device.
    pub fn new(skeleton: Skeleton, device: DeviceSpec) -> Self {
        Self {
            samples: 1000,
            rounds: Vec::new(),
            seed: 0,
            batch: 1,
            skeleton,
            device,
            point: usual_point(device),
            // A shared CPU needs more runs to be equally certain.
            max_ms: if device == DeviceSpec::Cpu { 100.0 } else { 80.0 },
            warmup_ms: 10.0,
            anchors_every: 100,
            repeat_fraction: 0.02,
            reference_ms: None,
            fresh_fraction: 0.0,
            is_fresh: false,
            energy_fraction: 0.0,
            soak_s: 5.0,
            shard: None,
        }
    }

    /// Checks that something can be measured with these options.
    ///
    /// # Errors
    /// [`ProfileError::Option`] names the option, [`SpaceError::Skeleton`] comes from the space.
    pub fn check(&self, space: &dyn SearchSpace) -> Result<(), ProfileError> {
        self.check_numbers()?;
        space.check_skeleton(&self.skeleton)?;
        check_point(self.point, self.device)
    }

    /// Checks the options that do not depend on the space.
    pub(crate) fn check_numbers(&self) -> Result<(), ProfileError> {
        let number = |name, expected, ok: bool, found: f64| {
            let error = || ProfileError::Option { name, expected, found: found.to_string() };
            ok.then_some(()).ok_or_else(error)
        };
        let Self { samples, batch, max_ms, warmup_ms, repeat_fraction, soak_s, .. } = *self;
        number("the number of samples", "at least 1", samples > 0, samples as f64)?;
        let is_countable = samples <= MOST_SAMPLES;
        number("the number of samples", "at most 100 million", is_countable, samples as f64)?;
        number("the batch", "at least 1 image", batch > 0, f64::from(batch))?;
        let positive = |value: f64| value > 0.0 && value.is_finite();
        number("the cap on timed runs", "above 0 ms", positive(max_ms), max_ms)?;
        let is_time = |value: f64| value >= 0.0 && value.is_finite();
        number("the warm-up", "0 ms or more", is_time(warmup_ms), warmup_ms)?;
        number("the heat-soak", "0 s or more", is_time(soak_s), soak_s)?;
        let is_share = |value: f64| (0.0..=0.5).contains(&value);
        number(
            "the share of repeats",
            "from 0 to 0.5",
            is_share(repeat_fraction),
            repeat_fraction,
        )?;
        let fresh = self.fresh_fraction;
        number("the share of fresh repeats", "from 0 to 0.5", is_share(fresh), fresh)?;
        let energy = self.energy_fraction;
        number("the share of energies", "from 0 to 1", (0.0..=1.0).contains(&energy), energy)?;
        let shards = f64::from(self.shard.map_or(1, Shard::count));
        number("the number of shards", "at most that of samples", shards <= samples as f64, shards)
    }

    /// Checks the options for a run, which draws its samples from the space: it must not ask for more samples than there are.
    ///
    /// # Errors
    /// The errors of [`ProfileOptions::check`], and [`SpaceError::TooMany`].
    pub fn check_run(&self, space: &dyn SearchSpace) -> Result<(), ProfileError> {
        self.check(space)?;
        let (size, asked) = (space.size(), self.samples);
        if u128::from(asked) > size {
            return Err(SpaceError::TooMany { space: space.id().to_owned(), size, asked }.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;

    fn error(change: impl Fn(&mut ProfileOptions)) -> String {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let mut options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        options.check_run(space.as_ref()).unwrap();
        change(&mut options);
        options.check_run(space.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn each_bad_value_is_named() {
        let samples = "expected the number of samples to be at least 1, found 0";
        assert_eq!(error(|o| o.samples = 0), samples);
        assert_eq!(error(|o| o.batch = 0), "expected the batch to be at least 1 image, found 0");
        assert!(error(|o| o.max_ms = f64::NAN).contains("above 0 ms, found NaN"));
        assert!(error(|o| o.max_ms = 0.0).contains("above 0 ms"));
        assert!(error(|o| o.warmup_ms = -1.0).contains("0 ms or more, found -1"));
        assert!(error(|o| o.soak_s = f64::INFINITY).contains("0 s or more"));
        assert!(error(|o| o.repeat_fraction = 0.6).contains("from 0 to 0.5"));
        let shards = "expected the number of shards to be at most that of samples, found 1001";
        assert_eq!(error(|o| o.shard = Shard::new(1, 1001)), shards);
        assert!(error(|o| o.skeleton.layers = 0).contains("multiple of 3"));
        assert!(error(|o| o.samples = 15_626).contains("at most 15625 samples"));
    }
}
