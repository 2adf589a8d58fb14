//! A part of Fashion-MNIST that is included in the program.

use std::path::Path;

use super::idx::{CLOTHES, CLOTHES_AUGMENT, IdxFile, join};
use super::{Dataset, DatasetEntry, LoadOptions};
use crate::DataError;

/// The bytes of a file in `data/assets/fashion-mnist-part`, whose `licence.txt` says which images these are.
macro_rules! asset {
    ($name:literal) => {
        IdxFile::embedded($name, include_bytes!(concat!("../../assets/fashion-mnist-part/", $name)))
    };
}

pub(super) const ENTRY: DatasetEntry = DatasetEntry {
    name: "fashion-part",
    summary: "clothes, 28x28 grey, the first 3,000 + 615 training images of Fashion-MNIST, part of the program",
    source: "H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, 2017, MIT",
    layout: None,
    load,
};

fn load(_: &Path, _: &LoadOptions) -> Result<Dataset, DataError> {
    let train = join(
        "fashion-part train",
        asset!("train-images-idx3-ubyte.gz"),
        asset!("train-labels-idx1-ubyte.gz"),
        &CLOTHES,
    )?;
    let test = join(
        "fashion-part test",
        asset!("test-images-idx3-ubyte.gz"),
        asset!("test-labels-idx1-ubyte.gz"),
        &CLOTHES,
    )?;
    Ok(Dataset::new(train, test, CLOTHES_AUGMENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageSet, find_dataset};

    fn set() -> Dataset {
        load(Path::new(""), &LoadOptions::default()).unwrap()
    }

    #[test]
    fn the_set_has_its_known_sizes_and_classes() {
        let set = set();
        assert_eq!((set.train.n, set.test.n, set.train.hw, set.train.classes), (3000, 615, 28, 10));
        let counts = |set: &ImageSet| -> Vec<usize> {
            (0..10).map(|class| set.labels.iter().filter(|&&l| l == class).count()).collect()
        };
        assert_eq!(counts(&set.train), [282, 321, 290, 312, 303, 300, 298, 312, 287, 295]);
        assert_eq!(counts(&set.test), [53, 73, 67, 63, 54, 57, 64, 64, 55, 65]);
        // The first ten published training labels, and the ten after the first 3,000.
        assert_eq!(set.train.labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        assert_eq!(set.test.labels[..10], [6, 3, 2, 9, 2, 8, 6, 3, 1, 0]);
        assert_eq!(set.train.class_names[9], "Ankle boot");
        assert_eq!(set.augment, CLOTHES_AUGMENT);
    }

    #[test]
    fn the_pixels_have_their_known_sums_in_three_equal_channels() {
        let set = set();
        for (part, sum, crc) in
            [(&set.train, 170_623_628_u64, 0x022d_a81f), (&set.test, 34_974_658, 0x10a1_e7d4)]
        {
            let mut hasher = crc32fast::Hasher::new();
            for i in 0..part.n {
                let (image, plane) = (part.image(i), 28 * 28);
                assert_eq!(image[..plane], image[plane..2 * plane]);
                assert_eq!(image[..plane], image[2 * plane..]);
                hasher.update(&image[..plane]);
            }
            assert_eq!(hasher.finalize(), crc, "{}", part.name);
            assert_eq!(part.pixels.iter().map(|&p| u64::from(p)).sum::<u64>(), 3 * sum);
        }
        // Published mean and deviation of all 60,000 training images: 0.2860 and 0.3530.
        assert!((set.mean[0] - 0.2860).abs() < 0.005 && (set.std[0] - 0.3530).abs() < 0.005);
    }

    #[test]
    fn the_embedded_set_is_what_the_reader_of_folders_makes_of_its_files() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fashion-mnist-part");
        let options = LoadOptions { resolution: Some(16), ..LoadOptions::default() };
        for options in [LoadOptions::default(), options] {
            let folder = find_dataset("fashion-mnist").unwrap().load(Some(&dir), &options).unwrap();
            let named = |part: ImageSet, name: &str| ImageSet { name: name.into(), ..part };
            let folder = Dataset {
                train: named(folder.train, "fashion-part train"),
                test: named(folder.test, "fashion-part test"),
                ..folder
            };
            assert!(folder == ENTRY.load(None, &options).unwrap());
        }
    }
}
