//! Reads the various spellings in which people keep cells of NAS-Bench-201.
//!
//! - The benchmark's text anywhere in a text: in a log line, in `Structure(..)` or `NB201Genotype(..)`, with blanks, without its
//!   last bar, with `conv_3x3` for `nor_conv_3x3`;
//! - NNI's dictionary of edges, `{"0_1": "avg_pool_3x3", ..}`.

use super::{EDGES, OPERATIONS};
use crate::literal::Literal;
use crate::{Architecture, SpaceError};

const EXPECTED: &str = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|";

/// Reads any of the spellings.
pub(super) fn read(text: &str) -> Result<Architecture, SpaceError> {
    let choices = match cell(text) {
        Some(cell) => edges(&cell)?,
        None => dictionary(text)?,
    };
    Ok(Architecture::new("nasbench201", choices))
}

/// The benchmark's text found inside a longer one, with blanks removed and the last bar added.
fn cell(text: &str) -> Option<String> {
    let begin = text.find('|')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_~|+ \t".contains(c);
    let part = &text[begin..];
    let part = &part[..part.find(|c| !is_part(c)).unwrap_or(part.len())];
    // Words may follow. The last part of a cell is a predecessor's number, so the text is cut behind it.
    let end = part.rfind('~').map_or(0, |at| {
        let digits = part[at + 1..].chars().take_while(char::is_ascii_digit).count();
        at + 1 + digits
    });
    let compact: String = part[..end].chars().filter(|c| !c.is_whitespace()).collect();
    Some(compact + "|")
}

/// The operations of a cell's text, edge by edge.
fn edges(cell: &str) -> Result<Vec<usize>, SpaceError> {
    let nodes: Vec<&str> = cell.split('+').collect();
    if nodes.len() != 3 {
        return Err(wrong(EXPECTED, cell));
    }
    let mut choices = Vec::new();
    for (n, node) in nodes.into_iter().enumerate() {
        let inner = node.strip_prefix('|').and_then(|s| s.strip_suffix('|'));
        let edges: Vec<&str> = inner.ok_or_else(|| wrong(EXPECTED, cell))?.split('|').collect();
        if edges.len() != n + 1 {
            return Err(wrong(&format!("{} edges into node {}", n + 1, n + 1), node));
        }
        for (from, edge) in edges.into_iter().enumerate() {
            let op = edge.strip_suffix(&format!("~{from}"));
            let op = op.ok_or_else(|| wrong(&format!("an edge that ends in ~{from}"), edge))?;
            choices.push(operation(op)?);
        }
    }
    Ok(choices)
}

/// Reads a dictionary whose keys are the two nodes of an edge.
fn dictionary(text: &str) -> Result<Vec<usize>, SpaceError> {
    let value = text.find(['{', '[', '(']).map(|at| Literal::at_start(&text[at..]));
    let Some(Ok(value)) = value else { return Err(wrong(EXPECTED, text)) };
    if value.members().is_some_and(|all| all.iter().all(|number| number.index().is_some())) {
        return Err(wrong(
            &format!(
                "{EXPECTED}; numbers are read in two ways: in NASLib they are edges 01, 02, 03, 12, 13, 23 of skip, none, 3x3, 1x1, average \
                 pool, in the benchmark's order edges 01, 02, 12, 03, 13, 23 of none, skip, 1x1, 3x3, average pool"
            ),
            text,
        ));
    }
    let of_edge = |&(from, to): &(usize, usize)| {
        let name = format!("{from}_{to}");
        let op = value.find(&name).and_then(Literal::text);
        operation(op.ok_or_else(|| wrong(&format!("{EXPECTED}, or an edge {name}"), text))?)
    };
    EDGES.iter().map(of_edge).collect()
}

/// Index of the operation. The benchmark's convolutions have the prefix `nor_`, which some people leave out.
fn operation(name: &str) -> Result<usize, SpaceError> {
    let is = |known: &str| known == name || known.strip_prefix("nor_") == Some(name);
    let known = || format!("an operation of: {}", OPERATIONS.join(", "));
    OPERATIONS.iter().position(|known| is(known)).ok_or_else(|| wrong(&known(), name))
}

fn wrong(expected: &str, found: &str) -> SpaceError {
    let found = found.trim().chars().take(100).collect::<String>();
    SpaceError::Text {
        space: "nasbench201".into(),
        expected: expected.to_owned(),
        found: format!("'{found}'"),
    }
}

#[cfg(test)]
mod tests {
    use crate::{NasBench201, Space};

    const PLAIN: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";

    #[test]
    fn the_text_is_read_wherever_it_stands() {
        let space = NasBench201::new();
        let expected = space.parse(PLAIN).unwrap();
        let unclosed = &PLAIN[..PLAIN.len() - 1];
        for text in [
            format!("Structure(4 nodes with {PLAIN})"),
            format!("NB201Genotype(arch_str='{PLAIN}')"),
            format!("[2020-01-01] the best arch: {PLAIN}, after 100 epochs"),
            format!("\"{PLAIN}\" and more"),
            format!(" {} ", PLAIN.replace('+', " + ")),
            PLAIN.replace("nor_conv", "conv"),
            unclosed.to_owned(),
            format!("{unclosed} 93.1"),
        ] {
            assert_eq!(space.parse(&text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn nnis_dictionary_is_read() {
        let space = NasBench201::new();
        let text = r#"{"0_1": "avg_pool_3x3", "0_2": "conv_1x1", "1_2": "skip_connect", "0_3": "conv_1x1", "1_3": "skip_connect", "2_3": "skip_connect"}"#;
        let found = space.parse(text).unwrap();
        let expected = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|";
        assert_eq!(space.format(&found), expected);
        let error = space.parse(r#"{"0_1": "none"}"#).unwrap_err().to_string();
        assert!(error.contains("an edge 0_2"), "{error}");
    }

    #[test]
    fn numbers_alone_are_told_apart_by_nobody() {
        let error = NasBench201::new().parse("(4, 0, 3, 1, 4, 3)").unwrap_err().to_string();
        assert!(error.contains("NASLib") && error.contains("benchmark's order"), "{error}");
    }

    #[test]
    fn odd_texts_are_refused() {
        for text in ["|", "||", "|~", "|none~0|+|none~0|none~1", "+", "{", "", "|é~0|"] {
            assert!(NasBench201::new().parse(text).is_err(), "{text}");
        }
    }
}
