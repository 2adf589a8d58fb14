//! The form of a CSV file: the separator of its cells, and whether it contains comment lines.

use std::io::{Read, Seek};

use polars_io::csv::read::CsvReadOptions;

/// Number of bytes that are read to find the form.
const HEAD: u64 = 1 << 16;

/// Texts that stand for a missing value in spreadsheets, R and pandas.
const MISSING: [&str; 7] = ["", "NA", "N/A", "n/a", "-", "null", "None"];

/// Whether a cell holds no value.
pub(crate) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell.trim())
}

/// A file's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CsvForm {
    separator: u8,
    /// Whether lines that begin with # are comments.
    has_remarks: bool,
}

impl CsvForm {
    /// The form of a text; afterwards the text is at its beginning again.
    pub(crate) fn of(text: &mut (impl Read + Seek + ?Sized)) -> std::io::Result<Self> {
        let mut head = Vec::new();
        text.take(HEAD).read_to_end(&mut head)?;
        text.rewind()?;
        Ok(Self::of_head(&head))
    }

    /// Decided by the line of names: a comma if it contains one, else a semicolon or a tab.
    fn of_head(head: &[u8]) -> Self {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let mut lines =
            head.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let has_remarks = lines.clone().next().is_some_and(is_remark);
        let names = lines.find(|line| !is_remark(line)).unwrap_or_default();
        let separator = b",;\t".iter().copied().find(|separator| names.contains(separator));
        Self { separator: separator.unwrap_or(b','), has_remarks }
    }

    /// The polars options for reading such a file.
    pub(crate) fn options(self) -> CsvReadOptions {
        let remark = self.has_remarks.then_some("#");
        CsvReadOptions::default().map_parse_options(|options| {
            options.with_separator(self.separator).with_comment_prefix(remark)
        })
    }
}

/// Whether a line is a comment.
pub(crate) fn is_remark(line: &[u8]) -> bool {
    line.first() == Some(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separator_and_remarks_are_told_by_the_first_lines() {
        for (head, separator, has_remarks) in [
            ("a,b;c\n1,2\n", b',', false),
            ("a;b\n1,5;2\n", b';', false),
            ("\u{feff}a\tb\n", b'\t', false),
            ("\n# by me, on a Pi\n\na;b\n", b';', true),
            ("alone\n", b',', false),
            ("", b',', false),
        ] {
            let found = CsvForm::of_head(head.as_bytes());
            assert_eq!(found, CsvForm { separator, has_remarks }, "{head}");
        }
    }
}
