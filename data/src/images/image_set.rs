//! Images and labels as bytes.

use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb, RgbImage};

use crate::DataError;

/// Colour channels of every image; grey images have three equal channels.
const CHANNELS: usize = 3;
/// The most bytes of pixels that a set may have; a larger set should be read piece by piece.
const MAX_BYTES: u64 = 16 << 30;

/// Square images in memory with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// Its name for messages, such as `digits test`.
    pub name: String,
    /// `[n, 3, hw, hw]`, 0..=255; grey images have three equal channels.
    pub pixels: Vec<u8>,
    /// `[n]`, each below `classes`.
    pub labels: Vec<u32>,
    /// Number of images.
    pub n: usize,
    /// Height (= width) in pixels.
    pub hw: usize,
    /// Number of classes, at least 2.
    pub classes: usize,
    /// Names of the classes.
    pub class_names: Vec<String>,
}

impl ImageSet {
    /// Joins pixels `[n, 3, hw, hw]` and labels `[n]`; `source` is the file or folder that errors name.
    ///
    /// # Errors
    /// [`DataError::Content`] if there is no image, or if counts or labels are out of range.
    pub(crate) fn new(
        name: &str,
        source: &Path,
        pixels: Vec<u8>,
        labels: Vec<u32>,
        hw: usize,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let (n, classes) = (labels.len(), class_names.len());
        if n == 0 || hw == 0 {
            return Err(DataError::content(source, "images", "none"));
        }
        if pixels.len() != n * CHANNELS * hw * hw {
            let expected = format!("{n} images of {} bytes", CHANNELS * hw * hw);
            return Err(DataError::content(source, expected, format!("{} bytes", pixels.len())));
        }
        if let Some(at) = labels.iter().position(|&label| label as usize >= classes) {
            let expected = format!("labels from 0 to {}", classes.saturating_sub(1));
            let found = format!("{} for image {}", labels[at], at + 1);
            return Err(DataError::content(source, expected, found));
        }
        Ok(Self { name: name.to_owned(), pixels, labels, n, hw, classes, class_names })
    }

    /// The pixels of image `i < n`, `[3, hw, hw]`.
    pub fn image(&self, i: usize) -> &[u8] {
        let size = CHANNELS * self.hw * self.hw;
        &self.pixels[i * size..(i + 1) * size]
    }

    /// The images at another height and width: bilinear when enlarging, averaged when shrinking.
    ///
    /// # Errors
    /// [`DataError::Content`] if `hw` is 0 or the images would need more than 16 GiB.
    pub fn resized(&self, hw: usize) -> Result<Self, DataError> {
        check_size(Path::new(&self.name), self.n, hw)?;
        let mut pixels = Vec::with_capacity(self.n * CHANNELS * hw * hw);
        for i in 0..self.n {
            let image = from_planes(self.image(i), self.hw);
            push_planes(&mut pixels, &resize(&image, hw as u32, hw as u32, FilterType::Triangle));
        }
        Ok(Self { pixels, hw, ..self.clone_without_pixels() })
    }

    /// Selects these images, in this order.
    pub(crate) fn only(&self, numbers: &[usize]) -> Self {
        let pixels = numbers.iter().flat_map(|&i| self.image(i).iter().copied()).collect();
        let labels = numbers.iter().map(|&i| self.labels[i]).collect();
        Self { pixels, labels, n: numbers.len(), ..self.clone_without_pixels() }
    }

    fn clone_without_pixels(&self) -> Self {
        let Self { name, labels, class_names, .. } = self;
        let (name, labels, class_names) = (name.clone(), labels.clone(), class_names.clone());
        Self { name, labels, class_names, pixels: Vec::new(), ..*self }
    }
}

/// Rejects sizes that do not fit into memory.
///
/// # Errors
/// [`DataError::Content`] if `hw` is 0 or the images would need more than 16 GiB.
pub(crate) fn check_size(source: &Path, n: usize, hw: usize) -> Result<(), DataError> {
    let bytes = (n as u64).saturating_mul(CHANNELS as u64).saturating_mul((hw as u64).pow(2));
    if hw == 0 || hw > usize::from(u16::MAX) || bytes > MAX_BYTES {
        let expected = "a resolution above 0 at which the images fit into 16 GiB";
        let found = format!("{n} images of {hw}x{hw}; choose another --resolution");
        return Err(DataError::content(source, expected, found));
    }
    Ok(())
}

/// Appends an image as three planes.
pub(crate) fn push_planes(pixels: &mut Vec<u8>, image: &RgbImage) {
    for channel in 0..CHANNELS {
        pixels.extend(image.pixels().map(|pixel| pixel.0[channel]));
    }
}

/// Appends a grey image as three equal planes.
pub(crate) fn push_grey(pixels: &mut Vec<u8>, grey: &[u8]) {
    for _ in 0..CHANNELS {
        pixels.extend_from_slice(grey);
    }
}

fn from_planes(planes: &[u8], hw: usize) -> RgbImage {
    ImageBuffer::from_fn(hw as u32, hw as u32, |x, y| {
        let at = y as usize * hw + x as usize;
        Rgb([planes[at], planes[hw * hw + at], planes[2 * hw * hw + at]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pixels: Vec<u8>, hw: usize, label: u32) -> Result<ImageSet, DataError> {
        let names = vec!["a".to_owned(), "b".to_owned()];
        ImageSet::new("set", Path::new("set.bin"), pixels, vec![label], hw, names)
    }

    #[test]
    fn counts_and_labels_are_checked() {
        let error = one(vec![0; 11], 2, 0).unwrap_err().to_string();
        assert_eq!(error, "set.bin: expected 1 images of 12 bytes; found 11 bytes");
        let error = one(vec![0; 12], 2, 2).unwrap_err().to_string();
        assert_eq!(error, "set.bin: expected labels from 0 to 1; found 2 for image 1");
    }

    #[test]
    fn planes_survive_the_way_through_an_image() {
        let planes: Vec<u8> = (0..27).collect();
        let mut back = Vec::new();
        push_planes(&mut back, &from_planes(&planes, 3));
        assert_eq!(back, planes);
    }

    #[test]
    fn resizing_keeps_channels_apart_and_averages() {
        let mut pixels = vec![10; 16];
        pixels.extend([[0; 8], [200; 8]].concat());
        pixels.extend([0, 0, 100, 100].repeat(4));
        let set = one(pixels, 4, 1).unwrap();
        let small = set.resized(1).unwrap();
        assert_eq!((small.hw, small.n, &small.labels[..]), (1, 1, &[1][..]));
        assert_eq!(small.pixels, [10, 100, 50]);
        let large = set.resized(8).unwrap();
        assert_eq!(large.image(0)[..64], [10; 64]);
        assert_eq!((large.image(0)[64], large.image(0)[127]), (0, 200));
        assert_eq!(set.resized(4).unwrap(), set);
        assert!(set.resized(0).is_err());
        assert!(check_size(Path::new("x"), 1_000_000, 224).is_err());
    }
}
