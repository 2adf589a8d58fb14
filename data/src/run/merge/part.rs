//! Reads one shard of a run for merging.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::run::folder::TABLE_FILE;
use crate::run::manifest::{Manifest, Wanted};
use crate::{DataError, Measurement, Role, RunHeader, Shard, read_run};

/// The most missing samples that a message names.
const NAMED: usize = 8;

/// A shard's folder, after reading.
pub(crate) struct Part {
    pub(crate) dir: PathBuf,
    pub(crate) shard: Shard,
    pub(crate) header: RunHeader,
    pub(crate) rows: Vec<Measurement>,
    pub(crate) wanted: Option<Wanted>,
}

impl Part {
    /// Reads a shard's folder and checks it against its manifest.
    pub(crate) fn read(dir: &Path) -> Result<Self, DataError> {
        let (header, mut rows) = read_run(dir)?;
        let text = header.shard.clone().unwrap_or_else(|| "all".into());
        let shard: Shard = text.parse().map_err(|_| {
            let expected = "one shard of a run, made by `lat profile --shard I/N`";
            DataError::content(dir, expected, format!("shard '{text}'"))
        })?;
        let manifest = Manifest::read(dir)?.unwrap_or_default();
        manifest.verify(dir, TABLE_FILE)?;
        // Every shard counts its rounds of anchors from 0. In the merged run, no two rounds may have the same number.
        for row in rows.iter_mut().filter(|row| row.role == Role::Anchor) {
            row.occurrence = shard.anchor_round(row.occurrence);
        }
        let is_foreign =
            |row: &&Measurement| row.role == Role::Sample && !shard.contains(row.index);
        if let Some(row) = rows.iter().find(is_foreign) {
            let expected = format!("samples of shard {shard}");
            return Err(DataError::content(dir, expected, format!("sample {}", row.index)));
        }
        Ok(Self { dir: dir.to_owned(), shard, header, rows, wanted: manifest.wanted })
    }

    /// Checks that only shard and device differ, and the model only if `mixed`.
    pub(crate) fn check_same_run(&self, first: &Self, mixed: bool) -> Result<(), DataError> {
        let name = |part: &Self| format!("{} in {}", part.header.device_name, part.dir.display());
        if !mixed && first.header.device_name != self.header.device_name {
            let expected = format!(
                "shards of one device model, {} (or --mixed, to join several models without scaling)",
                name(first)
            );
            return Err(DataError::content(&self.dir, expected, name(self)));
        }
        if first.shard.count() != self.shard.count() {
            let expected =
                format!("shards out of {}, as {}", first.shard.count(), first.dir.display());
            return Err(DataError::content(&self.dir, expected, format!("shard {}", self.shard)));
        }
        let alike = RunHeader {
            device: first.header.device.clone(),
            device_name: first.header.device_name.clone(),
            shard: first.header.shard.clone(),
            ..self.header.clone()
        };
        match first.header.difference(&alike) {
            None => Ok(()),
            Some((field, expected, found)) => {
                let expected =
                    format!("a shard with {field} '{expected}', as {}", first.dir.display());
                Err(DataError::content(&self.dir, expected, format!("{field} '{found}'")))
            }
        }
    }

    /// Says in words which of the `samples` samples it lacks; None if it is finished.
    pub(crate) fn lacks(&self, samples: u64) -> Option<String> {
        let counted = self.rows.iter().filter(|row| row.role != Role::Anchor);
        let done: HashSet<_> = counted.map(Measurement::identity).collect();
        let is_missing = |index: &u64| !done.contains(&(Role::Sample, *index, 0));
        let missing: Vec<u64> = self.shard.samples(samples).filter(is_missing).collect();
        let rows = self.wanted.map_or(0, |wanted| wanted.rows);
        let of = match self.wanted {
            Some(wanted) => format!("{} of {} rows beside the anchors", done.len(), wanted.rows),
            None => format!("{} of an unknown number of rows beside the anchors", done.len()),
        };
        if missing.is_empty() && done.len() as u64 >= rows && self.wanted.is_some() {
            return None;
        }
        let named: Vec<String> = missing.iter().take(NAMED).map(u64::to_string).collect();
        let more = missing.len().saturating_sub(NAMED);
        let samples = if missing.is_empty() {
            String::new()
        } else {
            format!(", which lacks samples {}", named.join(", "))
        };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("{of} of shard {}{samples}{more} ({})", self.shard, self.dir.display()))
    }
}
