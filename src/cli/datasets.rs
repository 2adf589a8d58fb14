//! Flags that choose the images to train and test on.

use std::path::PathBuf;

use lat_data::{Dataset, LoadOptions, find_cifar10, find_dataset};

use super::written::Written;

/// Flags that choose the images.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct DatasetArgs {
    /// Data set: digits and fashion-part (both built in), cifar10, fashion-mnist, mnist or folder [default: cifar10 if --data-dir or
    /// ./data holds it, else digits].
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Folder that holds the images.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Use only this many of the training images, in the same class proportions: a smaller proxy of the whole set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: Option<u32>,
    /// With --dataset folder: skip files that cannot be read, and allow classes without images.
    #[arg(long)]
    skip_broken: bool,
}

impl DatasetArgs {
    /// The image files, which must not be written over.
    pub(super) fn protected(&self) -> Written {
        let found = find_cifar10(self.data_dir.as_deref());
        self.data_dir.iter().chain(&found).fold(Written::default(), Written::tree)
    }

    /// Falls back to the data set of a search if these flags name none. In `name`, `digits-500` means 500 training images of `digits`.
    pub(super) fn or_of(&self, name: &str) -> Self {
        if self.dataset.is_some() || self.images.is_some() {
            return self.clone();
        }
        let proxy = || {
            let (name, images) = name.split_at(name.rfind('-')?);
            Some((name.to_owned(), images[1..].parse().ok()?))
        };
        let (dataset, images) = match proxy() {
            Some((name, images)) => (name, Some(images)),
            None => (name.to_owned(), None),
        };
        Self { dataset: Some(dataset), images, ..self.clone() }
    }

    /// Loads the images. Also returns their name and a line that describes them.
    pub(super) fn load(
        &self,
        resolution: Option<u16>,
    ) -> anyhow::Result<(String, Dataset, String)> {
        let found = find_cifar10(self.data_dir.as_deref());
        let (name, dir) = match (&self.dataset, found) {
            (Some(name), Some(found)) if name == "cifar10" => (name.clone(), Some(found)),
            (Some(name), _) => (name.clone(), self.data_dir.clone()),
            (None, Some(found)) => ("cifar10".to_owned(), Some(found)),
            (None, None) if self.data_dir.is_some() => {
                return Err(super::failure::bad(format!(
                    "expected CIFAR-10 in {}, found none; name the data set that it holds with --dataset",
                    self.data_dir.as_ref().expect("just seen").display()
                )));
            }
            (None, None) => ("digits".to_owned(), None),
        };
        let options =
            LoadOptions { resolution: resolution.map(u32::from), skip_broken: self.skip_broken };
        let mut dataset = find_dataset(&name)?.load(dir.as_deref(), &options)?;
        let notes = std::mem::take(&mut dataset.notes);
        let name = match self.images {
            None => name,
            // If all images are used, it is the full set with its own name and checksum.
            Some(images) if images as usize == dataset.train.n => name,
            Some(images) => {
                let n = dataset.train.n;
                if images as usize > n {
                    return Err(super::failure::bad(format!(
                        "expected --images of at most {n}, which {name} has to train on; found {images}"
                    )));
                }
                dataset = dataset.with_training_images(images as usize)?;
                format!("{name}-{images}")
            }
        };
        let (train, test) = (&dataset.train, &dataset.test);
        let from =
            dir.map_or_else(|| "part of the program".to_owned(), |d| d.display().to_string());
        let line = format!(
            "data set {name} ({from}): {} training and {} test images of {}x{}, {} classes",
            train.n, test.n, train.hw, train.hw, train.classes
        );
        let line = std::iter::once(line).chain(notes).collect::<Vec<_>>().join("; ");
        Ok((name, dataset, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_images_of_a_set_are_the_set() {
        let digits = DatasetArgs {
            dataset: Some("digits".into()),
            data_dir: None,
            images: None,
            skip_broken: false,
        };
        let (name, whole, _) = digits.load(None).unwrap();
        let n = whole.train.n as u32;
        let (same, all, _) = DatasetArgs { images: Some(n), ..digits.clone() }.load(None).unwrap();
        assert_eq!((same, all.checksum()), (name, whole.checksum()));
        let (part, few, _) = DatasetArgs { images: Some(n - 1), ..digits }.load(None).unwrap();
        assert_eq!(part, format!("digits-{}", n - 1));
        assert_ne!(few.checksum(), whole.checksum());
    }

    #[test]
    fn the_data_set_of_a_search_is_taken_where_none_is_named() {
        let none = DatasetArgs { dataset: None, data_dir: None, images: None, skip_broken: false };
        let of = |args: &DatasetArgs, name: &str| {
            let DatasetArgs { dataset, images, .. } = args.or_of(name);
            (dataset.unwrap_or_default(), images)
        };
        assert_eq!(of(&none, "digits-500"), ("digits".to_owned(), Some(500)));
        assert_eq!(of(&none, "fashion-part"), ("fashion-part".to_owned(), None));
        let named = DatasetArgs { dataset: Some("mnist".into()), ..none };
        assert_eq!(of(&named, "digits-500"), ("mnist".to_owned(), None));
    }
}
