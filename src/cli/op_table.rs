//! The latency table of single operations: a folder that `lat profile --per-op` wrote.

use std::collections::HashMap;
use std::path::Path;

use lat_data::{RunHeader, checksum};
use lat_predictor::{Metrics, PieceCosts};
use lat_profiler::OpRow;
use lat_space::{Architecture, Piece, SearchSpace};
use serde::{Deserialize, Serialize};

use super::failure::bad;
use super::op_costs::Pricer;
use super::output::{write_json, write_whole};
use super::texts;

/// The table's file in its folder.
pub(super) const FILE: &str = "operations.json";
const CSV: &str = "operations.csv";
const COLUMN: &str = "latency_ms";

/// The contents of `operations.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct OpTable {
    /// Where and how the operations were measured.
    pub(super) header: RunHeader,
    pub(super) operations: Vec<OpRow>,
    /// CRC-32 of the file that the table was read from.
    #[serde(skip)]
    pub(super) checksum: String,
}

impl OpTable {
    /// Writes the table as JSON and as CSV.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let line = |row: &OpRow| {
            let [first, second] = row.medians_ms;
            let OpRow { key, places, latency_ms, n_runs, status, .. } = row;
            format!("{key},{places},{latency_ms},{first},{second},{n_runs},{status}\n")
        };
        let rows: String = self.operations.iter().map(line).collect();
        let header = "operation,places,latency_ms,first_ms,second_ms,n_runs,status\n";
        write_whole(&dir.join(CSV), &format!("{header}{rows}"))?;
        write_json(&dir.join(FILE), self)
    }

    /// Reads the table in a folder. It must be of this space.
    pub(super) fn read(dir: &Path, space: &str) -> anyhow::Result<Self> {
        let table = Self::read_any(dir)?;
        if table.header.space != space {
            return Err(bad(format!(
                "expected a table of operations of {space}, found one of {} in {}; measure it with lat profile --per-op --space {space}",
                table.header.space,
                dir.display()
            )));
        }
        Ok(table)
    }

    /// Reads the table in a folder, of any space.
    pub(super) fn read_any(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(FILE);
        let text = texts::read(&file).map_err(|e| {
            bad(format!(
                "expected the table of `lat profile --per-op` at {}, found: {e}",
                file.display()
            ))
        })?;
        let mut table: Self = serde_json::from_str(&text).map_err(|e| {
            bad(format!("expected the table of operations at {}, found: {e}", file.display()))
        })?;
        table.checksum = checksum(text.as_bytes());
        Ok(table)
    }

    /// The costs of all pieces of the space's networks.
    pub(super) fn costs(&self, space: &dyn SearchSpace) -> anyhow::Result<PieceCosts> {
        let all: HashMap<&str, f64> =
            self.operations.iter().map(|row| (row.key.as_str(), row.latency_ms)).collect();
        let look_up = |piece: &Piece| all.get(piece.key().as_str()).copied();
        Ok(PieceCosts::look_up(space, &self.header.skeleton, COLUMN, &look_up)?)
    }

    /// Median difference between the two medians measured for each operation, in percent.
    pub(super) fn noise_percent(&self) -> f64 {
        let of = |row: &OpRow| {
            let [a, b] = row.medians_ms;
            100.0 * (a - b).abs() / f64::midpoint(a, b)
        };
        let mut all: Vec<f64> = self.operations.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// How well a table of operations predicts whole networks.
pub(super) struct Judged {
    /// The errors of the plain sum.
    pub(super) sum: Metrics,
    /// The errors of `factor` times the sum plus `constant`, both fitted by least squares on the training rows.
    pub(super) scaled: Metrics,
    pub(super) factor: f64,
    pub(super) constant_ms: f64,
}

/// Judges a table on rows of (architecture, milliseconds).
pub(super) fn judge(
    table: &Pricer<'_>,
    train: &[(&Architecture, f64)],
    test: &[(&Architecture, f64)],
) -> anyhow::Result<Judged> {
    let costs = |rows: &[(&Architecture, f64)]| -> Result<Vec<f64>, _> {
        rows.iter().map(|(architecture, _)| table.cost(architecture)).collect()
    };
    let truth: Vec<f64> = test.iter().map(|(_, ms)| *ms).collect();
    let (known, found) = (costs(train)?, costs(test)?);
    let n = known.len() as f64;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n;
    let x = mean(&mut known.iter().copied());
    let y = mean(&mut train.iter().map(|(_, ms)| *ms));
    let variance = mean(&mut known.iter().map(|k| (k - x).powi(2)));
    let both = mean(&mut known.iter().zip(train).map(|(k, (_, ms))| (k - x) * (ms - y)));
    let factor = if variance > 0.0 { both / variance } else { 0.0 };
    let constant_ms = y - factor * x;
    let scaled: Vec<f64> = found.iter().map(|f| constant_ms + factor * f).collect();
    Ok(Judged {
        sum: Metrics::of(&truth, &found)?,
        scaled: Metrics::of(&truth, &scaled)?,
        factor,
        constant_ms,
    })
}
