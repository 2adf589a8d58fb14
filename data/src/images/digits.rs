//! Handwritten digits of 8x8 pixels, which are part of the program.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::image_set::push_grey;
use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::{DataError, split_stratified};

/// 1,797 lines of 64 values from 0 to 16 and a label; see `digits-licence.txt` beside it.
const FILE: &[u8] = include_bytes!("../../assets/digits.csv.gz");
const HW: usize = 8;
/// Number of test images: a fifth.
const TEST: usize = 360;
/// The split is part of the data set, so it is the same for all runs.
const SPLIT_SEED: u64 = 0;

pub(super) const ENTRY: DatasetEntry = DatasetEntry {
    name: "digits",
    summary: "handwritten digits, 8x8 grey, 1,437 + 360 images, part of the program",
    source: "UCI ML Repository, Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, CC BY 4.0",
    layout: None,
    load,
};

fn load(_: &Path, _: &LoadOptions) -> Result<Dataset, DataError> {
    let path = Path::new("digits.csv.gz");
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).map_err(DataError::io("unpack", path))?;
    let images = text.lines().map(|line| parse(path, line)).collect::<Result<Vec<_>, _>>()?;
    let labels: Vec<u32> = images.iter().map(|(_, label)| *label).collect();
    let (train, test) = split_stratified(&labels, TEST, SPLIT_SEED)?;
    let part = |name: &str, rows: &[usize]| {
        let mut pixels = Vec::with_capacity(rows.len() * 3 * HW * HW);
        for &row in rows {
            push_grey(&mut pixels, &images[row].0);
        }
        let labels = rows.iter().map(|&row| labels[row]).collect();
        let class_names = (0..10).map(|digit| digit.to_string()).collect();
        ImageSet::new(name, path, pixels, labels, HW, class_names)
    };
    // Digits are not mirror-symmetric, and at 8x8 a cutout would remove the differences between them.
    let augment = Augment { crop_padding: 1, flip: false, cutout: 0 };
    Ok(Dataset::new(part("digits train", &train)?, part("digits test", &test)?, augment))
}

fn parse(path: &Path, line: &str) -> Result<(Vec<u8>, u32), DataError> {
    let wrong = || DataError::content(path, "64 values from 0 to 16 and a label", line);
    let values: Option<Vec<u32>> = line.split(',').map(|value| value.parse().ok()).collect();
    let mut values = values.ok_or_else(wrong)?;
    let label = values.pop().ok_or_else(wrong)?;
    if values.len() != HW * HW || values.iter().any(|&value| value > 16) {
        return Err(wrong());
    }
    // From 0..=16 to 0..=255, rounded.
    Ok((values.iter().map(|value| ((value * 255 + 8) / 16) as u8).collect(), label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_its_known_sizes_and_classes() {
        let digits = load(Path::new(""), &LoadOptions::default()).unwrap();
        assert_eq!((digits.train.n, digits.test.n, digits.train.hw), (1437, 360, 8));
        // Published counts of the digits 0 to 9 in the whole set.
        let published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        for (digit, count) in published.into_iter().enumerate() {
            let of = |set: &ImageSet| set.labels.iter().filter(|&&l| l as usize == digit).count();
            assert_eq!(of(&digits.train) + of(&digits.test), count);
            assert!((34..=37).contains(&of(&digits.test)), "{digit}");
        }
        assert_eq!(digits, load(Path::new(""), &LoadOptions::default()).unwrap());
    }

    #[test]
    fn values_fill_the_range_of_a_byte_in_three_equal_channels() {
        let digits = load(Path::new(""), &LoadOptions::default()).unwrap();
        assert_eq!(digits.train.pixels.iter().max(), Some(&255));
        assert_eq!(digits.train.pixels.iter().min(), Some(&0));
        let image = digits.test.image(100);
        assert_eq!((&image[..64], &image[..64]), (&image[64..128], &image[128..]));
        assert_eq!(digits.mean[0].to_bits(), digits.mean[2].to_bits());
        // The mean of the whole set is 4.884 of 16 (sum 561,718 over 1,797 x 64 values).
        assert!((f64::from(digits.mean[0]) - 4.884 / 16.0).abs() < 0.003, "{}", digits.mean[0]);
    }

    #[test]
    fn a_bad_line_is_an_error() {
        assert!(parse(Path::new("x"), "1,2,3").is_err());
        assert!(parse(Path::new("x"), &format!("{}17,3", "0,".repeat(63))).is_err());
        let (pixels, label) = parse(Path::new("x"), &format!("{}16,3", "8,".repeat(63))).unwrap();
        assert_eq!((pixels[0], pixels[63], label), (128, 255, 3));
    }
}
