//! The header columns of a profile's table, which describe the run in every row.

use std::collections::HashMap;

use super::columns::Columns;
use crate::run::folder::check_version;
use crate::run::frame::HEADER_COLUMNS;
use crate::run::merge::SCALE_COLUMN;
use crate::{DataError, Mode, OperatingPoint, RunHeader};

/// Header columns that tables in format version 1 do not have.
const NEW_IN_2: [&str; 4] = ["mode", "channels_last", "cold", "shard"];

/// The header, if the table has all its columns; None if a column has several values, as in tables joined by users. For a merged
/// run, whose devices are of one model, it names the first device.
pub(crate) fn read_header(columns: &Columns) -> Result<Option<RunHeader>, DataError> {
    let mut values = HashMap::new();
    let is_merged = is_merged(columns);
    for column in HEADER_COLUMNS {
        if is_merged && column == "shard" {
            continue;
        }
        let value = if is_merged && column == "device" {
            columns.distinct(column)?.into_iter().next()
        } else {
            constant(columns, column)?
        };
        match value {
            Some(value) => values.insert(column, value),
            // Tables in an older format lack columns that were added later.
            None if NEW_IN_2.contains(&column) && !columns.has(column) => None,
            None => return Ok(None),
        };
    }
    let header = parse_header(&values).map_err(|error| {
        let found = format!("what cannot be read: {error}");
        DataError::content(columns.path(), "the columns of a run's header", found)
    })?;
    check_version(columns.path(), &header)?;
    Ok(Some(header))
}

/// Whether the table was merged from shards. Each row then has its device, and the factor applied to its latencies.
pub(crate) fn is_merged(columns: &Columns) -> bool {
    columns.has(SCALE_COLUMN)
}

/// The column's only value; None if the table lacks it or has several.
pub(crate) fn constant(columns: &Columns, column: &str) -> Result<Option<String>, DataError> {
    if !columns.has(column) {
        return Ok(None);
    }
    let mut values = columns.distinct(column)?;
    Ok(values.pop().filter(|value| values.is_empty() && !value.is_empty()))
}

fn parse_header(values: &HashMap<&str, String>) -> Result<RunHeader, serde_json::Error> {
    let text = |name: &str| values.get(name).cloned();
    let is_set = |name: &str| values.get(name).is_some_and(|value| value == "true");
    Ok(RunHeader {
        version: serde_json::from_str(&values["format_version"])?,
        space: values["space"].clone(),
        skeleton: serde_json::from_str(&values["skeleton"])?,
        seed: serde_json::from_str(&values["seed"])?,
        batch: serde_json::from_str(&values["batch"])?,
        device: values["device"].clone(),
        device_name: values["device_name"].clone(),
        point: OperatingPoint {
            precision: named(&values["precision"])?,
            mode: text("mode").map_or(Ok(Mode::default()), |mode| named(&mode))?,
            channels_last: is_set("channels_last"),
            cold: is_set("cold"),
        },
        shard: text("shard").filter(|shard| shard != "all"),
        threads: serde_json::from_str(&values["threads"])?,
        reference_ms: serde_json::from_str(&values["reference_ms"])?,
        versions: serde_json::from_str(&values["versions"])?,
    })
}

/// Reads a value of a type that is stored by name in JSON.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(name.into())
}
