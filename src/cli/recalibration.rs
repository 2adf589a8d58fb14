//! Flags that say how batch norm is recalibrated.

use std::str::FromStr;

use lat::extracted::Calibration;
use lat_data::Dataset;
use lat_nn::BnRule;
use tch::Device;

/// How batch norm's statistics are made for one network of a supernet.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct RecalibrationArgs {
    /// How batch norm's statistics are made anew from training images: per-image (biased variances, batches weigh by their images, as
    /// once-for-all has it), per-batch (unbiased ones, plain means over batches, as AttentiveNAS, BigNAS and Pi-NAS have it), or keep: the
    /// supernet's as they are.
    #[arg(long, value_name = "per-image|per-batch|keep", default_value = "per-image")]
    recalibrate: Rule,
    /// Training images for it; all where there are fewer.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..))]
    recalibrate_images: u32,
    /// Images per batch of it.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    recalibrate_batch: u32,
}

/// A rule; nothing where the supernet's statistics are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule(Option<BnRule>);

/// The name of [`Rule`] without one.
const KEEP: &str = "keep";

impl FromStr for Rule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == KEEP {
            return Ok(Self(None));
        }
        name.parse().map(|rule| Self(Some(rule))).map_err(|e| format!("{e}; or {KEEP}"))
    }
}

impl RecalibrationArgs {
    /// The images and the rule; nothing where statistics are kept.
    pub(super) fn calibration(
        &self,
        dataset: &Dataset,
        device: Device,
        seed: u64,
    ) -> anyhow::Result<Option<Calibration>> {
        let Some(rule) = self.recalibrate.0 else { return Ok(None) };
        let sizes = (self.recalibrate_images as usize, self.recalibrate_batch as usize);
        Ok(Some(Calibration::new(dataset, device, rule, sizes, seed)?))
    }
}
