//! Images of one's own: a folder per class.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageReader, RgbImage};

use super::image_set::{check_size, push_planes};
use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::DataError;

/// Endings of the files that are read; others are passed over.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

pub(super) const ENTRY: DatasetEntry = DatasetEntry {
    name: "folder",
    summary: "your own images in DIR/train/CLASS/ and DIR/test/CLASS/ (or val), PNG or JPEG",
    source: "your own",
    layout: Some("train/CLASS/*.png (or .jpg) and test/CLASS/* or val/CLASS/*"),
    load,
};

fn load(dir: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let train = dir.join("train");
    let mut tests = ["test", "val"].map(|name| dir.join(name)).into_iter();
    let test = tests.find(|test| test.is_dir());
    let test = test.ok_or_else(|| DataError::missing(&dir.join("test"), "a folder test or val"))?;
    let classes = class_names(&train)?;
    let train_files = list(&train, &classes)?;
    check_classes(&test, &classes)?;
    let test_files = list(&test, &classes)?;
    let hw = match options.resolution {
        Some(hw) => hw as usize,
        None => shorter_side(&train_files[0].0)?,
    };
    // Half the side, as 16 of CIFAR's 32, blanks a quarter of the image (arXiv 1708.04552).
    let augment = Augment { crop_padding: (hw / 8) as u32, flip: true, cutout: (hw / 2) as u32 };
    let train = read("folder train", &train, &train_files, hw, &classes)?;
    Ok(Dataset::new(train, read("folder test", &test, &test_files, hw, &classes)?, augment))
}

/// The visible entries of a folder, sorted.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !dir.is_dir() {
        return Err(DataError::missing(dir, "a folder with one folder of images per class"));
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(DataError::io("read", dir))? {
        let entry = entry.map_err(DataError::io("read", dir))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of the folders in `dir`, sorted.
fn class_names(dir: &Path) -> Result<Vec<String>, DataError> {
    let entries = entries(dir)?;
    let names: Vec<String> = entries.iter().filter(|e| e.is_dir()).map(|e| name_of(e)).collect();
    if names.len() < 2 {
        let found = format!("{} folders", names.len());
        return Err(DataError::content(
            dir,
            "a folder of images for each of 2 or more classes",
            found,
        ));
    }
    Ok(names)
}

/// Refuses classes that training does not know.
fn check_classes(test: &Path, classes: &[String]) -> Result<(), DataError> {
    let entries = entries(test)?;
    let mut names = entries.iter().filter(|entry| entry.is_dir()).map(|entry| name_of(entry));
    match names.find(|name| !classes.contains(name)) {
        Some(name) => {
            let expected = format!("the classes of the training images, {}", classes.join(", "));
            Err(DataError::content(test, expected, format!("'{name}'")))
        }
        None => Ok(()),
    }
}

/// The image files of all classes in order, with their labels.
fn list(dir: &Path, classes: &[String]) -> Result<Vec<(PathBuf, u32)>, DataError> {
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = dir.join(class);
        let before = files.len();
        let images = entries(&folder)?.into_iter().filter(|path| is_image(path));
        files.extend(images.map(|path| (path, label as u32)));
        if files.len() == before {
            return Err(DataError::content(&folder, "files *.png, *.jpg or *.jpeg", "none"));
        }
    }
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    path.is_file() && EXTENSIONS.iter().any(|known| extension == *known)
}

fn open(path: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>, DataError> {
    let reader = ImageReader::open(path).map_err(DataError::io("read", path))?;
    // The content decides: a PNG file named .jpg is read all the same.
    reader.with_guessed_format().map_err(DataError::io("read", path))
}

fn unreadable(path: &Path) -> impl FnOnce(image::ImageError) -> DataError + '_ {
    move |error| DataError::content(path, "an image in PNG or JPEG format", error.to_string())
}

fn shorter_side(path: &Path) -> Result<usize, DataError> {
    let (width, height) = open(path)?.into_dimensions().map_err(unreadable(path))?;
    Ok(width.min(height) as usize)
}

fn read(
    name: &str,
    dir: &Path,
    files: &[(PathBuf, u32)],
    hw: usize,
    classes: &[String],
) -> Result<ImageSet, DataError> {
    check_size(dir, files.len(), hw)?;
    let mut pixels = Vec::with_capacity(files.len() * 3 * hw * hw);
    for (path, _) in files {
        let image = open(path)?.decode().map_err(unreadable(path))?.into_rgb8();
        push_planes(&mut pixels, &square(&image, hw as u32));
    }
    let labels = files.iter().map(|(_, label)| *label).collect();
    ImageSet::new(name, dir, pixels, labels, hw, classes.to_vec())
}

/// The middle square of the image, at the height and width asked for.
fn square(image: &RgbImage, hw: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let middle = crop_imm(image, (width - side) / 2, (height - side) / 2, side, side);
    if side == hw { middle.to_image() } else { resize(&*middle, hw, hw, FilterType::Triangle) }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use tempfile::TempDir;

    use super::*;

    fn paint(dir: &Path, name: &str, size: (u32, u32), colour: [u8; 3]) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(size.0, size.1, Rgb(colour)).save(path).unwrap();
    }

    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        paint(dir.path(), "train/dog/1.png", (8, 8), [1, 2, 3]);
        paint(dir.path(), "train/cat/b.png", (6, 4), [10, 20, 30]);
        paint(dir.path(), "train/cat/c.PNG", (4, 9), [40, 50, 60]);
        paint(dir.path(), "val/cat/1.png", (4, 4), [0, 0, 0]);
        paint(dir.path(), "val/dog/1.jpg", (16, 16), [200, 200, 200]);
        fs::write(dir.path().join("train/cat/notes.txt"), "no image").unwrap();
        dir
    }

    fn message(dir: &TempDir) -> String {
        let error = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        error.replace(dir.path().to_str().unwrap(), "D")
    }

    #[test]
    fn classes_are_sorted_and_the_first_image_sets_the_size() {
        let dir = folder();
        let set = load(dir.path(), &LoadOptions::default()).unwrap();
        assert_eq!(set.train.class_names, ["cat", "dog"]);
        assert_eq!((set.train.hw, set.train.n, &set.train.labels[..]), (4, 3, &[0, 0, 1][..]));
        let expected = [[40; 16], [50; 16], [60; 16]].concat();
        assert_eq!(set.train.image(1), expected);
        assert_eq!(set.test.labels, [0, 1]);
        assert!(set.test.image(1).iter().all(|value| value.abs_diff(200) <= 2), "JPEG");
        let set = load(dir.path(), &LoadOptions { resolution: Some(16) }).unwrap();
        assert_eq!((set.train.hw, set.train.image(2)[0], set.train.image(2)[767]), (16, 1, 3));
        assert_eq!(set.augment, Augment { crop_padding: 2, flip: true, cutout: 8 });
        assert!(load(dir.path(), &LoadOptions { resolution: Some(0) }).is_err());
    }

    #[test]
    fn the_middle_is_kept() {
        let image = RgbImage::from_fn(5, 3, |x, _| Rgb([x as u8, 0, 0]));
        let middle = square(&image, 3);
        assert_eq!(middle.pixels().map(|p| p.0[0]).collect::<Vec<_>>(), [1, 2, 3].repeat(3));
    }

    #[test]
    fn unreadable_images_and_missing_folders_are_named() {
        let dir = folder();
        let path = dir.path().join("train/dog/1.png");
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"not an image"] {
            fs::write(&path, bytes).unwrap();
            assert!(message(&dir).starts_with("D/train/dog/1.png: expected an image in PNG"));
        }
        fs::remove_file(&path).unwrap();
        let expected = "D/train/dog: expected files *.png, *.jpg or *.jpeg; found none";
        assert_eq!(message(&dir), expected);
        fs::write(&path, whole).unwrap();
        paint(dir.path(), "val/cow/1.png", (4, 4), [0, 0, 0]);
        let expected = "D/val: expected the classes of the training images, cat, dog; found 'cow'";
        assert_eq!(message(&dir), expected);
        fs::remove_dir_all(dir.path().join("val")).unwrap();
        assert_eq!(message(&dir), "D/test does not exist; expected a folder test or val");
        fs::remove_dir_all(dir.path().join("train/dog")).unwrap();
        paint(dir.path(), "test/cat/1.png", (4, 4), [0, 0, 0]);
        assert!(message(&dir).ends_with("each of 2 or more classes; found 1 folders"));
    }
}
