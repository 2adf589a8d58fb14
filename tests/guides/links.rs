//! Links between the pages, and the book's table of contents.

use std::collections::BTreeSet;

use super::{pages, read, root};

/// Targets of the links `[..](target)` and images of a page, except those inside code.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code || line.starts_with("    ") {
            continue;
        }
        // Every second part is between backticks.
        let prose: String = line.split('`').step_by(2).collect();
        for rest in prose.split("](").skip(1) {
            found.push(rest.split(')').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The anchors of headings: in lower case, with dashes for blanks, without other signs. The second heading with the same name
/// ends in `-1`.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code || !line.starts_with('#') {
            continue;
        }
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut unique = name.clone();
        for n in 1.. {
            if anchors.insert(unique.clone()) {
                break;
            }
            unique = format!("{name}-{n}");
        }
    }
    anchors
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut n_links = 0;
    for page in pages() {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&read(&page)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { format!("{folder}/{path}") };
            let file = root().join(target.trim_start_matches('/'));
            assert!(file.exists(), "{page}: nothing is at {link}");
            assert!(
                anchor.is_empty()
                    || anchors(&std::fs::read_to_string(file).unwrap()).contains(anchor),
                "{page}: no heading is called {link}"
            );
            n_links += 1;
        }
    }
    assert!(n_links > 20, "expected more than {n_links} links");
}

/// The book is made from docs/ only: files outside are named in it, but not linked.
#[test]
fn links_of_the_book_stay_in_it() {
    for page in pages().iter().filter(|page| page.starts_with("docs/")) {
        for link in links(&read(page)) {
            assert!(!link.starts_with(".."), "{page}: {link} is outside of the book");
        }
    }
}

#[test]
fn every_page_is_in_the_book_once() {
    let mut listed = links(&read("docs/SUMMARY.md"));
    listed.sort();
    let there: Vec<String> = pages()
        .iter()
        .filter_map(|page| page.strip_prefix("docs/"))
        .filter(|page| *page != "SUMMARY.md")
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn headings_have_the_names_that_links_use() {
    let found = anchors("# A b\n```sh\n# no\n```\n## A b\n## `x`: y, z (1)\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a-b", "a-b-1", "x-y-z-1"]);
}

#[test]
fn links_are_found_outside_of_code() {
    let page = "see [a](b.md#c), ![p](d.svg) and `[no](no.md)`\n```\n[no](no.md)\n```\n";
    assert_eq!(links(page), ["b.md#c", "d.svg"]);
}
