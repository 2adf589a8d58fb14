//! Flags for the macro architecture (the skeleton).

use lat_profiler::DeviceSpec;
use lat_space::{SearchSpace, Skeleton, Stem, find_skeleton};

/// Images larger than this (height or width, in pixels) get the ImageNet stem in a search and an evaluation.
const LARGEST_OF_CIFAR: u16 = 64;

/// A warning about a network that no search or evaluation builds: large images with the CIFAR stem. None if the network is usual.
pub(super) fn odd_stem(space: &dyn SearchSpace, skeleton: &Skeleton) -> Option<String> {
    let is_odd = skeleton.stem == Stem::Cifar && skeleton.resolution > LARGEST_OF_CIFAR;
    is_odd.then(|| {
        let way_out = match find_skeleton(space, "imagenet") {
            Ok(_) => "; --preset imagenet has that stem",
            Err(_) => "",
        };
        format!(
            "warning: these networks have the stem of CIFAR at {0}x{0} pixels, which makes them many times as large; above {LARGEST_OF_CIFAR} \
             pixels lat search and lat evaluate build the stem of ImageNet{way_out}",
            skeleton.resolution
        )
    })
}

/// Flags that override the preset's skeleton.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct SkeletonArgs {
    /// Channels of the first cells.
    #[arg(long, value_name = "C")]
    channels: Option<u32>,
    /// Number of cells.
    #[arg(long, value_name = "L")]
    pub(super) layers: Option<u16>,
    /// Height and width of the images in pixels.
    #[arg(long, value_name = "PIXELS")]
    pub(super) resolution: Option<u16>,
}

impl SkeletonArgs {
    /// The space's preset with the flags applied.
    pub(super) fn skeleton(
        &self,
        space: &dyn SearchSpace,
        preset: &str,
    ) -> anyhow::Result<Skeleton> {
        let preset = find_skeleton(space, preset)?;
        let skeleton = Skeleton {
            channels: self.channels.unwrap_or(preset.channels),
            layers: self.layers.unwrap_or(preset.layers),
            resolution: self.resolution.unwrap_or(preset.resolution),
            ..preset
        };
        space.check_skeleton(&skeleton)?;
        Ok(skeleton)
    }

    /// Refuses flags that ask for a different network than the given one.
    pub(super) fn check_is(&self, skeleton: &Skeleton) -> anyhow::Result<()> {
        let flags = [
            ("--channels", self.channels, skeleton.channels),
            ("--layers", self.layers.map(u32::from), u32::from(skeleton.layers)),
            ("--resolution", self.resolution.map(u32::from), u32::from(skeleton.resolution)),
        ];
        match flags.into_iter().find(|(_, asked, own)| asked.is_some_and(|asked| asked != *own)) {
            None => Ok(()),
            Some((flag, asked, own)) => Err(super::failure::bad(format!(
                "expected {flag} {own}, which the network of --weights has, found {}; leave {flag} out",
                asked.unwrap_or_default()
            ))),
        }
    }

    /// Like [`SkeletonArgs::skeleton`], but with image size and number of classes from a data set.
    pub(super) fn for_images(
        &self,
        space: &dyn SearchSpace,
        preset: &str,
        dataset: &lat_data::Dataset,
    ) -> anyhow::Result<Skeleton> {
        let skeleton = Skeleton {
            resolution: dataset.train.hw as u16,
            classes: dataset.train.classes as u32,
            stem: match dataset.train.hw > usize::from(LARGEST_OF_CIFAR) {
                true => Stem::ImageNet,
                false => Stem::Cifar,
            },
            ..self.skeleton(space, preset)?
        };
        space.check_skeleton(&skeleton)?;
        Ok(skeleton)
    }
}

/// The named device, or the best one of this machine.
pub(super) fn device(name: Option<&str>) -> anyhow::Result<DeviceSpec> {
    Ok(name.map(DeviceSpec::parse).transpose()?.unwrap_or_else(DeviceSpec::best))
}

/// libtorch's device; the fake device computes on the CPU.
pub(super) fn torch_device(device: DeviceSpec) -> tch::Device {
    match device {
        DeviceSpec::Cuda(n) => tch::Device::Cuda(n as usize),
        DeviceSpec::Cpu | DeviceSpec::Fake => tch::Device::Cpu,
    }
}

/// Whether the small presets are the default. Without a GPU, networks of the papers' sizes take days.
pub(super) fn is_small(device: DeviceSpec) -> bool {
    !matches!(device, DeviceSpec::Cuda(_))
}
