//! The user's own images: a folder per class.

mod decode;
mod files;

use std::path::{Path, PathBuf};

use super::image_set::check_size;
use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::DataError;
use decode::{Decoded, decode, shorter_side};
use files::{Listed, check_classes, class_names, list};

/// The most files that a message names; for the others it gives their number.
const NAMED: usize = 3;

pub(super) const ENTRY: DatasetEntry = DatasetEntry {
    name: "folder",
    summary: "your own images in DIR/train/CLASS/ and DIR/test/CLASS/ (or val): PNG, JPEG, WebP or BMP",
    source: "your own",
    layout: Some("train/CLASS/*.png (or .jpg, .webp, .bmp) and test/CLASS/* or val/CLASS/*"),
    load,
};

fn load(dir: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let train = dir.join("train");
    let mut tests = ["test", "val"].map(|name| dir.join(name)).into_iter();
    let test = tests.find(|test| test.is_dir());
    let test = test.ok_or_else(|| DataError::missing(&dir.join("test"), "a folder test or val"))?;
    let classes = class_names(&train)?;
    let train_files = list(&train, &classes, options.skip_broken)?;
    check_classes(&test, &classes)?;
    let test_files = list(&test, &classes, options.skip_broken)?;
    let hw = match options.resolution {
        Some(hw) => hw as usize,
        None => first_side(&train_files, options.skip_broken)?,
    };
    // A cutout of half the side, like 16 of CIFAR's 32, blanks a quarter of the image (arXiv 1708.04552).
    let augment = Augment { crop_padding: (hw / 8) as u32, flip: true, cutout: (hw / 2) as u32 };
    let mut notes: Vec<String> =
        [&train_files, &test_files].iter().filter_map(|l| l.note()).collect();
    let mut part = |name: &str, dir: &Path, listed: &Listed| {
        let (set, note) = read(name, dir, listed, hw, &classes, options.skip_broken)?;
        notes.extend(note);
        Ok::<_, DataError>(set)
    };
    let (train, test) =
        (part("folder train", &train, &train_files)?, part("folder test", &test, &test_files)?);
    Ok(Dataset { notes, ..Dataset::new(train, test, augment) })
}

/// Height and width of the first image's middle square.
fn first_side(listed: &Listed, skip_broken: bool) -> Result<usize, DataError> {
    let mut sides = listed.files.iter().map(|(path, _)| shorter_side(path));
    let first = sides.next().unwrap_or(Ok(0));
    match first {
        Err(_) if skip_broken => Ok(sides.find_map(Result::ok).unwrap_or(0)),
        side => side,
    }
}

/// The images of a part, and a line about those that were left out because they cannot be read.
fn read(
    name: &str,
    dir: &Path,
    listed: &Listed,
    hw: usize,
    classes: &[String],
    skip_broken: bool,
) -> Result<(ImageSet, Option<String>), DataError> {
    check_size(dir, listed.files.len(), hw)?;
    let Decoded { pixels, labels, broken } = decode(&listed.files, hw);
    let n = listed.files.len();
    let named = || named(&broken.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
    match broken.first() {
        None => {}
        Some(_) if broken.len() == n => {
            return Err(DataError::content(
                dir,
                "images that can be read",
                format!("{n} broken files: {}", named()),
            ));
        }
        Some(_) if skip_broken => {}
        Some((path, reason)) => {
            let all = match broken.len() {
                1 => String::new(),
                several => format!("; so are {several} of {n} files: {}", named()),
            };
            let found = format!("{reason}{all}; --skip-broken leaves such files out");
            return Err(DataError::content(
                path,
                "an image in PNG, JPEG, WebP or BMP format",
                found,
            ));
        }
    }
    let note = (!broken.is_empty()).then(|| {
        format!(
            "{} of {n} files in {} cannot be read and are left out: {}",
            broken.len(),
            dir.display(),
            named()
        )
    });
    Ok((ImageSet::new(name, dir, pixels, labels, hw, classes.to_vec())?, note))
}

/// The first of these files, and the number of the others.
fn named(paths: &[PathBuf]) -> String {
    let some: Vec<String> =
        paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    match paths.len().saturating_sub(NAMED) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{Rgb, RgbImage};
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
        let set = load(dir.path(), &LoadOptions { resolution: Some(16), ..LoadOptions::default() })
            .unwrap();
        assert_eq!((set.train.hw, set.train.image(2)[0], set.train.image(2)[767]), (16, 1, 3));
        assert_eq!(set.augment, Augment { crop_padding: 2, flip: true, cutout: 8 });
        assert!(
            load(dir.path(), &LoadOptions { resolution: Some(0), ..LoadOptions::default() })
                .is_err()
        );
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
        assert!(
            message(&dir).starts_with("D/train/dog: expected files *.png, *.jpg"),
            "{}",
            message(&dir)
        );
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

    #[test]
    fn broken_files_are_counted_and_left_out_if_that_is_asked_for() {
        let dir = folder();
        for name in ["a.png", "d.jpg", "e.webp", "f.bmp"] {
            fs::write(dir.path().join("train/cat").join(name), b"").unwrap();
        }
        fs::write(dir.path().join("train/dog/2.gif"), b"GIF89a").unwrap();
        let error = message(&dir);
        assert!(error.contains("train/cat/a.png") && error.contains("--skip-broken"), "{error}");
        let skipping = LoadOptions { skip_broken: true, resolution: Some(4) };
        let error = load(dir.path(), &LoadOptions { skip_broken: false, ..skipping });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("so are 4 of 7 files") && error.contains("and 1 more"), "{error}");
        let set = load(dir.path(), &skipping).unwrap();
        assert_eq!((set.train.n, &set.train.labels[..]), (3, &[0, 0, 1][..]));
        assert!(set.notes[0].contains("1 files in other formats"), "{:?}", set.notes);
        assert!(set.notes[1].contains("4 of 7 files"), "{:?}", set.notes);
        let unnamed = LoadOptions { skip_broken: true, resolution: None };
        assert_eq!(
            load(dir.path(), &unnamed).unwrap().train.hw,
            4,
            "of the first that can be read"
        );
        for file in fs::read_dir(dir.path().join("val/dog")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        assert_eq!(load(dir.path(), &skipping).unwrap().test.n, 1, "a class may be empty then");
    }

    #[test]
    fn webp_and_bmp_are_read() {
        let dir = folder();
        for name in ["train/dog/2.webp", "train/dog/3.bmp"] {
            paint(dir.path(), name, (4, 4), [7, 8, 9]);
        }
        let set = load(dir.path(), &LoadOptions::default()).unwrap();
        assert_eq!(
            (set.train.n, set.train.image(3), set.train.image(4)),
            (
                5,
                &[[7; 16], [8; 16], [9; 16]].concat()[..],
                &[[7; 16], [8; 16], [9; 16]].concat()[..]
            )
        );
        assert!(set.notes.is_empty(), "{:?}", set.notes);
    }
}
