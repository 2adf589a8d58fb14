//! Input in blocks of lines.

use std::io::{BufRead, Cursor, Read};
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

/// A source of blocks; empty lines do not count.
#[derive(Debug)]
pub(super) struct Blocks<R> {
    input: R,
    n_read: usize,
}

impl Blocks<Box<dyn BufRead + Send>> {
    /// Blocks of a file.
    pub(super) fn new(input: impl BufRead + Send + 'static) -> Self {
        Self { input: Box::new(input), n_read: 0 }
    }

    /// Blocks of texts that are given.
    pub(super) fn of_texts(texts: &[String]) -> Self {
        let lines: Vec<String> = texts.iter().map(|text| text.replace(['\n', '\r'], " ")).collect();
        Self::new(Cursor::new(lines.join("\n")))
    }
}

impl<R: BufRead> Blocks<R> {
    /// The next block, or nothing at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Block>> {
        let mut block = Block { before: self.n_read, ..Block::default() };
        while block.lines.len() < BLOCK {
            let start = block.text.len();
            let mut line = self.input.by_ref().take(MOST_BYTES);
            let n_bytes = line.read_line(&mut block.text).context("reading architectures")?;
            if n_bytes == 0 {
                break;
            }
            if n_bytes as u64 == MOST_BYTES {
                let number = self.n_read + block.lines.len() + 1;
                return Err(bad(format!(
                    "expected lines of less than {MOST_BYTES} bytes, found architecture {number} longer; is this a file of architectures?"
                )));
            }
            let line = &block.text[start..];
            let trimmed = line.trim();
            if trimmed.is_empty() {
                block.text.truncate(start);
                continue;
            }
            let first = start + line.len() - line.trim_start().len();
            let range = first..first + trimmed.len();
            block.lines.push(range);
        }
        self.n_read += block.lines.len();
        Ok((!block.lines.is_empty()).then_some(block))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

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
