//! Writing such tables as the published ones are, so that their readers read them.

use std::fmt::Write;

/// A row to write.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockRow {
    /// Its name in the published form.
    pub name: String,
    /// Timed runs.
    pub count: u32,
    /// Milliseconds: what readers take, under the name `mean`.
    pub mean_ms: f64,
    /// Standard deviation of the runs, milliseconds.
    pub sd_ms: f64,
}

/// What stands beside a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// The standard deviation as `std` (Once-for-All).
    Std,
    /// Its square as `var` (`ProxylessNAS`).
    Var,
}

/// Plain block YAML, by name: lines of comment, then each row's `count`, `mean` and spread.
pub fn block_yaml(rows: &[BlockRow], spread: Spread, comments: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail. Numbers have no exponent: YAML 1.1 reads 1e-5 as a text.
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

/// A JSON object of names to milliseconds, as HW-NAS-Bench's metrics are.
pub fn block_json(rows: &[BlockRow]) -> String {
    let of = |row: &BlockRow| (row.name.clone(), serde_json::Value::from(row.mean_ms));
    let object: serde_json::Map<_, _> = rows.iter().map(of).collect();
    format!("{:#}\n", serde_json::Value::Object(object))
}
