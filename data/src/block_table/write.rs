//! Writes tables in the published forms, so that the programs for those can read them.

use std::fmt::Write;

/// A row to write.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockRow {
    /// Its name in the published form.
    pub name: String,
    /// Number of timed runs.
    pub count: u32,
    /// Latency in milliseconds, which readers expect under the name `mean`.
    pub mean_ms: f64,
    /// Standard deviation of the runs, milliseconds.
    pub sd_ms: f64,
}

/// How the spread is written next to a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// The standard deviation as `std` (Once-for-All).
    Std,
    /// Its square as `var` (`ProxylessNAS`).
    Var,
}

/// Block YAML, sorted by name: comment lines, then `count`, `mean` and spread of each row.
pub fn block_yaml(rows: &[BlockRow], spread: Spread, comments: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail. Numbers are written without exponent, because YAML 1.1 reads 1e-5 as a text.
    for comment in comments {
        let _ = writeln!(text, "# {}", comment.replace(['\n', '\r'], " "));
    }
    for BlockRow { name, count, mean_ms, sd_ms } in rows {
        let (key, value) = match spread {
            Spread::Std => ("std", *sd_ms),
            Spread::Var => ("var", sd_ms * sd_ms),
        };
        let _ = writeln!(text, "{name}:\n  count: {count}\n  mean: {mean_ms}\n  {key}: {value}");
    }
    text
}

/// A JSON object from names to milliseconds, like HW-NAS-Bench's metrics.
pub fn block_json(rows: &[BlockRow]) -> String {
    let of = |row: &BlockRow| (row.name.clone(), serde_json::Value::from(row.mean_ms));
    let object: serde_json::Map<_, _> = rows.iter().map(of).collect();
    format!("{:#}\n", serde_json::Value::Object(object))
}
