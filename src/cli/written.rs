//! Checks, before anything is read, that a command's outputs do not overwrite its inputs or the files of runs and searches.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failure::bad;

/// Files that belong together in a folder, by the command that made them.
const KEPT: [(&str, &[&str]); 4] = [
    (
        "profile run",
        &[
            "run.json",
            "rows.jsonl",
            "measurements.parquet",
            "manifest.json",
            "rounds.json",
            "doctor.json",
            ".lock",
        ],
    ),
    ("search", &["search.json", "checkpoint.safetensors", "log.jsonl", "log.csv", ".lock"]),
    ("evaluation", &["evaluation.json", "checkpoint.safetensors", ".lock"]),
    ("table of operations", &["operations.json", "operations.csv", ".lock"]),
];
/// How many of a list's files, from the first on, identify a folder.
const TELLING: usize = 3;

/// The files that a command will write, and those that it reads.
#[derive(Debug, Default, Clone)]
pub(super) struct Written {
    outputs: Vec<(&'static str, PathBuf)>,
    inputs: Vec<PathBuf>,
    trees: Vec<PathBuf>,
    own: Option<PathBuf>,
}

impl Written {
    /// Adds an output file named by a flag; does nothing if the flag is not given.
    pub(super) fn output(mut self, flag: &'static str, path: Option<&Path>) -> Self {
        self.outputs.extend(path.map(|path| (flag, path.to_owned())));
        self
    }

    /// Adds files that are read. Inputs that are not files (a text, a folder, none) are ignored.
    pub(super) fn inputs(mut self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        self.inputs.extend(paths.into_iter().map(|path| path.as_ref().to_owned()));
        self
    }

    /// Adds a folder of which any file may be read.
    pub(super) fn tree(mut self, path: impl AsRef<Path>) -> Self {
        self.trees.push(path.as_ref().to_owned());
        self
    }

    /// The folder for the command's own result.
    pub(super) fn folder(mut self, path: &Path) -> Self {
        self.own = Some(path.to_owned());
        self
    }

    /// Refuses outputs that would destroy something, or cannot be written.
    ///
    /// # Errors
    /// Bad input that names the flag and the file if an output is not allowed.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (i, (flag, path)) in self.outputs.iter().enumerate() {
            self.check_place(flag, path)?;
            if let Some(input) = self.inputs.iter().find(|input| is_same(path, input)) {
                return refuse(
                    flag,
                    path,
                    &format!("{}, which this command reads", input.display()),
                );
            }
            if let Some(tree) = self.trees.iter().find(|tree| is_within(path, tree)) {
                let what = format!("a file in {}, which this command reads", tree.display());
                return refuse(flag, path, &what);
            }
            if let Some(what) = self.kept(path) {
                return refuse(flag, path, &format!("a file of a {what}"));
            }
            if let Some((other, _)) =
                self.outputs[..i].iter().find(|(_, other)| is_same(path, other))
            {
                return refuse(flag, path, &format!("the file that {other} names"));
            }
        }
        Ok(())
    }

    /// Checks that a file can be created: its folder exists, or will be made for the command's own result.
    fn check_place(&self, flag: &str, path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            return Err(bad(format!(
                "expected {flag} to name a file, found the folder {}; name a file in it",
                path.display()
            )));
        }
        let end = end(path);
        let folder = folder_of(&end);
        let is_made = |own: &PathBuf| absolute(own).starts_with(absolute(folder));
        // A pipe of the shell (/dev/fd/63) exists, but its link leads nowhere.
        if path.exists() || folder.is_dir() || self.own.as_ref().is_some_and(is_made) {
            return Ok(());
        }
        Err(bad(format!(
            "expected {flag} to name a file in a folder that is there, found no folder {}; make it, or correct the path",
            folder.display()
        )))
    }

    /// Which kind of result the file belongs to, if a run, a search or the like keeps a file of that name there.
    fn kept(&self, path: &Path) -> Option<&'static str> {
        let end = end(path);
        let (name, folder) = (end.file_name()?.to_str()?, folder_of(&end));
        let is_own = self.own.as_ref().is_some_and(|own| is_same_folder(own, folder));
        let of = |(what, names): &(&'static str, &[&str])| {
            let is_there = |other: &&&str| **other != name && folder.join(other).exists();
            let is_kept = names.contains(&name)
                && (is_own || names.iter().take(TELLING).any(|other| is_there(&other)));
            is_kept.then_some(*what)
        };
        KEPT.iter().find_map(of)
    }
}

fn refuse(flag: &str, path: &Path, found: &str) -> anyhow::Result<()> {
    Err(bad(format!(
        "expected {flag} to name a file of its own to write to, found {found}, at {}; name another",
        path.display()
    )))
}

/// The path that symlinks lead to, even if nothing exists there yet.
fn end(path: &Path) -> PathBuf {
    if let Ok(end) = fs::canonicalize(path) {
        return end;
    }
    match fs::read_link(path) {
        Ok(next) => folder_of(path).join(next),
        Err(_) => path.to_owned(),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether both paths are one regular file, existing or not. A terminal or /dev/null may be both read and written.
fn is_same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        (Err(_), Err(_)) => {
            let (a, b) = (end(a), end(b));
            a.file_name() == b.file_name() && is_same_folder(folder_of(&a), folder_of(&b))
        }
        _ => false,
    }
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => absolute(a) == absolute(b),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_within(path: &Path, tree: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(tree)) {
        (Ok(path), Ok(tree)) => path.is_file() && path.starts_with(tree),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn written(output: &Path, inputs: &[&Path]) -> Result<(), String> {
        let written = Written::default().output("--json", Some(output)).inputs(inputs);
        written.check().map_err(|error| error.to_string())
    }

    #[test]
    fn an_input_is_recognised_under_each_of_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("p.lat"), "predictor").unwrap();
        symlink("p.lat", at("link")).unwrap();
        fs::hard_link(at("p.lat"), at("hard")).unwrap();
        for name in ["p.lat", "link", "hard", "../p.lat"] {
            let path = if name.starts_with("..") {
                at("")
                    .join(format!("../{}/p.lat", dir.path().file_name().unwrap().to_str().unwrap()))
            } else {
                at(name)
            };
            let error = written(&path, &[&at("p.lat")]).unwrap_err();
            assert!(error.contains("which this command reads"), "{name}: {error}");
        }
        written(&at("new"), &[&at("p.lat")]).unwrap();
        written(Path::new("/dev/null"), &[Path::new("/dev/null")]).unwrap();
    }

    #[test]
    fn what_runs_and_searches_keep_is_refused_where_it_is_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // A file name alone does not make a run.
        for name in ["run.json", "search.json", "manifest.json"] {
            written(&at(name), &[]).unwrap();
        }
        fs::write(at("search.json"), "of --json").unwrap();
        written(&at("search.json"), &[]).unwrap();
        fs::write(at("run.json"), "{}").unwrap();
        fs::write(at("checkpoint.safetensors"), "").unwrap();
        for (name, whose) in [
            ("rows.jsonl", "profile run"),
            ("manifest.json", "profile run"),
            ("search.json", "search"),
            ("checkpoint.safetensors", "search"),
            ("evaluation.json", "evaluation"),
        ] {
            let error = written(&at(name), &[]).unwrap_err();
            assert!(error.contains(&format!("a file of a {whose}")), "{name}: {error}");
        }
        written(&at("report.html"), &[]).unwrap();
    }

    #[test]
    fn two_flags_of_one_file_a_folder_and_a_folder_that_is_not_there_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let both =
            Written::default().output("--out", Some(&at("a"))).output("--json", Some(&at("a")));
        assert!(both.check().unwrap_err().to_string().contains("the file that --out names"));
        assert!(written(dir.path(), &[]).unwrap_err().contains("found the folder"));
        assert!(written(&at("no/a"), &[]).unwrap_err().contains("found no folder"));
        let own = Written::default().output("--json", Some(&at("run.json"))).folder(dir.path());
        assert!(own.check().unwrap_err().to_string().contains("a file of a profile run"));
    }
}
