//! Reads the architectures of a table of any length, with only a piece of it in memory at a time.

use std::path::{Path, PathBuf};

use lat_space::Space;

use super::architecture_texts::{TEXT_COLUMNS, texts};
use super::columns::Columns;
use super::csv_pieces::CsvPieces;
use super::file;
use super::file_columns::parquet_rows;
use crate::DataError;

/// Rows of a table that are in memory at once.
const PIECE: usize = 1 << 15;

/// The architectures of a Parquet or CSV table, one per row in its order, as the space writes them. The table has a column per
/// decision, or a text column `architecture`, `arch_str`, `cellstr` or `arch`.
///
/// # Errors
/// [`DataError::Missing`] if there is no such file. While reading: [`DataError::Content`] if the columns are missing,
/// [`DataError::Choice`] and [`DataError::Architecture`] for what the space does not have.
pub fn read_architectures<'s>(
    path: &Path,
    space: &'s dyn Space,
) -> Result<impl Iterator<Item = Result<String, DataError>> + Send + use<'s>, DataError> {
    let pieces = Pieces::open(path, space)?;
    let list = move |piece: Result<Columns, DataError>| {
        let read = piece.and_then(|columns| {
            let rows: Vec<usize> = (0..columns.height()).collect();
            texts(&columns, Some(space), &rows)
        });
        let (texts, error) = match read {
            Ok(texts) => (texts, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        texts.into_iter().map(Ok).chain(error.map(Err))
    };
    Ok(pieces.flat_map(list))
}

/// The source of the pieces.
enum Source {
    /// A run's folder, which is read as a whole.
    Whole(Box<Columns>),
    Csv(CsvPieces),
    Parquet {
        path: PathBuf,
        wanted: Vec<String>,
        n_rows: usize,
    },
}

/// A table in pieces. There is at least one piece, so that the columns of an empty table are known too.
struct Pieces {
    source: Option<Source>,
    /// Number of rows before the next piece.
    before: usize,
}

impl Pieces {
    fn open(path: &Path, space: &dyn Space) -> Result<Self, DataError> {
        let ends = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
        let source = if path.is_dir() || !(ends("csv") || ends("parquet")) {
            Source::Whole(Box::new(file::open(path, None)?))
        } else if ends("csv") {
            Source::Csv(CsvPieces::open(path, PIECE)?)
        } else {
            file::verify_sealed(path)?;
            let decisions = space.decisions().iter().map(|decision| decision.name.clone());
            let wanted = TEXT_COLUMNS.iter().map(|&name| name.to_owned()).chain(decisions);
            let (path, wanted) = (path.to_owned(), wanted.collect());
            Source::Parquet { n_rows: parquet_rows(&path)?, path, wanted }
        };
        Ok(Self { source: Some(source), before: 0 })
    }

    /// The next piece, and the source of later pieces if there may be any.
    fn read(&self, source: Source) -> Result<(Columns, Option<Source>), DataError> {
        match source {
            Source::Whole(columns) => Ok((*columns, None)),
            Source::Csv(mut pieces) => {
                let columns = pieces.next()?;
                // A piece without rows is the end, except for the first.
                let rest = (columns.height() > 0).then_some(Source::Csv(pieces));
                Ok((columns, rest))
            }
            Source::Parquet { path, wanted, n_rows } => {
                let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
                let columns =
                    Columns::of_parquet_rows(&path, Some(&names), Some((self.before, PIECE)))?;
                let is_last = self.before + PIECE >= n_rows;
                let rest = (!is_last).then_some(Source::Parquet { path, wanted, n_rows });
                Ok((columns, rest))
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Columns, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let source = self.source.take()?;
        let piece = self.read(source).map(|(columns, rest)| {
            let n_rows = columns.height();
            let columns = columns.numbered_from(self.before);
            (self.source, self.before) = (rest, self.before + n_rows);
            columns
        });
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lat_space::NasBench201;
    use polars::prelude::{Column, DataFrame};

    use super::*;
    use crate::run::frame;

    const GOOD: &str = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";

    /// Reads all texts; returns their number, or the error and the number of texts before it.
    fn all(path: &Path) -> Result<usize, (usize, String)> {
        let (space, mut n) = (NasBench201::new(), 0);
        for text in read_architectures(path, &space).map_err(|e| (0, e.to_string()))? {
            match text {
                Ok(text) => assert_eq!(text, GOOD),
                Err(error) => return Err((n, error.to_string())),
            }
            n += 1;
        }
        Ok(n)
    }

    #[test]
    fn rows_of_later_pieces_have_the_numbers_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for n in [PIECE - 1, PIECE, 2 * PIECE + 5] {
            let mut texts = vec![GOOD; n];
            for bad in [false, true] {
                if bad {
                    texts[n - 1] = "|none~0|";
                }
                let csv = dir.path().join("t.csv");
                fs::write(&csv, format!("x,arch\n1,{}\n", texts.join("\n1,"))).unwrap();
                let parquet = dir.path().join("t.parquet");
                let columns = vec![
                    Column::new("x".into(), vec![1_i64; n]),
                    Column::new("arch".into(), &texts),
                ];
                let mut frame = DataFrame::new_infer_height(columns).unwrap();
                frame::write_parquet(&mut fs::File::create(&parquet).unwrap(), &mut frame).unwrap();
                for path in [csv, parquet] {
                    match (bad, all(&path)) {
                        (false, found) => assert_eq!(found, Ok(n)),
                        (true, Ok(_)) => panic!("{} is taken", path.display()),
                        (true, Err((before, message))) => {
                            assert!(message.contains(&format!("row {n}: ")), "{message}");
                            assert_eq!(before, (n - 1) / PIECE * PIECE);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_without_rows_shows_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        fs::write(&path, "x,y\n").unwrap();
        let message = all(&path).unwrap_err().1;
        assert!(message.contains("a column per decision") && message.contains("x, y"), "{message}");
        fs::write(&path, "arch,y\n").unwrap();
        assert_eq!(all(&path), Ok(0));
        let missing = all(&dir.path().join("none.csv")).unwrap_err().1;
        assert!(missing.contains("none.csv"), "{missing}");
    }
}
