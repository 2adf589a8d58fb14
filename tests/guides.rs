//! Tests of the documents: commands in README and in the guides run on the fake device, links lead to existing targets, and the
//! book has every page.

mod blocks;
mod links;
mod numbers;

use std::path::Path;
use std::process::Command;

use blocks::{Block, Step, blocks};

/// Pages whose commands are run, each page in a folder of its own, from top to bottom.
const GUIDES: [&str; 11] = [
    "README.md",
    "docs/profile.md",
    "docs/train.md",
    "docs/search.md",
    "docs/collapse.md",
    "docs/space.md",
    "docs/reports.md",
    "docs/measuring.md",
    "docs/files.md",
    "docs/extract.md",
    "docs/latency-tables.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of the book and those at the top, relative to the root.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["", "docs/"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(format!("{folder}{}", path.file_name().unwrap().to_str().unwrap()));
            }
        }
    }
    pages.sort();
    pages
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

/// The command with the fake device instead of the device that the page names.
fn on_fake(command: &str) -> String {
    let mut words: Vec<&str> = command.split(' ').collect();
    if !["lat profile", "lat doctor"].iter().any(|times| command.contains(times)) {
        return command.to_owned();
    }
    match words.iter().position(|&word| word == "--device") {
        Some(at) => words[at + 1] = "fake",
        None => words.extend(["--device", "fake"]),
    }
    words.join(" ")
}

/// Runs one command in `dir` with `lat` on the PATH. Returns its exit status and everything it printed.
fn run(dir: &Path, command: &str) -> (i32, String) {
    let program = assert_cmd::cargo::cargo_bin("lat");
    let path =
        format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    // One thread, because guides run at the same time. Standard error is joined to standard output, as on a terminal.
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{}", on_fake(command))])
        .current_dir(dir)
        .env("PATH", path)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

/// Runs a block's commands and compares their output with the page.
fn check(dir: &Path, page: &str, block: &Block) {
    for step in &block.steps {
        let Step { line, command, expected } = step;
        let (status, text) = run(dir, command);
        assert_eq!(
            status, block.exit,
            "{page}:{line}: `{command}` should exit with {}:\n{text}",
            block.exit
        );
        if block.is_elsewhere {
            continue;
        }
        if let Some(missing) = blocks::missing(expected, &text) {
            panic!("{page}:{line}: `{command}` does not print\n{missing}\nbut\n{text}");
        }
    }
}

/// Runs a page from top to bottom in an empty folder that has the project's examples.
fn follow(page: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("examples"), dir.path().join("examples")).unwrap();
    let mut n_commands = 0;
    for block in blocks(&read(page)) {
        if let Some(name) = &block.file {
            std::fs::write(dir.path().join(name), &block.text).unwrap();
        }
        if !block.is_skipped {
            check(dir.path(), page, &block);
            n_commands += block.steps.len();
        }
    }
    assert!(n_commands > 0, "expected commands in {page} and found none that run");
}

#[test]
fn readme_can_be_followed() {
    follow("README.md");
}

#[test]
fn profile_can_be_followed() {
    follow("docs/profile.md");
}

#[test]
fn train_can_be_followed() {
    follow("docs/train.md");
}

#[test]
fn search_can_be_followed() {
    follow("docs/search.md");
}

#[test]
fn collapse_can_be_followed() {
    follow("docs/collapse.md");
}

#[test]
fn space_can_be_followed() {
    follow("docs/space.md");
}

#[test]
fn reports_can_be_followed() {
    follow("docs/reports.md");
}

#[test]
fn measuring_can_be_followed() {
    follow("docs/measuring.md");
}

#[test]
fn files_can_be_followed() {
    follow("docs/files.md");
}

#[test]
fn extract_can_be_followed() {
    follow("docs/extract.md");
}

#[test]
fn latency_tables_can_be_followed() {
    follow("docs/latency-tables.md");
}

/// Checks that a page with commands in a shell block is one of the guides, so that no command is left untested by mistake.
#[test]
fn pages_with_shell_commands_are_guides() {
    for page in pages() {
        let runs = blocks(&read(&page)).iter().any(|b| !b.is_skipped && !b.steps.is_empty());
        assert!(
            !runs || GUIDES.contains(&page.as_str()),
            "expected {page} in GUIDES, since it has commands that are not marked no-test"
        );
    }
}

#[test]
fn readme_is_short() {
    let n_words = read("README.md").split_whitespace().count();
    assert!(n_words <= 1200, "expected at most 1,200 words in README.md and found {n_words}");
}
