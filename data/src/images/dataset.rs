//! Images for training and testing, with their statistics and augmentation.

use crate::{Checksum, DataError, ImageSet, split_stratified};

/// How training images may be varied without changing what they show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augment {
    /// Zeros added on each side, in pixels, before a random crop to the original size; 0 for no crop.
    pub crop_padding: u32,
    /// Whether to mirror half of the images left to right.
    pub flip: bool,
    /// Side of a square that is blanked at a random place, in pixels; 0 for none (Cutout, arXiv 1708.04552).
    pub cutout: u32,
}

/// Images for training and testing, with their statistics and augmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Images to train on.
    pub train: ImageSet,
    /// Images to test on, of the same size and classes.
    pub test: ImageSet,
    /// Mean of each channel of the training images, in units of 0..=1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel of the training images, in units of 0..=1; 1 for a constant channel, so that one
    /// can divide by it.
    pub std: [f32; 3],
    /// How the training images may be varied.
    pub augment: Augment,
    /// Sentences about how the images were read, such as files that were left out.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Joins the two parts, and computes mean and deviation of the training images.
    pub(crate) fn new(train: ImageSet, test: ImageSet, augment: Augment) -> Self {
        let (mean, std) = statistics(&train);
        Self { train, test, mean, std, augment, notes: Vec::new() }
    }

    /// CRC-32 of all pixels and labels as eight hex digits. It tells sets with the same name and different images apart.
    pub fn checksum(&self) -> String {
        let mut sum = Checksum::default();
        for part in [&self.train, &self.test] {
            sum.add(&part.pixels);
            part.labels.iter().for_each(|label| sum.add(&label.to_le_bytes()));
        }
        sum.text()
    }

    /// A smaller set with `n` of the training images, in which each class has its share: a proxy that is quicker to search on. It
    /// contains the same images in every run. All test images are kept.
    ///
    /// # Errors
    /// [`DataError::Split`] if there are fewer.
    pub fn with_training_images(&self, n: usize) -> Result<Self, DataError> {
        let (_, chosen) = split_stratified(&self.train.labels, n, 0)?;
        Ok(Self::new(self.train.only(&chosen), self.test.clone(), self.augment))
    }

    /// The images at another height and width; lengths in the augmentation are scaled accordingly.
    ///
    /// # Errors
    /// [`DataError::Content`] if `hw` is 0 or the images would need more than 16 GiB.
    pub fn resized(&self, hw: usize) -> Result<Self, DataError> {
        let scale =
            |length: u32| (f64::from(length) * hw as f64 / self.train.hw as f64).round() as u32;
        let Augment { crop_padding, flip, cutout } = self.augment;
        let augment = Augment { crop_padding: scale(crop_padding), flip, cutout: scale(cutout) };
        Ok(Self::new(self.train.resized(hw)?, self.test.resized(hw)?, augment))
    }
}

/// Mean and standard deviation of each channel, in units of 0..=1.
fn statistics(images: &ImageSet) -> ([f32; 3], [f32; 3]) {
    let plane = images.hw * images.hw;
    let (mut sums, mut squares) = ([0_u64; 3], [0_u64; 3]);
    for (index, values) in images.pixels.chunks_exact(plane).enumerate() {
        for &value in values {
            let value = u64::from(value);
            sums[index % 3] += value;
            squares[index % 3] += value * value;
        }
    }
    let count = (images.n * plane) as f64;
    let mean = sums.map(|sum| sum as f64 / count);
    let deviation = [0, 1, 2].map(|c| {
        let variance = (squares[c] as f64 / count - mean[c] * mean[c]).max(0.0);
        if variance > 0.0 { variance.sqrt() / 255.0 } else { 1.0 }
    });
    (mean.map(|m| (m / 255.0) as f32), deviation.map(|d| d as f32))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn statistics_are_per_channel_and_a_constant_one_is_safe_to_divide_by() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        // Two images of 1x1 pixel: red 0 and 255, green 51 in both, blue 0 and 102.
        let pixels = vec![0, 51, 0, 255, 51, 102];
        let set = ImageSet::new("s", Path::new("s"), pixels, vec![0, 1], 1, names).unwrap();
        let augment = Augment { crop_padding: 4, flip: true, cutout: 16 };
        let dataset = Dataset::new(set.clone(), set, augment);
        assert_eq!(dataset.mean.map(f32::to_bits), [0.5_f32, 0.2, 0.2].map(f32::to_bits));
        assert_eq!(dataset.std.map(f32::to_bits), [0.5_f32, 1.0, 0.2].map(f32::to_bits));
        assert_eq!(
            dataset.resized(2).unwrap().augment,
            Augment { crop_padding: 8, flip: true, cutout: 32 }
        );
    }

    #[test]
    fn a_proxy_has_each_class_with_its_share() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let labels: Vec<u32> = (0..30).map(|i| u32::from(i % 3 == 0)).collect();
        let pixels: Vec<u8> = (0..30).flat_map(|i| [i; 3]).collect();
        let set = ImageSet::new("s", Path::new("s"), pixels, labels, 1, names).unwrap();
        let augment = Augment { crop_padding: 0, flip: false, cutout: 0 };
        let dataset = Dataset::new(set.clone(), set, augment);
        let proxy = dataset.with_training_images(12).unwrap();
        assert_eq!(dataset.checksum(), dataset.clone().checksum());
        assert_ne!(dataset.checksum(), proxy.checksum());
        assert_eq!((proxy.train.n, proxy.train.labels.len(), proxy.test.n), (12, 12, 30));
        assert_eq!(proxy.train.labels.iter().filter(|&&l| l == 1).count(), 4);
        for (i, &label) in proxy.train.labels.iter().enumerate() {
            assert_eq!(
                u32::from(proxy.train.image(i)[0].is_multiple_of(3)),
                label,
                "images keep their labels"
            );
        }
        assert!(dataset.with_training_images(31).is_err());
    }
}
