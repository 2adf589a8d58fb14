//! Input in blocks of lines.

use std::io::{BufRead, Read};
use std::ops::Range;

use anyhow::Context;

use crate::cli::failure::bad;

/// Architectures priced at once: enough that calls into libtorch do not count, few enough that their features stay in a core's
/// cache.
const BLOCK: usize = 512;

/// Longest line that is read, in bytes: a file without lines is not read to its end.
const MOST_BYTES: u64 = 1 << 20;

/// Some architecture texts.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Architectures before the first of these.
    pub(super) before: usize,
    text: String,
    lines: Vec<Range<usize>>,
}

impl Block {
    /// The texts, without the white space around them.
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(|line| &self.text[line.clone()])
    }
}

/// Where architectures come from.
enum Source<'a> {
    /// A line each.
    Lines(Box<dyn BufRead + Send + 'a>),
    Texts(Box<dyn Iterator<Item = anyhow::Result<String>> + Send + 'a>),
}

/// A source of blocks; empty lines do not count, and a line that ends in an opening bracket or a comma goes on in the next.
pub(super) struct Blocks<'a> {
    source: Source<'a>,
    n_read: usize,
    /// Told how many architectures each block has.
    on_block: Box<dyn Fn(usize) + Send + 'a>,
}

impl<'a> Blocks<'a> {
    /// Blocks of a file's lines.
    pub(super) fn new(input: impl BufRead + Send + 'a) -> Self {
        Self { source: Source::Lines(Box::new(input)), n_read: 0, on_block: Box::new(|_| ()) }
    }

    /// Blocks of texts, which are asked for as they are needed.
    pub(super) fn of_texts(
        texts: impl Iterator<Item = anyhow::Result<String>> + Send + 'a,
    ) -> Self {
        Self { source: Source::Texts(Box::new(texts)), n_read: 0, on_block: Box::new(|_| ()) }
    }

    /// The same, telling the size of each block that is read.
    pub(super) fn counted_by(self, on_block: impl Fn(usize) + Send + 'a) -> Self {
        Self { on_block: Box::new(on_block), ..self }
    }

    /// The next block, or nothing at the end.
    ///
    /// # Errors
    /// Where there is no architecture at all.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Block>> {
        let mut block = Block { before: self.n_read, ..Block::default() };
        while block.lines.len() < BLOCK {
            let is_more = match &mut self.source {
                Source::Lines(input) => block.read_line(input)?,
                Source::Texts(texts) => match texts.next() {
                    // An answer is a line, so a text is one too.
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
    /// Reads a line; false at the end.
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
            // An answer is a line, so a text is one too.
            let joined = self.text[start..].replace(['\n', '\r'], " ");
            self.text.truncate(start);
            self.text.push_str(&joined);
        }
        self.keep_from(start);
        Ok(n_bytes > 0)
    }

    /// Adds a text; always true.
    fn add(&mut self, text: &str) -> bool {
        let start = self.text.len();
        self.text.push_str(text);
        self.keep_from(start);
        true
    }

    /// Makes what was read from here on a text, unless it is empty.
    fn keep_from(&mut self, start: usize) {
        let line = &self.text[start..];
        // Spreadsheets mark a file as UTF-8 by this.
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        let trimmed = line.trim_matches(is_blank);
        if trimmed.is_empty() {
            return self.text.truncate(start);
        }
        let first = start + line.len() - line.trim_start_matches(is_blank).len();
        self.lines.push(first..first + trimmed.len());
    }
}

/// Whether a text breaks off within brackets. Asked of every line of files of millions, so the last character is looked at first.
fn goes_on(text: &str) -> bool {
    let breaks_off = |text: &str| text.trim_end().ends_with(['(', '[', '{', ',']);
    let is_open = || {
        let depth = |c: char| i64::from("([{".contains(c)) - i64::from(")]}".contains(c));
        text.chars().map(depth).sum::<i64>() > 0
    };
    // Lines within brackets may end in a closing one: then only their count tells.
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
        // A comma alone, with no bracket open, ends as any line does.
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
        // An endless line.
        let endless = BufReader::new(std::io::repeat(b'a'));
        let error = Blocks::new(endless).next().unwrap_err().to_string();
        assert!(error.contains("found architecture 1 longer"), "{error}");
    }
}
