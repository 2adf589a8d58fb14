//! The decisions of a declared space, after ranges are expanded.

use super::choice_list::ChoiceList;
use super::declaration::{Entry, key, wrong};
use super::pattern::{Index, expand, fill};
use crate::SpaceError;

/// The most decisions that a declared space may have.
const MOST: usize = 10_000;

/// One decision of an entry.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    /// The decision's name; also the name of its column in tables.
    pub(super) name: String,
    /// The entry that declares it.
    pub(super) entry: &'a Entry,
    /// Its choices.
    pub(super) list: ChoiceList,
    index: Option<Index>,
}

impl Slot<'_> {
    /// The decisions that the entries stand for, in their order.
    pub(super) fn all(entries: &[Entry]) -> Result<Vec<Slot<'_>>, SpaceError> {
        let mut slots: Vec<Slot> = Vec::new();
        for entry in entries {
            let list = ChoiceList::of(entry)?;
            let slot = |(name, index)| Slot { name, entry, list: list.clone(), index };
            slots.extend(expand(&entry.name)?.into_iter().map(slot));
            if slots.len() > MOST {
                let found = format!("{} and more", slots.len());
                return Err(wrong("the space file", format!("at most {MOST} decisions"), found));
            }
        }
        if slots.is_empty() {
            let expected = "at least one [[decision]] with a name and its choices";
            return Err(wrong("the space file", expected, "none"));
        }
        let mut known = std::collections::HashSet::new();
        match slots.iter().find(|slot| !known.insert(slot.name.clone())) {
            Some(twice) => {
                let found = format!("'{}' twice", twice.name);
                Err(wrong(key(&twice.entry.name, "name"), "each decision once", found))
            }
            None => Ok(slots),
        }
    }

    /// A text of the entry (such as its `block`) with the expressions computed for this decision.
    pub(super) fn filled(
        &self,
        at: &str,
        text: Option<&String>,
    ) -> Result<Option<String>, SpaceError> {
        let Some(text) = text else { return Ok(None) };
        let filled = fill(text, self.index).map_err(|found| {
            let expected = "a text in which {i} stands for the number of the name's range, as in 'block{i}' or 'd{i/4}'";
            wrong(self.key(at), expected, found)
        })?;
        match filled.trim() {
            "" => Err(wrong(self.key(at), "a text, or no such key", "a blank text")),
            filled => Ok(Some(filled.to_owned())),
        }
    }

    /// The place of one of its keys, for messages.
    pub(super) fn key(&self, at: &str) -> String {
        key(&self.name, at)
    }
}
