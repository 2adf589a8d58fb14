//! A space file, as it is written.

use serde::Deserialize;
use toml::Value;

use crate::SpaceError;

/// A space file as written, before names are expanded and references resolved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    /// The space's name.
    pub(super) id: String,
    /// Text form with `{decision}` placeholders.
    pub(super) text: Option<String>,
    /// The entries in their order.
    #[serde(default, rename = "decision")]
    pub(super) entries: Vec<Entry>,
}

/// One `[[decision]]`: a decision, or a range of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Name, with at most one range in it: `k{00..19}`.
    pub(super) name: String,
    /// Choices that are numbers: a list, or `{ from, to, step }`.
    pub(super) values: Option<Value>,
    /// The range of a decision that is any number: `{ from, to }`.
    pub(super) number: Option<Value>,
    /// Choices that are names.
    pub(super) choices: Option<Value>,
    /// What tables write for the `choices`, if they do not write the names.
    pub(super) codes: Option<Value>,
    /// Whether it multiplies the work of all other decisions.
    #[serde(default)]
    pub(super) scale: bool,
    /// Decisions of one class are counted together.
    pub(super) class: Option<String>,
    /// Decisions of one block describe one layer together.
    pub(super) block: Option<String>,
    /// Blocks of one stage work on maps of one size.
    pub(super) stage: Option<String>,
    /// When the slot exists: `d{i/4} > {i%4}`.
    pub(super) present: Option<String>,
    /// The nodes that the decision joins, if it is an edge.
    pub(super) edge: Option<[usize; 2]>,
}

impl Declaration {
    /// Reads the TOML text of a space file.
    pub(super) fn read(text: &str) -> Result<Self, SpaceError> {
        toml::from_str(text).map_err(|error| {
            let line = |at: usize| 1 + text.bytes().take(at).filter(|&b| b == b'\n').count();
            let place = error.span().map_or_else(
                || "the space file".to_owned(),
                |span| format!("line {} of the space file", line(span.start)),
            );
            let reason = error.message().replace('\n', ", ");
            let expected = "a space declared in TOML (id, text, and a [[decision]] per decision)";
            wrong(place, expected, format!("what cannot be read: {reason}"))
        })
    }
}

/// The error for a wrong declaration: the place, what was expected and what was found.
pub(super) fn wrong(
    place: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> SpaceError {
    SpaceError::Declaration { place: place.into(), expected: expected.into(), found: found.into() }
}

/// The place of a key in an entry, for messages.
pub(super) fn key(decision: &str, key: &str) -> String {
    format!("decision '{decision}', key `{key}`")
}
