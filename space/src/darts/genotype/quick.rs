//! Reads genotypes that are spelled exactly as [`super::format`] writes them, in one pass and without copies, because files hold
//! millions.

use super::super::{CELL_TYPES, EDGES, NODES, PRIMITIVES, decision};
use crate::{Architecture, ChoiceSet};

/// The fixed text before, between and after the lists of pairs.
const FRAME: [&str; 3] = [
    "Genotype(normal=[",
    "], normal_concat=range(2, 6), reduce=[",
    "], reduce_concat=range(2, 6))",
];

/// The architecture; None if any byte is unexpected, in which case [`super::parse_any`] reads the text.
pub(super) fn parse(text: &str) -> Option<Architecture> {
    let mut choices = [ChoiceSet::one(0); 2 * EDGES];
    let mut rest = text.as_bytes();
    for (cell_type, before) in FRAME.iter().enumerate().take(CELL_TYPES.len()) {
        rest = rest.strip_prefix(before.as_bytes())?;
        for node in 0..NODES {
            let mut other = None;
            for place in 0..2 {
                if (node, place) != (0, 0) {
                    rest = rest.strip_prefix(b", ")?;
                }
                let (op, predecessor, after) = pair(rest)?;
                rest = after;
                if predecessor > node + 1 || other == Some(predecessor) {
                    return None;
                }
                other = Some(predecessor);
                choices[decision(cell_type, node, predecessor)] = ChoiceSet::one(op);
            }
        }
    }
    (rest == FRAME[2].as_bytes())
        .then(|| Architecture { space: "darts".into(), choices: Box::new(choices) })
}

/// Reads `('op', n)`: the operation, the predecessor, and the rest of the text.
fn pair(text: &[u8]) -> Option<(usize, usize, &[u8])> {
    let text = text.strip_prefix(b"('")?;
    let end = text.iter().position(|&byte| byte == b'\'')?;
    let op = PRIMITIVES.iter().position(|p| p.as_bytes() == &text[..end])?;
    match text[end..].strip_prefix(b"', ")? {
        [digit @ b'0'..=b'9', b')', rest @ ..] if op > 0 => {
            Some((op, usize::from(digit - b'0'), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Searched;
    use super::super::{format, parse_any};
    use super::*;
    use crate::{Darts, architecture_at};

    #[test]
    fn published_texts_read_as_ever_and_no_others_are_taken() {
        let space = Darts::new();
        for i in 0..200 {
            let architecture = architecture_at(&space, 3, i).unwrap();
            let text = format(Searched::Both, &architecture);
            assert_eq!(parse(&text).unwrap(), architecture);
            assert_eq!(parse_any(Searched::Both, &text).unwrap(), architecture);
            // Wherever a text is cut or changed, it is either refused here or read as [`super::parse_any`] would read it.
            for at in (i as usize % 7..text.len()).step_by(7) {
                assert!(parse(&text[..at]).is_none());
                let changed = format!("{}3{}", &text[..at], &text[at + 1..]);
                if let Some(found) = parse(&changed) {
                    assert_eq!(found, parse_any(Searched::Both, &changed).unwrap(), "{changed}");
                }
            }
        }
    }
}
