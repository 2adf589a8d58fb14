//! `lat merge`: joins the shards of a run.

use std::path::PathBuf;

use lat_data::{MergeOptions, Merged, MergedShard, merge};
use serde::Serialize;

use super::output::{say, table, write_json};
use super::written::Written;

/// Share by which anchors may differ from a device's scale before a warning is printed.
const MOST_SPREAD: f64 = 0.05;

/// Join the shards of a run that several devices or machines measured.
///
/// Checks that the shards belong to one run and are complete and undamaged, fits each device's scale from the anchors that all have
/// measured, and writes a run folder that `lat train` reads. Its table keeps each row's device and its scale (`device_scale`); clock
/// readings (`latency_raw_ms`) are not scaled.
///
/// Example: lat merge runs/profile-all runs/profile-darts-cuda0-*-shard*of8
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the merged run.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Folders of the shards, made by `lat profile --shard I/N`.
    #[arg(value_name = "SHARD", required = true)]
    shards: Vec<PathBuf>,
    /// Merge the shards that exist, even if some are missing or not finished.
    #[arg(long)]
    partial: bool,
    /// Join devices of different models. No single factor converts one model's latencies to another's, so nothing is scaled, and `lat
    /// train` refuses the table as a whole: choose one `device_name` from it.
    #[arg(long)]
    mixed: bool,
    /// Also write the result as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The JSON result.
#[derive(Serialize)]
struct Summary {
    dir: PathBuf,
    rows: u64,
    shards: Vec<Row>,
    lacking: Vec<String>,
    notes: Vec<String>,
}

/// One shard in the JSON result.
#[derive(Serialize)]
struct Row {
    dir: PathBuf,
    shard: String,
    device: String,
    device_name: String,
    rows: u64,
    scale: Option<f64>,
    spread_percent: Option<f64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let options = MergeOptions { partial: args.partial, mixed: args.mixed };
    Written::default().output("--json", args.json.as_deref()).folder(&args.out).check()?;
    let merged = merge(&args.out, &args.shards, options)?;
    say_merged(&merged)?;
    match &args.json {
        Some(path) => write_json(path, &summary(&merged)),
        None => Ok(()),
    }
}

/// Prints the shards with their scales, and what is missing.
pub(super) fn say_merged(merged: &Merged) -> anyhow::Result<()> {
    let row = |shard: &MergedShard| {
        let scale = |get: &dyn Fn(lat_data::Scale) -> String| {
            shard.scale.map_or_else(|| "-".to_owned(), get)
        };
        vec![
            shard.shard.to_string(),
            shard.device.clone(),
            shard.device_name.clone(),
            shard.rows.to_string(),
            scale(&|s| format!("{:.4}", s.factor)),
            scale(&|s| format!("{:.2}", 100.0 * s.spread)),
        ]
    };
    let header = ["shard", "device", "model", "rows", "scale", "anchors off by %"];
    say(table(&header, merged.shards.iter().map(row)))?;
    let lacking = merged.lacking.iter().map(|what| format!("lacking: {what}"));
    let notes = merged.notes.iter().map(|note| format!("note: {note}"));
    lacking.chain(notes).chain(warning(merged)).try_for_each(say)?;
    say(format!("{}: {} rows", merged.dir.display(), merged.rows))
}

/// A warning about the merged latencies; None if all is well.
fn warning(merged: &Merged) -> Option<String> {
    if merged.shards.iter().any(|shard| shard.scale.is_none()) {
        return Some(
            "note: nothing is scaled; each row's device_name says whose latency it is".into(),
        );
    }
    let spreads = merged.shards.iter().filter_map(|shard| Some(shard.scale?.spread));
    let spread = spreads.fold(0.0, f64::max);
    (spread > MOST_SPREAD).then(|| {
        format!(
            "note: anchors differ by up to {:.1} % from what one factor per device makes of them: the devices differ by more than speed, or were disturbed",
            100.0 * spread
        )
    })
}

fn summary(merged: &Merged) -> Summary {
    let shard = |shard: &MergedShard| Row {
        dir: shard.dir.clone(),
        shard: shard.shard.to_string(),
        device: shard.device.clone(),
        device_name: shard.device_name.clone(),
        rows: shard.rows,
        scale: shard.scale.map(|s| s.factor),
        spread_percent: shard.scale.map(|s| 100.0 * s.spread),
    };
    Summary {
        dir: merged.dir.clone(),
        rows: merged.rows,
        shards: merged.shards.iter().map(shard).collect(),
        lacking: merged.lacking.clone(),
        notes: merged.notes.clone(),
    }
}
