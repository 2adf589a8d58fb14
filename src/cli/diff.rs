//! `lat diff`: what changed between two profile runs.

use std::path::{Path, PathBuf};

use lat_data::{Measurement, RunHeader, read_run};
use lat_profiler::{Change, Comparison, compare};
use serde::Serialize;

use super::failure::bad;
use super::output::{figure, say, table, write_json};
use super::written::Written;

/// How many changes are printed; the JSON has all rows.
const LARGEST: usize = 10;

/// Compare two profile runs row by row: drivers, GPUs, versions, threads.
///
/// An architecture is FASTER or SLOWER in B if the 95 % intervals of its two medians do not overlap and the medians differ by at
/// least 0.5 % and by more than the two runs' noise reaches in one of 20 rows (estimated from their repeats). It is the SAME if the
/// medians are within 0.5 % or that noise, the intervals overlap, and half the interquartile range is at most 2 % of the median in
/// both runs. Everything else is AMBIGUOUS: measure longer, or end other programs. Rows are matched by architecture, so seeds may
/// differ; anchors are common to all runs of a space. The exit code does not depend on the outcome.
///
/// Example: lat diff runs/profile-darts-cuda0-c36-l20-r32-b1-seed0 runs/new-driver --json diff.json
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the first run.
    a: PathBuf,
    /// Folder of the second run.
    b: PathBuf,
    /// Also write the full comparison, row by row, as JSON here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One of the two runs in the JSON.
#[derive(Serialize)]
struct Side<'a> {
    dir: &'a Path,
    header: &'a RunHeader,
}

/// The full comparison as JSON.
#[derive(Serialize)]
struct DiffResult<'a> {
    a: Side<'a>,
    b: Side<'a>,
    same: usize,
    faster: usize,
    slower: usize,
    ambiguous: usize,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    Written::default().output("--json", args.json.as_deref()).check()?;
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let comparison = compare((&a.0, &a.1), (&b.0, &b.1))?;
    print(args, &comparison)?;
    let Some(path) = &args.json else { return Ok(()) };
    write_json(
        path,
        &DiffResult {
            a: Side { dir: &args.a, header: &a.0 },
            b: Side { dir: &args.b, header: &b.0 },
            same: comparison.count(Change::Same),
            faster: comparison.count(Change::Faster),
            slower: comparison.count(Change::Slower),
            ambiguous: comparison.count(Change::Ambiguous),
            comparison: &comparison,
        },
    )
}

fn read(dir: &Path) -> anyhow::Result<(RunHeader, Vec<Measurement>)> {
    let (header, rows) = read_run(dir)?;
    if rows.is_empty() {
        return Err(bad(format!(
            "expected rows of measurements in {}, found none; run `lat profile` with --out {} to go on with it",
            dir.display(),
            dir.display()
        )));
    }
    Ok((header, rows))
}

fn print(args: &Args, comparison: &Comparison) -> anyhow::Result<()> {
    say(format!("A {}\nB {}", args.a.display(), args.b.display()))?;
    match &comparison.differences[..] {
        [] => say("settings and versions are the same")?,
        some => {
            let rows =
                some.iter().map(|(name, a, b)| vec![(*name).to_owned(), a.clone(), b.clone()]);
            say(table(&["differs", "A", "B"], rows))?;
        }
    }
    let counts = Change::ALL.map(|c| format!("{} {}", comparison.count(c), c.name()));
    say(format!(
        "{} architectures in both ({} in A alone, {} in B alone): {}",
        comparison.pairs.len(),
        comparison.only_a,
        comparison.only_b,
        counts.join(", ")
    ))?;
    say(ratio_line(comparison))?;
    say(noise_line(comparison))?;
    let changed = comparison.changed();
    if changed.is_empty() {
        return say("no architecture changed beyond its interval and the noise");
    }
    say(format!("largest changes, {} of {}:", changed.len().min(LARGEST), changed.len()))?;
    let rows = changed.iter().take(LARGEST).map(|pair| {
        vec![
            pair.change.name().to_owned(),
            percent(pair.ratio),
            format!("{} to {}", percent(pair.ratio_low), percent(pair.ratio_high)),
            figure(pair.a_ms),
            figure(pair.b_ms),
            pair.architecture.clone(),
        ]
    });
    say(table(&["change", "by", "interval", "A ms", "B ms", "architecture"], rows))
}

fn ratio_line(comparison: &Comparison) -> String {
    let interval = match comparison.ratio_interval {
        Some((low, high)) => format!("{low:.4} to {high:.4}, 95 % by order statistics"),
        None => "no interval below 6 architectures".to_owned(),
    };
    let word = if comparison.ratio < 1.0 { "less" } else { "more" };
    format!(
        "median of B / A: {:.4} ({interval}): B takes {:.2} % {word}",
        comparison.ratio,
        100.0 * (comparison.ratio - 1.0).abs()
    )
}

fn noise_line(comparison: &Comparison) -> String {
    let floor = |noise: Option<f64>| {
        noise.map_or_else(|| "unknown".to_owned(), |n| format!("{:.2} %", 100.0 * n))
    };
    let (a, b) = (floor(comparison.noise_a), floor(comparison.noise_b));
    format!(
        "noise floor of A {a}, of B {b}: single rows must change by more than {:.2} %",
        100.0 * comparison.noise_allowance.max(lat_profiler::RATIO_MEANT)
    )
}

/// A ratio as a change in percent.
fn percent(ratio: f64) -> String {
    format!("{:+.2} %", 100.0 * (ratio - 1.0))
}
