//! Chooses the profile or predictor if the user names none: the newest in `./runs/` whose own label fits, whatever its file name.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lat_data::{RunHeader, run_header, sealed_table};
use lat_predictor::{Label, Predictor};

use super::failure::bad;
use super::runs::root;

/// File extension of predictors.
pub(super) const PREDICTOR: &str = "lat";

/// The newest finished profile, of the given space if there is one.
pub(super) fn newest_profile(space: Option<&str>) -> anyhow::Result<PathBuf> {
    // A shard is only part of a run; `lat merge` makes the whole.
    let fits =
        |header: &RunHeader| !header.is_shard() && space.is_none_or(|space| header.space == space);
    let mut refused = Refused::default();
    let found = newest_first(sealed_table).into_iter().find(|dir| match run_header(dir) {
        Ok(header) => header.as_ref().is_some_and(fits),
        Err(error) => refused.add(&error),
    });
    found.ok_or_else(|| {
        let of = space.map_or_else(String::new, |space| format!(" of {space}"));
        bad(format!(
            "expected a finished profile{of} in ./{}/, found none{refused}; run `lat profile` first (and `lat merge` after shards), or \
             name its folder with --data",
            root().display()
        ))
    })
}

/// The newest predictor for this built-in space and column.
pub(super) fn newest_predictor(space: &str, column: &str) -> anyhow::Result<PathBuf> {
    let fits = |label: &Label| {
        label.space == space && label.column == column && label.declaration.is_none()
    };
    let mut refused = Refused::default();
    let found = newest_first(is_predictor).into_iter().find(|path| match Predictor::load(path) {
        Ok(predictor) => fits(predictor.label()),
        Err(error) => refused.add(&error),
    });
    found.ok_or_else(|| {
        bad(format!(
            "expected a predictor of {column} for {space} in ./{}/, found none{refused}{}; run `lat profile` and `lat train` first, or \
             name its file with --predictor",
            root().display(),
            other_space(column)
        ))
    })
}

/// A hint if the newest predictor of this column is for another built-in space, which was probably meant.
fn other_space(column: &str) -> String {
    let fits = |p: &Predictor| p.label().column == column && p.label().declaration.is_none();
    match newest_fitting_predictor(&fits) {
        Some((_, found)) => format!(" (there is one for {0}: --space {0})", found.label().space),
        None => String::new(),
    }
}

/// The newest predictor of any space and column.
pub(super) fn any_predictor() -> anyhow::Result<PathBuf> {
    newest_first(is_predictor).into_iter().next().ok_or_else(|| {
        bad(format!(
            "expected a predictor in ./{}/, found none; run `lat train` first, or name its file with --predictor",
            root().display()
        ))
    })
}

/// The predictors that a command without --predictor may take, newest first.
pub(super) fn predictors() -> Vec<PathBuf> {
    newest_first(is_predictor)
}

/// The newest predictor that passes `fits`, with its file. Files that cannot be read are skipped.
pub(super) fn newest_fitting_predictor(
    fits: &dyn Fn(&Predictor) -> bool,
) -> Option<(PathBuf, Predictor)> {
    let load =
        |path: PathBuf| Predictor::load(&path).ok().filter(fits).map(|predictor| (path, predictor));
    predictors().into_iter().find_map(load)
}

/// Files that could not be read during the search; the first one's error goes into the message that nothing was found.
#[derive(Default)]
struct Refused {
    n: usize,
    first: String,
}

impl Refused {
    /// Notes a file that cannot be read. Always false, because such a file does not fit.
    fn add(&mut self, error: &dyn std::error::Error) -> bool {
        if self.n == 0 {
            self.first = error.to_string();
        }
        self.n += 1;
        false
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.n {
            0 => Ok(()),
            1 => write!(f, " but one that cannot be read ({})", self.first),
            n => write!(f, " but {n} that cannot be read (the newest: {})", self.first),
        }
    }
}

fn is_predictor(path: &Path) -> Option<PathBuf> {
    path.extension().is_some_and(|e| e == PREDICTOR).then(|| path.to_owned())
}

/// The entries of the results folder, newest first by the age of their key file. Entries without a key file are left out.
fn newest_first(key: impl Fn(&Path) -> Option<PathBuf>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root()).into_iter().flatten().flatten();
    let aged = entries.filter_map(|entry| {
        let path = entry.path();
        Some((modified(&key(&path)?)?, path))
    });
    let mut aged: Vec<(SystemTime, PathBuf)> = aged.collect();
    aged.sort();
    aged.into_iter().rev().map(|(_, path)| path).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}
