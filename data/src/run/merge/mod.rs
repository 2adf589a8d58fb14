//! Merges the shards that several devices or machines measured into one run.

mod part;
mod scale;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, PolarsResult};

use crate::durable::lock::RunLock;
use crate::run::folder::{HEADER_FILE, ROWS_FILE, TABLE_FILE, read_header};
use crate::run::frame;
use crate::run::manifest::Manifest;
use crate::run::rows;
use crate::{DataError, Measurement, Role, RunHeader, Shard, WholeFile};
use part::Part;
pub use scale::Scale;

/// The column with the factor by which a row's latencies were multiplied.
pub(crate) const SCALE_COLUMN: &str = "device_scale";
/// A merged run has this text followed by the number of shards in place of its shard. No `lat profile` takes it for its own run.
const MERGED: &str = "merged from ";

/// Faults that a merge accepts.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeOptions {
    /// Shards may be missing or unfinished.
    pub partial: bool,
    /// Devices may be of different models; then nothing is scaled.
    pub mixed: bool,
}

/// A shard of a merged run.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedShard {
    /// Its folder.
    pub dir: PathBuf,
    /// Which part of the run it is.
    pub shard: Shard,
    /// Its device as named on the command line.
    pub device: String,
    /// The device's model.
    pub device_name: String,
    /// Number of its rows.
    pub rows: u64,
    /// The factor by which its latencies were multiplied, and how well the anchors agree on it. None if models are mixed.
    pub scale: Option<Scale>,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The run's folder.
    pub dir: PathBuf,
    /// Its header.
    pub header: RunHeader,
    /// Its shards by number.
    pub shards: Vec<MergedShard>,
    /// Number of rows of all shards together.
    pub rows: u64,
    /// Sentences about what is missing; only with [`MergeOptions::partial`].
    pub lacking: Vec<String>,
    /// Sentences about versions of programs and drivers that differ between shards.
    pub notes: Vec<String>,
}

/// Joins the shards of one run in a run folder `out`, whose table also has each row's device and scale.
///
/// A shard's scale is the median over the anchors of (median of the anchor over all shards / its median on this shard). All
/// latencies except `latency_raw_ms` are multiplied by it. The order in which shards are named has no effect.
///
/// # Errors
/// [`DataError::Content`] if a folder is no shard, if shards belong to different runs, come from several device models (unless
/// `mixed`), are missing or unfinished (unless `partial`), if two have the same row, or if no anchor connects them; and the
/// errors of reading a shard and of writing `out`.
pub fn merge(out: &Path, shards: &[PathBuf], options: MergeOptions) -> Result<Merged, DataError> {
    let mut parts = shards.iter().map(|dir| Part::read(dir)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| (part.shard, part.dir.clone()));
    let Some(first) = parts.first() else {
        return Err(DataError::content(out, "at least one shard to merge", "none"));
    };
    parts.iter().try_for_each(|part| part.check_same_run(first, options.mixed))?;
    check_distinct(&parts)?;
    let lacking = lacking(&parts);
    if !options.partial && !lacking.is_empty() {
        let expected =
            "all shards of the run, each finished (or --partial, to merge what there is)";
        return Err(DataError::content(out, expected, lacking.join("; ")));
    }
    let scales = if options.mixed { vec![None; parts.len()] } else { fit(&parts)? };
    let header = merged_header(&parts);
    let notes = parts.iter().filter_map(|part| other_versions(first, part)).collect();
    let shards: Vec<MergedShard> =
        parts.iter().zip(&scales).map(|(part, scale)| merged_shard(part, *scale)).collect();
    let rows: Vec<Measurement> = parts
        .into_iter()
        .zip(&scales)
        .flat_map(|(part, scale)| part.rows.into_iter().map(move |row| scale::scaled(row, *scale)))
        .collect();
    write(out, &header, &rows, &shards)?;
    let (dir, rows) = (out.to_owned(), rows.len() as u64);
    Ok(Merged { dir, header, shards, rows, lacking, notes })
}

fn merged_shard(part: &Part, scale: Option<Scale>) -> MergedShard {
    MergedShard {
        dir: part.dir.clone(),
        shard: part.shard,
        device: part.header.device.clone(),
        device_name: part.header.device_name.clone(),
        rows: part.rows.len() as u64,
        scale,
    }
}

/// Checks that no row occurs twice.
fn check_distinct(parts: &[Part]) -> Result<(), DataError> {
    let mut seen: HashMap<(Role, u64, u32, u32), &Path> = HashMap::new();
    for part in parts {
        for row in &part.rows {
            let (role, index, occurrence) = row.identity();
            if let Some(other) = seen.insert((role, index, occurrence, row.attempt), &part.dir) {
                let what = format!("{} {index}, occurrence {occurrence}", role.name());
                let expected = format!("each row once, and {what} is in {}", other.display());
                return Err(DataError::content(&part.dir, expected, "it here again"));
            }
        }
    }
    Ok(())
}

fn lacking(parts: &[Part]) -> Vec<String> {
    let count = parts.first().map_or(1, |part| part.shard.count());
    let there: HashSet<Shard> = parts.iter().map(|part| part.shard).collect();
    let all = (1..=count).filter_map(|index| Shard::new(index, count));
    let missing: Vec<String> =
        all.filter(|shard| !there.contains(shard)).map(|shard| shard.to_string()).collect();
    let samples = parts.iter().filter_map(|part| Some(part.wanted?.samples)).max().unwrap_or(0);
    let mut lacking: Vec<String> = parts.iter().filter_map(|part| part.lacks(samples)).collect();
    if !missing.is_empty() {
        lacking.push(format!("no folder of shards {}", missing.join(", ")));
    }
    lacking
}

fn fit(parts: &[Part]) -> Result<Vec<Option<Scale>>, DataError> {
    let rows: Vec<&[Measurement]> = parts.iter().map(|part| &part.rows[..]).collect();
    let scales = scale::fit(&rows);
    for (part, scale) in parts.iter().zip(&scales) {
        if scale.is_none() {
            let expected = "measured anchors, by which its device is compared with the others";
            return Err(DataError::content(&part.dir, expected, "none"));
        }
    }
    Ok(scales)
}

fn merged_header(parts: &[Part]) -> RunHeader {
    let joined = |get: fn(&RunHeader) -> &str| {
        let mut values: Vec<&str> = parts.iter().map(|part| get(&part.header)).collect();
        values.sort_unstable();
        values.dedup();
        values.join(",")
    };
    let first = &parts[0].header;
    let same_reference = parts.iter().all(|part| part.header.reference_ms == first.reference_ms);
    RunHeader {
        version: RunHeader::VERSION,
        device: joined(|header| &header.device),
        device_name: joined(|header| &header.device_name),
        shard: Some(format!("{MERGED}{}", parts.len())),
        reference_ms: first.reference_ms.filter(|_| same_reference),
        ..first.clone()
    }
}

fn other_versions(first: &Part, part: &Part) -> Option<String> {
    (first.header.versions != part.header.versions).then(|| {
        format!(
            "{} was measured with {}, {} with {}",
            first.dir.display(),
            first.header.versions.join(", "),
            part.dir.display(),
            part.header.versions.join(", ")
        )
    })
}

fn write(
    out: &Path,
    header: &RunHeader,
    rows: &[Measurement],
    shards: &[MergedShard],
) -> Result<(), DataError> {
    fs::create_dir_all(out).map_err(DataError::io("create the run folder", out))?;
    let _lock = RunLock::take(out)?;
    check_replaceable(out)?;
    // The manifest lists nothing until everything is written, so that a half-replaced folder is not taken for a finished run.
    Manifest::default().write(out)?;
    let path = out.join(HEADER_FILE);
    let json = serde_json::to_vec_pretty(header)
        .map_err(|error| DataError::io("write", &path)(error.into()))?;
    WholeFile::write(&path, &json)?;
    let path = out.join(ROWS_FILE);
    let lines = rows.iter().map(rows::encode).collect::<Result<String, _>>();
    let lines = lines.map_err(|error| DataError::io("write", &path)(error.into()))?;
    WholeFile::write(&path, lines.as_bytes())?;
    let path = out.join(TABLE_FILE);
    let refused = |error: polars::error::PolarsError| {
        DataError::io("write", &path)(std::io::Error::other(error))
    };
    let mut frame = table(header, rows, shards).map_err(refused)?;
    let mut file = WholeFile::create(&path)?;
    frame::write_parquet(&mut file, &mut frame).map_err(refused)?;
    file.finish()?;
    let mut manifest = Manifest::default();
    manifest.list(out, HEADER_FILE, None)?;
    manifest.list(out, ROWS_FILE, Some(rows.len() as u64))?;
    manifest.list(out, TABLE_FILE, Some(rows.len() as u64))?;
    manifest.write(out)
}

/// Checks that a merge may write to the folder: it only replaces what another merge wrote.
///
/// # Errors
/// [`DataError::Content`] if it contains a run that was measured there.
pub fn check_replaceable(out: &Path) -> Result<(), DataError> {
    let expected =
        "a folder without a run, or with a merged one; choose another for the merged run";
    match read_header(out)? {
        Some(header) if !header.shard.as_ref().is_some_and(|s| s.starts_with(MERGED)) => {
            Err(DataError::content(out, expected, "a run that was measured there"))
        }
        None if out.join(ROWS_FILE).exists() => {
            Err(DataError::content(out, expected, format!("{ROWS_FILE} without {HEADER_FILE}")))
        }
        _ => Ok(()),
    }
}

/// The run's table with each row's own shard, device and scale.
fn table(
    header: &RunHeader,
    rows: &[Measurement],
    shards: &[MergedShard],
) -> PolarsResult<DataFrame> {
    let mut frame = frame::from_measurements(header, rows)?;
    let per_row = |get: &dyn Fn(&MergedShard) -> String| -> Vec<String> {
        shards.iter().flat_map(|s| std::iter::repeat_n(get(s), s.rows as usize)).collect()
    };
    let scales: Vec<f64> = shards
        .iter()
        .flat_map(|s| std::iter::repeat_n(s.scale.map_or(1.0, |s| s.factor), s.rows as usize))
        .collect();
    let columns = BTreeMap::from([
        ("shard", per_row(&|s| s.shard.to_string())),
        ("device", per_row(&|s| s.device.clone())),
        ("device_name", per_row(&|s| s.device_name.clone())),
    ]);
    for (name, values) in columns {
        frame.with_column(Column::new(name.into(), values))?;
    }
    frame.with_column(Column::new(SCALE_COLUMN.into(), scales))?;
    Ok(frame)
}

#[cfg(test)]
mod tests;
