//! The results in a folder, recognised by the files that each kind of result has.

use std::fs::{DirEntry, read_dir};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lat::record::{EvaluationRecord, SearchRecord};
use lat_data::{has_run, sealed_table};

use super::newest::PREDICTOR;
use super::search_folder::CHECKPOINT;

/// How many levels of subfolders are searched for results.
const DEPTH: usize = 3;

/// A result's folder or file, and when it was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Result {
    pub(super) path: PathBuf,
    pub(super) when: SystemTime,
}

/// The results in a folder and its subfolders, each kind newest first. Their contents are not read.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Folders of finished profile runs.
    pub(super) profiles: Vec<Result>,
    /// Folders of unfinished profile runs.
    pub(super) begun_profiles: Vec<Result>,
    /// Files of predictors.
    pub(super) predictors: Vec<Result>,
    /// Folders of searches.
    pub(super) searches: Vec<Result>,
    /// Folders of evaluations.
    pub(super) evaluations: Vec<Result>,
    /// Folders of unfinished searches or evaluations: they have only a checkpoint.
    pub(super) begun: Vec<Result>,
    /// Folders that could not be read, each with the reason.
    pub(super) closed: Vec<(PathBuf, String)>,
}

impl Results {
    /// The results in `dir`; none if it is not a folder.
    pub(super) fn below(dir: &Path) -> Self {
        let mut results = Self::default();
        results.look(dir, DEPTH);
        let kinds = [
            &mut results.profiles,
            &mut results.begun_profiles,
            &mut results.predictors,
            &mut results.searches,
            &mut results.evaluations,
            &mut results.begun,
        ];
        for kind in kinds {
            // Results of equal age are sorted by name, so that the order never changes.
            kind.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.path.cmp(&b.path)));
        }
        results
    }

    /// Whether there are no results at all, not even unfinished ones.
    pub(super) fn is_empty(&self) -> bool {
        let Self { profiles, begun_profiles, predictors, searches, evaluations, begun, closed } =
            self;
        [profiles, begun_profiles, predictors, searches, evaluations, begun]
            .iter()
            .all(|kind| kind.is_empty())
            && closed.is_empty()
    }

    /// All files and folders of results, of every kind.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let kinds = [&self.profiles, &self.begun_profiles, &self.predictors, &self.searches];
        let all = kinds.into_iter().chain([&self.evaluations, &self.begun]).flatten();
        all.map(|result| result.path.as_path())
    }

    fn look(&mut self, dir: &Path, depth: usize) {
        let entries = match read_dir(dir) {
            Ok(entries) => entries.flatten(),
            Err(error) => return self.closed.push((dir.to_owned(), error.to_string())),
        };
        self.look_at(dir);
        let (folders, files): (Vec<DirEntry>, Vec<DirEntry>) =
            // Links may lead round in circles.
            entries.partition(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for file in files.into_iter().map(|file| file.path()) {
            if file.is_file() && is_predictor(&file) {
                self.predictors.push(result(&file, &file));
            }
        }
        if depth > 0 {
            for folder in folders {
                self.look(&folder.path(), depth - 1);
            }
        }
    }

    /// Adds the results that the folder itself is. It may hold both a search and an evaluation.
    fn look_at(&mut self, dir: &Path) {
        if let Some(table) = sealed_table(dir) {
            self.profiles.push(result(dir, &table));
        } else if has_run(dir) {
            self.begun_profiles.push(result(dir, dir));
        }
        let [search, evaluation] =
            [SearchRecord::FILE, EvaluationRecord::FILE].map(|file| dir.join(file));
        let checkpoint = dir.join(CHECKPOINT);
        if checkpoint.exists() && !search.exists() && !evaluation.exists() {
            self.begun.push(result(dir, &checkpoint));
        }
        for (kind, file) in [(&mut self.searches, search), (&mut self.evaluations, evaluation)] {
            if file.exists() {
                kind.push(result(dir, &file));
            }
        }
    }
}

/// Tells predictors by their names. TensorBoard logs end in the name of the machine or program that wrote them, which could match.
fn is_predictor(file: &Path) -> bool {
    let is_log = file.file_name().is_some_and(|n| n.to_string_lossy().contains(".tfevents."));
    file.extension().is_some_and(|e| e == PREDICTOR) && !is_log
}

/// A result dated by its key file.
fn result(path: &Path, key: &Path) -> Result {
    let when = key.metadata().and_then(|of| of.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    Result { path: path.to_owned(), when }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir_all, write};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_found_by_their_files_the_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str, age_s: u64| {
            let path = dir.path().join(path);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(&path, "x").unwrap();
            let file = File::options().append(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age_s)).unwrap();
        };
        at("old/search.json", 9);
        at("several/seed0/search.json", 2);
        at("new/search.json", 1);
        at("both/search.json", 5);
        at("both/evaluation.json", 5);
        at("run/run.json", 3);
        at("whole/run.json", 3);
        at("whole/measurements.parquet", 3);
        at("begun/checkpoint.safetensors", 3);
        at("p.lat", 4);
        at("a/b/c/d/search.json", 0);
        at("notes.txt", 0);
        at("new/events.out.tfevents.1796000047.7640.lat", 0);
        let results = Results::below(dir.path());
        let names = |kind: &[Result]| {
            let name = |r: &Result| r.path.strip_prefix(dir.path()).unwrap().display().to_string();
            kind.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&results.searches), ["new", "several/seed0", "both", "old"]);
        assert_eq!(names(&results.evaluations), ["both"]);
        assert_eq!(names(&results.profiles), ["whole"]);
        assert_eq!(names(&results.begun_profiles), ["run"]);
        assert_eq!(names(&results.begun), ["begun"]);
        assert_eq!(names(&results.predictors), ["p.lat"]);
        assert!(results.closed.is_empty() && !results.is_empty());
        assert_eq!(results.paths().count(), 9);
    }
}
