//! The architectures of a table's rows, from a text column or from a column per decision.

use std::collections::HashMap;

use lat_space::Space;

use super::columns::Columns;
use super::row_filter::quoted;
use crate::DataError;

/// Usual names of the column with the architecture's text. If a table has several, the first in this list is used.
pub(crate) const TEXT_COLUMNS: [&str; 4] = ["architecture", "arch_str", "cellstr", "arch"];

/// The most texts of a column that are tried.
const TRIED: usize = 50;

/// The place of the architectures in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// In a column per decision.
    Decisions,
    /// In the text column with this name.
    Text(&'a str),
}

impl<'a> Source<'a> {
    /// The text column if one was named, else columns of decisions if a space is given and all of them exist, else one of the
    /// usual text columns.
    pub(crate) fn of(columns: &'a Columns, space: Option<&dyn Space>) -> Result<Self, DataError> {
        if let Some(name) = columns.text_column() {
            return Ok(Self::Text(name));
        }
        let missing: Vec<String> = space.map_or_else(Vec::new, |space| {
            let decisions = space.decisions().iter().filter(|d| !columns.has(&d.name));
            decisions.map(|d| d.name.clone()).collect()
        });
        if space.is_some() && missing.is_empty() {
            return Ok(Self::Decisions);
        }
        if let Some(name) = TEXT_COLUMNS.into_iter().find(|name| columns.has(name)) {
            return Ok(Self::Text(name));
        }
        let text = TEXT_COLUMNS.join(" or ");
        let (expected, found) = match space {
            None => (
                format!(
                    "a latency table with a column {text}, or --text-column with the name of another"
                ),
                format!("columns {}{}", columns.names(), line_of_names(columns)),
            ),
            Some(space) => (
                format!(
                    "a column per decision of space '{}', or a text column {text} (--text-column names another)",
                    space.id()
                ),
                format!(
                    "no column {} among {}{}",
                    quoted(missing),
                    columns.names(),
                    line_of_names(columns)
                ),
            ),
        };
        Err(DataError::content(columns.path(), expected, found))
    }
}

/// A hint in case a name is a number, which happens if the file's first line is a row.
fn line_of_names(columns: &Columns) -> &'static str {
    match columns.each_name().any(|name| name.parse::<f64>().is_ok()) {
        true => "; a file without a line of names? Put one above its rows",
        false => "",
    }
}

/// The only column whose texts are architectures of the space, if it does not have one of the usual names.
pub(crate) fn only_that_parses(columns: &Columns, space: &dyn Space) -> Option<String> {
    let parses = |name: &&str| {
        let texts = columns.texts(name).unwrap_or_default();
        let mut texts =
            texts.iter().flatten().filter(|text| !text.trim().is_empty()).take(TRIED).peekable();
        texts.peek().is_some() && texts.all(|text| space.parse(text).is_ok())
    };
    let mut found = columns.textual().into_iter().filter(parses);
    let first = found.next()?;
    found.next().is_none().then(|| first.to_owned())
}

/// The architecture of each of these rows: as the file has it if no space is given, else as that space writes it.
pub(crate) fn texts(
    columns: &Columns,
    space: Option<&dyn Space>,
    rows: &[usize],
) -> Result<Vec<String>, DataError> {
    match (Source::of(columns, space)?, space) {
        (Source::Decisions, Some(space)) => from_decisions(columns, space, rows),
        (Source::Text(name), Some(space)) => {
            let texts = from_texts(columns, name, rows)?;
            let read = |(&row, text): (&usize, String)| {
                let read = space.parse(&text);
                let (path, number) = columns.place(name, row);
                let path = path.to_owned();
                let refused = |reason| {
                    let reason = Box::new(reason);
                    DataError::Architecture { path, row: number, reason }
                };
                read.map(|architecture| space.format(&architecture)).map_err(refused)
            };
            rows.iter().zip(texts).map(read).collect()
        }
        (Source::Text(name), None) => from_texts(columns, name, rows),
        (Source::Decisions, None) => unreachable!("decisions are known by their space"),
    }
}

fn from_texts(columns: &Columns, name: &str, rows: &[usize]) -> Result<Vec<String>, DataError> {
    let mut texts = columns.texts(name)?;
    let text = |&row: &usize| {
        let text = texts[row].take().filter(|text| !text.trim().is_empty());
        // Files have millions of texts, and few of them have blanks around them.
        let trimmed = |text: &String| text.trim().len() < text.len();
        let text = text.map(|text| if trimmed(&text) { text.trim().to_owned() } else { text });
        text.ok_or_else(|| {
            let (path, row) = columns.place(name, row);
            let found = format!("none in row {row}");
            DataError::content(path, "an architecture in each row", found)
        })
    };
    rows.iter().map(text).collect()
}

/// Works row by row, because other cells of a row decide which columns count.
fn from_decisions(
    columns: &Columns,
    space: &dyn Space,
    rows: &[usize],
) -> Result<Vec<String>, DataError> {
    let choices: Vec<Vec<Option<usize>>> = (0..space.decisions().len())
        .map(|decision| column_choices(columns, space, decision, rows))
        .collect::<Result<_, _>>()?;
    let mut texts = Vec::with_capacity(rows.len());
    for (r, &row) in rows.iter().enumerate() {
        let of_row: Vec<Option<usize>> = choices.iter().map(|column| column[r]).collect();
        match space.architecture(&of_row) {
            Ok(architecture) => texts.push(space.format(&architecture)),
            Err(decision) => return Err(unknown_choice(columns, space, decision, row)?),
        }
    }
    Ok(texts)
}

/// For each row the choice that a decision's column names; None if it names none.
fn column_choices(
    columns: &Columns,
    space: &dyn Space,
    decision: usize,
    rows: &[usize],
) -> Result<Vec<Option<usize>>, DataError> {
    let cells = columns.texts(&space.decisions()[decision].name)?;
    // A column has many rows, but few different cells.
    let mut known: HashMap<&str, Option<usize>> = HashMap::new();
    let mut choice = |&row: &usize| {
        let cell = cells[row].as_deref().unwrap_or_default();
        *known.entry(cell).or_insert_with(|| space.find_choice(decision, cell))
    };
    Ok(rows.iter().map(&mut choice).collect())
}

fn unknown_choice(
    columns: &Columns,
    space: &dyn Space,
    decision: usize,
    row: usize,
) -> Result<DataError, DataError> {
    let decision = &space.decisions()[decision];
    let (path, number) = columns.place(&decision.name, row);
    let cell = columns.texts(&decision.name)?.swap_remove(row);
    Ok(DataError::Choice {
        path: path.to_owned(),
        column: decision.name.clone(),
        row: number,
        found: cell.map_or_else(|| "nothing".to_owned(), |cell| format!("'{cell}'")),
        expected: decision.expected(),
    })
}
