//! Compares two runs row by row: what a new driver, GPU, version or setting changed, and what is noise.
//!
//! Like `nvbench`'s comparison: a row is called faster or slower only if its own intervals support it. If that cannot be decided,
//! the row is called ambiguous, not equal.

use std::collections::HashMap;

use lat_data::{Measurement, Role, RunHeader, Status, median, superseded};
use serde::Serialize;

use crate::ProfileError;
use crate::timing::summary::median_interval;
use crate::verdict::pair_differences;

/// Relative changes below this do not matter (`nvbench`'s 0.5 %).
pub const RATIO_MEANT: f64 = 0.005;
/// Half the distance of the quartiles over the median. Up to this value a row is steady enough to be called the same.
const STEADY: f64 = 0.02;
/// Factor from the median of |a - b| / mean over repeats to the 95 % bound of a difference of two measurements. With normal
/// errors of spread s per measurement the median is 0.6745 sqrt(2) s, and a difference of two runs of spreads s and t stays
/// within 1.96 sqrt(s^2 + t^2).
const NOISE_FACTOR: f64 = 1.96 / (0.674_49 * std::f64::consts::SQRT_2);

/// How one architecture's latency changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// Within 0.5 % or the runs' noise, with intervals that overlap and steady runs.
    Same,
    /// Less time in the second run: by at least 0.5 %, by more than noise, and with intervals that do not overlap.
    Faster,
    /// More time in the second run, by the same criteria.
    Slower,
    /// None of these can be decided.
    Ambiguous,
}

impl Change {
    /// All changes, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Same, Self::Faster, Self::Slower, Self::Ambiguous];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "SAME",
            Self::Faster => "FASTER",
            Self::Slower => "SLOWER",
            Self::Ambiguous => "AMBIGUOUS",
        }
    }
}

/// One architecture in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowPair {
    /// The architecture as text.
    pub architecture: String,
    /// Median latency in the first run, milliseconds per batch.
    pub a_ms: f64,
    /// Median latency in the second run, milliseconds per batch.
    pub b_ms: f64,
    /// Second over first: below 1 is faster.
    pub ratio: f64,
    /// Lower end of the second run's interval over the upper end of the first run's (95 % intervals of the medians); NaN (null in
    /// JSON) if there are no intervals.
    pub ratio_low: f64,
    /// Upper end of the second run's interval over the lower end of the first run's.
    pub ratio_high: f64,
    /// The judgement.
    pub change: Change,
}

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The architectures that both have, in the first run's order.
    pub pairs: Vec<RowPair>,
    /// Number of architectures that only the first run has.
    pub only_a: usize,
    /// Number of architectures that only the second run has.
    pub only_b: usize,
    /// Settings that differ, as (name, first, second).
    pub differences: Vec<(&'static str, String, String)>,
    /// Median of |first - again| / mean over samples that were measured again in the first run; None if there are none.
    pub noise_a: Option<f64>,
    /// Median of |first - again| / mean over samples that were measured again in the second run; None if there are none.
    pub noise_b: Option<f64>,
    /// Relative change that the noise of the two runs alone reaches in one of 20 rows; 0 if neither run measured anything again.
    pub noise_allowance: f64,
    /// Median of the rows' ratios.
    pub ratio: f64,
    /// 95 % order-statistic interval of that median; None if there are fewer than six pairs. It covers the scatter of the rows
    /// only. Anything that affects all rows of a run alike, such as its clock, is part of the ratio.
    pub ratio_interval: Option<(f64, f64)>,
}

impl Comparison {
    /// The number of rows with this change.
    pub fn count(&self, change: Change) -> usize {
        self.pairs.iter().filter(|pair| pair.change == change).count()
    }

    /// The rows that became faster or slower, the largest change first.
    pub fn changed(&self) -> Vec<&RowPair> {
        let is_changed = |p: &&RowPair| matches!(p.change, Change::Faster | Change::Slower);
        let mut changed: Vec<&RowPair> = self.pairs.iter().filter(is_changed).collect();
        changed.sort_by(|p, q| q.ratio.ln().abs().total_cmp(&p.ratio.ln().abs()));
        changed
    }
}

/// Compares two runs over the architectures that both measured, matched by their text; seeds may differ. Failed and replaced rows
/// do not count. If an architecture was measured several times (anchors, repeats), each figure is the median over its rows.
///
/// # Errors
/// [`ProfileError::Incomparable`] if the runs have different spaces, skeletons or batches, [`ProfileError::NothingShared`] if
/// they have no architecture in common.
pub fn compare(
    (header_a, rows_a): (&RunHeader, &[Measurement]),
    (header_b, rows_b): (&RunHeader, &[Measurement]),
) -> Result<Comparison, ProfileError> {
    let differences = differences(header_a, header_b);
    let refused = |(what, ..): &&(&str, _, _)| ["space", "skeleton", "batch"].contains(what);
    if let Some((what, a, b)) = differences.iter().find(refused) {
        return Err(ProfileError::Incomparable { what, a: a.clone(), b: b.clone() });
    }
    let (a, b) = (live(rows_a), live(rows_b));
    let (noise_a, noise_b) = (noise(&a), noise(&b));
    let noise_allowance =
        NOISE_FACTOR * noise_a.unwrap_or_default().hypot(noise_b.unwrap_or_default());
    let (a, b) = (by_architecture(&a), by_architecture(&b));
    let later: HashMap<&str, &Level> = b.iter().map(|level| (level.architecture, level)).collect();
    let pairs: Vec<RowPair> = a
        .iter()
        .filter_map(|level| Some(level.pair(later.get(level.architecture)?, noise_allowance)))
        .collect();
    if pairs.is_empty() {
        return Err(ProfileError::NothingShared { n_a: a.len(), n_b: b.len() });
    }
    let mut ratios: Vec<f64> = pairs.iter().map(|pair| pair.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    Ok(Comparison {
        only_a: a.len() - pairs.len(),
        only_b: b.len() - pairs.len(),
        differences,
        noise_a,
        noise_b,
        noise_allowance,
        ratio: median(ratios.iter().copied()).unwrap_or(f64::NAN),
        ratio_interval: median_interval(&ratios),
        pairs,
    })
}

/// The differences that [`RunHeader::differences`] gives, and those of the reference's time and the versions.
fn differences(a: &RunHeader, b: &RunHeader) -> Vec<(&'static str, String, String)> {
    let mut differences = a.differences(b);
    let reference = |header: &RunHeader| {
        header.reference_ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms"))
    };
    if a.reference_ms != b.reference_ms {
        differences.push(("reference network", reference(a), reference(b)));
    }
    let missing = |from: &RunHeader, other: &RunHeader| {
        let new = from.versions.iter().filter(|v| !other.versions.contains(v));
        new.cloned().collect::<Vec<_>>().join(", ")
    };
    let versions = (missing(a, b), missing(b, a));
    if versions != (String::new(), String::new()) {
        differences.push(("versions", versions.0, versions.1));
    }
    differences
}

/// The rows that count: measured, and not replaced by a later attempt.
fn live(rows: &[Measurement]) -> Vec<&Measurement> {
    let counts = |row: &Measurement| row.status != Status::Failed && row.latency_ms > 0.0;
    let rows = rows.iter().zip(superseded(rows));
    rows.filter(|(row, superseded)| !superseded && counts(row)).map(|(row, _)| row).collect()
}

/// The larger of two medians: over repeats in the run's own process, and over fresh repeats. (Two runs are always two processes.)
fn noise(rows: &[&Measurement]) -> Option<f64> {
    let floor = |role| median(pair_differences(rows.iter().copied(), role));
    [Role::Repeat, Role::Fresh].into_iter().filter_map(floor).max_by(f64::total_cmp)
}

/// One architecture's figures in one run, milliseconds.
struct Level<'a> {
    architecture: &'a str,
    median: f64,
    low: f64,
    high: f64,
    /// Half the distance of the quartiles over the median.
    dispersion: f64,
}

fn by_architecture<'a>(rows: &[&'a Measurement]) -> Vec<Level<'a>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<(&'a str, Vec<&Measurement>)> = Vec::new();
    for row in rows {
        let place = *places.entry(&row.architecture).or_insert(groups.len());
        if place == groups.len() {
            groups.push((&row.architecture, Vec::new()));
        }
        groups[place].1.push(row);
    }
    groups.into_iter().map(|(architecture, rows)| Level::of(architecture, &rows)).collect()
}

impl<'a> Level<'a> {
    fn of(architecture: &'a str, rows: &[&Measurement]) -> Self {
        let over = |get: fn(&Measurement) -> f64| {
            median(rows.iter().map(|row| get(row)).filter(|v| v.is_finite())).unwrap_or(f64::NAN)
        };
        Self {
            architecture,
            median: over(|row| row.latency_ms),
            low: over(|row| row.latency_ci_low_ms),
            high: over(|row| row.latency_ci_high_ms),
            dispersion: over(|row| 0.5 * (row.latency_q3_ms - row.latency_q1_ms) / row.latency_ms),
        }
    }

    fn pair(&self, later: &Self, noise_allowance: f64) -> RowPair {
        RowPair {
            architecture: self.architecture.to_owned(),
            a_ms: self.median,
            b_ms: later.median,
            ratio: later.median / self.median,
            ratio_low: later.low / self.high,
            ratio_high: later.high / self.low,
            change: self.change(later, noise_allowance),
        }
    }

    /// The rule for one row. Without an interval (fewer than six runs) nothing can be decided.
    fn change(&self, later: &Self, noise_allowance: f64) -> Change {
        let moved = (later.median / self.median - 1.0).abs();
        let apart = later.high < self.low || later.low > self.high;
        let overlap = later.low <= self.high && self.low <= later.high;
        let steady = self.dispersion <= STEADY && later.dispersion <= STEADY;
        if apart && moved >= RATIO_MEANT && moved > noise_allowance {
            if later.median < self.median { Change::Faster } else { Change::Slower }
        } else if overlap && steady && moved <= RATIO_MEANT.max(noise_allowance) {
            Change::Same
        } else {
            Change::Ambiguous
        }
    }
}

#[cfg(test)]
mod tests;
