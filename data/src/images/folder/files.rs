//! Finds the images in a folder per class, and their classes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::DataError;

/// Extensions of the files that are read.
const READ: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// Extensions of images in formats that are not read. Users who have such files should know that they are ignored.
const NOT_READ: [&str; 8] = ["gif", "tif", "tiff", "heic", "avif", "jp2", "ppm", "pgm"];

/// The image files of all classes in order, with their labels.
pub(super) struct Listed {
    pub(super) files: Vec<(PathBuf, u32)>,
    /// Images in formats that are not read.
    passed_over: Vec<PathBuf>,
}

impl Listed {
    /// A line about image files that are not read; None if there are none.
    pub(super) fn note(&self) -> Option<String> {
        let first = self.passed_over.first()?;
        Some(format!(
            "{} files in other formats than PNG, JPEG, WebP and BMP are left out, such as {}",
            self.passed_over.len(),
            first.display()
        ))
    }
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
pub(super) fn class_names(dir: &Path) -> Result<Vec<String>, DataError> {
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

/// Rejects classes in the test folder that the training folder does not have.
pub(super) fn check_classes(test: &Path, classes: &[String]) -> Result<(), DataError> {
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

/// The image files of all classes. A class without images is an error, unless classes may be empty.
pub(super) fn list(
    dir: &Path,
    classes: &[String],
    may_be_empty: bool,
) -> Result<Listed, DataError> {
    let mut listed = Listed { files: Vec::new(), passed_over: Vec::new() };
    for (label, class) in classes.iter().enumerate() {
        let folder = dir.join(class);
        let before = listed.files.len();
        for path in entries(&folder)?.into_iter().filter(|path| path.is_file()) {
            if has_ending(&path, &READ) {
                listed.files.push((path, label as u32));
            } else if has_ending(&path, &NOT_READ) {
                listed.passed_over.push(path);
            }
        }
        if listed.files.len() == before && !may_be_empty {
            let expected = "files *.png, *.jpg, *.jpeg, *.webp or *.bmp (--skip-broken allows classes without images)";
            return Err(DataError::content(&folder, expected, "none"));
        }
    }
    match listed.files.is_empty() {
        true => Err(DataError::content(dir, "images in the folders of its classes", "none")),
        false => Ok(listed),
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    endings.iter().any(|known| extension == *known)
}
