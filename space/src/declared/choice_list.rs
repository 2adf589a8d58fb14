//! The choices of a declared decision.

use toml::Value;

use super::declaration::{Entry, key, wrong};
use crate::{Choice, Decision, NumberRange, SpaceError};

/// The most choices that a decision may have: as many as a [`crate::ChoiceSet`] can hold.
const MOST: usize = 32;

/// The choices of an entry, and what tables write for them. There are none if the entry is a plain number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChoiceList {
    /// Names of the choices; if they are numbers, the numbers as text.
    pub(super) names: Vec<String>,
    /// The numbers, if the choices are numbers.
    pub(super) values: Option<Vec<f64>>,
    /// The range, if the entry is a plain number.
    pub(super) number: Option<NumberRange>,
    /// What tables write for the choices, if they do not write the names.
    codes: Option<Codes>,
}

#[derive(Debug, Clone, PartialEq)]
enum Codes {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl ChoiceList {
    /// Reads an entry's `number`, `values`, or `choices` and `codes`.
    pub(super) fn of(entry: &Entry) -> Result<Self, SpaceError> {
        let name = entry.name.as_str();
        if let Some(range) = &entry.number {
            return Self::plain(range, entry);
        }
        match (&entry.values, &entry.choices) {
            (Some(values), None) if entry.codes.is_none() => {
                Self::numeric(numbers(name, "values", values)?, name)
            }
            (None, Some(choices)) => Self::named(name, choices, entry.codes.as_ref()),
            (Some(_), None) => Err(wrong(
                key(name, "codes"),
                "codes beside `choices` only",
                "codes beside `values`: numbers stand for themselves in tables",
            )),
            (values, _) => {
                let found = if values.is_some() { "both" } else { "neither" };
                let expected = "one of `values` (numbers), `choices` (names) or `number` (a range)";
                Err(wrong(format!("decision '{name}'"), expected, found))
            }
        }
    }

    /// The decision of this name with these choices.
    pub(super) fn decision(&self, name: &str) -> Decision {
        let choice = if self.values.is_some() { Choice::number } else { Choice::named };
        match self.number {
            Some(range) => Decision::number(name, range),
            None => Decision::slot(name, self.names.iter().map(|name| choice(name)).collect()),
        }
    }

    fn plain(range: &Value, entry: &Entry) -> Result<Self, SpaceError> {
        let name = entry.name.as_str();
        let others = [
            ("values", entry.values.is_some()),
            ("choices", entry.choices.is_some()),
            ("codes", entry.codes.is_some()),
            ("edge", entry.edge.is_some()),
            ("scale", entry.scale),
        ];
        if let Some((other, _)) = others.iter().find(|(_, is_there)| *is_there) {
            let expected = "no other key that says what can be chosen or how it acts";
            return Err(wrong(key(name, "number"), expected, format!("`{other}` too")));
        }
        let ends = range.as_table().filter(|table| table.len() == 2);
        let end = |at: &str| ends.and_then(|table| number(table.get(at)?));
        match (end("from"), end("to")) {
            (Some(from), Some(to)) if from < to => {
                let number = Some(NumberRange { from, to });
                Ok(Self { names: Vec::new(), values: None, number, codes: None })
            }
            _ => {
                let expected = "a range as { from = 1, to = 32768 }, its begin below its end";
                Err(wrong(key(name, "number"), expected, range.to_string()))
            }
        }
    }

    fn numeric(values: Vec<f64>, name: &str) -> Result<Self, SpaceError> {
        let names: Vec<String> = values.iter().map(f64::to_string).collect();
        check_names(name, "values", &names)?;
        Ok(Self { names, values: Some(values), number: None, codes: None })
    }

    fn named(name: &str, choices: &Value, codes: Option<&Value>) -> Result<Self, SpaceError> {
        let names = texts(name, "choices", choices)?;
        check_names(name, "choices", &names)?;
        let codes = codes.map(|codes| Codes::of(name, codes, &names)).transpose()?;
        Ok(Self { names, values: None, number: None, codes })
    }

    /// The choice that a table's cell, or a piece of a text, names. Numbers are compared by value ("224" and "224.0" are the
    /// same), names as written, without blanks around them.
    pub(super) fn find(&self, cell: &str) -> Option<usize> {
        if let Some(range) = self.number {
            return range.find(cell);
        }
        let cell = cell.trim();
        let by_name = self.names.iter().position(|name| name == cell);
        let by_value = || position(self.values.as_ref()?, cell);
        let by_code = || match self.codes.as_ref()? {
            Codes::Numbers(codes) => position(codes, cell),
            Codes::Texts(codes) => codes.iter().position(|code| code == cell),
        };
        by_name.or_else(by_value).or_else(by_code)
    }
}

impl Codes {
    fn of(name: &str, codes: &Value, names: &[String]) -> Result<Self, SpaceError> {
        let are_numbers = codes.as_array().is_some_and(|a| a.iter().all(|v| number(v).is_some()));
        let (read, written) = if are_numbers {
            let read = numbers(name, "codes", codes)?;
            let written = read.iter().map(f64::to_string).collect();
            (Self::Numbers(read), written)
        } else {
            let read = texts(name, "codes", codes)?;
            (Self::Texts(read.clone()), read)
        };
        check_names(name, "codes", &written)?;
        if written.len() != names.len() {
            let expected = format!("a code per choice, {} of them", names.len());
            return Err(wrong(key(name, "codes"), expected, written.len().to_string()));
        }
        let clash = |(i, code): (usize, &String)| {
            names.iter().position(|n| n == code).filter(|&c| c != i).map(|_| code.clone())
        };
        match written.iter().enumerate().find_map(clash) {
            Some(code) => {
                let found = format!("'{code}', which is the name of another choice");
                Err(wrong(key(name, "codes"), "codes that cannot be taken for names", found))
            }
            None => Ok(read),
        }
    }
}

fn position(numbers: &[f64], cell: &str) -> Option<usize> {
    let cell: f64 = cell.parse().ok()?;
    numbers.iter().position(|&number| (number - cell).abs() <= 1e-9 * number.abs().max(1e-3))
}

fn check_names(decision: &str, at: &str, names: &[String]) -> Result<(), SpaceError> {
    let refuse = |expected: &str, found: String| Err(wrong(key(decision, at), expected, found));
    if names.is_empty() {
        return refuse("at least one choice", "an empty list".into());
    }
    if names.len() > MOST {
        let expected = format!(
            "at most {MOST} choices; split the decision, leave some out, or declare any number of a range by `number`"
        );
        return refuse(&expected, format!("{} choices", names.len()));
    }
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.trim() != **name) {
        return refuse("names without blanks around them", format!("'{name}'"));
    }
    match (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        Some(i) => refuse("each choice once", format!("'{}' twice", names[i])),
        None => Ok(()),
    }
}

fn texts(decision: &str, at: &str, value: &Value) -> Result<Vec<String>, SpaceError> {
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let read = value.as_array().and_then(|items| items.iter().map(text).collect());
    read.ok_or_else(|| {
        let expected = "a list of names in quotes, as in [\"conv\", \"pool\"]";
        wrong(key(decision, at), expected, value.to_string())
    })
}

fn numbers(decision: &str, at: &str, value: &Value) -> Result<Vec<f64>, SpaceError> {
    let listed = value.as_array().and_then(|items| items.iter().map(number).collect());
    let stepped = || value.as_table().and_then(steps);
    listed.or_else(stepped).ok_or_else(|| {
        let expected = "a list of numbers, as in [2, 3, 4], or { from = 128, to = 224, step = 4 } with a step above zero \
                        and at most 1000 numbers";
        wrong(key(decision, at), expected, value.to_string())
    })
}

/// The numbers from one to another, both ends included.
fn steps(table: &toml::Table) -> Option<Vec<f64>> {
    let part = |name: &str| table.get(name).and_then(number);
    let (from, to, step) = (part("from")?, part("to")?, part("step")?);
    let n = ((to - from) / step + 1e-9).floor();
    let is_range = table.len() == 3 && step > 0.0 && (0.0..1000.0).contains(&n);
    // Rounded to twelve digits, so that 0.1 + 2 * 0.1 is written 0.3.
    let at = |i: u32| format!("{:.12}", from + f64::from(i) * step).parse().ok();
    is_range.then(|| (0..=n as u32).map(at).collect()).flatten()
}

fn number(value: &Value) -> Option<f64> {
    let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64))?;
    number.is_finite().then_some(number)
}
