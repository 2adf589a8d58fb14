//! CIFAR-10 as its authors distribute it: binary batches in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::DataError;

const HW: usize = 32;
/// Bytes per image: a label and three planes.
const RECORD: usize = 1 + 3 * HW * HW;
/// The folder in the published archive.
const ARCHIVE: &str = "cifar-10-batches-bin";
const TEST: &str = "test_batch.bin";
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

pub(super) const ENTRY: DatasetEntry = DatasetEntry {
    name: "cifar10",
    summary: "objects, 32x32 colour, 50,000 + 10,000 images of 10 classes, from a folder",
    source: "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; no licence stated",
    layout: Some("data_batch_1.bin to data_batch_5.bin (or some of them) and test_batch.bin"),
    load,
};

/// The folder that contains CIFAR-10 in its binary version: `dir` or `./data`, directly or in `cifar-10-batches-bin`.
pub fn find_cifar10(dir: Option<&Path>) -> Option<PathBuf> {
    dir.into_iter().chain([Path::new("data")]).find_map(batch_folder)
}

fn batch_folder(dir: &Path) -> Option<PathBuf> {
    let mut places = [dir.to_owned(), dir.join(ARCHIVE)].into_iter();
    places.find(|place| place.join(TEST).is_file() && !train_files(place).is_empty())
}

/// The training files that exist, out of five.
fn train_files(dir: &Path) -> Vec<PathBuf> {
    let files = (1..=5).map(|number| dir.join(format!("data_batch_{number}.bin")));
    files.filter(|file| file.is_file()).collect()
}

fn load(dir: &Path, _: &LoadOptions) -> Result<Dataset, DataError> {
    let Some(dir) = batch_folder(dir) else {
        let layout = ENTRY.layout.unwrap_or_default();
        let expected = format!("{layout}, here or in {ARCHIVE}");
        let places = [dir.to_owned(), dir.join(ARCHIVE)];
        let has_training = places.iter().any(|place| !train_files(place).is_empty());
        let found = if has_training {
            "files for training without test_batch.bin beside them"
        } else {
            "no file for training"
        };
        return Err(DataError::content(dir, expected, found));
    };
    // The augmentation of DARTS (arXiv 1806.09055, appendix A), and of most papers since.
    let augment = Augment { crop_padding: 4, flip: true, cutout: 16 };
    let train = read("cifar10 train", &dir, &train_files(&dir))?;
    Ok(Dataset::new(train, read("cifar10 test", &dir, &[dir.join(TEST)])?, augment))
}

fn read(name: &str, dir: &Path, files: &[PathBuf]) -> Result<ImageSet, DataError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = fs::read(file).map_err(DataError::io("read", file))?;
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            let expected = format!("images of {RECORD} bytes each");
            let (whole, rest) = (bytes.len() / RECORD, bytes.len() % RECORD);
            let found = format!("{} bytes, {whole} images and {rest} bytes", bytes.len());
            return Err(DataError::content(file, expected, found));
        }
        for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
            if usize::from(record[0]) >= CLASSES.len() {
                let found = format!("{} for image {}", record[0], index + 1);
                return Err(DataError::content(file, "labels from 0 to 9", found));
            }
            labels.push(u32::from(record[0]));
            pixels.extend_from_slice(&record[1..]);
        }
    }
    ImageSet::new(name, dir, pixels, labels, HW, CLASSES.map(str::to_owned).to_vec())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// One image per label. Its red plane is all 1, the green one 2, the blue one 3.
    fn batch(labels: &[u8]) -> Vec<u8> {
        let plane = |value: u8| vec![value; HW * HW];
        let image = |&label: &u8| [vec![label], plane(1), plane(2), plane(3)].concat();
        labels.iter().flat_map(image).collect()
    }

    fn folder(inside: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(inside);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("data_batch_1.bin"), batch(&[3, 9])).unwrap();
        fs::write(place.join("data_batch_4.bin"), batch(&[0])).unwrap();
        fs::write(place.join(TEST), batch(&[5])).unwrap();
        dir
    }

    #[test]
    fn batches_are_joined_in_order_from_either_folder() {
        for inside in ["", ARCHIVE] {
            let dir = folder(inside);
            let set = load(dir.path(), &LoadOptions::default()).unwrap();
            assert_eq!((&set.train.labels[..], &set.test.labels[..]), (&[3, 9, 0][..], &[5][..]));
            let image = set.train.image(1);
            assert_eq!((image[0], image[1024], image[3071]), (1, 2, 3));
            assert_eq!(set.train.class_names[9], "truck");
            let found = find_cifar10(Some(dir.path())).unwrap();
            assert!(found.join(TEST).exists());
        }
    }

    #[test]
    fn missing_short_and_mislabelled_files_are_named() {
        let dir = folder("");
        let short = dir.path().join("data_batch_4.bin");
        fs::write(&short, &batch(&[0, 1])[..RECORD + 10]).unwrap();
        let error = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        let expected = "data_batch_4.bin: expected images of 3073 bytes each; \
             found 3083 bytes, 1 images and 10 bytes";
        assert!(error.ends_with(expected), "{error}");
        fs::write(&short, batch(&[0, 10])).unwrap();
        let error = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        let expected = "data_batch_4.bin: expected labels from 0 to 9; found 10 for image 2";
        assert!(error.ends_with(expected), "{error}");
        fs::remove_file(dir.path().join(TEST)).unwrap();
        let error = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("and test_batch.bin, here or in cifar-10-batches-bin"), "{error}");
        assert_eq!(batch_folder(dir.path()), None);
    }
}
