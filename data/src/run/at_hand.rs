//! Records which row a run's writer is measuring now, for a process that supervises it: if the writer ends unexpectedly, this is
//! the row at which it ended, in whichever pass over the rows.
//!
//! The record is in the file that is locked while the run is written, so it needs no file of its own. It is not flushed to the
//! disk: it only matters if the process ends, and the kernel survives that.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable::lock::LOCK_FILE;
use crate::{Measurement, Role};

/// A row that is being measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtHand {
    /// Its role.
    pub role: Role,
    /// Its number in the draw.
    pub index: u64,
    /// How often the same architecture came before under this role.
    pub occurrence: u32,
    /// How often exactly this row was measured before.
    pub attempt: u32,
}

impl AtHand {
    /// The row that the run in this folder is measuring. None if its writer has not begun a row, or if `rows` already contain it.
    pub fn read(dir: &Path, rows: &[Measurement]) -> Option<Self> {
        let text = fs::read_to_string(dir.join(LOCK_FILE)).ok()?;
        let at_hand: Self = serde_json::from_str(&text).ok()?;
        let is_it = |row: &Measurement| {
            let Self { role, index, occurrence, attempt } = at_hand;
            row.identity() == (role, index, occurrence) && row.attempt >= attempt
        };
        (!rows.iter().any(is_it)).then_some(at_hand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Journal;
    use crate::run::measurement::tests::{header, measurement};

    #[test]
    fn the_row_at_hand_is_told_until_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        let told = |journal: &Journal| AtHand::read(dir.path(), journal.rows());
        assert_eq!(told(&journal), None);
        let first = AtHand { role: Role::Anchor, index: 4_000_000_000, occurrence: 7, attempt: 2 };
        let second = AtHand { role: Role::Sample, index: 3, occurrence: 0, attempt: 1 };
        journal.begin_row(first);
        assert_eq!(told(&journal), Some(first));
        // A shorter text must overwrite all of a longer one.
        journal.begin_row(second);
        assert_eq!(told(&journal), Some(second));
        // The row that the second attempt replaces does not count.
        journal.append(&measurement(3, Role::Sample, 1.0)).unwrap();
        assert_eq!(told(&journal), Some(second));
        journal.append(&Measurement { attempt: 1, ..measurement(3, Role::Sample, 1.0) }).unwrap();
        assert_eq!(told(&journal), None);
    }

    #[test]
    fn a_writer_that_was_killed_leaves_it_and_the_next_one_forgets_it() {
        let dir = tempfile::tempdir().unwrap();
        let at_hand = AtHand { role: Role::Fresh, index: 1, occurrence: 0, attempt: 0 };
        let mut journal = Journal::open(dir.path(), &header()).unwrap();
        journal.begin_row(at_hand);
        drop(journal);
        assert_eq!(AtHand::read(dir.path(), &[]), Some(at_hand));
        drop(Journal::open(dir.path(), &header()).unwrap());
        assert_eq!(AtHand::read(dir.path(), &[]), None);
    }

    #[test]
    fn a_folder_without_one_or_with_something_else_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(AtHand::read(dir.path(), &[]), None);
        for text in ["", "17", "{\"role\":\"sample\"}"] {
            fs::write(dir.path().join(LOCK_FILE), text).unwrap();
            assert_eq!(AtHand::read(dir.path(), &[]), None, "{text:?}");
        }
    }
}
