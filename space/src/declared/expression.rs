//! Whole-number expressions in `i`: `(i+3)/4`.

/// The value of an expression with `+ - * / %`, parentheses and the variable `i`. Division rounds down.
///
/// # Errors
/// A message that says what cannot be read or computed.
pub(super) fn evaluate(text: &str, i: i64) -> Result<i64, String> {
    let mut reader = Reader { rest: text, i };
    let value = reader.sum(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(c) => Err(format!("'{c}' where an operator should be in '{text}'")),
    }
}

/// The deepest nesting of parentheses that is read; no formula of a space needs more.
const DEEPEST: usize = 16;

struct Reader<'a> {
    rest: &'a str,
    i: i64,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn next(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn sum(&mut self, depth: usize) -> Result<i64, String> {
        let mut value = self.product(depth)?;
        while let Some(operator @ ('+' | '-')) = self.peek() {
            self.next();
            let right = self.product(depth)?;
            let right = if operator == '-' { right.checked_neg() } else { Some(right) };
            value = right.and_then(|r| value.checked_add(r)).ok_or("a number that is too large")?;
        }
        Ok(value)
    }

    fn product(&mut self, depth: usize) -> Result<i64, String> {
        let mut value = self.atom(depth)?;
        while let Some(operator @ ('*' | '/' | '%')) = self.peek() {
            self.next();
            let right = self.atom(depth)?;
            let result = match operator {
                '*' => value.checked_mul(right),
                '/' => value.checked_div_euclid(right),
                _ => value.checked_rem_euclid(right),
            };
            value = result.ok_or("a division by zero, or a number that is too large")?;
        }
        Ok(value)
    }

    fn atom(&mut self, depth: usize) -> Result<i64, String> {
        match self.peek() {
            Some('i') => {
                self.next();
                Ok(self.i)
            }
            Some('(') if depth < DEEPEST => {
                self.next();
                let value = self.sum(depth + 1)?;
                if self.peek() != Some(')') {
                    return Err("a parenthesis that is not closed".to_owned());
                }
                self.next();
                Ok(value)
            }
            Some('(') => Err(format!("parentheses in more than {DEEPEST} others")),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) => Err(format!("'{c}' where i, a number or a parenthesis should be")),
            None => Err("nothing where i, a number or a parenthesis should be".to_owned()),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| format!("the number {digits}, which is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_bind_as_usual_and_division_rounds_down() {
        for (text, expected) in [
            ("i", 7),
            ("i/4", 1),
            ("i % 4", 3),
            ("(i+3)/4", 2),
            ("i+3/4", 7),
            ("2*(i-1)", 12),
            ("10 - 2 - 3", 5),
        ] {
            assert_eq!(evaluate(text, 7), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_said() {
        for (text, expected) in [
            ("", "nothing"),
            ("i/0", "division by zero"),
            ("(i", "not closed"),
            ("j", "'j'"),
            ("i 2", "'2'"),
            ("99999999999999999999", "too large"),
            ("9223372036854775807+1", "too large"),
        ] {
            let error = evaluate(text, 7).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = evaluate(&"(".repeat(100_000), 7).unwrap_err();
        assert_eq!(deep, "parentheses in more than 16 others");
    }
}
