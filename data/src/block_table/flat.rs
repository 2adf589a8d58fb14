//! Latency tables with one number per row: JSON objects, and CSV with two columns.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Read, content, number, quoted};
use crate::DataError;

/// An object's members in order, including those with the same name.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names of rows to milliseconds")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(All)
    }
}

/// Reads `{"ConvNorm_..": 1.5}`, or `{"Conv-..": {"mean": 1.5}}`.
pub(super) fn json(path: &Path, text: &str) -> Result<Vec<Read>, DataError> {
    let Members(members) = serde_json::from_str(text).map_err(|error| {
        let expected = "a JSON object of names of rows to milliseconds".to_owned();
        content(path, expected, error.to_string())
    })?;
    let row = |(name, value): (String, Value)| {
        let mean = match &value {
            Value::Object(members) => members.get("mean").unwrap_or(&Value::Null),
            other => other,
        };
        let mean_ms = number(path, &format!("milliseconds of row '{name}'"), &mean.to_string())?;
        Ok(Read { name, mean_ms, place: "further on".to_owned() })
    };
    members.into_iter().map(row).collect()
}

/// Reads a line of names, then one row per line.
pub(super) fn csv(path: &Path, text: &str) -> Result<Vec<Read>, DataError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map_or("", |(_, line)| line.trim());
    let per_ms = match header.split_once(',').map(|(_, column)| column.trim()) {
        Some("latency_ms") => 1.0,
        Some("latency_us") => 1e3,
        _ => {
            let expected =
                "two columns, of names and of latency_ms or latency_us, in its first line";
            return Err(content(path, expected.to_owned(), quoted(header)));
        }
    };
    let row = |(i, line): (usize, &str)| {
        let (line, place) = (line.trim(), format!("in line {}", i + 1));
        let Some((name, value)) = line.split_once(',') else {
            let expected = format!("a name, a comma and a number {place}");
            return Err(content(path, expected, quoted(line)));
        };
        let (name, value) = (name.trim().to_owned(), value.trim());
        let mean_ms = number(path, &format!("row '{name}' {place}"), value)? / per_ms;
        Ok(Read { name, mean_ms, place })
    };
    lines.map(row).collect()
}
