//! How architectures of a declared space are written: as `name=choice,name=choice`, or by a template.

use super::declaration::wrong;
use super::slot::Slot;
use crate::{DecisionId, SpaceError};

/// The text form of a declared space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextForm {
    /// `name=choice` for every decision whose slot exists, with commas between them.
    Pairs,
    /// Fixed texts with decisions between them.
    Template(Template),
}

/// A text with a placeholder for each decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// The template as declared, for messages.
    pub(super) text: String,
    /// The text before the first placeholder.
    head: String,
    /// The decisions in the text's order, each with the fixed text behind it.
    pieces: Vec<(DecisionId, String)>,
}

impl TextForm {
    /// Reads the key `text`, or uses pairs if there is none.
    pub(super) fn of(text: Option<&String>, slots: &[Slot]) -> Result<Self, SpaceError> {
        if let Some(text) = text {
            return Ok(Self::Template(Template::of(text, slots)?));
        }
        let is_unfit = |text: &str| text.contains([',', '=']);
        for slot in slots {
            let mut texts = std::iter::once(&slot.name).chain(&slot.list.names);
            if let Some(unfit) = texts.find(|text| is_unfit(text)) {
                let place = format!("decision '{}'", slot.name);
                let expected = "names and choices without , and =, or a key `text` that says how architectures are written";
                return Err(wrong(place, expected, format!("'{unfit}'")));
            }
        }
        Ok(Self::Pairs)
    }
}

impl Template {
    fn of(text: &str, slots: &[Slot]) -> Result<Self, SpaceError> {
        let place = "key `text`";
        let mut parts = text.split('{');
        let head = parts.next().unwrap_or_default().to_owned();
        let mut template = Self { text: text.to_owned(), head, pieces: Vec::new() };
        for part in parts {
            let Some((name, literal)) = part.split_once('}') else {
                let found = format!("'{{{part}' without a closing brace");
                return Err(wrong(place, "a {decision} per decision", found));
            };
            let Some(decision) = slots.iter().position(|slot| slot.name == name) else {
                let found = format!("'{{{name}}}'");
                return Err(wrong(place, "names of decisions between braces", found));
            };
            template.pieces.push((decision, literal.to_owned()));
        }
        template.check(slots).map_err(|(expected, found)| wrong(place, expected, found))?;
        Ok(template)
    }

    /// Checks that each decision occurs once, and that a text can be read back.
    fn check(&self, slots: &[Slot]) -> Result<(), (String, String)> {
        for (d, slot) in slots.iter().enumerate() {
            let n = self.pieces.iter().filter(|piece| piece.0 == d).count();
            if n != 1 {
                let found = format!("{{{}}} {n} times", slot.name);
                return Err(("each decision once".to_owned(), found));
            }
        }
        for (place, (d, literal)) in self.pieces.iter().enumerate() {
            let is_last = place + 1 == self.pieces.len();
            let name = &slots[*d].name;
            if literal.is_empty() && !is_last {
                let expected = "some text between two decisions, to tell them apart".to_owned();
                return Err((expected, format!("none behind {{{name}}}")));
            }
            let is_part_of_a_number = slots[*d].list.number.is_some_and(|range| {
                let signs = if range.from < 0.0 { ".-" } else { "." };
                literal.chars().all(|c| c.is_ascii_digit() || signs.contains(c))
            });
            if is_part_of_a_number && !is_last {
                let expected =
                    "texts between decisions that cannot be taken for a part of a number"
                        .to_owned();
                return Err((
                    expected,
                    format!("'{literal}' behind {{{name}}}, which is a number"),
                ));
            }
            let is_in = |choice: &&String| !literal.is_empty() && choice.contains(literal.as_str());
            if let Some(choice) = slots[*d].list.names.iter().find(is_in) {
                let expected = "texts between decisions that no choice before them contains";
                let found = format!("'{literal}' behind {{{name}}}, which has '{choice}'");
                return Err((expected.to_owned(), found));
            }
        }
        Ok(())
    }

    /// The text with these choices filled in.
    pub(super) fn format(&self, choice: impl Fn(DecisionId) -> String) -> String {
        let mut text = self.head.clone();
        for (decision, literal) in &self.pieces {
            text += &choice(*decision);
            text += literal;
        }
        text
    }

    /// The piece of text for each decision; None if the text does not match the template.
    pub(super) fn split<'a>(&self, text: &'a str) -> Option<Vec<(DecisionId, &'a str)>> {
        let mut rest = text.trim().strip_prefix(self.head.trim_start())?;
        let mut cells = Vec::with_capacity(self.pieces.len());
        for (place, (decision, literal)) in self.pieces.iter().enumerate() {
            let is_last = place + 1 == self.pieces.len();
            let cell = if is_last {
                let cell = rest.strip_suffix(literal.trim_end())?;
                rest = "";
                cell
            } else {
                let (cell, after) = rest.split_once(literal.as_str())?;
                rest = after;
                cell
            };
            cells.push((*decision, cell));
        }
        Some(cells)
    }
}
