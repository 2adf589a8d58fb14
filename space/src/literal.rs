//! Reads values as Python and JSON write them: the forms in which people keep architectures.

/// A value. Tuples are read as lists, and calls with named arguments as dictionaries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// `None` or `null`.
    Nothing,
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text, or a name without quotes.
    Text(String),
    /// Values in order.
    List(Vec<Literal>),
    /// Values with names, in order. Arguments of a call that have no name are named by their place: `0`, `1` ...
    Fields(Vec<(String, Literal)>),
}

/// The deepest nesting that is read; genotypes have five levels.
const DEEPEST: usize = 32;
/// The longest range that is expanded.
const LONGEST_RANGE: i64 = 1000;

impl Literal {
    /// The value at the beginning of a text, skipping blanks and line breaks. Text behind the value is ignored.
    ///
    /// # Errors
    /// What was expected, and what was found there or where the text ends.
    pub(crate) fn at_start(text: &str) -> Result<Self, (String, String)> {
        Reader { rest: text }.value(0)
    }

    /// The field with this name, at the top or inside another field.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        let own = fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        own.or_else(|| fields.iter().find_map(|(_, value)| value.find(name)))
    }

    /// The members, if it is a list.
    pub(crate) fn members(&self) -> Option<&[Self]> {
        if let Self::List(members) = self { Some(members) } else { None }
    }

    /// The number, if it is a whole number that is not negative.
    pub(crate) fn index(&self) -> Option<usize> {
        if let Self::Int(number) = self { usize::try_from(*number).ok() } else { None }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

type Read<T> = Result<T, (String, String)>;

impl Reader<'_> {
    /// The next character that is not a blank.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Whether the next character is this one; if so, moves past it.
    fn takes(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        is_next
    }

    fn broken<T>(&mut self, expected: &str) -> Read<T> {
        let found = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(_) => shortened(self.rest),
        };
        Err((expected.to_owned(), found))
    }

    fn value(&mut self, depth: usize) -> Read<Literal> {
        if depth > DEEPEST {
            return self.broken("no more than 32 brackets within each other");
        }
        match self.peek() {
            Some('(' | '[') => self.list(depth),
            Some('{') => self.fields('}', ':', depth),
            Some('\'' | '"') => Ok(Literal::Text(self.quoted()?)),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.named(depth),
            _ => self.broken("a value"),
        }
    }

    fn list(&mut self, depth: usize) -> Read<Literal> {
        let end = if self.takes('(') { ')' } else { ']' };
        if end == ']' {
            self.takes('[');
        }
        let mut members = Vec::new();
        while !self.takes(end) {
            members.push(self.value(depth + 1)?);
            if !self.takes(',') && self.peek() != Some(end) {
                return self.broken(&format!("a comma or a closing bracket {end}"));
            }
        }
        Ok(Literal::List(members))
    }

    /// Reads the fields between braces, or between the brackets of a call.
    fn fields(&mut self, end: char, between: char, depth: usize) -> Read<Literal> {
        self.rest = &self.rest[1..];
        let mut fields = Vec::new();
        while !self.takes(end) {
            let value = self.value(depth + 1)?;
            if self.takes(between) {
                let Literal::Text(name) = value else { return self.broken("a name") };
                fields.push((name, self.value(depth + 1)?));
            } else if end == ')' {
                fields.push((fields.len().to_string(), value));
            } else {
                return self.broken("a colon behind a name");
            }
            if !self.takes(',') && self.peek() != Some(end) {
                return self.broken(&format!("a comma or a closing bracket {end}"));
            }
        }
        Ok(Literal::Fields(fields))
    }

    fn quoted(&mut self) -> Read<String> {
        let quote = self.rest.chars().next().expect("a quote was seen");
        match self.rest[1..].split_once(quote) {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(text.to_owned())
            }
            None => self.broken("a closing quote"),
        }
    }

    fn number(&mut self) -> Read<Literal> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let read = number.parse().map(Literal::Int).ok();
        let read = read.or_else(|| number.parse().map(Literal::Float).ok());
        match read {
            Some(read) => {
                self.rest = rest;
                Ok(read)
            }
            None => self.broken("a number"),
        }
    }

    /// Reads a word, or a call that begins with it.
    fn named(&mut self, depth: usize) -> Read<Literal> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.peek() == Some('(') {
            let arguments = self.fields(')', '=', depth)?;
            return Ok(called(name, arguments));
        }
        Ok(match name {
            "None" | "null" => Literal::Nothing,
            name => Literal::Text(name.to_owned()),
        })
    }
}

/// The result of a call, for functions that occur in such texts. Calls of other functions become their arguments.
fn called(name: &str, arguments: Literal) -> Literal {
    let Literal::Fields(fields) = &arguments else { return arguments };
    let numbers: Option<Vec<i64>> = fields
        .iter()
        .map(|(_, value)| if let Literal::Int(n) = value { Some(*n) } else { None })
        .collect();
    match (name, fields.as_slice(), numbers.as_deref()) {
        ("list" | "tuple", [(_, only)], _) => only.clone(),
        ("range", _, Some([end])) => range(0, *end),
        ("range", _, Some([first, end])) => range(*first, *end),
        _ => arguments,
    }
}

fn range(first: i64, end: i64) -> Literal {
    let end = end.min(first.saturating_add(LONGEST_RANGE));
    Literal::List((first..end).map(Literal::Int).collect())
}

/// The first 60 characters of a text, in quotes.
pub(crate) fn shortened(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    if start.len() < text.len() { format!("'{start}...'") } else { format!("'{start}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(numbers: &[i64]) -> Literal {
        Literal::List(numbers.iter().map(|&n| Literal::Int(n)).collect())
    }

    #[test]
    fn python_and_json_say_the_same() {
        let pair = Literal::List(vec![Literal::Text("a".into()), Literal::Int(1)]);
        let fields = |value: &Literal| {
            Literal::Fields(vec![
                ("x".into(), Literal::List(vec![value.clone()])),
                ("y".into(), Literal::Nothing),
            ])
        };
        for text in [
            "{\"x\": [[\"a\", 1]], \"y\": null}",
            "{'x': [('a', 1)], 'y': None}",
            "G(x=[('a', 1),],\n  y=None) and more",
        ] {
            assert_eq!(Literal::at_start(text), Ok(fields(&pair)), "{text}");
        }
    }

    #[test]
    fn ranges_and_lists_are_written_out() {
        for text in ["range(2, 6)", "list(range(2,6))", "[2, 3, 4, 5]", "tuple((2, 3, 4, 5))"] {
            assert_eq!(Literal::at_start(text), Ok(ints(&[2, 3, 4, 5])), "{text}");
        }
        assert_eq!(Literal::at_start("range(3)"), Ok(ints(&[0, 1, 2])));
        let huge = Literal::at_start("range(0, 9223372036854775807)").unwrap();
        assert_eq!(huge.members().unwrap().len(), 1000);
    }

    #[test]
    fn fields_are_found_at_any_depth() {
        let value = Literal::at_start("{'spec': {'geno': {'normal': 3}}, 'n': -1.5e2}").unwrap();
        assert_eq!(value.find("normal").and_then(Literal::index), Some(3));
        assert_eq!(value.find("n"), Some(&Literal::Float(-150.0)));
        assert_eq!(value.find("other"), None);
    }

    #[test]
    fn broken_texts_are_told_where() {
        for (text, expected) in [
            ("[1, 2", "a comma or a closing bracket ]"),
            ("('a' 2)", "a comma or a closing bracket )"),
            ("{'a' 2}", "a colon behind a name"),
            ("'a", "a closing quote"),
            ("1x", "a number"),
            ("", "a value"),
            ("[é}", "a comma or a closing bracket ]"),
        ] {
            assert_eq!(Literal::at_start(text).unwrap_err().0, expected, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(Literal::at_start(&deep).unwrap_err().0.contains("32 brackets"));
    }
}
