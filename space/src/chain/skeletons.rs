//! Skeletons of chains: which ones fit, and how widths and strides follow from a skeleton.

use super::Row;
use super::widths::at_scale;
use crate::{Skeleton, SkeletonPreset, SpaceError, Stem};

/// How a chain's table is applied to a skeleton. Widths are those of the paper times the skeleton's channels over the paper's
/// channels. With the CIFAR stem the first two pieces that would halve the map keep its size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The space's id.
    pub(crate) id: &'static str,
    /// The paper's number of channels: a skeleton with this many has the paper's widths.
    pub(crate) channels: u32,
    /// Number of searched blocks.
    pub(crate) layers: usize,
    /// Widths are multiples of this at any scale.
    pub(crate) divisor: u32,
    /// Whether a pool behind the stem halves the map. With the CIFAR stem this pool is left out, and all rows keep their strides.
    pub(crate) pools: bool,
}

/// The largest `channels` that a skeleton may have.
const MOST_CHANNELS: u32 = 512;
const MOST_PIXELS: u16 = 4096;

impl Scale {
    /// A width of the table, converted to this skeleton.
    pub(crate) fn width(self, skeleton: &Skeleton, width: u32) -> u32 {
        at_scale(width, (skeleton.channels, self.channels), self.divisor)
    }

    /// Stride of the stem, and the rows, at this skeleton.
    pub(crate) fn rows(self, skeleton: &Skeleton, rows: &[Row]) -> (u8, Vec<Row>) {
        let keeps = skeleton.stem == Stem::Cifar;
        let first = rows.iter().position(|row| row.stride > 1).filter(|_| !self.pools);
        let row = |(r, row): (usize, &Row)| Row {
            width: self.width(skeleton, row.width),
            stride: if keeps && Some(r) == first { 1 } else { row.stride },
            ..*row
        };
        (if keeps { 1 } else { 2 }, rows.iter().enumerate().map(row).collect())
    }

    /// How many pixels of the image (along one side) one pixel of the last map covers.
    fn stride(self, skeleton: &Skeleton, rows: &[Row]) -> u16 {
        let (stem, rows) = self.rows(skeleton, rows);
        let pool = if self.pools && skeleton.stem == Stem::ImageNet { 2 } else { 1 };
        u16::from(stem) * pool * rows.iter().map(|row| u16::from(row.stride)).product::<u16>()
    }

    /// Checks that the skeleton can be built from these rows.
    pub(crate) fn check(self, skeleton: &Skeleton, rows: &[Row]) -> Result<(), SpaceError> {
        let wrong = |reason: String| Err(SpaceError::Skeleton { reason });
        let Self { id, layers: n, .. } = self;
        let Skeleton { channels, layers, resolution, classes, .. } = *skeleton;
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return wrong(format!("channels must be from 1 to {MOST_CHANNELS}, found {channels}"));
        }
        if usize::from(layers) != n {
            return wrong(format!("{id} has {n} layers, neither more nor less; found {layers}"));
        }
        let stride = self.stride(skeleton, rows);
        if !(stride..=MOST_PIXELS).contains(&resolution) {
            return wrong(format!(
                "resolution must be from {stride}, which is the network's stride, to {MOST_PIXELS} pixels; found {resolution}"
            ));
        }
        if classes == 0 {
            return wrong("expected at least one class, found 0".to_owned());
        }
        Ok(())
    }
}

/// Image sizes in pixels. `called` are the sizes by the paper's names; `largest` among them corresponds to the skeleton's
/// resolution, and the others are scaled by the same factor.
pub(crate) fn sizes(resolution: u16, called: &[u32], largest: u32) -> Vec<u16> {
    let share = |size: &u32| f64::from(resolution) * f64::from(*size) / f64::from(largest);
    // No size exceeds the skeleton's resolution.
    called.iter().map(|size| share(size).round().max(1.0) as u16).collect()
}

/// The presets of a chain: the paper's network for `ImageNet`, the same for CIFAR, both at the paper's width, and a narrow one.
pub(crate) const fn presets(layers: u16, channels: u32, resolution: u16) -> [SkeletonPreset; 4] {
    let cifar = Skeleton { channels, layers, resolution: 32, classes: 10, stem: Stem::Cifar };
    let paper = Skeleton { channels, layers, resolution, classes: 1000, stem: Stem::ImageNet };
    let quick = Skeleton { channels: 4, resolution: 8, ..cifar };
    [
        SkeletonPreset { name: "quick", skeleton: quick },
        SkeletonPreset { name: "cifar", skeleton: cifar },
        SkeletonPreset { name: "imagenet", skeleton: paper },
        SkeletonPreset { name: "search", skeleton: paper },
    ]
}
