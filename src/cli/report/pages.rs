//! File names of the pages for a folder's results, and the links between them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use lat::report::Link;

use crate::cli::failure::bad;
use crate::cli::output::write_whole;
use crate::cli::runs::writable_dir;

/// Longest page name in bytes, not counting the ending and the number that makes it unique.
const LONGEST: usize = 180;

/// The page of a folder and the folder of pages beside it: `report.html` and `report_files/`. Addresses are relative, so both can be
/// moved together.
pub(super) struct Pages {
    index: PathBuf,
    folder: PathBuf,
    taken: HashSet<String>,
}

impl Pages {
    /// The pages beside this index page.
    pub(super) fn beside(index: &Path) -> anyhow::Result<Self> {
        let Some(stem) = index.file_stem() else {
            return Err(bad(format!("expected --out to name a file, found {}", index.display())));
        };
        let mut name = stem.to_owned();
        name.push("_files");
        let (index, folder) = (index.to_owned(), index.with_file_name(name));
        writable_dir(&folder)?;
        Ok(Self { index, folder, taken: HashSet::new() })
    }

    /// A unique name for the page of a result: `search-a.html` for `search-a`.
    pub(super) fn name(&mut self, result: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._+".contains(c) { c } else { '-' };
        let stem: String = result.chars().map(plain).take(LONGEST).collect();
        let stem = stem.trim_matches(['-', '.']);
        let stem = if stem.is_empty() { "result" } else { stem };
        let numbered = (2..).map(|n| format!("{stem}-{n}.html"));
        let mut names = std::iter::once(format!("{stem}.html")).chain(numbered);
        let is_new = |name: &String| self.taken.insert(name.to_lowercase());
        names.find(is_new).expect("numbers do not end")
    }

    /// The address of a page, as linked from the index.
    pub(super) fn address(&self, name: &str) -> String {
        format!("{}/{name}", encoded(&file_name(&self.folder)))
    }

    /// The link from a page back to the index.
    pub(super) fn back(&self) -> Link {
        let href = format!("../{}", encoded(&file_name(&self.index)));
        Link { text: "all results".to_owned(), href }
    }

    /// Writes a page into the folder.
    pub(super) fn write(&self, name: &str, html: &str) -> anyhow::Result<()> {
        write_whole(&self.folder.join(name), html)
    }

    /// The folder of pages.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A file name as part of an address (RFC 3986): all bytes but unreserved letters are percent-encoded.
fn encoded(name: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_each_is_the_only_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut pages = Pages::beside(&dir.path().join("a b#.html")).unwrap();
        let names = ["x/y", "x-y", "X-Y", "", "../..", "s\u{fc}\u{df} & co"].map(|n| pages.name(n));
        let expected = [
            "x-y.html",
            "x-y-2.html",
            "X-Y-3.html",
            "result.html",
            "result-2.html",
            "s-----co.html",
        ];
        assert_eq!(names, expected);
        assert_eq!(pages.name(&"a".repeat(400)).len(), LONGEST + 5);
        assert_eq!(pages.address("x.html"), "a%20b%23_files/x.html");
        assert_eq!(pages.back().href, "../a%20b%23.html");
        assert!(pages.folder().ends_with("a b#_files"));
    }
}
