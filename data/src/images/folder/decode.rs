//! Reads image files as squares of pixels.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageReader, ImageResult, RgbImage};

use crate::DataError;
use crate::images::image_set::push_planes;

/// The images read from files.
pub(super) struct Decoded {
    /// Red, green and blue planes, image by image.
    pub(super) pixels: Vec<u8>,
    /// Class of each image.
    pub(super) labels: Vec<u32>,
    /// Files that cannot be read, each with the reason.
    pub(super) broken: Vec<(PathBuf, String)>,
}

/// Reads files as squares with this height and width.
pub(super) fn decode(files: &[(PathBuf, u32)], hw: usize) -> Decoded {
    let mut decoded = Decoded {
        pixels: Vec::with_capacity(files.len() * 3 * hw * hw),
        labels: Vec::with_capacity(files.len()),
        broken: Vec::new(),
    };
    for (path, label) in files {
        match open(path).and_then(ImageReader::decode) {
            Ok(image) => {
                push_planes(&mut decoded.pixels, &square(&image.into_rgb8(), hw as u32));
                decoded.labels.push(*label);
            }
            Err(error) => decoded.broken.push((path.clone(), error.to_string())),
        }
    }
    decoded
}

/// The shorter side of an image, in pixels.
pub(super) fn shorter_side(path: &Path) -> Result<usize, DataError> {
    let sides = open(path).and_then(ImageReader::into_dimensions);
    let (width, height) = sides.map_err(|error| {
        let found = format!("{error}; --skip-broken leaves such files out");
        DataError::content(path, "an image in PNG, JPEG, WebP or BMP format", found)
    })?;
    Ok(width.min(height) as usize)
}

fn open(path: &Path) -> ImageResult<ImageReader<BufReader<File>>> {
    // The format is found from the content: a PNG file named .jpg is read too.
    Ok(ImageReader::open(path)?.with_guessed_format()?)
}

/// The middle square of the image, scaled to `hw`.
fn square(image: &RgbImage, hw: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let middle = crop_imm(image, (width - side) / 2, (height - side) / 2, side, side);
    if side == hw { middle.to_image() } else { resize(&*middle, hw, hw, FilterType::Triangle) }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn the_middle_is_kept() {
        let image = RgbImage::from_fn(5, 3, |x, _| Rgb([x as u8, 0, 0]));
        let middle = square(&image, 3);
        assert_eq!(middle.pixels().map(|p| p.0[0]).collect::<Vec<_>>(), [1, 2, 3].repeat(3));
    }
}
