//! Turns flags into options of the profiler.

use lat_data::OperatingPoint;
use lat_profiler::{DeviceSpec, ProfileOptions, usual_point};
use lat_space::SearchSpace;

use super::args::Args;
use crate::cli::failure::bad;
use crate::cli::skeleton::is_small;

/// Most samples of `--until` if `--samples` is not given.
const CAP: u64 = 20_000;
/// Share of the samples that a fresh process measures again.
const FRESH_FRACTION: f64 = 0.01;

/// This many samples, or the whole space if it is smaller.
fn at_most(space: &dyn SearchSpace, samples: u64) -> u64 {
    samples.min(u64::try_from(space.size()).unwrap_or(u64::MAX))
}

pub(super) fn options(
    args: &Args,
    space: &dyn SearchSpace,
    device: DeviceSpec,
) -> anyhow::Result<ProfileOptions> {
    if device != DeviceSpec::Fake && !args.fake_fault.is_empty() {
        return Err(bad(format!("expected --device fake for --fake-fault, found {device}")));
    }
    let preset = args.preset.as_deref().unwrap_or(if is_small(device) { "quick" } else { "cifar" });
    let skeleton = args.skeleton.skeleton(space, preset)?;
    let defaults = ProfileOptions::new(skeleton, device);
    let max_ms = args.max_ms.unwrap_or(defaults.max_ms);
    let usual = at_most(space, if args.until.is_some() { CAP } else { defaults.samples });
    Ok(ProfileOptions {
        samples: args.samples.unwrap_or(usual),
        seed: args.seed,
        batch: args.batch,
        point: OperatingPoint {
            mode: args.mode.unwrap_or(usual_point(device).mode),
            precision: args.precision,
            channels_last: args.channels_last,
            cold: args.cold,
        },
        max_ms,
        shard: args.shard,
        fresh_fraction: FRESH_FRACTION,
        is_fresh: args.fresh,
        // A CPU needs no heat-soak for one row, and the soak's memory would hide the row's.
        soak_s: if args.fresh && device == DeviceSpec::Cpu { 0.0 } else { defaults.soak_s },
        energy_fraction: args.energy,
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use lat_space::find_space;

    use super::at_most;

    #[test]
    fn nobody_is_given_more_samples_than_there_are() {
        let space = find_space("nasbench201").unwrap();
        assert_eq!([1000, 20_000].map(|samples| at_most(space.as_ref(), samples)), [1000, 15_625]);
    }
}
