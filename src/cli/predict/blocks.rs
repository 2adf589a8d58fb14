//! Splits the input into blocks of lines.

use std::io::{BufRead, Read};
use std::ops::Range;

use anyhow::Context;

use crate::cli::failure::bad;

/// Architectures priced at once: enough that the overhead of calls into libtorch is negligible, few enough that their features fit
/// in a core's cache.
const BLOCK: usize = 512;

/// Longest line that is read, in bytes. It keeps a file without line ends from being read completely.
const MOST_BYTES: u64 = 1 << 20;

/// A block of architecture texts.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Number of architectures before this block.
    pub(super) before: usize,
    text: String,
    lines: Vec<Range<usize>>,
}

impl Block {
    /// The texts, without surrounding white space.
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(|line| &self.text[line.clone()])
    }
}

/// Source of the architecture texts.
enum Source<'a> {
    /// Reads texts line by line.
    Lines(Box<dyn BufRead + Send + 'a>),
    Texts(Box<dyn Iterator<Item = anyhow::Result<String>> + Send + 'a>),
}

/// Yields blocks of texts. Empty lines are skipped. A line that ends in an opening bracket or a comma continues on the next line.
pub(super) struct Blocks<'a> {
    source: Source<'a>,
    n_read: usize,
    /// Called with the number of architectures in each block.
    on_block: Box<dyn Fn(usize) + Send + 'a>,
}

impl<'a> Blocks<'a> {
    /// Blocks from the lines of a file.
    pub(super) fn new(input: impl BufRead + Send + 'a) -> Self {
        Self { source: Source::Lines(Box::new(input)), n_read: 0, on_block: Box::new(|_| ()) }
    }

    /// Blocks of texts from an iterator, which is advanced only as needed.
    pub(super) fn of_texts(
        texts: impl Iterator<Item = anyhow::Result<String>> + Send + 'a,
    ) -> Self {
        Self { source: Source::Texts(Box::new(texts)), n_read: 0, on_block: Box::new(|_| ()) }
    }

    /// Calls `on_block` with the size of each block that is read.
    pub(super) fn counted_by(self, on_block: impl Fn(usize) + Send + 'a) -> Self {
        Self { on_block: Box::new(on_block), ..self }
    }

    /// The next block; None at the end.
    ///
    /// # Errors
    /// Bad input if there is no architecture at all, or if a line is too long.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Block>> {
        let mut block = Block { before: self.n_read, ..Block::default() };
        while block.lines.len() < BLOCK {
            let is_more = match &mut self.source {
                Source::Lines(input) => block.read_line(input)?,
                Source::Texts(texts) => match texts.next() {
                    // Each answer is one line, so its text must be one line too.
                    Some(text) => block.add(&text?.replace(['\n', '\r'], " ")),
                    None => false,
                },
            };
            if !is_more {
                break;
            }
        }
        self.n_read += block.lines.len();
        (self.on_block)(block.lines.len());
        if self.n_read == 0 {
            return Err(bad(
                "expected architectures, found none; give texts, or a file with one per line",
            ));
        }
        Ok((!block.lines.is_empty()).then_some(block))
    }
}

impl Block {
    /// Reads a line; false at the end of the input.
    fn read_line(&mut self, input: &mut dyn BufRead) -> anyhow::Result<bool> {
        let start = self.text.len();
        let mut left = input.take(MOST_BYTES);
        loop {
            let n_bytes = left.read_line(&mut self.text).context("reading architectures")?;
            if left.limit() == 0 {
                let number = self.before + self.lines.len() + 1;
                return Err(bad(format!(
                    "expected lines of less than {MOST_BYTES} bytes, found architecture {number} longer; is this a file of architectures?"
                )));
            }
            if n_bytes == 0 || !goes_on(&self.text[start..]) {
                break;
            }
        }
        let n_bytes = MOST_BYTES - left.limit();
        if self.text[start..].trim_end().contains('\n') {
            // Each answer is one line, so its text must be one line too.
            let joined = self.text[start..].replace(['\n', '\r'], " ");
            self.text.truncate(start);
            self.text.push_str(&joined);
        }
        self.keep_from(start);
        Ok(n_bytes > 0)
    }

    /// Adds a text. Always returns true.
    fn add(&mut self, text: &str) -> bool {
        let start = self.text.len();
        self.text.push_str(text);
        self.keep_from(start);
        true
    }

    /// Turns everything read since `start` into one text, unless it is blank.
    fn keep_from(&mut self, start: usize) {
        let line = &self.text[start..];
        // Spreadsheet programs mark UTF-8 files with this character (a byte order mark).
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        let trimmed = line.trim_matches(is_blank);
        if trimmed.is_empty() {
            return self.text.truncate(start);
        }
        let first = start + line.len() - line.trim_start_matches(is_blank).len();
        self.lines.push(first..first + trimmed.len());
    }
}

/// Whether a text stops within brackets. Called for every line of files with millions of them, so the last character is checked first.
fn goes_on(text: &str) -> bool {
    let breaks_off = |text: &str| text.trim_end().ends_with(['(', '[', '{', ',']);
    let is_open = || {
        let depth = |c: char| i64::from("([{".contains(c)) - i64::from(")]}".contains(c));
        text.chars().map(depth).sum::<i64>() > 0
    };
    // Within brackets a line may end in a closing one, so only the bracket count tells.
    (breaks_off(text) || text.trim_end().contains('\n')) && is_open()
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    #[test]
    fn texts_of_several_lines_are_joined() {
        let text = "\u{feff}G(\n  a=[1,\r\n 2],\n b=3)\nplain,\n\n[(x)]\n";
        let mut blocks = Blocks::new(Cursor::new(text));
        let block = blocks.next().unwrap().unwrap();
        let found: Vec<&str> = block.texts().collect();
        // A comma at the end does not continue the line if no bracket is open.
        assert_eq!(found, ["G(   a=[1,   2],  b=3)", "plain,", "[(x)]"]);
        assert!(blocks.next().unwrap().is_none());
    }

    #[test]
    fn no_architecture_at_all_is_an_error() {
        for text in ["", "\n \n"] {
            let error = Blocks::new(Cursor::new(text)).next().err().unwrap();
            assert!(error.to_string().contains("found none"), "{error}");
        }
    }

    #[test]
    fn lines_come_trimmed_in_blocks_and_empty_ones_not_at_all() {
        let text: String = (0..1200).map(|i| format!("  a{i}\t\r\n \n")).collect();
        let mut blocks = Blocks::new(Cursor::new(text));
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        while let Some(block) = blocks.next().unwrap() {
            assert_eq!(block.before, all.len());
            sizes.push(block.texts().len());
            all.extend(block.texts().map(str::to_owned));
        }
        assert_eq!(sizes, [512, 512, 176]);
        assert!(all.iter().enumerate().all(|(i, text)| *text == format!("a{i}")));
        assert!(Blocks::new(Cursor::new(b"\xff\n")).next().is_err());
        // A line that never ends.
        let endless = BufReader::new(std::io::repeat(b'a'));
        let error = Blocks::new(endless).next().unwrap_err().to_string();
        assert!(error.contains("found architecture 1 longer"), "{error}");
    }
}
