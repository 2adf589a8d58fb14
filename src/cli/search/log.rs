//! Logs of a search, epoch by epoch: `log.jsonl`, `log.csv` and a `TensorBoard` event file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lat::search::EpochReport;
use serde_json::Value;

use super::events::EventFile;
use crate::cli::output::write_whole;

/// The log's file name in the search's folder.
pub(super) const JSON_LINES: &str = "log.jsonl";
const CSV: &str = "log.csv";

/// The logs of one search. When a search is resumed, epochs that its checkpoint does not know are cut off.
pub(super) struct SearchLog {
    dir: PathBuf,
    /// Epochs already in the logs.
    kept: usize,
    /// Column names of the CSV, once they are known.
    columns: Vec<String>,
    events: Option<EventFile>,
}

impl SearchLog {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), kept: 0, columns: Vec::new(), events: None }
    }

    /// Keeps the first epochs of existing logs. Event files stay as they are: TensorBoard prefers later files.
    pub(super) fn keep(&mut self, epochs: usize) -> anyhow::Result<()> {
        self.kept = epochs;
        self.cut(JSON_LINES, epochs)?;
        // The first line has the column names, which contain no commas.
        self.cut(CSV, epochs + 1)?;
        let text = std::fs::read_to_string(self.dir.join(CSV)).unwrap_or_default();
        let names = text.lines().next().unwrap_or_default().split(',').filter(|n| !n.is_empty());
        self.columns = names.map(str::to_owned).collect();
        Ok(())
    }

    fn cut(&self, name: &str, lines: usize) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let kept: String = text.split_inclusive('\n').take(lines).collect();
        write_whole(&path, &kept)
    }

    /// Adds an epoch to all three logs.
    pub(super) fn add(&mut self, report: &EpochReport) -> anyhow::Result<()> {
        if self.kept == 0 {
            // A new search in the folder of an older one.
            self.cut(JSON_LINES, 0)?;
            self.cut(CSV, 0)?;
            self.forget_events()?;
        }
        self.kept += 1;
        let value = serde_json::to_value(report)?;
        self.append(JSON_LINES, &format!("{value}\n"))?;
        let mut columns = flattened(&value);
        columns.sort_by_key(|(name, _)| name != "epoch");
        if self.columns.is_empty() {
            self.columns = columns.iter().map(|(name, _)| name.clone()).collect();
            self.append(CSV, &format!("{}\n", self.columns.join(",")))?;
        }
        // Cells are matched by column name: a missing value leaves its cell empty, a new value is only in the JSON.
        let of = |name: &String| columns.iter().find(|(own, _)| own == name).map(|(_, v)| cell(v));
        let cells: Vec<String> = self.columns.iter().map(|n| of(n).unwrap_or_default()).collect();
        self.append(CSV, &format!("{}\n", cells.join(",")))?;
        let numbers = columns.iter().filter_map(|(name, value)| Some((tag(name), value.as_f64()?)));
        self.events()?.add(i64::from(report.epoch), numbers)
    }

    /// Deletes event files of an older search in this folder, which would be drawn into this one's curves.
    fn forget_events(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.dir)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("events.out.tfevents.") {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn events(&mut self) -> anyhow::Result<&mut EventFile> {
        if self.events.is_none() {
            self.events = Some(EventFile::create(&self.dir)?);
        }
        Ok(self.events.as_mut().expect("it was just made"))
    }

    fn append(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        let open = || -> std::io::Result<File> {
            OpenOptions::new().create(true).append(true).open(&path)
        };
        open()
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("could not write {}", path.display()))
    }
}

/// The values that fit in a cell: nested ones as `outer.inner`, lists of pairs as `outer.first`. Other lists are left out.
fn flattened(value: &Value) -> Vec<(String, Value)> {
    let mut columns = Vec::new();
    let Value::Object(fields) = value else { return columns };
    for (name, value) in fields {
        match value {
            Value::Object(_) => {
                let inner = flattened(value).into_iter();
                columns.extend(inner.map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            Value::Array(items) => columns.extend(items.iter().filter_map(|item| match item {
                Value::Array(pair) => match pair.as_slice() {
                    [Value::String(key), value] => Some((format!("{name}.{key}"), value.clone())),
                    _ => None,
                },
                _ => None,
            })),
            value => columns.push((name.clone(), value.clone())),
        }
    }
    columns
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        value => value.to_string(),
    }
}

/// The `TensorBoard` tag of a column. `TensorBoard` groups tags by the part before the first slash.
fn tag(column: &str) -> String {
    let group = match column {
        name if name.contains('.') => return name.replacen('.', "/", 1),
        "train_loss" | "valid_loss" => "loss",
        "train_accuracy" | "valid_accuracy" => "accuracy",
        "relaxed_cost" | "derived_cost" | "relaxation_gap_percent" => "cost",
        "alpha_entropy" => "alpha",
        _ => "search",
    };
    format!("{group}/{column}")
}

#[cfg(test)]
mod tests {
    use lat::diagnostics::Diagnostics;

    use super::*;

    fn report(epoch: u32) -> EpochReport {
        EpochReport {
            epoch,
            train_loss: 1.5,
            skips: vec![("normal".into(), 2)],
            probabilities: vec![vec![0.25, 0.75]],
            architecture: "a \"b\", c".into(),
            diagnostics: Some(Diagnostics { free_mass: 0.5, ..Diagnostics::default() }),
            ..EpochReport::default()
        }
    }

    fn lines(dir: &Path, name: &str) -> Vec<String> {
        std::fs::read_to_string(dir.join(name)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_resumed_search_goes_on_where_its_checkpoint_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = SearchLog::new(dir.path());
        (1..=3).for_each(|epoch| log.add(&report(epoch)).unwrap());
        let mut again = SearchLog::new(dir.path());
        again.keep(2).unwrap();
        again.add(&report(3)).unwrap();
        let json = lines(dir.path(), JSON_LINES);
        let epochs: Vec<u32> = json
            .iter()
            .map(|line| serde_json::from_str::<EpochReport>(line).unwrap().epoch)
            .collect();
        assert_eq!(epochs, [1, 2, 3]);
        assert_eq!(serde_json::from_str::<EpochReport>(&json[0]).unwrap(), report(1));
        let csv = lines(dir.path(), CSV);
        assert_eq!(csv.len(), 4);
        for column in
            ["epoch", "diagnostics.free_mass", "skips.normal", "diagnostics.hessian_eigenvalue"]
        {
            assert!(csv[0].split(',').any(|name| name == column), "{column} of {}", csv[0]);
        }
        assert!(!csv[0].contains("probabilities"), "too wide for a table");
        assert!(csv[1].contains("\"a \"\"b\"\", c\""), "{}", csv[1]);
        assert!(
            csv.iter()
                .skip(1)
                .all(|row| row.matches(',').count() == csv[0].matches(',').count() + 1)
        );

        // An epoch without diagnostics leaves its cells empty; a torn last line is cut off.
        let path = dir.path().join(JSON_LINES);
        std::fs::write(&path, format!("{}\n{{\"epoch\": 2, \"tra", json[0])).unwrap();
        let mut torn = SearchLog::new(dir.path());
        torn.keep(1).unwrap();
        torn.add(&EpochReport { diagnostics: None, ..report(2) }).unwrap();
        assert_eq!(lines(dir.path(), JSON_LINES).len(), 2);
        let csv = lines(dir.path(), CSV);
        let place = csv[0].split(',').position(|name| name == "diagnostics.free_mass").unwrap();
        let row = csv[2].replace("\"a \"\"b\"\", c\"", "text");
        assert_eq!(row.split(',').count(), csv[0].split(',').count());
        assert_eq!(row.split(',').nth(place), Some(""));
        drop(torn);

        // A new search in the same folder.
        SearchLog::new(dir.path()).add(&report(1)).unwrap();
        let events = std::fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("tfevents"));
        assert_eq!(events.count(), 1);
        assert_eq!(lines(dir.path(), JSON_LINES).len(), 1);
        assert_eq!(lines(dir.path(), CSV).len(), 2);
    }

    #[test]
    fn tags_have_groups() {
        assert_eq!(tag("train_loss"), "loss/train_loss");
        assert_eq!(tag("diagnostics.free_mass"), "diagnostics/free_mass");
        assert_eq!(tag("seconds"), "search/seconds");
    }
}
