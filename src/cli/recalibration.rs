//! Flags for recalibrating batch norm.

use std::str::FromStr;

use lat::extracted::Calibration;
use lat_data::Dataset;
use lat_nn::BnRule;
use tch::Device;

/// How the batch norm statistics of one network of a supernet are computed.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct RecalibrationArgs {
    /// How to compute batch norm statistics from training images: per-image (biased variances, batches weighted by their number of
    /// images, as in once-for-all), per-batch (unbiased variances, plain averages over batches, as in AttentiveNAS, BigNAS and
    /// Pi-NAS), or keep (use the supernet's).
    #[arg(long, value_name = "per-image|per-batch|keep", default_value = "per-image")]
    recalibrate: Rule,
    /// Training images for recalibration; all if there are fewer.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..))]
    recalibrate_images: u32,
    /// Images per batch for recalibration.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    recalibrate_batch: u32,
}

/// A rule; None if the supernet's statistics are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule(Option<BnRule>);

/// The flag's value for "no rule".
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
    /// Prepares images and rule; None if the supernet's statistics are kept.
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
