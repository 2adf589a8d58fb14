//! Checks that the numbers in comments about the methods' lists are in docs/methods.md.

use std::path::Path;

use super::{read, root};

const PHRASE: &str = " of what must be true of ";

/// Every comment `Number 3 of what must be true of GDAS` in a folder: file, numbers, the method's name with all that follows it.
fn named(folder: &Path, found: &mut Vec<(String, Vec<usize>, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs")
            && !path.ends_with("guides/numbers.rs")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
                let Some((before, after)) = line.split_once(PHRASE) else { continue };
                let numbers = before.split(' ').filter_map(|word| word.parse().ok()).collect();
                found.push((path.display().to_string(), numbers, after.to_owned()));
            }
        }
    }
}

/// Number of items in the list under the heading with which the text begins.
fn n_items(page: &str, text: &str) -> Option<usize> {
    let is_start = |title: &&str| text.to_lowercase().starts_with(&title.to_lowercase());
    let title = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .find(|t| is_start(t) || t.split(" and ").any(|name| is_start(&name)))?;
    let section = page.split(&format!("### {title}\n")).nth(1)?.split("\n#").next()?;
    Some(section.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count())
}

#[test]
fn numbers_that_comments_name_are_listed() {
    let page = read("docs/methods.md");
    let mut all = Vec::new();
    for folder in ["src", "space", "nn", "predictor", "tests"] {
        named(&root().join(folder), &mut all);
    }
    assert!(all.len() > 20, "expected comments that name numbers and found {}", all.len());
    for (file, numbers, text) in all {
        let n_items = n_items(&page, &text).unwrap_or_else(|| panic!("{file}: no list of {text}"));
        for number in numbers {
            assert!((1..=n_items).contains(&number), "{file}: number {number} of {text}");
        }
    }
}
