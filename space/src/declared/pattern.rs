//! Names with ranges: `k{00..19}` stands for `k00` to `k19`, and `{i}` elsewhere in the entry for the current number.

use super::declaration::{key, wrong};
use super::expression::evaluate;
use crate::SpaceError;

/// The most decisions that one range may stand for.
const LONGEST: i64 = 1000;

/// The place of one decision in its entry's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Index {
    number: i64,
    /// Number of digits that the range writes, zeros in front.
    width: usize,
}

/// The names that a pattern stands for, and for each its place in the range (None if the pattern has no range). Both ends of a
/// range belong to it.
pub(super) fn expand(pattern: &str) -> Result<Vec<(String, Option<Index>)>, SpaceError> {
    let refuse = |found: &str| {
        let expected = "a name such as depth, or with one range, as in k{00..19}";
        Err(wrong(key(pattern, "name"), expected, found))
    };
    if pattern.trim().is_empty() || pattern.trim() != pattern {
        return refuse("a blank name, or blanks around it");
    }
    let Some((before, rest)) = pattern.split_once('{') else {
        return match pattern.contains('}') {
            true => refuse("a brace that is not opened"),
            false => Ok(vec![(pattern.to_owned(), None)]),
        };
    };
    let Some((range, after)) = rest.split_once('}') else {
        return refuse("a brace that is not closed");
    };
    if after.contains(['{', '}']) {
        return refuse("more than one range");
    }
    let Some((from, to, width)) = ends(range) else {
        return refuse(&format!("'{{{range}}}', which is no range of whole numbers"));
    };
    if to < from || to - from >= LONGEST {
        return refuse(&format!("a range from {from} to {to}; it may hold 1 to {LONGEST} numbers"));
    }
    let name = |number| (format!("{before}{number:0width$}{after}"), Some(Index { number, width }));
    Ok((from..=to).map(name).collect())
}

/// The two ends of a range, and the number of digits of its first number.
fn ends(range: &str) -> Option<(i64, i64, usize)> {
    let (from, to) = range.split_once("..")?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let are_numbers = is_number(from) && is_number(to);
    are_numbers.then(|| Some((from.parse().ok()?, to.parse().ok()?, from.len()))).flatten()
}

/// The text with each `{expression}` computed. `{i}` alone is written with the range's digits: `k{i}` becomes `k07`.
///
/// # Errors
/// A message that says what is wrong with the text.
pub(super) fn fill(text: &str, index: Option<Index>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((expression, after)) = inside.split_once('}') else {
            return Err(format!("a brace that is not closed in '{text}'"));
        };
        let Some(Index { number, width }) = index else {
            return Err(format!("'{{{expression}}}', but the entry's name has no range"));
        };
        let value = evaluate(expression, number)?;
        filled += before;
        filled += &match expression.trim() {
            "i" => format!("{value:0width$}"),
            _ => value.to_string(),
        };
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        expand(pattern).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn ranges_keep_their_digits_and_both_ends() {
        assert_eq!(names("k{08..11}"), ["k08", "k09", "k10", "k11"]);
        assert_eq!(names("block{0..1}_e"), ["block0_e", "block1_e"]);
        assert_eq!(names("resolution"), ["resolution"]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (pattern, found) in [
            ("", "blank"),
            (" d", "blank"),
            ("d}", "not opened"),
            ("d{0..4", "not closed"),
            ("d{0..4}{0..4}", "more than one range"),
            ("d{4..0}", "from 4 to 0"),
            ("d{0..999999999}", "may hold 1 to 1000"),
            ("d{a..b}", "no range"),
            ("d{0..99999999999999999999}", "no range"),
        ] {
            let error = expand(pattern).unwrap_err().to_string();
            assert!(error.contains(found), "{pattern}: {error}");
        }
    }

    #[test]
    fn expressions_are_filled_in() {
        let index = expand("k{00..19}").unwrap()[7].1;
        assert_eq!(fill("e{i}", index).unwrap(), "e07");
        assert_eq!(fill("d{i/4} > {i%4}", index).unwrap(), "d1 > 3");
        assert_eq!(fill("plain", None).unwrap(), "plain");
        assert!(fill("d{i}", None).unwrap_err().contains("has no range"));
        assert!(fill("d{i", index).unwrap_err().contains("not closed"));
    }
}
