//! Image sets for training: one file per format, and one row per set in [`DATASETS`].

mod cifar10;
mod dataset;
mod digits;
mod fashion_part;
mod folder;
mod idx;
mod image_set;

use std::path::Path;

pub use cifar10::find_cifar10;
pub use dataset::{Augment, Dataset};
pub use image_set::ImageSet;

use crate::DataError;

/// Options for loading an image set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Height (= width) of the images in pixels. If None, that of the set; for folders that of the first image.
    pub resolution: Option<u32>,
    /// For the user's own folders: whether to leave out files that cannot be read, and to allow classes without images.
    pub skip_broken: bool,
}

/// An image set that can be loaded by name.
#[derive(Debug, Clone, Copy)]
pub struct DatasetEntry {
    /// The name for `--dataset`.
    pub name: &'static str,
    /// One line for `lat list datasets`.
    pub summary: &'static str,
    /// Who made it, and its licence.
    pub source: &'static str,
    /// The content that the folder must have; None for a set that is part of the program.
    pub layout: Option<&'static str>,
    load: fn(&Path, &LoadOptions) -> Result<Dataset, DataError>,
}

impl DatasetEntry {
    /// Whether the set is in a folder that the user must name.
    pub fn needs_dir(&self) -> bool {
        self.layout.is_some()
    }

    /// Loads the set from `dir`; sets that are part of the program ignore `dir`.
    ///
    /// # Errors
    /// [`DataError::NoFolder`] if `dir` is needed and not given; [`DataError::Missing`], [`DataError::Content`] and
    /// [`DataError::Io`] name the file that is missing, wrong or unreadable.
    pub fn load(&self, dir: Option<&Path>, options: &LoadOptions) -> Result<Dataset, DataError> {
        let dir = match (dir, self.layout) {
            (Some(dir), _) => dir,
            (None, None) => Path::new(""),
            (None, Some(expected)) => {
                return Err(DataError::NoFolder { name: self.name, expected });
            }
        };
        if let Some(layout) = self.layout
            && !dir.is_dir()
        {
            return Err(DataError::missing(dir, format!("a folder with {layout}")));
        }
        let dataset = (self.load)(dir, options)?;
        match options.resolution {
            Some(hw) if hw as usize != dataset.train.hw => dataset.resized(hw as usize),
            _ => Ok(dataset),
        }
    }
}

/// All image sets, one row each.
pub const DATASETS: &[DatasetEntry] = &[
    digits::ENTRY,
    fashion_part::ENTRY,
    cifar10::ENTRY,
    idx::FASHION_MNIST,
    idx::MNIST,
    folder::ENTRY,
];

/// The image set with this name.
///
/// # Errors
/// [`DataError::Unknown`] lists the names.
pub fn find_dataset(name: &str) -> Result<&'static DatasetEntry, DataError> {
    DATASETS.iter().find(|entry| entry.name == name).ok_or_else(|| DataError::Unknown {
        name: name.to_owned(),
        known: DATASETS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_told_which_there_are() {
        for entry in DATASETS {
            assert_eq!(find_dataset(entry.name).unwrap().summary, entry.summary);
        }
        let expected = "unknown data set 'cifar'; expected one of: digits, fashion-part, cifar10, fashion-mnist, mnist, folder";
        assert_eq!(find_dataset("cifar").unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_set_on_disk_asks_for_its_folder() {
        let options = LoadOptions::default();
        for entry in DATASETS.iter().filter(|entry| entry.needs_dir()) {
            let error = entry.load(None, &options).unwrap_err();
            assert!(matches!(error, DataError::NoFolder { .. }), "{error}");
            let error = entry.load(Some(Path::new("no/such/folder")), &options).unwrap_err();
            assert!(matches!(error, DataError::Missing { .. }), "{error}");
        }
    }

    #[test]
    fn the_resolution_asked_for_is_what_comes() {
        let options = LoadOptions { resolution: Some(16), ..LoadOptions::default() };
        for (name, n_test, crop_padding) in [("digits", 360, 2), ("fashion-part", 615, 1)] {
            let set = find_dataset(name).unwrap().load(None, &options).unwrap();
            assert_eq!((set.train.hw, set.test.hw), (16, 16), "{name}");
            assert_eq!(set.test.pixels.len(), n_test * 3 * 16 * 16, "{name}");
            assert_eq!(set.augment.crop_padding, crop_padding, "{name}");
        }
        for entry in DATASETS.iter().filter(|entry| !entry.needs_dir()) {
            let error = entry
                .load(None, &LoadOptions { resolution: Some(0), ..LoadOptions::default() })
                .unwrap_err();
            assert!(matches!(error, DataError::Content { .. }), "{}: {error}", entry.name);
        }
    }
}
