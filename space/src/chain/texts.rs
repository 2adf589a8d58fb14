//! Reads texts as official codes write them: words in a list, and lists with names.

/// The words of a list, without any brackets, quotes and commas around them.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let is_between = |c: char| c.is_whitespace() || ",[](){}\"'".contains(c);
    text.split(is_between).filter(|word| !word.is_empty()).collect()
}

/// Numbers in their order; None for a `null`.
pub(crate) type List = Vec<Option<u32>>;

/// Reads lists of numbers with names, such as `{"d": [2, 3], "r": [224]}` or `d=2,3 r=224`; `null` and `None` stand for no
/// number.
///
/// # Errors
/// The word that is neither a name nor a number, or the number that comes before any name.
pub(crate) fn named_lists(text: &str) -> Result<Vec<(&str, List)>, &str> {
    let mut lists: Vec<(&str, List)> = Vec::new();
    let is_between = |c: char| c.is_whitespace() || ",[](){}\"':=".contains(c);
    for word in text.split(is_between).filter(|word| !word.is_empty()) {
        let value = match word {
            "null" | "None" => Some(None),
            _ => word.parse().ok().map(Some),
        };
        let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic());
        match (value, lists.last_mut()) {
            (Some(value), Some((_, list))) => list.push(value),
            (None, _) if is_name => lists.push((word, Vec::new())),
            _ => return Err(word),
        }
    }
    Ok(lists)
}

/// The text that was found, quoted and cut short enough for a sentence.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.trim().chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_however_they_are_written() {
        assert_eq!(words("[\"k3_e1\", 'skip'] 7"), ["k3_e1", "skip", "7"]);
        let expected = vec![("d", vec![Some(2), None]), ("r", vec![Some(224)])];
        for text in ["{\"d\": [2, null], \"r\": [224]}", "d=2,None r=224", "{'d':[2,None],'r':224}"]
        {
            assert_eq!(named_lists(text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(named_lists("2, d=3"), Err("2"));
        assert_eq!(named_lists("d=3,-1"), Err("-1"));
    }
}
