//! Reads a long CSV table in pieces of some thousand rows.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::csv_form::is_remark;
use super::file_columns::open;
use crate::DataError;

/// A file that is read in pieces. Each piece is a table: the line of names, then some lines.
pub(crate) struct CsvPieces {
    path: PathBuf,
    input: BufReader<File>,
    names: Vec<u8>,
    rows: usize,
}

impl CsvPieces {
    /// Opens a table for pieces of `rows` rows.
    pub(crate) fn open(path: &Path, rows: usize) -> Result<Self, DataError> {
        let mut input = BufReader::with_capacity(1 << 18, open(path)?);
        let mut names = Vec::new();
        loop {
            let start = names.len();
            let n_bytes =
                read_record(&mut input, &mut names).map_err(DataError::io("read", path))?;
            if names[start..].trim_ascii().is_empty() {
                names.truncate(start);
            } else if !is_remark(&names[start..]) {
                break;
            }
            // A comment before the names is kept, so that comments are recognised in every piece.
            if n_bytes == 0 {
                break;
            }
        }
        Ok(Self { path: path.to_owned(), input, names, rows })
    }

    /// The next rows; empty at the end.
    pub(crate) fn next(&mut self) -> Result<Columns, DataError> {
        let mut piece = self.names.clone();
        for _ in 0..self.rows {
            let read = read_record(&mut self.input, &mut piece);
            if read.map_err(DataError::io("read", &self.path))? == 0 {
                break;
            }
        }
        Columns::of_csv_text(&self.path, Cursor::new(piece))
    }
}

/// Appends a record with its end of line and returns its length. A record is one line, or several if a quoted cell contains line
/// feeds.
fn read_record(input: &mut impl BufRead, text: &mut Vec<u8>) -> std::io::Result<usize> {
    let start = text.len();
    let mut is_open = false;
    loop {
        let line = text.len();
        if input.read_until(b'\n', text)? == 0 {
            return Ok(text.len() - start);
        }
        let quotes = text[line..].iter().filter(|&&byte| byte == b'"').count();
        is_open ^= quotes % 2 == 1;
        if !is_open {
            return Ok(text.len() - start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_where_its_quotes_are_closed() {
        let mut input = Cursor::new("a,b\r\n\"x\n\"\"y\",1\n\n2,3");
        let mut records = Vec::new();
        loop {
            let mut record = Vec::new();
            if read_record(&mut input, &mut record).unwrap() == 0 {
                break;
            }
            records.push(String::from_utf8(record).unwrap());
        }
        assert_eq!(records, ["a,b\r\n", "\"x\n\"\"y\",1\n", "\n", "2,3"]);
    }
}
